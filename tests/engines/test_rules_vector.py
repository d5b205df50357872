"""Vector's programs in VRL itself: every document equal to the converter's, field by field."""

from __future__ import annotations

import json
import random
import subprocess
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pytest
from cases import PEER, RECEIVED, SWITCHES, TARGETS
from engine import ENGINES, needed
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rule_corpus import Case, corpus, differences, document, fixtures, simulated

from datto_siem.converters import Converter
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators import vector
from datto_siem.plugins.generators._vrl import among, literal, path, starting, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.engine

RUNNER = ENGINES / "vrl/vrl_runner"
MEGA = 65_536

# set in anywhere: what breaks headers, pairs, escapes and casts
PIECES = (
    *(b"=", b":", b"|", b"\\", b"\t", b'"', b"\0", b"\x1c", b"\xff", b"\xed\xa0\x80", b"\xc2\x85"),
    *(b"\xef\xbf\xbd", b"\xe2\x80\x8b", b"\xc5\xbf", b"\xc4\xb0", b"<13>", b"12 <13>", b"- "),
    b"<34>1 2026-11-24T10:00:00Z h a - - - ",
    b'<34>1 2026-11-24T10:00:00Z h a 1 m [x y="]"][z] \xef\xbb\xbf',
    b"Nov  4 2025 10:00:00 EST host tag[12]: ",
    b"000123: sw-1: .Nov 24 10:00:00.123 CET: %LINK-3-UPDOWN: ",
    *(b"host : ", b"fe80::1: ", b"192.0.2.1: ", b"CEF:0|", b"CEF: 1|", b'[a b="CEF:0|x"] '),
    b"CEF:1|Datto|AccessPoint|7.0.1|wifi|assoc|3|",
    *(b" rt=1795514400", b" reason:12", b" cs2=x", b" cs2:x y", b" SMAC=02:00:5e:10:00:0a"),
    *(b" dmac=02-00-5e-10-00-0b", b" groups.1=a groups.01=b groups.2=a", b" DVC=10.0.0.2"),
    *(b" src_addr=100.64.1.2:53", b" src_addr=[2001:db8::1] & 53", b" client_ip=100.64.1.3"),
    *(b" duration=1h2m3.5s", b" duration=3.25", b" duration=1795514400.5", b" dvc=10.0.0.1"),
    *(b" query_time=Nov 24 2026 10:00:00", b" query_time=Feb 29 10:00:00", b" rt=0017"),
    *(b" rt=11/24/2026 9:00:00 PM GMT+2", b" agg_ts=1795514400123456789", b" policy_id=7"),
    b"external_id=8d6f2c1e-5b7a-4c3d-9e2f-0a1b2c3d4e5f",
    *(b" subscriber=Jo@Example.COM", b" subscriber=a b@c", b" resource_ip=::ffff:1.2.3.4"),
    *(b" _text=1 _rest=2", b" msg=a\\=b\\nc\\\\ d\\x", b" cn1=5 cn1Label=l cfp1=1.5e3 in=77"),
)


def mangled(count: int) -> tuple[Case, ...]:
    """Lines of the corpus with pieces set in, doubled, shuffled and cut."""
    # the same in every run, and no secret
    chance = random.Random(4)  # noqa: S311
    lines = [case.line for case in (*fixtures(), *simulated()[:500]) if len(case.line) < MEGA // 16]
    found = []
    for number in range(count):
        line = chance.choice(lines)
        for _ in range(chance.randint(1, 4)):
            at = chance.randint(0, len(line))
            words = line.split(b" ")
            match chance.randint(0, 7):
                case 0:
                    line = line[:at]
                case 1:
                    line = line[:at] + line[at + chance.randint(1, 20) :]
                case 2:
                    line = b" ".join([*words, chance.choice(words)])
                case 3:
                    chance.shuffle(words)
                    line = b" ".join(words)
                case 4:
                    line = (line + b" cs2=" + b"x" * 1024)[: chance.choice((480, 1024))]
                case _:
                    line = line[:at] + chance.choice(PIECES) + line[at:]
        if line.strip():
            found.append(Case(100_000 + number, "mangled", line.replace(b"\n", b" ")))
    return tuple(found)


def written(folder: Path, target: str, overlay: Path | None = None) -> list[Path]:
    """The artefact's programs, in the order they run."""
    found = []
    for name, content in vector.files(Context("1", target, overlay)).items():
        if name.endswith(".vrl"):
            (folder / name).write_bytes(content)
            found.append(folder / name)
    return found


def run(
    programs: Sequence[Path],
    ends: Sequence[Path],
    cases: Sequence[Case],
    switches: Sequence[str] = (),
) -> list[list[Any]]:
    """What VRL makes of each case: the document of each last program."""
    lines = [
        json.dumps(
            {
                "message": case.line.hex(),
                "received": RECEIVED,
                "peer": PEER,
                "ordinal": case.ordinal,
            }
        )
        for case in cases
    ]
    done = subprocess.run(  # noqa: S603  our own program
        [RUNNER, *programs, "--", *ends],
        input="\n".join(lines).encode(),
        env={"DATTO_SWITCHES": ",".join(switches)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Target -> its four programs."""
    needed(RUNNER.exists(), "the VRL runner")
    return {target: written(tmp_path_factory.mktemp(target), target) for target in TARGETS}


@pytest.fixture(scope="module")
def found(programs: dict[str, list[Path]]) -> list[tuple[Case, dict[str, Any]]]:
    """Every case with the documents of all targets, from one process."""
    cases = (*corpus(), *mangled(600))
    first, *_ = programs.values()
    answers = run(first[:-1], [each[-1] for each in programs.values()], cases)
    assert len(answers) == len(cases)
    return [
        (case, dict(zip(programs, answer, strict=True)))
        for case, answer in zip(cases, answers, strict=True)
    ]


def told(cases: Sequence[tuple[Case, Any]], converter: Converter) -> Iterator[tuple[Any, ...]]:
    """Differences, each with the place of its case."""
    for case, got in cases:
        for at, expected, wrong in differences(document(converter, case), got):
            yield case.origin, case.line[:400], at, expected, wrong


@pytest.mark.parametrize("target", TARGETS)
def test_documents_are_the_converters(found: list[Any], target: str) -> None:
    cases = [(case, documents[target]) for case, documents in found]
    unknown, used = [], set()
    for row in told(cases, Converter(target)):
        known = [each for each in vector.KNOWN_DIFFERENCES if fnmatchcase(row[2], each.path)]
        used.update(known)
        if not known:
            unknown.append(row)
    assert unknown == []
    assert used == set(vector.KNOWN_DIFFERENCES), "a difference that no case needs any more"


def test_the_first_three_programs_are_the_same_for_every_target(
    programs: dict[str, list[Path]],
) -> None:
    texts = {tuple(path.read_bytes() for path in each[:-1]) for each in programs.values()}
    assert len(texts) == 1


def test_senders_known_to_be_switches(programs: dict[str, list[Path]]) -> None:
    chosen = programs["ecs"]
    answers = run(chosen[:-1], chosen[-1:], fixtures(), SWITCHES)
    rows = [(case, got) for case, (got,) in zip(fixtures(), answers, strict=True)]
    assert list(told(rows, Converter("ecs", switches=SWITCHES))) == []
    assert list(told(rows, Converter("ecs"))) != []


def test_long_hostile_lines(programs: dict[str, list[Path]]) -> None:
    """Nothing is worse than linear by much: the run ends, and agrees."""
    head = b"CEF:1|Datto|SecureEdge|1.2.1|coredns|drop|7|"
    cases = [
        Case(number, "long", line)
        for number, line in enumerate(
            [
                b"a" * MEGA,
                b"\\" * MEGA,
                b"<13>" * (MEGA // 4),
                b"<34>1 - - - - - [" + b'"a]' * (MEGA // 3),
                b"\xff" * MEGA,
                b"CEF:" * (MEGA // 4),
                b"1|" * (MEGA // 2),
                head + b"a=b " * (MEGA // 4),
                head + b"a:b " * (MEGA // 4),
                head + b" " * MEGA + b"action=drop",
                head + b"action=drop " * (MEGA // 12),
                head + b"domain=" + b"policy_id=" * (MEGA // 10),
                head + b"policy_id=" + b"external_id=" * (MEGA // 12),
                head + b"policy_id=" + b"1:" * (MEGA // 2),
                head + b"duration=" + b"1h" * (MEGA // 2),
                head + b"src_addr=[" + b":" * MEGA,
                head + b"client_ip=" + b"\\=" * (MEGA // 2),
                head + b"user_id=x" + b"\\" * MEGA,
                b"CEF:1|" + b"\\|" * (MEGA // 2) + b"|b|c|d|e|f|rt=1",
            ]
        )
    ]
    chosen = programs["ecs"]
    answers = run(chosen[:-1], chosen[-1:], cases)
    rows = [(case, got) for case, (got,) in zip(cases, answers, strict=True)]
    assert list(told(rows, Converter("ecs"))) == []


ODD = (
    'it\'s "quoted"',
    "{{ x }} ${y} {%}",
    "a\\b\\n",
    "line\nline\ttab\r",
    "]] \"\"\" ''' `",
    "caf\u00e9\u2028\U0001f600",
    "#> cast",
    "@ZONES@",
)


def test_a_new_event_needs_no_other_edit(tmp_path: Path) -> None:
    """An overlay's event, key and rows are in the programs, whatever stands in its texts."""
    needed(RUNNER.exists(), "the VRL runner")
    overlay = tmp_path / "overlay"
    for folder in ("sources", "targets"):
        (overlay / folder).mkdir(parents=True)
    (overlay / "sources/access_point.yaml").write_text(
        "fields:\n  o'd-d: {as: text, is: wifi.ssid, doc: x}\n"
        "events:\n  wifi/teleport: {activity: wifi.assoc, keys: [rt, smac, o'd-d, dmac, reason]}\n"
    )
    rows = {f"datto.odd{number}": word.replace("$", "$$") for number, word in enumerate(ODD)}
    table = json.dumps({"rows": rows}, ensure_ascii=False)
    (overlay / "targets/ecs.yaml").write_text(table, encoding="utf-8")
    line = (
        b"CEF:1|Datto|AccessPoint|7.1.0|wifi|teleport|3|rt=1795514300 smac=02:00:5e:10:00:0a"
        b" o'd-d=caf\xc3\xa9 dmac=02:00:5e:10:00:0b reason=17"
    )
    chosen = written(tmp_path, "ecs", overlay)
    ((got,),) = run(chosen[:-1], chosen[-1:], [Case(1, "overlay", line)])
    expected = document(Converter("ecs", None, overlay), Case(1, "overlay", line))
    assert got == expected
    assert got["event"]["action"] == "wifi-association"
    assert [got["datto"][f"odd{number}"] for number in range(len(ODD))] == list(ODD)


class Vrl:
    """Programs evaluated one by one in one process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603  our own program
            [RUNNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )

    def __call__(self, program: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(program) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def vrl() -> Iterator[Vrl]:
    needed(RUNNER.exists(), "the VRL runner")
    engine = Vrl()
    yield engine
    engine.close()


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
QUOTES = st.text(st.sampled_from("\"'\\{}$[]#%@.\n\r\t\0 an`"))


@given(TEXTS | QUOTES)
@example('{{ a }} \\{{ b \\}} ${c} ]] """ \x00\x1b\u2028')
@settings(max_examples=200, deadline=None)
def test_any_text_is_itself(vrl: Vrl, value: str) -> None:
    assert vrl(text(value)) == value


@given(
    st.dictionaries(
        TEXTS | QUOTES, st.none() | st.booleans() | TEXTS | st.integers(-(2**63) + 1, 2**63 - 1)
    )
)
@settings(max_examples=100, deadline=None)
def test_any_map_is_itself(vrl: Vrl, value: dict[str, Any]) -> None:
    assert vrl(literal(value)) == value
    assert vrl(literal([value])) == [value]


@given(TEXTS | QUOTES, TEXTS | QUOTES)
@settings(max_examples=200, deadline=None)
def test_a_pattern_of_texts_matches_just_them(vrl: Vrl, one: str, other: str) -> None:
    pattern = literal(among([one, "z"]))
    program = f"[match({text(one)}, {pattern}), match({text(other)}, {pattern})]"
    assert vrl(program) == [True, other in (one, "z")]
    assert vrl(f"match({text(other + one)}, {literal(starting([other]))})") is True
    assert vrl(f"match({text(other)}, {literal(among([]))})") is False


@given(st.lists(st.text(st.sampled_from("ab.'\"\\{}$[] ")).filter(bool), min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_a_path_reaches_its_place(vrl: Vrl, parts: list[str]) -> None:
    found = vrl(f"v = get!([{{}}], [0])\n{path('v', parts)} = 1\nv")
    for part in parts:
        found = found[part]
    assert found == 1
