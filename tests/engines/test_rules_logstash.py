"""The generated ruby filter script against the converter: same lines, equal documents.

Ruby runs the whole corpus for every target; JRuby, which Logstash itself runs on, every fixture.
"""

from __future__ import annotations

import base64
import json
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from cases import PEER, SWITCHES, folders
from engine import ENGINES, needed
from hypothesis import given, settings
from hypothesis import strategies as st
from rule_corpus import Case, corpus, differences, document, fixtures, hostile

from datto_siem.converters import Converter
from datto_siem.converters.dialect import Dialect
from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generators._ruby import literal
from datto_siem.plugins.generators.logstash import KNOWN_DIFFERENCES, TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HERE = Path(__file__).parent
RUBY = ENGINES / "ruby"
LINE = "CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456"


def event(case: Case) -> dict[str, Any]:
    """What Logstash has of a record; what its time has below a millisecond is the ordinal."""
    return {
        "base64": base64.b64encode(case.line).decode(),
        "@timestamp": f"2026-11-24T10:00:00.{case.ordinal:09d}Z",
        "@metadata": {"input": {"tcp": {"source": {"ip": PEER}}}},
    }


def logstash(
    folder: Path,
    target: str,
    events: Iterable[Mapping[str, Any]],
    overlay: Path | None = None,
    engine: str = "ruby",
    params: Mapping[str, Any] | None = None,
    workers: int = 1,
) -> list[dict[str, Any]]:
    """The events after the filter, without what Logstash itself adds."""
    needed((RUBY / engine).exists(), engine)
    script = folder / "datto_siem.rb"
    script.write_bytes(generate("logstash", target, overlay)[script.name])
    runner = [RUBY / engine, HERE / "logstash_run.rb", script]
    done = subprocess.run(  # noqa: S603  our own script
        [*runner, json.dumps(params or {}), str(workers)],
        input=b"".join(json.dumps(each).encode() + b"\n" for each in events),
        stdout=subprocess.PIPE,
        check=True,
    )
    tests, *lines = done.stdout.splitlines()
    assert tests == b"4", "expectations of the script's own tests"
    found = [json.loads(line) for line in lines]
    for each in found:
        del each["@version"]
        if target != "ecs":
            del each["@timestamp"]
    return found


def unequal(
    converter: Converter, cases: Iterable[Case], found: Iterable[dict[str, Any]]
) -> list[tuple[Case, str, Any, Any]]:
    return [
        (case, *each)
        for case, got in zip(cases, found, strict=True)
        for each in differences(document(converter, case), got)
    ]


@pytest.mark.engine
@pytest.mark.parametrize("target", TARGETS)
def test_ruby_equals_the_converter_on_the_whole_corpus(tmp_path: Path, target: str) -> None:
    found = unequal(Converter(target), corpus(), logstash(tmp_path, target, map(event, corpus())))
    used = set()
    for case, path, expected, got in found:
        known = [
            row
            for row in KNOWN_DIFFERENCES
            if fnmatchcase(path, row.path) and fnmatchcase(case.origin, row.when)
        ]
        assert known, f"{case.origin}: {path}: {expected!r}, not {got!r}: {case.line!r}"
        used.update(known)
    assert used == set(KNOWN_DIFFERENCES), "a difference that no case needs"


@pytest.mark.engine
def test_named_switches_are_read_as_switches(tmp_path: Path) -> None:
    cases = [
        Case(at, folder.name, line)
        for folder in folders()
        if folder.parent.name == "switch"
        for at, line in enumerate((folder / "event.log").read_bytes().splitlines())
    ]
    assert cases
    found = logstash(tmp_path, "ecs", map(event, cases), params={"switches": list(SWITCHES)})
    assert unequal(Converter("ecs", switches=SWITCHES), cases, found) == []


def hostile_64k() -> list[Case]:
    """Lines of 64 KiB that a careless pattern or position would take minutes for."""
    head = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|"
    units = [
        *(b" ", b"=", b":", b"\\", b"\\|", b"|", b"\x00", b"\t", b"[", b'"', b'[a b="', b"x=1 "),
        *(b"<13>", b"CEF:", b"a ", b"Nov 24 10:00:00 ", b"\xff", b"\xc3\xa9", b"\xf0\x9f\x98\x80"),
        *(b" cs2=", b" rt=1", b"policy_id=7external_id=", b"a.b", b"groups.1=x ", b"1 ", b"h: "),
    ]
    lines = []
    for unit in units:
        run = unit * (65_536 // len(unit))
        five = b"<13>1 2026-11-24T10:00:00Z h a p m "
        lines += [run, head + run + b"x=1", b"<13>" + run + head, five + run + head, run + b"!"]
        lines.append("\u00e9".encode() + head + run + b" z=1")
    return [Case(at, "64k", line) for at, line in enumerate(lines)]


@pytest.mark.engine
def test_hostile_lines_of_64_kib_do_not_stall_and_are_equal(tmp_path: Path) -> None:
    cases = hostile_64k()
    found = logstash(tmp_path, "ecs", map(event, cases))
    assert unequal(Converter("ecs"), cases, found) == []


PIECES = [
    *(b" ", b"=", b":", b"|", b"\\", b"\\|", b'"', b"[", b"]", b"\t", b"\x00", b"\x1f", b"\xff"),
    *(
        b"\xc2\xa0",
        b"\xe2\x80\xa8",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        b"\xef\xbb\xbf",
        b"\xf0\x9f\x98\x80",
    ),
    *(
        b"<13>",
        b"<999>",
        b"CEF:0|",
        b"CEF: 1|Datto|AccessPoint|",
        b"1|datto|",
        b"host: ",
        b"t[1]: ",
    ),
    *(b"Nov 24 10:00:00 ", b"2026-11-24T10:00:00Z ", b"2026 Nov 4 10:00:60,5 IST: ", b"01: r1: "),
    *(b"rt=17955143 ", b"rt=2026-11-24T10:00:00+0130 ", b"rt=Nov 24 2026 10:00:00 PST "),
    *(b"rt=11/24/2026 1:02:03 PM ", b"duration=1h2m3.5s ", b"src_addr=[2001:db8::1]:53 "),
    *(b"src_addr=2001:db8::1#53 ", b"client_ip=::ffff:192.0.2.4 ", b"groups.12=y ", b"groups.0= "),
    *(b"smac=02-00-5e-10-00-0a ", b"dmac:0200.5e10.000a ", b"cs2:a=b ", b"SMAC=02005E10000A "),
    *(b"x;y=1;2 ", b"a[0]=1 ", b'1 2026-11-24T10:00:00Z h a p m [x y="z]"] ', b"reason=08 "),
    *(b"__proto__=1 ", b"_text=1 ", b"_rest=2 ", b"STATION_MAC_ADDR", b"domain=EXAMPLE.com.. "),
    *("domain=\u0391\u03a3.\u03a3\u0391 \u03a3 ".encode(), "\u0391\u03a3'\u0130\u00df".encode()),
]


def mutated(count: int) -> list[Case]:
    """Lines of the corpus with pieces put in, taken out, changed and moved."""
    random = Random(5)  # noqa: S311  the same lines each time
    lines = [case.line for case in corpus()[:1500]]
    cases = []
    while len(cases) < count:
        line = random.choice(lines)
        for _ in range(random.choice((1, 1, 2, 3, 6))):
            at = random.randrange(len(line) + 1)
            kind = random.randrange(6)
            if kind < 3:
                line = line[:at] + random.choice(PIECES) + line[at:]
            elif kind == 3:
                line = line[:at] + line[at + random.randrange(1, 12) :]
            elif kind == 4:
                words = line.split(b" ")
                random.shuffle(words)
                line = b" ".join(words)
            else:
                line = line[:at] + bytes([random.randrange(256)]) + line[at:]
        if line.strip() and b"\n" not in line:
            cases.append(Case(len(cases), "mutated", line))
    return cases


@pytest.mark.engine
def test_mutated_lines_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # held against the scanner alone: that the converter's short way equals it is its own to prove
    monkeypatch.setattr(Dialect, "quick", lambda *_: None)
    cases = mutated(4000)
    found = logstash(tmp_path, "ecs", map(event, cases))
    assert unequal(Converter("ecs"), cases, found) == []


OVERLAY = {
    "sources/access_point.yaml": (
        "events:\n  mesh/join: {activity: wifi.assoc, keys: [rt, smac, cs2, dmac, reason]}\n"
    ),
    "targets/ecs.yaml": (
        'rows:\n  datto.overlay_one: "it\'s \\"q\\" #{1+1} \\\\u{41} \\\\ ]] \\"\\"\\" \\n\\r\\t\\0'
        ' %{x} \\u00e9 \\U0001f600 #@a #$b\\nTABLES\\n=begin\\n__END__\\n@TARGET@"\n'
        '  datto.overlay_two: "$${header} ${header.name} #{1}"\n'
    ),
}
NEW = Case(
    99_999,
    "overlay",
    b"<134>ap-1 CEF:1|Datto|AccessPoint|7.1.0|mesh|join|0|rt=1795514300412"
    b" smac=02:00:5E:10:00:03 cs2=Guest dmac=DA:A1:19:4C:07:22 reason=0",
)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """Tables with one more event, and texts that would break out of a careless literal."""
    folder = tmp_path / "overlay"
    for name, text in OVERLAY.items():
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


@pytest.mark.engine
def test_a_new_event_and_hostile_texts_of_tables_reach_the_script(
    tmp_path: Path, overlay: Path
) -> None:
    converter = Converter("ecs", None, overlay)
    expected = document(converter, NEW)
    assert "#{1+1}" in expected["datto"]["overlay_one"]
    assert expected["client"]["mac"] == "DA-A1-19-4C-07-22"
    found = logstash(tmp_path, "ecs", [event(NEW)], overlay)
    assert unequal(converter, [NEW], found) == []


@pytest.mark.engine
@pytest.mark.parametrize("engine", ["jruby-9.4", "jruby-9.2"])
def test_jruby_equals_the_converter_whatever_workers_do(
    tmp_path: Path, overlay: Path, engine: str
) -> None:
    cases = [*fixtures(), *hostile(), NEW]
    numbered = [{**event(case), "number": at} for at, case in enumerate(cases)]
    found = logstash(tmp_path, "ecs", numbered, overlay, engine, workers=4)
    found.sort(key=lambda each: each["number"])
    assert [each.pop("number") for each in found] == list(range(len(cases)))
    assert unequal(Converter("ecs", None, overlay), cases, found) == []


@pytest.mark.engine
def test_the_document_is_laid_over_the_event(tmp_path: Path) -> None:
    given_ = {
        "message": LINE,
        "event": {"original": LINE, "sequence": 3, "kind": "mine"},
        "host": {"ip": "192.0.2.9"},
        "tags": ["mine", "datto"],
        "shipper": "before",
    }
    without = [{"other": 1}, {"message": 7}, {"message": ["x"]}]
    found, *rest = logstash(tmp_path, "ecs", [given_, *without])
    assert found["event"]["original"] == LINE
    assert found["event"]["sequence"] == 3
    assert found["shipper"] == {"event": {"kind": "mine"}, "shipper": "before"}
    assert found["host"] == {"ip": "192.0.2.9"}
    assert found["observer"]["ip"] == ["192.0.2.9"]
    assert sorted(found["tags"]) == ["datto", "forwarded", "mine"]
    assert found["message"] == "Access point booted"
    for before, after in zip(without, rest, strict=True):
        assert after == {
            **before,
            "@timestamp": "2026-11-24T10:00:00.000Z",
            "tags": ["_datto_siem_failure"],
        }


@pytest.mark.engine
def test_the_line_may_be_in_any_field_and_is_taken_out_of_it(tmp_path: Path) -> None:
    found = logstash(tmp_path, "csl", [{"raw": LINE}], params={"source": "raw", "peer": ["from"]})
    assert "raw" not in found[0]
    assert found[0]["DeviceProduct"] == "AccessPoint"
    found = logstash(
        tmp_path,
        "csl",
        [{"message": LINE, "event": {"original": LINE}, "from": "192.0.2.7"}],
        params={"peer": ["from"]},
    )
    assert not {"event", "message"} & set(found[0])
    assert found[0]["Computer"] == "192.0.2.7"
    found = logstash(tmp_path, "csl", [{"event": {"original": LINE, "sequence": 3}}])
    assert found[0]["event"] == {"sequence": 3}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.text(st.sampled_from(list("\"'#{}$@\\]\n\r\t\0\u00e9`%")), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('aé"#{\\', max_size=4), inner)
    ),
    max_leaves=20,
)


@pytest.mark.engine
@settings(max_examples=25, deadline=None)
@given(values=st.lists(VALUES, min_size=20, max_size=60))
def test_literals_say_in_ruby_what_they_say_here(values: list[Any]) -> None:
    needed((RUBY / "ruby").exists(), "ruby")
    source = f'require "json"\nputs JSON.generate(\n{literal(values)})\n'
    assert source.isascii()
    done = subprocess.run(  # noqa: S603  our own script
        [RUBY / "ruby"], input=source.encode(), stdout=subprocess.PIPE, check=True
    )
    assert json.loads(done.stdout) == values
