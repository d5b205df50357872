"""What an output leaves out."""

from __future__ import annotations

from collections import Counter

import pytest
from cases import FIXTURES
from lines import generate

from datto_siem.converters import Decoder
from datto_siem.plugins.forwarder.noise import Noise, UnknownEvent, events
from datto_siem.plugins.record import Record

DECODER = Decoder()


def line(product: str, class_name: str, more: str = "") -> bytes:
    class_id, name = class_name.split("/")
    return f"CEF:1|Datto|{product}|1.0|{class_id}|{name}|0|rt=1795514400{more}".encode()


PROBE = line("AccessPoint", "wifi/probe")
AUTH = line("AccessPoint", "wifi/auth")
ALLOW = line("Secure Edge", "coredns/allow")
DROP = line("Secure Edge", "coredns/drop")
FLOW = line("Secure Edge", "telemeterd/TRAFFIC")
UNKNOWN = line("Secure Edge", "coredns/novelty")
GARBAGE = b"\xff\x00 no syslog at all"
SWITCH = b"<134>Nov 24 10:00:00 sw-core-1 link: port 1 up"
ALL = [PROBE, AUTH, ALLOW, DROP, FLOW, UNKNOWN, GARBAGE, SWITCH]


def records(raws: list[bytes], first: int = 1) -> list[Record]:
    return [Record(raw, 1_795_514_400_000, "192.0.2.1", first + at) for at, raw in enumerate(raws)]


def left_out(noise: Noise, raws: list[bytes] = ALL) -> list[bytes]:
    kept, _ = noise.kept(records(raws))
    return [raw for raw in raws if raw not in {record.raw for record in kept}]


def test_nothing_configured_is_nothing_to_decode() -> None:
    assert not Noise(DECODER)
    assert Noise(DECODER, ["wifi/probe"])


def test_an_event_is_dropped_and_counted() -> None:
    noise = Noise(DECODER, ["wifi/probe"])
    kept, counts = noise.kept(records([PROBE, AUTH, PROBE]))
    assert [record.raw for record in kept] == [AUTH]
    assert counts == {"drop": 2}


def test_every_documented_event_can_be_named() -> None:
    for name in events(DECODER.tables):
        assert Noise(DECODER, [name])


def test_every_fixture_is_dropped_by_its_own_id_or_never() -> None:
    for path in sorted(FIXTURES.glob("*/*/event.log")):
        for raw in path.read_bytes().splitlines():
            if not raw.strip():
                continue
            event = DECODER.decode(raw, 1_795_514_400_000, "192.0.2.1").reading.event
            if event in ("*/*", "undecodable"):
                every = list(set(events(DECODER.tables).values()))
                assert left_out(Noise(DECODER, every), [raw]) == []
            else:
                assert left_out(Noise(DECODER, [event]), [raw]) == [raw]


def test_a_class_means_its_documented_events_and_not_what_nobody_knows() -> None:
    assert left_out(Noise(DECODER, ["coredns/*"])) == [ALLOW, DROP]
    assert left_out(Noise(DECODER, ["telemeterd/*"])) == [FLOW]


def test_a_name_of_the_wire_means_its_event() -> None:
    deauth = line("AccessPoint", "wifi/local-deauth")
    assert left_out(Noise(DECODER, ["wifi/inactive-deauth"]), [deauth, AUTH]) == [deauth]


def test_a_value_cannot_pass_for_an_event() -> None:
    forged = line("AccessPoint", "wifi/auth", " cs2:CEF:1|Datto|AccessPoint|1.0|wifi|probe|0|x=1")
    assert left_out(Noise(DECODER, ["wifi/probe"]), [forged]) == []


@pytest.mark.parametrize(
    ("name", "near"),
    [("wifi/prob", "wifi/probe"), ("coredns/alow", "coredns/allow"), ("probe", "wifi/probe")],
)
def test_an_unknown_event_is_an_error_that_names_near_ones(name: str, near: str) -> None:
    with pytest.raises(UnknownEvent, match=near):
        Noise(DECODER, [name])
    with pytest.raises(UnknownEvent, match=near):
        Noise(DECODER, sample={name: 10})


@pytest.mark.parametrize("name", ["*/*", "undecodable", "*", "nobody/*", "wifi/pro*", ""])
def test_what_nobody_knows_cannot_be_left_out(name: str) -> None:
    with pytest.raises(UnknownEvent):
        Noise(DECODER, [name])


def test_contradictions_are_errors() -> None:
    with pytest.raises(ValueError, match="both dropped and sampled"):
        Noise(DECODER, ["coredns/*"], {"coredns/allow": 10})
    with pytest.raises(ValueError, match="1 \\(all\\) or more"):
        Noise(DECODER, sample={"coredns/allow": 0})


def test_sampling_keeps_about_one_in_so_many_and_the_same_on_replay() -> None:
    noise = Noise(DECODER, sample={"coredns/allow": 10})
    log = records([ALLOW, AUTH] * 5000, first=12345)
    kept, counts = noise.kept(log)
    found = Counter(record.raw for record in kept)
    assert found[AUTH] == 5000
    assert 400 < found[ALLOW] < 600
    assert counts == {"sample": 5000 - found[ALLOW]}
    again = [record for at in range(0, 10_000, 77) for record in noise.kept(log[at : at + 77])[0]]
    assert again == kept


def test_a_share_of_one_keeps_all() -> None:
    assert left_out(Noise(DECODER, sample={"coredns/allow": 1})) == []


def test_undecodable_records_are_never_sampled() -> None:
    names = dict.fromkeys(set(events(DECODER.tables).values()), 1_000_000)
    kept, _ = Noise(DECODER, sample=names).kept(records([GARBAGE, UNKNOWN] * 200, first=7))
    assert len(kept) == 400


def test_a_choice_by_the_header_is_the_decoders() -> None:
    raws = [line.raw for line in generate(3000)]
    raws += [raw for path in FIXTURES.glob("hostile/*") for raw in path.read_bytes().splitlines()]
    traps = [
        b"0|Datto|AccessPoint|1|wifi|auth|0|a=1 ",
        b'"',
        b"\xef\xbb\xbf",
        b'x="CEF:1|',
        b"CEF:",
    ]
    raws += [trap + raw for trap in traps for raw in (PROBE, AUTH)]
    names = sorted(set(events(DECODER.tables).values()))
    noise = Noise(DECODER, names[::2])
    for _ in range(2):  # the second time by headers met before
        for raw in raws:
            event = DECODER.decode(raw, 1_795_514_400_000, "192.0.2.1").reading.event
            assert bool(left_out(noise, [raw])) == (event in names[::2]), raw


def test_a_flood_of_headers_does_not_grow() -> None:
    noise = Noise(DECODER, ["wifi/probe"])
    for at in range(5000):
        noise.kept(records([line("AccessPoint", f"wifi/n{at}")] * 2))
    assert len(noise._known) <= 2048
