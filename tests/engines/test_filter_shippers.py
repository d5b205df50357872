"""`datto-siem filter` inside real shippers: rsyslog's mmexternal and omprog, syslog-ng's program().

A few thousand records each; DATTO_FILTER_RECORDS=100000 makes it the full measure.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engine import needed
from running import until
from syslog_daemons import DAEMONS, rsyslog, syslog_ng

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS = int(os.environ.get("DATTO_FILTER_RECORDS", "3000"))
PATIENCE = max(60.0, RECORDS / 250)  # the slowest syncs every line
COMMAND = f"{sys.executable} -m datto_siem.plugins.cli filter --to ecs"
LINE = "<13>Nov 24 09:36:17 ap-1 CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456 n=%d"
# room for all records, where rsyslog would drop after two seconds; one worker, which keeps order
MAIN = 'main_queue(queue.type="LinkedList" queue.size="500000" queue.timeoutEnqueue="60000")\n'
QUEUE = (
    'queue.type="LinkedList" queue.size="500000" queue.timeoutEnqueue="60000"'
    ' queue.saveOnShutdown="off"'
)


def lines(count: int) -> list[bytes]:
    return [(LINE % at).encode() for at in range(count)]


def numbers(path: Path, read: Callable[[bytes], Any] = json.loads) -> list[int]:
    """The numbers of the records whose documents are in a file."""
    if not path.exists():
        return []
    whole = path.read_bytes().split(b"\n")[:-1]
    return [int(read(line)["event"]["original"].rsplit("n=", 1)[1]) for line in whole]


def children(path: Path) -> list[int]:
    """Processes whose command line names a file."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(path).encode() in command and b"filter" in command and b"sh\0" not in command[:8]:
            found.append(int(folder.name))
    return found


@pytest.mark.engine
def test_rsyslog_mmexternal_sets_the_document_in_place(tmp_path: Path) -> None:
    needed((DAEMONS / "rsyslogd").exists(), "rsyslog")
    out = tmp_path / "out"
    action = (
        f'{MAIN}module(load="mmexternal")\ntemplate(name="ecs" type="string" string="%$!ecs%\\n")\n'
        f'action(type="mmexternal" binary="{COMMAND} --protocol mmexternal"'
        ' interface.input="rawmsg")\n'
        f'action(type="omfile" file="{out}" template="ecs")'
    )
    with rsyslog(action, 'maxMessageSize="64k"') as daemon:
        daemon.log(lines(RECORDS))
        until(lambda: len(numbers(out)) >= RECORDS, "all written", PATIENCE)
    assert numbers(out) == list(range(RECORDS))


def omprog(out: Path, more: str = "") -> str:
    """An action that hands on to a file, with confirmations."""
    return (
        f'{MAIN}module(load="omprog")\ntemplate(name="line" type="string" string="%rawmsg%\\n")\n'
        f'action(type="omprog" binary="{COMMAND} --protocol omprog -o {out}" template="line"'
        f' confirmMessages="on" confirmTimeout="30000" {more}'
        f' action.resumeRetryCount="-1" action.resumeInterval="1" {QUEUE})'
    )


@pytest.mark.engine
def test_rsyslog_omprog_loses_nothing_though_the_child_is_killed(tmp_path: Path) -> None:
    # without transactions: rsyslog 8.2302 drops a batch when the program dies before it began one
    needed((DAEMONS / "rsyslogd").exists(), "rsyslog")
    out = tmp_path / "out"
    with rsyslog(omprog(out)) as daemon:
        daemon.log(lines(RECORDS // 2))
        for kill in range(5):
            child = until(lambda: children(out), "a child runs", PATIENCE)
            time.sleep(0.1)
            os.kill(child[0], signal.SIGKILL)
            until(lambda child=child: child[0] not in children(out), "killed")
            daemon.log(lines(RECORDS)[RECORDS // 2 + kill : RECORDS // 2 + kill + 1])
        daemon.log(lines(RECORDS)[RECORDS // 2 + 5 :])
        until(lambda: set(numbers(out)) == set(range(RECORDS)), "all handed on", PATIENCE)
    assert len(numbers(out)) <= RECORDS + 5, "a kill repeats the line it interrupted, no other"


@pytest.mark.engine
def test_rsyslog_omprog_commits_transactions(tmp_path: Path) -> None:
    needed((DAEMONS / "rsyslogd").exists(), "rsyslog")
    out = tmp_path / "out"
    with rsyslog(omprog(out, 'useTransactions="on"')) as daemon:
        daemon.log(lines(RECORDS))
        until(lambda: len(numbers(out)) >= RECORDS, "all handed on", PATIENCE)
    assert numbers(out) == list(range(RECORDS))


@pytest.mark.engine
def test_syslog_ng_program_keeps_order_and_count(tmp_path: Path) -> None:
    needed((DAEMONS / "syslog-ng").exists(), "syslog-ng")
    out = tmp_path / "out"
    action = f'program("exec {COMMAND} >> {out}" template("${{MESSAGE}}\\n") keep-alive(yes));'
    with syslog_ng(action) as daemon:
        daemon.log(lines(RECORDS))
        until(lambda: len(numbers(out)) >= RECORDS, "all written", PATIENCE)
    assert numbers(out) == list(range(RECORDS))
