"""The SC4S parsers in real syslog-ng, in a frame like SC4S's own, held against the decoder."""

from __future__ import annotations

import contextlib
import csv
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cases import PEER, RECEIVED
from engine import ROOT
from relays import MARK, Relay
from rule_corpus import Case, corpus
from sc4s_frame import FRAME, LOG
from syslog_daemons import syslog_ng_checked, syslog_ng_file

from datto_siem.converters import Converter
from datto_siem.converters.read import CUT_SIZES
from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generators import sc4s
from datto_siem.plugins.splunk_sourcetypes import SOURCETYPES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from datto_siem.converters import Event

CONF = "config/app_parsers/app-datto_networking.conf"
FIELDS = {
    "sourcetype": ".splunk.sourcetype",
    "index": ".splunk.index",
    "product": "fields.sc4s_product",
    "taken": ".datto.s",
    "time": "S_UNIXTIME}${S_MSEC",
    "host": "HOST",
}
AP = "CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|"


class Sent(NamedTuple):
    """What SC4S would send beside the record."""

    sourcetype: str
    index: str
    product: str
    taken: str
    time: str
    host: str


@contextlib.contextmanager
def running(folder: Path, overlay: Path | None = None) -> Iterator[Relay]:
    relay = Relay(folder / "out")
    conf = folder / "app.conf"
    conf.write_bytes(generate("sc4s", overlay=overlay)[CONF])
    template = "\\t".join(f"${{{name}}}" for name in FIELDS.values())
    (folder / "frame.conf").write_text(f"""{FRAME}
@include "{conf}"
options {{ keep-hostname(yes); }};
source s {{
  network(transport("udp") ip("127.0.0.1") port({relay.port}) flags(no-parse) log-msg-size(65536));
}};
destination d {{ file("{relay.out}" template("{template}\\t$MESSAGE{MARK.decode()}")); }};
{LOG.format()}""")
    syslog_ng_checked(folder / "frame.conf")
    with syslog_ng_file(folder / "frame.conf") as daemon:
        relay.said = daemon.said
        yield relay


def sent(answer: bytes) -> Sent:
    return Sent(*answer.decode("utf-8", "replace").split("\t")[: len(FIELDS)])


def problems(event: Event, got: Sent) -> Iterator[str]:
    """Where what SC4S would send is not what the decoder says."""
    product = event.reading.source
    sourcetype = SOURCETYPES["raw"].get(product, SOURCETYPES["raw"][""])
    if got.sourcetype != sourcetype:
        yield f"sourcetype: {sourcetype} != {got.sourcetype}"
    time = event.parts.time
    if (time is None) != (got.taken == ""):
        yield f"time: {time} != {got.taken}"
    elif time is not None and str(time) != got.time:
        yield f"time: {time} != {got.time}"
    mac = event.parts.chosen.get("smac", "")
    if (
        product == "access_point"
        and re.fullmatch(r"[0-9A-Fa-f:.-]{12,17}", mac)
        and got.host != mac
    ):
        yield f"host: {mac} != {got.host}"


def row(event: Event, problem: str) -> str | None:
    """The known difference that a problem is."""
    text = str(event.time_text or "")
    if problem.startswith("sourcetype"):
        return None
    if problem.startswith("time: None") and event.original_size in CUT_SIZES:
        return "time_cut"
    if problem.startswith("time: None"):
        return "time_far" if int(problem.rsplit(" ", 1)[1]) * 1000 > RECEIVED else None
    if len([key for key, _ in event.pairs if key in event.reading.time]) > 1:
        return "time_twice"
    return None if re.fullmatch(r"[0-9.]+", text) else "time_text"


@pytest.mark.engine
def test_records_get_their_sourcetype_time_and_host(tmp_path: Path) -> None:
    decode = Converter("ecs").decoder.decode
    far = Case(90_000, "own/far", (AP + "rt=1893456000000 smac=02:00:5E:10:00:03").encode())
    cases = [
        case for case in (*corpus(), far) if len(case.line) < 65_000 and b"\0" not in case.line
    ]
    events = [decode(case.line, RECEIVED, PEER) for case in cases]
    ours = [
        (case, event)
        for case, event in zip(cases, events, strict=True)
        if event.header is not None and event.header.vendor.lower() == "datto"
    ]
    with running(tmp_path) as relay:
        answers = relay.answers([case.line for case, _ in ours])
    met, odd = set(), []
    for (case, event), answer in zip(ours, answers, strict=True):
        for problem in problems(event, sent(answer)):
            name = row(event, problem)
            met.add(name)
            if name is None:
                odd.append(f"{case.origin}: {problem} in {case.line[:300]!r}")
    assert not odd, f"{len(odd)}\n" + "\n".join(odd[:15])
    assert met == {each.name for each in sc4s.KNOWN_DIFFERENCES}


@pytest.mark.engine
def test_other_records_are_left_alone(tmp_path: Path) -> None:
    lines = [
        b"<13>Nov 24 09:58:20 fw-1 CEF:0|Other|Firewall|1|1|drop|5|src=192.0.2.1 dvchost=fw-2",
        b"<13>Nov 24 09:58:20 sw-1 stp: Port 7 of Datto|switch",
        b"<13>Nov 24 09:58:20 fw-1 app: CEF:1|Other|AccessPoint|1|wifi|probe|5|rt=1795514300412",
    ]
    with running(tmp_path) as relay:
        got = [sent(answer) for answer in relay.answers(lines)]
    assert [each.sourcetype for each in got] == ["cef", "sc4s:fallback", "sc4s:fallback"]
    assert [each.host for each in got] == ["fw-2", "sw-1", "fw-1"]


@pytest.mark.engine
def test_both_ways_in_name_the_device_and_not_the_station(tmp_path: Path) -> None:
    body = AP + "rt=1795514300412 smac=02:00:5E:10:00:03 dvchost=laptop-17"
    lone = body.replace("smac=02:00:5E:10:00:03 ", "")
    lines = [
        f"<13>Nov 24 09:58:20 ap-1 {body}",
        f"<13>1 2026-11-24T09:58:20Z ap-1 - - - - {body}",
        f"<13>Nov 24 09:58:20 ap-1 datto: {body}",
        f"<13>Nov 24 09:58:20 ap-1 {lone}",
        f"<13>Nov 24 09:58:20 ap-1 datto: {lone}",
    ]
    with running(tmp_path) as relay:
        got = [sent(answer) for answer in relay.answers([line.encode() for line in lines])]
    assert {(each.sourcetype, each.index, each.product, each.time) for each in got} == {
        ("datto:accesspoint:cef", "netops", "accesspoint", "1795514300412")
    }
    assert [each.host for each in got] == ["02:00:5E:10:00:03"] * 3 + ["127.0.0.1", "ap-1"]


@pytest.mark.engine
def test_a_new_product_of_the_users_tables_appears(tmp_path: Path) -> None:
    overlay = tmp_path / "tables"
    (overlay / "sources").mkdir(parents=True)
    text = (ROOT / "mappings/sources/access_point.yaml").read_text()
    changed = text.replace("product: accesspoint", "product: [accesspoint, o'mesh`$x]")
    (overlay / "sources" / "access_point.yaml").write_text(changed)
    line = AP.replace("AccessPoint", "O'Mesh `$X") + "rt=1795514300412"
    with running(tmp_path, overlay) as relay:
        assert sent(relay.answers([line.encode()])[0]).sourcetype == "datto:accesspoint:cef"


def test_the_metadata_rows_are_rows_of_three() -> None:
    text = generate("sc4s")["context/splunk_metadata.csv"].decode()
    rows = list(csv.reader(text.splitlines()))
    assert ["Datto_Secure Edge", "sourcetype", "datto:secureedge:cef"] in rows
    assert {len(each) for each in rows} == {3}
    assert {each[1] for each in rows} == {"index", "sourcetype"}
