"""The sidecar in a real Fluent Bit, where `DATTO_FLUENT_BIT` names its program.

No package server of those this project may use has the program, so CI skips this too.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from running import free_port, until

from datto_siem.plugins.cli.rules import generate

if TYPE_CHECKING:
    from pathlib import Path

FLUENT_BIT = os.environ.get("DATTO_FLUENT_BIT")
LINE = b"<13>Nov 24 09:36:17 ap-1 CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300456 n=%d"
COUNT = 500


@pytest.mark.engine
@pytest.mark.skipif(FLUENT_BIT is None, reason="DATTO_FLUENT_BIT names no Fluent Bit program")
def test_lines_come_back_as_documents_through_the_sidecar(tmp_path: Path) -> None:
    ports = {"5514": free_port(socket.SOCK_DGRAM), "18800": free_port(), "18801": free_port()}
    for name, content in generate("fluent-bit-exec").items():
        text = content.decode()
        for old, new in ports.items():
            text = text.replace(old, str(new))
        (tmp_path / name).write_text(text)
    onward = f"tcp://127.0.0.1:{ports['18801']}"
    listen = f"tcp://127.0.0.1:{ports['18800']}"
    command = [sys.executable, "-m", "datto_siem.plugins.cli", "filter", "--to", "ecs"]
    sidecar = subprocess.Popen(  # noqa: S603
        [*command, "--protocol", "ndjson", "--field", "log", "--listen", listen, "--send", onward]
    )
    out = tmp_path / "out"
    with out.open("wb") as stdout:
        assert FLUENT_BIT is not None
        shipper = subprocess.Popen(  # noqa: S603
            [FLUENT_BIT, "-q", "-c", "sidecar.yaml"], cwd=tmp_path, stdout=stdout
        )
    try:

        def documents() -> list[int]:
            lines = out.read_bytes().splitlines()
            found = [json.loads(line) for line in lines if line.startswith(b"{")]
            return [int(each["event"]["original"].rsplit("n=", 1)[1]) for each in found]

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", ports["5514"]))

            def first() -> bool:
                sender.send(LINE % 0)  # until everybody listens
                return bool(documents())

            until(first, "a first document")
            for at in range(1, COUNT):
                sender.send(LINE % at)
            until(lambda: set(documents()) >= set(range(COUNT)), "all documents")
    finally:
        shipper.terminate()
        sidecar.terminate()
        shipper.wait()
        sidecar.wait()
