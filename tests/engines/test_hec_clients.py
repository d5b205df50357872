"""Foreign HEC clients against the stub: python-splunk-logging, splunk-logging, syslog-ng http().

They show that the stub speaks the protocol as others know it, not only as our sink does.
"""

from __future__ import annotations

import json
import socket
import subprocess
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from engine import ENGINES, needed
from peers.hec_stub import TOKEN, Fault, HecStub, Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PYTHON = ENGINES / "hec-python/bin/python"
NODE = ENGINES / "hec-node/node_modules/splunk-logging"
SYSLOG_NG_PROGRAM = ENGINES / "syslog-daemons" / "syslog-ng"
pytestmark = pytest.mark.engine

PYTHON_CLIENT = """
import json, sys
from splunk_logging.exceptions import HecBatchError
from splunk_logging.forwarders import HecForwarder
port, token, ack, index = sys.argv[1:]
with HecForwarder("127.0.0.1", int(port), token, use_ssl=False, default_index=index,
                  default_sourcetype="datto:cim", indexer_ack=ack == "ack",
                  ack_poll_interval=0.02, ack_timeout=20) as hec:
    try:
        hec.forward_event({"n": 0}, 1795514400.123)
        hec.forward_events([{"n": n} for n in (1, 2)])
        hec.forward_events(json.loads(sys.stdin.read()))
        print("taken")
    except HecBatchError as error:
        print("bad event", error.invalid_event_number)
    except Exception as error:
        print(type(error).__name__, error)
"""

NODE_CLIENT = """
const {Logger} = require(process.argv[1]);
const logger = new Logger({token: process.argv[3], url: process.argv[2], maxBatchCount: 3});
logger.error = (error) => console.log("error", error.message);
for (let n = 0; n < 3; n++)
  logger.send({message: {n}, metadata: {index: process.argv[4], sourcetype: "datto:cim"}},
    (error, response, body) => console.log("answer", JSON.stringify(body)));
"""

SYSLOG_NG = """@version: 3.38
options { time-reopen(1); };
source s { network(ip("127.0.0.1") port(%(port)d) transport("tcp") flags(no-parse)); };
destination d { http(
  url("%(url)s/services/collector/event") method("POST") timeout(10) workers(1)
  batch-lines(100) batch-bytes(4096Kb) batch-timeout(300)
  headers("Authorization: Splunk %(token)s", "Connection: keep-alive",
          "__splunk_app_name: sc4s", "X-Splunk-Request-Channel: %(channel)s")
  body('$(format-json --scope none
    time=$S_UNIXTIME.${S_MSEC} host=${HOST} source="sc4s" sourcetype="datto:cef"
    index="main" event="${MSG}" fields.sc4s_vendor_product="datto_networking")')
  delimiter("\\n")); };
log { source(s); destination(d); flags(flow-control); };
"""


def python_client(stub: HecStub, last: object, ack: str = "", index: str = "main") -> str:
    needed(PYTHON.exists(), "python-splunk-logging (.ci/engines/hec-clients)")
    argv = [PYTHON, "-c", PYTHON_CLIENT, str(stub.port), TOKEN, ack, index]
    done = subprocess.run(  # noqa: S603
        argv, input=json.dumps(last), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("ack", ["", "ack"])
def test_the_python_client_delivers_singly_in_batches_and_with_acknowledgement(ack: str) -> None:
    with HecStub({TOKEN: Token(ack=bool(ack))}, ack_polls=1) as stub:
        assert python_client(stub, ["three"], ack) == "taken"
        assert [each["event"] for each in stub.events] == [{"n": 0}, {"n": 1}, {"n": 2}, "three"]
        assert (stub.lost, stub.skipped) == (0, 0)
        asked = [json.loads(each.body)["acks"] for each in stub.requests if "/ack" in each.path]
        assert asked == ([[0], [0], [1], [1], [2], [2]] if ack else [])


def test_the_python_client_understands_which_event_was_bad() -> None:
    with HecStub() as stub:
        said = python_client(stub, ["a", "b", " ", "c"])
        assert said == "bad event 2"
        assert [each["event"] for each in stub.events][3:] == ["a", "b"]


def test_the_python_client_repeats_after_busy_and_gives_up_on_a_bad_token() -> None:
    with HecStub() as stub:
        stub.fault(9)
        assert python_client(stub, ["x"]) == "taken"
        assert len(stub.requests) == 4
    with HecStub({}) as stub:
        assert "403" in python_client(stub, [])


def node_client(stub: HecStub, index: str = "main") -> list[str]:
    needed(NODE.exists(), "npm splunk-logging (.ci/engines/hec-clients)")
    argv = ["node", "-e", NODE_CLIENT, str(NODE), stub.url, TOKEN, index]
    done = subprocess.run(  # noqa: S603
        argv, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def test_the_node_client_delivers_a_batch_of_objects_back_to_back() -> None:
    with HecStub() as stub:
        assert 'answer {"text":"Success","code":0}' in node_client(stub)
        assert [each["event"]["message"] for each in stub.events] == [{"n": n} for n in range(3)]
        assert {each["sourcetype"] for each in stub.events} == {"datto:cim"}
        assert (len(stub.requests), stub.lost) == (1, 0)


def test_the_node_client_understands_a_bad_index_and_faults() -> None:
    with HecStub() as stub:
        said = node_client(stub, "nowhere")
        assert any('"code":7' in line and '"invalid-event-number":1' in line for line in said), said
        assert stub.count == 0
        stub.fault(Fault(0))
        assert any(line.startswith("error") for line in node_client(stub))


def test_syslog_ng_delivers_with_the_template_of_splunks_own_collector(tmp_path: Path) -> None:
    needed(SYSLOG_NG_PROGRAM.exists(), "syslog-ng with mod-http")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    conf = tmp_path / "syslog-ng.conf"
    with HecStub({TOKEN: Token(ack=True)}) as stub:  # useACK: the channel is asked for
        channel = "DEADBEEF-0000-4000-8000-000000000001"
        about = {"port": port, "url": stub.url, "token": TOKEN, "channel": channel}
        conf.write_text(SYSLOG_NG % about)
        places = [f"--{name}={tmp_path / name}" for name in ("persist-file", "pidfile", "control")]
        said = tmp_path / "said"
        with (
            said.open("wb") as errors,
            subprocess.Popen(  # noqa: S603
                [SYSLOG_NG_PROGRAM, "-F", "--stderr", "--no-caps", "-f", str(conf), *places],
                stdout=subprocess.DEVNULL,
                stderr=errors,
            ) as daemon,
        ):
            try:
                lines = [f'CEF:1|Datto|AccessPoint|1|wifi|probe|0|n="{n}\\' for n in range(250)]
                with connected(port, daemon) as sender:
                    sender.sendall("".join(line + "\n" for line in lines).encode())
                    until(lambda: stub.count >= len(lines), daemon)
            finally:
                daemon.terminate()
                daemon.wait(20)
        assert [each["event"] for each in stub.events] == lines
        assert {each["fields"]["sc4s_vendor_product"] for each in stub.events} == {
            "datto_networking"
        }
        assert stub.lost == 0
        assert {each.headers["x-splunk-request-channel"] for each in stub.requests} == {channel}


def until(condition: Callable[[], bool], daemon: subprocess.Popen[bytes]) -> None:
    """Wait for a condition while the daemon lives, half a minute at most."""
    end = monotonic() + 30
    while not condition():
        assert daemon.poll() is None, "syslog-ng ended"
        assert monotonic() < end, "too late"
        sleep(0.02)


def connected(port: int, daemon: subprocess.Popen[bytes]) -> socket.socket:
    """A connection to the daemon, once it listens."""
    made: list[socket.socket] = []

    def tried() -> bool:
        try:
            made.append(socket.create_connection(("127.0.0.1", port), 5))
        except OSError:
            return False
        return True

    until(tried, daemon)
    return made[0]
