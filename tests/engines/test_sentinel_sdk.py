"""Microsoft's own client against the fake: what proves that the fake is a fair test."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from engine import ENGINES, needed
from peers.sentinel_fake import CLIENT, DCR, SECRET, TENANT, SentinelFake

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = ENGINES / "azure-sdk" / "bin" / "python"
STREAM = "Custom-DattoAuditEvent"
PROGRAM = """
import json, sys
from azure.identity import ClientSecretCredential
from azure.monitor.ingestion import LogsIngestionClient

told = json.load(sys.stdin)
credential = ClientSecretCredential(
    told["tenant"], told["client"], told["secret"], authority=told["url"],
    disable_instance_discovery=True, connection_verify=told["ca"],
)
with LogsIngestionClient(told["url"], credential, connection_verify=told["ca"]) as client:
    client.upload(rule_id=told["dcr"], stream_name=told["stream"], logs=told["rows"])
"""


@pytest.mark.engine
@pytest.mark.parametrize("lives", [3600])
def test_the_official_client_is_served(tmp_path: Path, lives: int) -> None:
    needed(PYTHON.exists(), "azure-monitor-ingestion")
    rows = [
        {"TimeGenerated": "2026-11-24T09:36:00.000Z", "EventCount": 1, "Object": f"02:00:{at}"}
        for at in range(3)
    ]
    with SentinelFake(tmp_path) as fake:
        fake.lives = lives
        fake.script += [(429, {"Retry-After": "0"}, b""), None]
        told = {
            "tenant": TENANT,
            "client": CLIENT,
            "secret": SECRET,
            "url": fake.url,
            "ca": str(fake.ca),
            "dcr": DCR,
            "stream": STREAM,
            "rows": rows,
        }
        done = subprocess.run(  # noqa: S603  our own program under our own interpreter
            [PYTHON, "-c", PROGRAM],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert fake.rows == {STREAM: rows}
        assert fake.seen[0]["content-encoding"] == "gzip"


@pytest.mark.engine
def test_the_official_client_is_refused_what_the_service_refuses(tmp_path: Path) -> None:
    needed(PYTHON.exists(), "azure-monitor-ingestion")
    with SentinelFake(tmp_path) as fake:
        told = {
            "tenant": TENANT,
            "client": CLIENT,
            "secret": SECRET,
            "url": fake.url,
            "ca": str(fake.ca),
            "dcr": DCR,
            "stream": STREAM,
            "rows": [{"TimeGenerated": "2026-11-24T09:36:00.000Z", "NoSuchColumn": 1}],
        }
        done = subprocess.run(  # noqa: S603  our own program under our own interpreter
            [PYTHON, "-c", PROGRAM],
            input=json.dumps(told),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode != 0
        assert "NoSuchColumn is not declared" in done.stderr
        assert fake.taken() == []
