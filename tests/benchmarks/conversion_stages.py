"""Where the time of one record goes, for `bench_convert.py`: CPU microseconds of each stage.

The short way is that of records with a shape, which is nearly all of them; the ordinary way is that
of every other. Stages that one function does together are told apart by leaving work out.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.converters import Converter, syslog
from datto_siem.converters.output import dump
from datto_siem.converters.shapes import MOMENTS
from datto_siem.plugins.archives import Source
from datto_siem.plugins.cli.work import Batch, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from datto_siem.converters.assembly import Shape
    from datto_siem.converters.event import Event
    from datto_siem.converters.shapes import Shapes

_ORDINARY = 10_000
"""Records for the ordinary way, which is slow."""


class _Call(NamedTuple):
    """One record and the shape that takes it."""

    shape: Shape
    given: tuple[Any, ...]
    text: str
    end: int


def short_way(target: str, paths: Sequence[Path], received: int) -> dict[str, float]:
    """The stages of the command's own way, on the second file; the first makes the shapes."""
    worker = Settings(target=target).worker()
    for lines in Source(str(paths[0])).lines():
        worker(Batch(lines.records(), 0, received))
    batches = [lines.records() for lines in Source(str(paths[1])).lines()]
    texts = [text for records in batches for text in records]
    count = len(texts)
    shapes = worker.converter.shapes
    calls = [call for text in texts if (call := _call(shapes, text)) is not None]
    *moment, _ = MOMENTS[received]
    output: list[bytes] = []

    def reading() -> None:
        for lines in Source(str(paths[1])).lines():
            lines.records()

    def converting() -> None:
        output[:] = [worker(Batch(records, 0, received))[0] for records in batches]

    def matching() -> None:
        for shape, _, text, end in calls:
            shape.match(text, end).groups()

    def values() -> None:
        for shape, given, text, end in calls:
            shape.write(text, "", end, given, received, *moment, "", None, 0)

    def writing() -> None:
        with paths[1].with_suffix(".out").open("wb") as file:
            for each in output:
                file.write(each)

    took = {work.__name__: _best(work) / count for work in (reading, converting, writing)}
    scale = 1 / max(len(calls), 1)
    match, write = _best(matching) * scale, _best(values) * scale
    return {
        "read and split": took["reading"],
        "envelope, header, shape": took["converting"] - write,
        "decode (match)": match,
        "map and encode": write - match,
        "write": took["writing"],
    }


def _call(shapes: Shapes, text: str) -> _Call | None:
    start, end = text.find("CEF:"), text.rfind("|", 0, text.find("=")) + 1
    family, header = shapes._headers.get(text[start:end], (None, None))
    envelope = syslog.prefix(text[:start]) if start else syslog.NO_ENVELOPE
    for shape in family.shapes if family else ():
        given = shape.sender(envelope, None, header)
        if shape.ordered and shape.match(text, end):
            return _Call(shape, given, text, end)
    return None


def ordinary_way(target: str, path: Path, received: int) -> dict[str, float]:
    """The stages of the reference path's compiled form."""
    converter = Converter(target)
    raws = path.read_bytes().split(b"\n")[:_ORDINARY]
    texts = [raw.decode() for raw in raws]
    events: list[Event] = []
    documents: list[dict[str, Any]] = []

    def envelope() -> None:
        for text in texts:
            syslog.prefix(text[: text.find("CEF:")])

    def decoding() -> None:
        events[:] = [converter.decoder.decode(raw, received) for raw in raws]

    def mapping() -> None:
        documents[:] = [converter(event) for event in events]

    def encoding() -> None:
        for document in documents:
            dump(document)

    took = {}
    for work in (envelope, decoding, mapping, encoding):
        took[work.__name__] = _best(work) / len(raws)
    return {
        "envelope": took["envelope"],
        "decode": took["decoding"] - took["envelope"],
        "map": took["mapping"],
        "encode": took["encoding"],
    }


def _best(work: Callable[[], None]) -> float:
    """CPU microseconds, the least of three."""
    times = []
    for _ in range(3):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times) * 1e6
