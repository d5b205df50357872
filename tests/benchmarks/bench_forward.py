"""The whole forwarder on this machine: simulated syslog in, fast stubs of SIEMs out.

    python tests/benchmarks/bench_forward.py --rate 10000 --seconds 60 --outputs hec
    python tests/benchmarks/bench_forward.py --rate 30000 --seconds 20 --outputs bulk

Sender, forwarder and stubs share the cores. `end to end` is records delivered by the time from the
first record sent to the last delivered; with nothing lost it is the rate that is sustained when it
stays at the offered rate and nothing waits at the end.
"""

# ruff: noqa: T201, S603 - printing is what a benchmark does; the commands are ours
from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
UDP, ADMIN = 15514, 19514
_OUTPUTS = {
    "hec": (
        "peers.hec_stub",
        'name = "hec"\ntype = "splunk_hec"\nurl = "{url}"\ntoken = { env = "BENCH_TOKEN" }\n'
        'to = "cim"\n',
    ),
    "bulk": ("peers.bulk_stub", 'name = "bulk"\ntype = "elasticsearch"\nurls = ["{url}"]\n'),
    "file": (None, 'name = "file"\ntype = "file"\npath = "{folder}/out.ndjson"\n'),
}


def status() -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN}/status", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def until(what: Any, seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            found = what()
            if found:
                return found
        time.sleep(0.1)
    raise TimeoutError("the forwarder did not get there")


def memory(found: dict[str, Any]) -> dict[str, float]:
    """MiB of each process."""
    told = {}
    for process in found["processes"]:
        text = Path(f"/proc/{process['pid']}/status").read_text()
        (line,) = [line for line in text.splitlines() if line.startswith("VmHWM")]
        told[process["name"]] = int(line.split()[1]) / 1024
    return told


def stub(module: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", module, "--fast"]
    process = subprocess.Popen(
        command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline().split()[-1]
    return process, first if first.startswith("http") else f"http://127.0.0.1:{first}"


def configuration(folder: Path, outputs: dict[str, str]) -> Path:
    text = f'[log]\npath = "{folder}/log"\n[admin]\naddress = "127.0.0.1:{ADMIN}"\n'
    text += f'[[listen]]\ntype = "udp"\naddress = "127.0.0.1:{UDP}"\n'
    for name, url in outputs.items():
        shape = _OUTPUTS[name][1].replace("{url}", url).replace("{folder}", str(folder))
        text += f"[[output]]\n{shape}"
    path = folder / "forward.toml"
    path.write_text(text)
    return path


def measure(rate: int, seconds: float, outputs: list[str], simulate: list[str]) -> None:
    """One run."""
    os.environ["BENCH_TOKEN"] = "11111111-2222-3333-4444-555555555555"  # noqa: S105  of the stub
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {}
        for name in outputs:
            module = _OUTPUTS[name][0]
            urls[name] = ""
            if module is not None:
                process, urls[name] = stub(module)
                stack.callback(process.wait)
                stack.callback(process.kill)
        path = configuration(folder, urls)
        cli = [sys.executable, "-m", "datto_siem.plugins.cli"]
        forward = subprocess.Popen(
            [*cli, "forward", "--config", str(path)],
            stderr=(folder / "err").open("w"),
        )
        stack.callback(forward.kill)
        until(lambda: status()["ready"])
        begun = time.monotonic()
        sent = round(rate * seconds)
        given = [
            *cli,
            "simulate",
            "--to",
            f"udp://127.0.0.1:{UDP}",
            "--count",
            str(sent),
            "--quiet",
        ]
        subprocess.run([*given, "--rate", str(rate), *simulate], check=True)
        sending = time.monotonic() - begun
        time.sleep(1.5)  # counts come each second
        found = status()
        received = round(found["listeners"]["udp"]["received_records"])
        waiting = {name: told.get("lag_records", 0) for name, told in found["outputs"].items()}

        def delivered() -> bool:
            told = status()["outputs"]
            return all(told[name].get("delivered_records", 0) >= received for name in outputs)

        until(delivered, 600)
        whole = time.monotonic() - begun
        found = status()
        drops = found["listeners"]["udp"].get("kernel_drops", 0)
        print(f"offered {sent} records in {sending:.1f} s = {sent / sending:,.0f}/s")
        print(f"received {received}, lost {sent - received} (kernel drops counted {drops:.0f})")
        print(f"waiting when the sender ended: {waiting}")
        print(f"end to end {received / whole:,.0f}/s")
        print("MiB at most:", {name: round(size) for name, size in memory(found).items()})
        forward.terminate()
        forward.wait(60)


def main() -> None:
    """Measure as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--outputs", nargs="+", choices=sorted(_OUTPUTS), default=["hec"])
    parser.add_argument("--quirks", default="none")
    args = parser.parse_args()
    measure(args.rate, args.seconds, args.outputs, ["--quirks", args.quirks, "--prefix", "3164"])


if __name__ == "__main__":
    main()
