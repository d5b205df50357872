"""Every protocol: one reply a record, whatever the record is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datto_siem.converters import Converter
from datto_siem.plugins.filter import Settings
from datto_siem.plugins.registry import names, plugin

if TYPE_CHECKING:
    from datto_siem.plugins.filter import Replies

RECEIVED = 1_795_514_400_000
BOOT = "CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456"
TARGETS = ("ecs", "cim", "ocsf", "asim", "csl", "cef")
CONVERTERS = {target: Converter(target) for target in TARGETS}
ANSWERING = [name for name in names("filters") if name != "omprog"]
GARBAGE = [
    b"",
    b"\x00\xff\xfe binary \x1b[31m",
    b"{",
    b'{"message":',
    b"[1795514300.5]",
    b"[1795514300.5, 7]",
    b'{"message": 7}',
    b'{"message": null, "x": NaN}',
    b'{"message": "\\ud800"}',
    b'"text"',
    b"null",
    b"{}",
    b'{"rawmsg": 3, "msg": []}',
    b"[" * 5000,
    b'{"a":' * 5000,
    b"x" * (1 << 20),
    b'{"message":"' + b"x" * (1 << 20) + b'"}',
    b'{"message":"CEF:1|Datto|x","event":"text","observer":["a"],"error":1}',
]


def opened(name: str, target: str = "ecs", **settings: Any) -> Replies:
    found: Replies = plugin("filters", name).open_protocol(
        Settings(CONVERTERS[target], clock=lambda: RECEIVED, **settings)
    )
    return found


def document(reply: bytes, name: str, target: str = "ecs") -> dict[str, Any]:
    assert reply.endswith(b"\n")
    assert reply.count(b"\n") == 1
    found = json.loads(reply)
    if name == "fluent_bit":
        assert isinstance(found[0], float)
        found = found[1]
    if name == "mmexternal":
        found = found["$!"][target]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", ANSWERING)
@pytest.mark.parametrize("line", GARBAGE, ids=lambda line: str(line[:20]))
def test_garbage_gets_its_reply(name: str, line: bytes) -> None:
    reply = opened(name).reply(line)
    assert document(reply, name)["ecs"]["version"]


@pytest.mark.parametrize("name", ANSWERING)
@given(line=st.one_of(st.binary(max_size=80), st.text(max_size=80).map(json.dumps).map(str.encode)))
def test_any_bytes_get_one_reply(name: str, line: bytes) -> None:
    document(opened(name).reply(line.replace(b"\n", b" ")), name)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", names("filters"))
def test_the_protocols_own_sample_holds(name: str, target: str) -> None:
    module = plugin("filters", name)
    taken: list[bytes] = []
    replies = opened(name, target, deliver=taken.append)
    for line, holds in module.SAMPLE:
        assert holds in replies.reply(line), line
    assert module.USAGE


def test_a_line_becomes_what_convert_makes_of_it() -> None:
    made = CONVERTERS["ecs"].encode(BOOT.encode(), RECEIVED, None, None, 1)
    assert opened("lines").reply(BOOT.encode()) == made + b"\n"
    inside = json.loads(opened("mmexternal").reply(BOOT.encode()))
    assert inside == {"$!": {"ecs": json.loads(made)}}


def test_the_records_other_fields_are_kept() -> None:
    record = {"message": BOOT, "tags": ["a"], "host": {"name": "relay"}, "event": {"sequence": 3}}
    found = document(opened("ndjson").reply(json.dumps(record).encode()), "ndjson")
    assert found["event"]["sequence"] == 3
    assert found["event"]["action"]
    assert found["event"]["original"] == BOOT
    kept = {**found, **found.get("shipper", {})}
    assert kept["host"]["name"] == "relay"
    assert kept["tags"] == ["a"]


def test_values_the_document_overwrites_are_kept_aside() -> None:
    record = {"message": BOOT, "@timestamp": "then", "event": {"kind": "mine"}, "shipper": "v"}
    reply = opened("ndjson", keep="before").reply(json.dumps(record).encode())
    found = document(reply, "ndjson")
    assert found["before"] == {"@timestamp": "then", "event": {"kind": "mine"}}
    assert found["@timestamp"] == "2026-11-24T09:58:20.456Z"
    assert found["shipper"] == "v"


def test_what_stands_where_clashes_go_is_not_lost() -> None:
    for before in ({"x": 1}, "text"):
        record = {"message": BOOT, "@timestamp": "then", "shipper": before}
        found = document(opened("ndjson").reply(json.dumps(record).encode()), "ndjson")
        assert found["shipper"] == {"@timestamp": "then", "shipper": before}


@pytest.mark.parametrize(
    "record",
    [
        {"log": {"line": BOOT}, "from": {"ip": "192.0.2.9"}},
        {"log.line": BOOT, "from.ip": "192.0.2.9"},
    ],
)
def test_the_line_and_the_sender_are_found_by_name_or_level_by_level(record: Any) -> None:
    replies = opened("ndjson", field="log.line", peer_field="from.ip")
    found = document(replies.reply(json.dumps(record).encode()), "ndjson")
    assert found["event"]["original"] == BOOT
    assert "192.0.2.9" in json.dumps(found)


def test_fluent_bit_gets_the_events_own_time_in_every_form() -> None:
    replies = opened("fluent_bit")
    record = {"message": BOOT, "tag": "x"}
    for line in (
        json.dumps([1.5, record]),
        json.dumps(record),
        json.dumps([[1, {}], record]),
        BOOT,
    ):
        assert replies.reply(line.encode()).startswith(b"[1795514300.456,{")


def test_rsyslog_may_send_everything_as_json() -> None:
    full = {"msg": BOOT, "rawmsg": f"<13>{BOOT}", "fromhost-ip": "192.0.2.9"}
    found = document(opened("mmexternal").reply(json.dumps(full).encode()), "mmexternal")
    assert found["event"]["original"] == f"<13>{BOOT}"
    assert "192.0.2.9" in json.dumps(found)
    cef = json.loads(opened("mmexternal", "cef").reply(BOOT.encode()))["$!"]["cef"]
    assert cef.startswith("CEF:0|Datto|")


def test_a_reply_longer_than_rsyslog_takes_says_so() -> None:
    reply = opened("mmexternal", most=300).reply(BOOT.encode())
    assert len(reply) <= 300
    assert "maxMessageSize" in document(reply, "mmexternal")["error"]["message"]


def test_omprog_confirms_what_was_handed_on_and_nothing_else() -> None:
    taken: list[bytes] = []
    broken = [False]

    def deliver(content: bytes) -> None:
        if broken[0]:
            raise OSError(28, "No space left on device")
        taken.append(content)

    replies = opened("omprog", deliver=deliver)
    assert replies.hello == b"OK\n"
    assert replies.reply(BOOT.encode()) == b"OK\n"
    assert replies.reply(b"BEGIN TRANSACTION") == b"OK\n"
    assert replies.reply(BOOT.encode()) == b"DEFER_COMMIT\n"
    assert replies.reply(b"\xff") == b"DEFER_COMMIT\n"
    assert len(taken) == 1
    assert replies.reply(b"COMMIT TRANSACTION") == b"OK\n"
    assert taken[1].count(b"\n") == 2
    broken[0] = True
    assert replies.reply(BOOT.encode()) == b"cannot hand on: No space left on device\n"
    replies.reply(b"BEGIN TRANSACTION")
    replies.reply(BOOT.encode())
    assert replies.reply(b"COMMIT TRANSACTION").startswith(b"cannot hand on")
    broken[0] = False
    replies.reply(b"BEGIN TRANSACTION")
    assert replies.reply(b"COMMIT TRANSACTION") == b"OK\n"
    assert len(taken) == 2
    assert replies.reply(b"COMMIT TRANSACTION") == b"OK\n"  # no transaction: a line like others
    assert len(taken) == 3


def test_omprog_needs_somewhere_to_hand_documents_on() -> None:
    with pytest.raises(ValueError, match=r"-o or --send"):
        opened("omprog")
