"""Items and requests a second of the Elasticsearch sink, alone, against a stub that only counts.

Run: python tests/benchmarks/bench_bulk.py [RECORDS]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from ordinary_lines import ordinary  # noqa: E402  found by the line above

from datto_siem.plugins.record import Record  # noqa: E402
from datto_siem.plugins.sink import Context  # noqa: E402
from datto_siem.plugins.sinks import elasticsearch  # noqa: E402


def main() -> None:
    """Convert, then convert and post, in one thread."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    raws = ordinary(20_000)
    records = [
        Record(raws[at % len(raws)], 1_795_514_400_000 + at, "192.0.2.10", at)
        for at in range(count)
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "peers.bulk_stub", "--fast"],
        cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    with tempfile.TemporaryDirectory() as state:
        for options in ({}, {"split_products": True}):
            sink = elasticsearch.connect(
                elasticsearch.Config(urls=[url], **options), Context("bench", Path(state))
            )
            for record in records[:20_000]:
                sink.item(record)
            began = time.perf_counter()
            items = [item for record in records if (item := sink.item(record)) is not None]
            took = time.perf_counter() - began
            size = sum(len(item.body) for item in items)
            rate = f"item {count / took:,.0f}/s, {size / count:.0f} bytes each"
            print(f"{options or 'plain'}: {rate}")  # noqa: T201
            batches: dict[str, list[list[elasticsearch.Item]]] = {}
            for item in items:
                of = batches.setdefault(item.key, [[]])
                if len(of[-1]) == sink.batching.count:
                    of.append([])
                of[-1].append(item)
            began = time.perf_counter()
            for of in batches.values():
                for batch in of:
                    assert not sink.send(batch).left
            took = time.perf_counter() - began
            print(f"{options or 'plain'}: send {count / took:,.0f}/s")  # noqa: T201
            sink.close()
    print(server.communicate("")[0].strip())  # noqa: T201


if __name__ == "__main__":
    main()
