"""Which records take the short way, and that it is the same way: the parts of shapes."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING

import pytest
from ordinary_lines import ordinary
from shape_making import FLOW, PROBE, RECEIVED, forgetful, quick, reference, teach

from datto_siem.converters import Converter, shapes
from datto_siem.converters.output import dump
from datto_siem.converters.pieces import Leaf, Objects, literal, merged, source, variable
from datto_siem.converters.spelling import in_order, is_clean, spelling
from datto_siem.converters.staging import decided, gathered, living, parted, statements

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch) -> Converter:
    """A converter of its own that makes shapes at once."""
    return quick("ecs", monkeypatch)


DAY = 86_400_000
FAR = 2_010_000_000_000  # receipt in 2033, when times of ten digits begin with a two
LAST = 9_999_913_600_000  # in 2286: a day later they have eleven


@pytest.mark.parametrize(
    ("received", "when", "taken"),
    [
        (RECEIVED, RECEIVED + DAY - 1, True),
        (RECEIVED, RECEIVED + DAY, False),  # plausible still; seconds tell, to be quick
        (RECEIVED, RECEIVED + DAY + 1, False),
        (RECEIVED, 1_500_000_000_000, True),
        (RECEIVED, 1_499_999_999_999, False),
        (RECEIVED, 1_420_070_399_999, False),
        (1_450_000_000_000, RECEIVED, False),
        (FAR, 1_999_999_999_999, True),
        (FAR, 2_000_000_000_000, False),
        (LAST, RECEIVED, False),
        (10 * LAST, RECEIVED, False),
    ],
)
def test_a_time_is_taken_up_to_a_day_after_the_receipt(
    converter: Converter, received: int, when: int, taken: bool
) -> None:
    teach(converter, PROBE)
    line = PROBE.replace(b"1795513152051", b"%d" % when)
    found = converter.shapes.write(line, received)
    assert (found is not None) is taken
    expected = dump(converter.run(converter.decoder.decode(line, received)).document)
    assert converter.encode(line, received) == expected
    assert found in (None, expected)


def test_a_shape_is_made_once_a_header_was_met_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "OFTEN", 3)
    made = forgetful("ecs")
    for _ in range(4):
        assert made.shapes.write(PROBE, RECEIVED) is None
        made.encode(PROBE, RECEIVED)
    assert made.shapes.write(PROBE, RECEIVED) == reference(made, PROBE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"cs2:Guest", b"cs2:a b  c"),
        (b"cs2:Guest", b"cs2:Guest "),
        (b"cs2:Guest", b"cs2:a:b"),
        (b"cs2:Guest", b"cs2:a=b"),
        (b"cs2:Guest", b'cs2:"Guest"'),
        (b"cs2:Guest", b"cs2:a\\\\b"),
        (b"cs2:Guest", b"cs2:caf\xc3\xa9"),
        (b"cs2:Guest", b"cs2:"),
        (b"cs2:Guest", b"cs2:Guest dvc:192.0.2.1"),
        (b"rt=1795513152051", b"rt=1420070399999"),
        (b"rt=1795513152051", b"rt=1795600800001"),
        (b"smac=02", b"smac=2"),
        (b"D0:3A", b"D0:3A "),
        (b"CEF:1|", b"CEF:1.2|"),
    ],
)
def test_what_is_unusual_takes_the_ordinary_way(
    converter: Converter, old: bytes, new: bytes
) -> None:
    teach(converter, PROBE)
    line = PROBE.replace(old, new)
    assert line != PROBE
    assert converter.shapes.write(line, RECEIVED) is None
    assert converter.encode(line, RECEIVED) == reference(converter, line)


@pytest.mark.parametrize("received", [1, 1_420_070_399_999, 9_999_999_999_999, RECEIVED + 1])
def test_a_receive_time_from_another_age_changes_no_byte(
    converter: Converter, received: int
) -> None:
    teach(converter, PROBE)
    want = dump(converter.run(converter.decoder.decode(PROBE, received)).document)
    assert converter.encode(PROBE, received) == want


def test_a_time_just_below_a_day_ahead_is_the_latest_that_is_taken(converter: Converter) -> None:
    teach(converter, PROBE)
    for time, is_taken in ((b"1795600799999", True), (b"1795600800000", False)):
        line = PROBE.replace(b"1795513152051", time)
        assert (converter.shapes.write(line, RECEIVED) is not None) == is_taken
        assert converter.encode(line, RECEIVED) == reference(converter, line)


@pytest.mark.parametrize("time", [b"1420070399999", b"1420070400000", b"1999999999999"])
def test_a_time_at_an_end_of_what_shapes_reckon_with(converter: Converter, time: bytes) -> None:
    teach(converter, PROBE)
    line = PROBE.replace(b"1795513152051", time)
    for received in (RECEIVED, 2_000_000_000_000):
        want = dump(converter.run(converter.decoder.decode(line, received)).document)
        assert converter.encode(line, received) == want


def test_a_record_of_a_size_at_which_relays_cut_takes_the_ordinary_way(
    converter: Converter,
) -> None:
    teach(converter, PROBE)
    line = PROBE.replace(b"Guest", b"x" * (480 - len(PROBE) + 5))
    assert len(line) == 480
    assert converter.shapes.write(line, RECEIVED) is None
    assert converter.shapes.write(line.replace(b"x", b"", 1), RECEIVED) is not None


@pytest.mark.parametrize(
    "prefix",
    [
        b"<134>Nov 24 09:37:09 ap-1 ",
        b"<134>Nov  4 09:37:09 ap-1 ",
        b"<13>2026-11-24T09:37:09Z ap-1 ",
        b"<13>1 2026-11-24T09:37:09.250Z ap-1 datto - - - ",
        b"<134>ap-1 ",
        b"<191>Nov 24 09:37:09 UTC ",
        b"Nov 24 09:37:09 ap-1 ",
        b"relay CEF: ",
        b"a|b=c ",
    ],
)
def test_senders_are_told_apart_by_all_that_stands_before_the_header(
    converter: Converter, prefix: bytes
) -> None:
    teach(converter, PROBE)
    for line in (prefix + PROBE, prefix.replace(b"09:37", b"10:38") + PROBE):
        found = converter.shapes.write(line, RECEIVED)
        assert found in (None, reference(converter, line))
        assert converter.encode(line, RECEIVED) == reference(converter, line)


def test_keys_in_any_order_and_words_with_blanks(converter: Converter) -> None:
    head, _, body = FLOW.rpartition(b"|")
    words = body.replace(b"Bulk Transfer", b"Bulk+Transfer").split(b" ")
    orders = [words[turn:] + words[:turn] for turn in range(len(words))]
    lines = [
        head + b"|" + b" ".join(each).replace(b"Bulk+Transfer", b"Bulk Transfer") for each in orders
    ]
    for _ in range(4):
        for line in lines:
            converter.encode(line, RECEIVED)
    for line in lines:
        assert converter.shapes.write(line, RECEIVED) == reference(converter, line)
    stray = head + b"|stray " + body
    assert converter.encode(stray, RECEIVED) == reference(converter, stray)


def test_each_thread_gets_its_own_sender(converter: Converter) -> None:
    teach(converter, PROBE)
    peers = [f"192.0.2.{number}" for number in range(1, 5)]
    want = {peer: reference(converter, PROBE, peer) for peer in peers}
    wrong: list[str] = []

    def work(peer: str) -> None:
        wrong.extend(
            peer for _ in range(2_000) if converter.encode(PROBE, RECEIVED, peer) != want[peer]
        )

    threads = [threading.Thread(target=work, args=(peer,)) for peer in peers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


def test_an_id_or_a_peer_that_needs_escapes_is_escaped(converter: Converter) -> None:
    teach(converter, PROBE)
    event = converter.decoder.decode(PROBE, RECEIVED, 'a"b', 'c"d')
    want = dump(converter.run(event).document)
    assert converter.encode(PROBE, RECEIVED, 'a"b', 'c"d') == want


def test_a_spelling_knows_forms_and_separators(converter: Converter) -> None:
    event = converter.decoder.decode(PROBE, RECEIVED)
    found = spelling(event, True, {})
    assert found is not None
    assert [(pair.key, pair.separator, pair.form) for pair in found.pairs] == [
        ("rt", "=", "strict"),
        ("smac", "=", "strict"),
        ("cs2", ":", "wide"),
        ("dmac", ":", "strict"),
    ]
    assert found.equals == 2
    assert found.sorted() is None


def test_pairs_are_sorted_with_the_words_that_belong_to_them() -> None:
    assert in_order("b=1 a=2", 2) == "a=2 b=1"
    assert in_order("b=x y a=2", 2) == "a=2 b=x y"
    assert in_order("x b=1 a=2", 2) == ""
    assert in_order("b=1  a=2", 2) == ""
    assert in_order("b=1 a=2 ", 2) == ""


def test_clean_texts_stand_in_json_as_they_are() -> None:
    assert is_clean("a b|c:d")
    for bad in ('"', "\\", "\x1f", "\x7f", "\u00e9"):
        assert not is_clean(bad)


def test_objects_leave_no_comma_behind() -> None:
    scope: dict[str, str] = {}
    lines: list[str] = []

    def assign(text: str) -> str:
        lines.append(f"v{len(lines)} = {text}")
        return f"v{len(lines) - 1}"

    tree = {
        ("b", False): Leaf("''", True, (literal("1"),)),
        ("a", False): Leaf("x", False, (literal('"'), variable("x"), literal('"'))),
        ("c", True): {("d", False): Leaf("x", False, (variable("x"),))},
    }
    text = source(Objects(assign).whole(tree))
    program = "\n".join([*lines, f"found = {text}"])
    for x, want in ((None, '{"b":1}'), ("7", '{"a":"7","b":1,"c":[{"d":7}]}')):
        scope = {"x": x}  # type: ignore[dict-item]
        exec(program, scope)  # noqa: S102 - what was just written
        assert scope["found"] == want


def test_statements_are_sorted_by_what_decides_them() -> None:
    found = statements(
        [
            "v1 = s.host",
            "v2 = g0.lower()",
            "v3 = []",
            "v3.append(v2)",
            "if v1 is None:",
            "    v1 = 'g0'",
        ]
    )
    assert decided(found, ["s"]) == {"s", "v1"}
    inner, rest = parted(found, {"s", "v1"})
    assert [each.text.split(" ")[0] for each in inner] == ["v1", "if"]
    assert len(living(rest, ["v3"])) == 3
    assert living(rest, ["v9"]) == []


def test_runs_of_pieces_become_one() -> None:
    pieces = [literal("a"), variable("v1"), literal("b"), variable("v2"), variable("g0")]
    kept, lines = gathered(pieces, {"v1", "v2"}, lambda: "v3")
    assert kept == [literal("a"), variable("v3"), variable("g0")]
    assert lines == ["v3 = f'{v1}' 'b' f'{v2}'"]
    assert merged([literal("a"), literal("b")]) == [literal("ab")]


def test_a_separator_that_json_escapes_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    rows = 'rows:\n  datto_joined: {join: $policy.groups, with: "\\\\"}\n'
    (tmp_path / "targets" / "cim.yaml").write_text(rows)
    converter = Converter("cim", overlay=tmp_path)
    line = next(raw for raw in ordinary(3000) if b"|coredns|drop|" in raw and b"groups.1" in raw)
    groups = re.findall(rb"groups[.][0-9]+=([a-z_-]+)", line)
    for at in range(50):
        made = json.loads(converter.encode(line, RECEIVED, None, None, at))
        assert made["datto_joined"] == b"\\".join(groups).decode()
    assert converter.shapes.write(line, RECEIVED) is not None, "the compiled way was taken"


def test_a_flood_that_no_shape_takes_is_seldom_tried_and_ends_soon(converter: Converter) -> None:
    teach(converter, PROBE)
    odd = PROBE.replace(b"Guest", b'"')
    tried = 0
    (family,) = {sender.family for sender in converter.shapes._senders.values()}
    for _ in range(400):
        tried += not family.rest
        assert converter.encode(odd, RECEIVED) == reference(converter, odd)
    assert tried < 60
    taken = [converter.shapes.write(PROBE, RECEIVED) is not None for _ in range(64)]
    assert sum(taken) >= 32
    assert all(taken[32:])
