"""The repair relays `rsyslog` and `syslog-ng` in the real daemons, against the converter's CEF."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest
from cases import PEER, RECEIVED
from engine import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from relays import MARK, Relay
from rule_corpus import Case, corpus, fixtures
from running import free_port, until
from syslog_daemons import DAEMONS, checked, rsyslog_file, syslog_ng_checked, syslog_ng_file

from datto_siem.converters import Converter
from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generators import _rainerscript, _syslog_ng, rsyslog, syslog_ng

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = ("rsyslog", "syslog-ng")
KNOWN = {"rsyslog": rsyslog.KNOWN_DIFFERENCES, "syslog-ng": syslog_ng.KNOWN_DIFFERENCES}
RSYSLOG_STATE = ' maxMessageSize="128k" parser.escapeControlCharactersOnReceive="off"'
RSYSLOG_HEAD = """module(load="imudp")
main_queue(queue.type="LinkedList" queue.size="500000" queue.timeoutEnqueue="60000")
"""
HEADER = b"CEF:1|Datto|AccessPoint|7.1.0|wifi|probe|0|"
EDGE = b"CEF:1|Datto|Secure Edge|1.2.1|traffigatord|drop|7|"
OWN = (
    HEADER + b"rt=1795514300412 cs2:a\x01b dmac:DA:A1:19:4C:07:22",
    HEADER + b" ".join(b"k%d=%d" % (at, at) for at in range(600)),
    b"<13>Nov 24 09:58:20 relay-1 <13>Nov 24 09:58:19 ap-1 hostapd: a station left",
    b"<13>1 - ap-1 hostapd: odd header",
    b"2026 Nov 24 09:58:20 ap-1: hostapd: odd header",
    EDGE + b"policy_id=77event_time=Nov 24 2026 10:00:00 CET client_ip=100.64.12.7",
    b"<13>these are words 1|Datto|AccessPoint|7.1.0|wifi|probe|0|cs2:Guest",
    # what else glues, parts and escapes
    EDGE
    + b"policy_id=77client_ip=2001:db8::7event_time=1795514300412subscriber=a b@c external_id=x",
    EDGE + b"policy_id=77external_id=not-a-uuid user_id=1user_id=2 peer_id=3client_ip=192.0.2.300",
    EDGE + b"client_ip=192.0.2.7policy_id=1 event_time=xexternal_id=02005E100003",
    b"CEF:0|Dat\\\\to|a\\|b\\c|  1 |x\\|y|z|5|msg=a\\|b\\\\c\\=d\\ne\\x=f ",
    HEADER + b" lead \\ing = words rt=1795514300412 dmac: cs2: dvc:::1 dvc:1.2.3.4.5 reason:x",
)
"""Records of our own: each known difference, and what the corpus has little of."""
USUAL = tuple(
    f"{priority}{stamp}{host}{tag}{body}".encode()
    for priority in ("", "<13>", "<191>", "<192>")
    for stamp in (
        *("Nov 24 09:58:20 ", "Nov  4 09:58:20.123 ", "2026-11-24T09:58:20Z "),
        *("2026-11-24 09:58:20,250 ", "Nov 24 09:58:20 CET ", "*Nov 24 09:58:20: "),
    )
    for host in ("ap-1 ", "192.0.2.7 ", "2001:db8::7 ", "ap.example.com: ", "- ")
    for tag in ("hostapd: ", "hostapd[12]: ", "")
    for body in ("a station left", f"{HEADER.decode()}cs2:x")
)
"""Every usual syslog header, before a text and before CEF."""
LONG = 60_000
HOSTILE = tuple(
    head + (filler * LONG)[: LONG - len(head)]
    for head in (HEADER, EDGE, b"<13>Nov 24 09:58:20 ap-1 ", b"")
    for filler in (
        *(b" ", b"=", b"\\", b"|", b":", b"x", b'"', b"[", b"<13>", b"\t ", b"CEF:"),
        b"\xef\xbb\xbf",
        *(b"cs2:", b"cs2:x ", b"a=b ", b"a= ", b"policy_id=1external_id=", b"domain=x y=z ", b"1:"),
        *(b"1|Datto", b'a="', b"groups.0=x ", b"Nov 24 09:58:20 ", b" \\=", b"=]\\n", b"0.0.0.0"),
    )
)  # fmt: skip

PIECES = (
    *("rt=", "smac=", "dmac:", "dmac=", "cs2:", "cs2=", "dvc:", "dvchost:", "dvchost=", "reason:"),
    *("reason=", "dattoDevicePreviousAP:", "policy_id=", "external_id=", "client_ip=", "domain="),
    *("groups.0=", "groups.x=", "a.b=", "subscriber=", "src_addr=", "port_dst=", "event_time="),
    *("peer_id=", "x[1]=", "x[y]=", "-k=", "_text=", "_rest=", "action=", "user_id=", "duration="),
    *("02:00:5E:10:00:03", "0200.5e10.0003", "02-00-5e-10-00-0g", "192.0.2.7", "192.0.2.07"),
    *("2001:db8::7", "::ffff:192.0.2.7", "1::2::3", "fe80::1%e", "1795514300412", "1795514300.4"),
    *("17", "-3", "0x1", "65536", "65535", "3f0a7c52-9b1d-4e8a-a6c4-51d27be90f13", "a@b.test"),
    *("100.64.1.2:53124", "[2001:db8::1]:53", "100.64.1.2 & 53", "100.64.1.2#5", "IP_ADDR"),
    *("STATION_MAC_ADDR", "CLIENT_CLOUD_IP & SOURCE_PORT", "Guest", "x", "=", ":", "\\"),
    *("\\=", "\\n"),
    *("\\|", "|", "\\\\", '"', "'", "$1", "%msg%", "\u00e9", "\ufeff", ".", "2026-11-24T10:00:00Z"),
)  # fmt: skip
HEADS = (
    *("CEF:1|Datto|AccessPoint|7.1.0|wifi|assoc|0|", "CEF:1|Datto|Access Point|7|dhcp|up|0|"),
    *("CEF:0|datto|ACCESSPOINT|7.1.0|system|reboot|2|", "CEF: 1|Datto|AccessPoint|7|new|thing|1|"),
    *("CEF:1|Datto|Secure Edge|1.2.1|coredns|drop|7|", "1|Datto|SecureEdge|1|traffigatord|drop|7|"),
    *("CEF:1|Datto|Secure Edge|1|telemeterd|x y|3|", "CEF:1|Datto|Secure Edge|1|instance-agent|"),
    "<13>Nov 24 09:58:20 ap-1 CEF:1|Datto|DSW-24|1|port|down|4|",
    "CEF:1|Datto|AccessPoint|wifi|",
    *("CEF:1|Other|Thing|1|a|b|c=d|", "CEF:1|Datto|SIRIS|4|backup|failed|Very-High| "),
)  # fmt: skip


def fuzzed(count: int) -> list[bytes]:
    """Records of the pieces that decide how pairs are told apart, in any order."""
    dice = random.Random(41)  # noqa: S311
    found = []
    for _ in range(count):
        glue = dice.choice((" ", " ", " ", "", "  ", "\t"))
        words = "".join(
            dice.choice(PIECES) + dice.choice((glue, " ", "", "", ""))
            for _ in range(dice.randint(0, 14))
        )
        found.append((dice.choice(HEADS) + words).encode())
    return found


TELL: dict[str, Callable[[bytes], bool]] = {
    "bad_utf8": lambda line: line.decode("utf-8", "replace") != line.decode("utf-8", "ignore"),
    "many_pairs": lambda line: line.count(b"=") + line.count(b":") > 512,
    "odd_header": lambda line: line.count(b"<13>") > 1 or b"odd header" in line,
    "odd_date_glued": lambda line: b"event_time=Nov" in line,
    "words_before": lambda line: b"these are words" in line,
    "nul": lambda line: b"\0" in line,
}
ODD = "o'm\"e`s$h{x}@y%z&[]*?#;"
"""A name of an event and of a product that no language should mind."""
MARKS = {"rsyslog": b"\1\2\3\4\5\6", "syslog-ng": b"\1\2\3\4\5\6\x0e"}


@contextlib.contextmanager
def running(name: str, folder: Path, overlay: Path | None = None) -> Iterator[Relay]:
    """A daemon with the artefact, records in by UDP, `MARK` after each line of its file."""
    relay = Relay(folder / "out")
    for path, content in generate(name, overlay=overlay).items():
        moved = content.replace(b"/etc/rsyslog.d/datto/", f"{folder}/".encode())
        (folder / path).write_bytes(moved)
    frame = folder / "frame.conf"
    if name == "rsyslog":
        frame.write_text(f"""include(file="{folder}/datto-tables.conf")
include(file="{folder}/datto-repair.conf")
template(name="t" type="string" string="%$.cef%{MARK.decode()}")
input(type="imudp" address="127.0.0.1" port="{relay.port}" ruleset="r")
ruleset(name="r") {{
  call datto_repair
  action(type="omfile" file="{relay.out}" template="t")
}}
""")
        daemon = rsyslog_file(frame, RSYSLOG_HEAD, RSYSLOG_STATE)
    else:
        frame.write_text(f"""@include "{folder}/datto-10-tables.conf"
@include "{folder}/datto-20-repair.conf"
source s {{
  network(transport("udp") ip("127.0.0.1") port({relay.port}) flags(no-parse) log-msg-size(65536));
}};
destination d {{ file("{relay.out}" template("${{.datto.cef}}{MARK.decode()}")); }};
log {{ source(s); parser(datto_repair); destination(d); }};
""")
        daemon = syslog_ng_file(frame)
    with daemon as process:
        relay.said = process.said
        yield relay


def truth(line: bytes, overlay: Path | None = None) -> bytes:
    """What `convert --to cef` writes."""
    return Converter("cef", None, overlay).encode(line, RECEIVED, PEER)


@pytest.mark.engine
@pytest.mark.parametrize("name", NAMES)
def test_a_relay_writes_what_the_converter_says(name: str, tmp_path: Path) -> None:
    own = [
        Case(90_000 + at, f"own/{at}", line)
        for at, line in enumerate((*OWN, *USUAL, *HOSTILE, *fuzzed(3_000)))
    ]
    cases = [case for case in (*corpus(), *own) if len(case.line) < 65_000]  # UDP carries no more
    with running(name, tmp_path) as relay:
        answers = relay.answers([case.line for case in cases])
    tell = {**TELL, "marks": lambda line: any(mark in line for mark in MARKS[name])}
    needed, odd = set(), []
    for case, answer in zip(cases, answers, strict=True):
        expected = truth(case.line)
        if answer != expected:
            row = next((each.name for each in KNOWN[name] if tell[each.name](case.line)), None)
            needed.add(row)
            if row is None or case.origin.split("/")[0] in ("access_point", "secure_edge"):
                odd.append(
                    f"{case.origin}: {case.line[:300]!r}\n  {expected[:300]!r}\n  {answer[:300]!r}"
                )
    assert not odd, "\n".join(odd[:10])
    assert needed == {each.name for each in KNOWN[name]}, "a row that no record needs"


@pytest.mark.engine
@pytest.mark.parametrize("name", NAMES)
def test_what_the_users_tables_add_reaches_the_relay(name: str, tmp_path: Path) -> None:
    overlay = tmp_path / "tables"
    (overlay / "sources").mkdir(parents=True)
    text = (ROOT / "mappings/sources/access_point.yaml").read_text()
    rows = "".join(
        f"  {json.dumps(event)}: {{activity: wifi.probe, keys: [rt, smac, cs2]}}\n"
        for event in ("wifi/blink", f"wifi/{ODD}")
    )
    text = text.replace("  wifi/probe:  ", f"{rows}  wifi/probe:  ", 1)
    products = json.dumps(["accesspoint", ODD.lower(), "mesh*box"])
    text = text.replace("product: accesspoint", f"product: {products}")
    (overlay / "sources" / "access_point.yaml").write_text(text)
    pairs = (
        "|0|cs2:Guest dmac:DA:A1:19:4C:07:22 x=1"  # no documented key after what a stranger chose
    )
    lines = [
        f"CEF:1|Datto|{product}|7.1.0|wifi|{event}{pairs}".encode()
        for product in ("AccessPoint", ODD, "Mesh 5 Box", "Mesh 5", "Other")
        for event in ("blink", ODD, "probe", "other")
    ]
    assert [truth(line, overlay) for line in lines] != [truth(line) for line in lines]
    with running(name, tmp_path, overlay) as relay:
        assert relay.answers(lines) == [truth(line, overlay) for line in lines]


@pytest.mark.engine
@pytest.mark.parametrize("name", NAMES)
def test_the_relay_as_shipped_delivers(name: str, tmp_path: Path) -> None:
    port, udp = free_port(), free_port(socket.SOCK_DGRAM)
    for path, content in generate(name).items():
        moved = content.replace(b"/etc/rsyslog.d/datto/", f"{tmp_path}/".encode())
        moved = moved.replace(b"0.0.0.0", b"127.0.0.1").replace(b"siem.example", b"127.0.0.1")
        moved = moved.replace(b'port="514"', b'port="%d"' % port).replace(
            b"port(514)", b"port(%d)" % port
        )
        (tmp_path / path).write_bytes(moved.replace(b"5514", b"%d" % udp))
    if name == "rsyslog":
        checked(DAEMONS / "rsyslogd", ["-N1", "-f", tmp_path / "datto-relay.conf"])
        # the daemon's folder comes first, as a distribution's own file would set it
        conf = tmp_path / "datto-relay.conf"
        conf.write_text(
            conf.read_text().replace("global(", f'global(workDirectory="{tmp_path}" ', 1)
        )
        daemon: Any = rsyslog_file(conf, bare=True)
    else:
        whole = tmp_path / "all.conf"
        names = ("datto-10-tables.conf", "datto-20-repair.conf", "datto-30-relay.conf")
        whole.write_text("".join(f'@include "{tmp_path}/{each}"\n' for each in names))
        syslog_ng_checked(whole)
        daemon = syslog_ng_file(whole)
    lines = [case.line for case in fixtures()]
    with socket.create_server(("127.0.0.1", port)) as server, daemon:
        server.settimeout(60)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            until(lambda: bound(udp), "the port is bound")
            for line in lines:
                sender.sendto(line, ("127.0.0.1", udp))
        peer, _ = server.accept()
        with peer, peer.makefile("rb") as received:
            peer.settimeout(60)
            got = [received.readline() for _ in lines]
    for line, each in zip(lines, got, strict=True):
        priority = re.match(rb"<([0-9]+)>", line)
        head = rb"<%s>[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} 127\.0\.0\.1 "
        match = re.match(head % (priority[1] if priority else b"13"), each)
        assert match, each
        assert each[match.end() :] == truth(line) + b"\n"


def bound(port: int) -> bool:
    """Whether somebody has a UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


WORDS = st.lists(
    st.text(
        st.one_of(
            st.sampled_from("'\"`$\\{}[]()^*+?.|/#;@%&=: -,<>\n\r\t~!_aZ0"),
            st.characters(exclude_characters="\0\x1e", exclude_categories=("Cs",)),
        ),
        min_size=1,
        max_size=12,
    ).filter(lambda text: text == text.strip() and len(text.encode()) < 60),
    min_size=30,
    max_size=60,
    unique=True,
)  # fmt: skip


@pytest.mark.engine
@settings(max_examples=3, deadline=None, derandomize=True)
@given(WORDS)
def test_any_text_is_only_itself_in_syslog_ng(tmp_path_factory: Any, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("words")
    relay = Relay(folder / "out")
    rows = "\n".join(
        f"if (match('^{_syslog_ng.pattern(text)}\\z' value(\"MESSAGE\")))"
        f' {{ rewrite {{ set("{at}:" value(".n"));'
        f' set({_syslog_ng.template(text)} value(".t")); }}; }};'
        for at, text in enumerate(texts)
    )
    (folder / "frame.conf").write_text(f"""source s {{
  network(transport("udp") ip("127.0.0.1") port({relay.port}) flags(no-parse));
}};
parser p {{ channel {{
{rows}
}}; }};
destination d {{ file("{relay.out}" template("${{.n}}${{.t}}|$MESSAGE{MARK.decode()}")); }};
log {{ source(s); parser(p); destination(d); }};
""")
    with syslog_ng_file(folder / "frame.conf"):
        answers = relay.answers([text.encode() for text in texts])
    for at, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        assert answer == f"{at}:{text}|{text}".encode()


@pytest.mark.engine
@settings(max_examples=3, deadline=None, derandomize=True)
@given(WORDS)
def test_any_text_is_only_itself_in_rsyslog(tmp_path_factory: Any, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("words")
    relay = Relay(folder / "out")
    rows = "\n".join(
        f"  if re_match($rawmsg, '^{_rainerscript.regular(_rainerscript.pattern(text))}$') then"
        f' set $.n = $.n & "{at}:" & {_rainerscript.string(text)};'
        for at, text in enumerate(texts)
    )
    table = {text: f"{at}" for at, text in enumerate(texts)}
    (folder / "t.json").write_text(_rainerscript.lookup(table))
    (folder / "frame.conf").write_text(f"""lookup_table(name="t" file="{folder}/t.json")
template(name="t" type="string" string="%$.n%|%$.l%|%rawmsg%{MARK.decode()}")
input(type="imudp" address="127.0.0.1" port="{relay.port}" ruleset="r")
ruleset(name="r") {{
  set $.n = "";
  set $.l = lookup("t", $rawmsg);
{rows}
  action(type="omfile" file="{relay.out}" template="t")
}}
""")
    with rsyslog_file(folder / "frame.conf", RSYSLOG_HEAD, RSYSLOG_STATE):
        answers = relay.answers([text.encode() for text in texts])
    for at, (text, answer) in enumerate(zip(texts, answers, strict=True)):
        assert answer == f"{at}:{text}|{at}|{text}".encode()
