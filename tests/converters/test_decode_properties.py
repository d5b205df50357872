"""Properties of the decoder that hold for every input, not only for those we thought of."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lines import RECEIVED, generate

from datto_siem.converters import decode
from datto_siem.converters.cef import encode

if TYPE_CHECKING:
    from datto_siem.converters.event import Event

CORPUS = tuple(generate(400, seed=7))
FRAGMENTS = (
    " ", "  ", "=", ":", "|", "\\", "\\=", "\\\\", "\\n", "\n", "\t", "\r", "\0", "\ufeff",
    "CEF:", "CEF:1|Datto|", "AccessPoint", "Secure Edge", "|wifi|probe|0|", "rt=", " smac=",
    " cs2:", " dmac:", " dvchost:", "02:00:5E:10:00:03", "groups.0=", "groups.99999=", "policy_id=",
    "external_id=", "1795514300412", "2026-11-24T09:58:20Z", "<134>", "1 - - - - - - ", "[a b=\"",
    "192.0.2.1", "[2001:db8::1]:53", "0", "-1", "${x}", "\u2028", "é", "\udc80", "a[0]=", "\x1b[",
)  # fmt: skip
QUICK = settings(max_examples=300, deadline=None)
FEWER = settings(max_examples=120, deadline=None)

texts = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join),
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(
        lambda parts: "CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|" + "".join(parts)
    ),
)
raws = st.one_of(
    st.binary(max_size=300), texts.map(lambda text: text.encode("utf-8", "surrogatepass"))
)


def sound(event: Event) -> None:
    """What holds for every event, decodable or not."""
    for note in event.notes:
        assert isinstance(note.kind, str)
        assert note.kind
    keys = [key for key, _ in event.pairs]
    assert set(event.extension) == set(keys)
    for key, text in event.extension.items():
        assert text == next(value for name, value in event.pairs if name == key)
    if event.header is None:
        assert not event.pairs


@QUICK
@given(raws)
def test_no_bytes_make_decode_raise_and_all_are_recoverable(raw: bytes) -> None:
    event = decode(raw, received=RECEIVED)
    assert event.original == raw
    sound(event)


@QUICK
@given(texts)
def test_no_text_makes_decode_raise(text: str) -> None:
    event = decode(text, received=RECEIVED)
    assert event.original.decode("utf-8", "surrogatepass") == text
    sound(event)


@QUICK
@given(st.integers(0, len(CORPUS) - 1), st.integers(0, 2**32), st.integers(1, 6))
def test_no_mutation_of_a_real_line_makes_decode_raise(index: int, seed: int, times: int) -> None:
    raw = mutated(CORPUS[index].raw, Random(seed), times)  # noqa: S311 - no secret
    event = decode(raw, received=RECEIVED)
    assert event.original == raw
    sound(event)


def mutated(raw: bytes, rng: Random, times: int) -> bytes:
    """Delete, repeat, swap or insert at random places."""
    for _ in range(times):
        at, to = sorted((rng.randrange(len(raw) + 1), rng.randrange(len(raw) + 1)))
        kind = rng.randrange(5)
        if kind == 0:
            raw = raw[:at] + raw[to:]
        elif kind == 1:
            raw = raw[:to] + raw[at:to][:200] + raw[to:]
        elif kind == 2:
            raw = raw[:at] + bytes([rng.randrange(256)]) + raw[at:]
        elif kind == 3:
            fragment = rng.choice(FRAGMENTS).encode("utf-8", "surrogatepass")
            raw = raw[:at] + fragment + raw[at:]
        else:
            raw = raw[to:] + raw[:at]
    return raw


def assert_canonical(raw: bytes | str) -> None:
    """Encoding loses nothing and is a fixed point of decode then encode."""
    event = decode(raw, received=RECEIVED)
    # A raw line break never comes in a line; written as `\\n` it may no longer part two pairs.
    assume("\n" not in event.text and "\r" not in event.text)
    if event.header is None:
        return
    for version in (0, 1):
        line = encode(event, cef_version=version)
        assert "\n" not in line
        again = decode(line, received=RECEIVED)
        assert again.header is not None
        assert again.header.version == str(version)
        assert again.header[1:] == event.header[1:]
        assert again.pairs == event.pairs
        assert encode(again, cef_version=version) == line


@FEWER
@given(st.integers(0, len(CORPUS) - 1))
def test_a_real_line_survives_encoding(index: int) -> None:
    assert_canonical(CORPUS[index].raw)


@FEWER
@given(st.integers(0, len(CORPUS) - 1), st.integers(0, 2**32), st.integers(1, 3))
def test_a_mutated_line_survives_encoding(index: int, seed: int, times: int) -> None:
    assert_canonical(mutated(CORPUS[index].raw, Random(seed), times))  # noqa: S311 - no secret


@QUICK
@given(texts)
def test_any_text_that_has_a_header_survives_encoding(text: str) -> None:
    assert_canonical(text)


@FEWER
@given(
    st.text(st.characters(codec="ascii", min_codepoint=32), max_size=40),
    st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"]), max_size=60),
)
def test_any_printable_name_and_value_survive_encoding(name: str, value: str) -> None:
    name = name.replace("\\", "\\\\").replace("|", "\\|")
    value = value.replace("\\", "\\\\").replace("=", "\\=")
    assert_canonical(f"CEF:1|Datto|Secure Edge|1.2.1|telemeterd|{name}|3|proto=x class={value}")
    assert_canonical(f"CEF:0|Example|Gateway|1|1|{name}|3|msg={value} act=ok")


@FEWER
@given(st.integers(0, 2**32))
def test_a_generated_line_decodes_to_what_it_was_made_of(seed: int) -> None:
    for line in generate(5, seed):
        event = decode(line.raw, received=RECEIVED)
        if not line.header:
            continue
        assert event.header is not None
        assert tuple(event.header) == line.header
        got = {key: event.extension.get(key) for key in line.expected}
        if line.clean:
            assert dict(event.extension) == line.expected, line.quirks
        elif not any(name.startswith("inject") for name in line.quirks):
            assert got == line.expected, line.quirks
