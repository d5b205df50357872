"""A delivering process killed at any point: every record arrives, repeats have equal ids."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.source import Arrival

if TYPE_CHECKING:
    from pathlib import Path

RECEIVED = 1_795_514_400_000
COUNT = 6000
KILLS = 6
CHILD = """
import sys, threading, time
from pathlib import Path
from datto_siem.plugins.forwarder.batches import Limits
from datto_siem.plugins.forwarder.dead_letters import DeadLetters
from datto_siem.plugins.forwarder.pump import Pace, Pump
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.meter import Meter
from datto_siem.plugins.options import build
from datto_siem.plugins.sink import Context, Next, Reply
from datto_siem.plugins.sinks import file

folder, until = Path(sys.argv[1]), int(sys.argv[2])
given = {"path": str(folder / "out.ndjson"), "to": "ocsf", "rotate_bytes": 1_000_000, "keep": 1000}
sink = file.connect(build(file.Config, given), Context("archive", folder))
send = sink.send
def refusing(items):
    bad = {at: "tens" for at, item in enumerate(items) if b"host-10 " in item.body}
    reply = send([item for at, item in enumerate(items) if at not in bad])
    return Reply(rejected=bad) if bad and not reply.left else reply
sink.send = refusing
log = SqliteLog(folder / "log")
reader = log.reader("archive")
letters = DeadLetters(folder / "dead-letters", "archive", time.time)
pace = Pace(concurrency=2, limits=Limits(count=40, age=0.01), commit=0.01, chunk=20_000)
pump = Pump("archive", reader, sink, letters, Meter(), pace)
def watch():
    while reader.standing().committed < until:
        time.sleep(0.01)
    pump.stop()
threading.Thread(target=watch, daemon=True).start()
print("ready", flush=True)
settled = pump.run()
sink.close(); reader.close(); log.close()
sys.exit(0 if settled else 1)
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(folder), str(COUNT)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603


def test_every_record_arrives_however_often_the_process_is_killed(tmp_path: Path) -> None:
    raws = [b"CEF:1|Datto|Box|1|x|y|1|msg=host-%d n=%d" % (at % 600, at) for at in range(COUNT)]
    log = SqliteLog(tmp_path / "log")
    writer = log.writer()
    for at in range(0, COUNT, 200):
        writer.append([Arrival(raw, RECEIVED, "192.0.2.1") for raw in raws[at : at + 200]])
    end = log.reader("other").standing().end
    writer.close()
    assert end >= COUNT
    chance = random.Random(5)  # noqa: S311  where it is killed, no secret
    for _ in range(KILLS):
        with start(tmp_path) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.15))
            child.kill()
    with start(tmp_path) as child:
        assert child.wait(120) == 0
    log.close()
    lines = [line for path in tmp_path.glob("out.ndjson*") for line in _lines(path)]
    by_id: dict[str, bytes] = {}
    for line in lines:
        assert by_id.setdefault(json.loads(line)["metadata"]["uid"], line) == line
    found = {json.loads(line)["raw_data"].encode() for line in by_id.values()}
    refused = {
        json.loads(line)["raw"].encode()
        for path in tmp_path.glob("dead-letters/archive/*.ndjson")
        for line in path.read_bytes().splitlines()
    }
    tens = {raw for raw in raws if b"host-10 " in raw}
    assert refused == tens
    assert found == set(raws) - tens
    assert len(by_id) == len(found)


def _lines(path: Path) -> list[bytes]:
    if path.suffix == ".part":  # packing was cut short: what it was made from is still there
        return []
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()
