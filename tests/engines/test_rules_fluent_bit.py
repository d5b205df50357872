"""The generated Lua filter in LuaJIT, as Fluent Bit calls it, held against the converter."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cases import PEER, RECEIVED, SWITCHES
from engine import ENGINES, needed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rule_corpus import Case, corpus, differences, document

from datto_siem.converters import Converter
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators import _lua
from datto_siem.plugins.generators.fluent_bit import KNOWN_DIFFERENCES, TARGETS, files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LUAJIT = ENGINES / "luajit" / "luajit"
HERE = Path(__file__).parent
EXACT = 2**53
AP = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|"
EDGE = b"CEF:1|Datto|Secure Edge|1.2.1|coredns|drop|7|"

# What the corpus has not: numbers beyond a double, letters with special cases, odd headers.
MORE = (
    b"CEF:1|Datto|Secure Edge|1.2.1|telemeterd|voice|3|packets=999999999999999999 proto=tls",
    b"CEF:0|Acme|Wall|1|x|y|5|cn1=999999999999999999 in=9007199254740993 src=192.0.2.1",
    EDGE + "domain=\u0391\u03a3.\u0130K\u212a.\u039f\u03a3\u2019\u0391\u03a3\u0301.".encode(),
    EDGE + "subscriber=Stra\u00dfe.\u01c5\u03a3@\u1e9e.example".encode(),
    EDGE + b"duration=0.999999999999h event_time=Tue, Nov 24 09:59:60.5 GMT-0330",
    EDGE + b"src_addr=[2001:db8::1] & 53 cfp1=-2.50e3 event_time=11/24/2026 9:59:59 AM",
    b'<999>000123: edge1 : *Nov 24 2026 09:36:17.123 CEST: <13>1 - - - - - [a b="CEF:0|x"] ' + AP,
    b'<13>1 2026-11-24T10:00:00+02:00 h a - - [x y="\\"]"][z] \xef\xbb\xbfCEF: 1.2|' + AP[6:],
)

# 64 KiB and more of what slows a careless reader down.
LONG = 65_536
HEAVY = (
    AP + b"cs2:" + b"a " * LONG,
    AP + b"a=b " * (LONG // 4),
    AP + b"=" * LONG,
    AP + b"\\" * LONG,
    AP + b"cs2=" + "\u00c4\u03a3".encode() * LONG,
    AP + b"smac=" + b"0:" * LONG,
    AP + b"rt=" + b"1" * LONG,
    EDGE + b"policy_id=" + b"external_id=" * (LONG // 12),
    EDGE + b"src_addr=[" + b"1:" * LONG + b"]:5",
    EDGE + b"duration=" + b"1h" * LONG,
    EDGE + b"subscriber=" + b"a@" * LONG,
    b"<13>" * (LONG // 4),
    b"<13>1 - - - - - [" + b"a][" * (LONG // 3),
    b'<13>1 - - - - - [a b="CEF:1|' + b'y" ' * (LONG // 4) + AP,
    b"1: " * (LONG // 3),
    b"CEF:1|" + b"\\|" * (LONG // 2),
    b"CEF:" * (LONG // 4),
    b"|datto" * (LONG // 6),
    b"\xff" * LONG,
    b"\xef\xbb\xbf" * LONG + AP,
    b" " * LONG + AP + b" " * LONG,
)


class Got(NamedTuple):
    """What the filter gave for one record."""

    code: int
    when: int
    document: dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def luajit() -> None:
    needed(LUAJIT.is_file(), "LuaJIT")


def written(folder: Path, target: str, overlay: Path | None = None) -> Path:
    """The filter script of a target."""
    path = folder / f"{target}.lua"
    path.write_bytes(files(Context("0", target, overlay))["datto.lua"])
    return path


def run(script: Path, cases: Iterable[Case], peer: str = PEER) -> list[Got]:
    """What the script makes of the cases, in one process."""
    records = "".join(f"{RECEIVED} {peer} {case.line.hex()}\n" for case in cases)
    done = subprocess.run(  # noqa: S603 - our own engine and script
        [LUAJIT, HERE / "fluent_bit_driver.lua", script],
        input=records.encode(),
        capture_output=True,
        check=True,
    )
    rows = (line.split(b" ", 2) for line in done.stdout.split(b"\n")[:-1])
    return [Got(int(code), int(when), json.loads(text)) for code, when, text in rows]


def numbered(lines: Iterable[bytes], origin: str = "more") -> list[Case]:
    """Cases as the filter numbers them: equal lines of one millisecond one after the other."""
    seen: Counter[bytes] = Counter()
    found = []
    for line in lines:
        found.append(Case(seen[line], origin, line))
        seen[line] += 1
    return found


def rounded(text: str) -> str:
    return re.sub(r"\d{16,18}", lambda match: str(int(float(match[0]))), text)


def beyond(expected: Any, got: Any) -> bool:
    """A number that is no double, or a text with one in it, came out rounded."""
    if isinstance(expected, str):
        return expected != got and rounded(expected) == got
    return isinstance(expected, int) and abs(expected) > EXACT and got == int(float(expected))


WHEN: dict[str, Callable[[Any, Any], bool]] = {
    "always": lambda expected, got: expected is None and got is not None,
    "a whole number beyond 2^53": beyond,
}


def explained(target: str, path: str, expected: Any, got: Any) -> int | None:
    """Number of the row of KNOWN_DIFFERENCES that a difference falls under."""
    for number, row in enumerate(KNOWN_DIFFERENCES):
        if row.concerns(target) and fnmatchcase(path, row.path) and WHEN[row.when](expected, got):
            return number
    return None


@pytest.mark.engine
@pytest.mark.parametrize("target", TARGETS)
def test_the_whole_corpus_is_equal_outside_listed_differences(target: str, tmp_path: Path) -> None:
    cases = numbered([*(case.line for case in corpus()), *MORE])
    found = run(written(tmp_path, target), cases)
    assert len(found) == len(cases)
    assert {got.code for got in found} == {1}
    converter = Converter(target)
    met, unexplained = set(), []
    for case, got in zip(cases, found, strict=True):
        for path, left, right in differences(document(converter, case), got.document):
            number = explained(target, path, left, right)
            if number is None:
                unexplained.append((case.line[:200], path, left, right))
            met.add(number)
    assert not unexplained, unexplained[:5]
    assert met == {at for at, row in enumerate(KNOWN_DIFFERENCES) if row.concerns(target)}


@pytest.mark.engine
def test_the_record_gets_the_time_and_the_id_of_its_event(tmp_path: Path) -> None:
    cases = numbered([case.line for case in corpus()[:400]] + [AP + b"rt=1795514300412"] * 3)
    decode = Converter("ecs").decoder.decode
    found = run(written(tmp_path, "ecs"), cases)
    events = [decode(case.line, RECEIVED, PEER, None, case.ordinal) for case in cases]
    assert [got.when for got in found] == [event.time for event in events]
    assert [got.document["event"]["id"] for got in found] == [event.uid for event in events]
    assert len({got.document["event"]["id"] for got in found[-3:]}) == 3


@pytest.mark.engine
@pytest.mark.parametrize("peer", ["2001:db8::7", "[2001:db8::7]", "-"])
def test_a_sender_is_read_without_scheme_and_port(tmp_path: Path, peer: str) -> None:
    expected = Converter("ocsf").encode(AP, RECEIVED, None if peer == "-" else "2001:db8::7")
    (got,) = run(written(tmp_path, "ocsf"), numbered([AP]), peer)
    assert got.document == json.loads(expected)


@pytest.mark.engine
def test_long_hostile_lines_come_out_equal(tmp_path: Path) -> None:
    cases = numbered(HEAVY)
    converter = Converter("ocsf")
    for case, got in zip(cases, run(written(tmp_path, "ocsf"), cases), strict=True):
        assert list(differences(document(converter, case), got.document)) == [], case.line[:60]


@pytest.mark.engine
def test_switches_are_told_by_the_settings(tmp_path: Path) -> None:
    lines = [b"<189>Nov 24 09:36:17 SW-core-1 link: port 3 down", b"<189>Nov 24 09:36:17 x y"]
    script = written(tmp_path, "ocsf")
    names = ", ".join(f'"{name}"' for name in SWITCHES)
    text = script.read_text(encoding="ascii")
    assert text.count("switches = {},") == 1
    script.write_text(text.replace("switches = {},", f"switches = {{ {names} }},"))
    converter = Converter("ocsf", switches=SWITCHES)
    cases = numbered(lines)
    found = run(script, cases)
    assert [got.document for got in found] == [document(converter, case) for case in cases]
    assert document(Converter("ocsf"), cases[0]) != found[0].document


NASTY = 'a"b\'c\\d]]--[[e\nf\rg\u0085h\u2028i\U0001f600 \\n %s %1 """ #{x} <% y'


BRACKETLESS = NASTY.replace("[", "").replace("]", "")  # a template has brackets of its own


def yaml(value: Any) -> str:
    """JSON that YAML reads: line separators escaped, and no halves of a surrogate pair."""
    return json.dumps(value).replace(r"\ud83d\ude00", "\U0001f600")


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A new event with a new key, and rows whose texts try to end a literal early."""
    own = tmp_path / "own"
    for folder in ("sources", "targets", "lookups"):
        (own / folder).mkdir(parents=True)
    (own / "sources" / "access_point.yaml").write_text(
        "fields:\n"
        "  roam-Cause: {as: lower, is: device.reboot_reason, free: true}\n"
        "events:\n"
        "  wifi/roam: {activity: wifi.reassoc, keys: [rt, smac, dmac, roam-Cause]}\n",
        encoding="utf-8",
    )
    words = {NASTY: NASTY, "end": NASTY * 2, "x": 'y"]]'}
    rows = {
        "datto.nasty": NASTY,
        "datto.quoted": f"{BRACKETLESS} ${{header.name}}",
        "datto.looked_up": {"lookup": "$device.reboot_reason", "in": words, "else": "]==]"},
        "datto.joined": {"join": [NASTY, "$header.name"], "with": '"]]\n'},
        "datto.upper": {"upper": "$device.reboot_reason"},
        "datto.slug": {"slug": "$device.reboot_reason"},
    }
    (own / "targets" / "ecs.yaml").write_text(
        f"schema: ecs\nrows: {yaml(rows)}\n", encoding="utf-8"
    )
    return own


@pytest.mark.engine
def test_an_overlays_event_and_texts_reach_the_engine(tmp_path: Path, overlay: Path) -> None:
    converter = Converter("ecs", overlay=overlay)
    head = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|roam|0|rt=1795514300412 smac=02:00:5E:10:00:03 "
    lines = [
        head + b"roam-Cause=end dmac:DA:A1:19:4C:07:22",
        head + b"roam-Cause=" + NASTY.lower().replace("\n", "\\n").encode(),
        head + "roam-Cause=Stra\u00dfe \u01c5 \ufb03 x=y".encode(),
        head + b"dmac:DA:A1:19:4C:07:22",
    ]
    cases = numbered([*lines, *(case.line for case in corpus()[:120])])
    found = run(written(tmp_path, "ecs", overlay), cases)
    for case, got in zip(cases, found, strict=True):
        rest = [
            difference
            for difference in differences(document(converter, case), got.document)
            if difference[0] != "event.id"
        ]
        assert rest == [], case.line
    assert found[0].document["event"]["action"] == "wifi-reassociation"
    assert found[0].document["datto"]["nasty"] == NASTY
    assert found[0].document["datto"]["looked_up"] == NASTY * 2


CALLBACK = r"""
local before = {}
for name in pairs(_G) do before[name] = true end
dofile(arg[1])
for name in pairs(_G) do assert(before[name] or name == "datto", name) end
local line = "CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456"
local code, when, record = datto("t", 1795514400.25, { message = line, log = 7 })
assert(code == 1 and when == 1795514300.456, when)
assert(record.observer.type == "access-point")
assert(record.event.created == "2026-11-24T10:00:00.250Z")
local kept = { other = line, log = 7 }
code, when, record = datto("t", 1795514400.25, kept)
assert(code == 0 and when == 1795514400.25 and record == kept)
code, when, record = datto("t", "no time", { log = line })
assert(code == 0 and when == "no time" and record.log == line)
code, when, record = datto("t", { sec = 1795514400, nsec = 5 }, { log = "" })
assert(code == 1 and when.sec == 1795514400 and when.nsec == 0)
assert(record.event.kind == "pipeline_error")
"""


@pytest.mark.engine
def test_a_record_that_cannot_be_read_passes_as_it_is(tmp_path: Path) -> None:
    script = tmp_path / "callback.lua"
    script.write_text(CALLBACK, encoding="utf-8")
    subprocess.run(  # noqa: S603 - our own engine and script
        [LUAJIT, script, written(tmp_path, "ecs")], check=True
    )


@pytest.fixture(scope="module")
def evaluated(luajit: None) -> Iterator[Callable[[str], str]]:
    """Evaluates an expression in one long-lived engine and shows its value."""
    del luajit
    with subprocess.Popen(  # noqa: S603 - our own engine and script
        [LUAJIT, HERE / "lua_values.lua"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None

        def evaluate(text: str) -> str:
            stdin.write(text.encode().hex().encode() + b"\n")
            stdin.flush()
            return stdout.readline().decode().rstrip("\n")

        yield evaluate
        stdin.close()


def shown(value: Any) -> str:
    """What `lua_values.lua` prints of a value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "s" + value.encode().hex()
    if isinstance(value, (int, float)):
        return f"n{value:.17g}"
    if value is None:
        return "nil"
    items = value.items() if isinstance(value, dict) else enumerate(value, 1)
    rows = sorted((shown(key), shown(item)) for key, item in items if item is not None)
    return "{" + ",".join(f"{key}={item}" for key, item in rows) + "}"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["]]", "]==]", '"', "\\", "\\n", "\n", "\r\n", "\0", "\x000", "${x}", '"""', "--", "end", "é"]
)
single = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    single,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.engine
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=values)
def test_every_literal_comes_back_as_it_was(evaluated: Callable[[str], str], value: Any) -> None:
    assert evaluated(_lua.literal(value)) == shown(value)
