"""The worker of one process: batches in, finished bytes and counts out."""

from __future__ import annotations

import pytest

from datto_siem.converters import Converter, shapes
from datto_siem.plugins.cli.work import Batch, Settings

RECEIVED = 1_795_514_400_000
LINE = "CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412 smac=02:00:5E:10:00:0{}"


def worker():
    made = Settings("ecs").worker()
    converter = made.converter
    converter.shapes = shapes.Shapes(converter.decoder, converter.target, converter.types)
    return made


@pytest.mark.parametrize(("count", "made"), [(2, 0), (31, 1), (32, 1)])
def test_shapes_are_made_at_once_where_many_records_are(count, made):
    few = worker()
    records = [LINE.format(number % 10) for number in range(count)]
    content, tally = few(Batch(records, 0, RECEIVED))
    assert few.converter.shapes.held.shapes == made
    converter = Converter("ecs")
    for at, (record, line) in enumerate(zip(records, content.split(b"\n"), strict=False)):
        event = converter.decoder.decode(record.encode(), RECEIVED, None, None, at)
        assert line == converter.dump(event)
    assert (tally.records, tally.undecodable) == (count, 0)


def test_the_first_of_many_is_written_by_its_own_shape(monkeypatch):
    first = worker()
    monkeypatch.setattr(Converter, "__call__", None)  # the ordinary way's document
    content, tally = first(Batch([LINE.format(1)] * 40, 0, RECEIVED))
    assert content.count(b"\n") == tally.records == 40


def test_events_that_no_table_knows_wait_until_they_come_often():
    waiting = worker()
    records = [LINE.format(1).replace("boot", f"event-{number}") for number in range(40)]
    waiting(Batch(records, 0, RECEIVED))
    assert waiting.converter.shapes.held.shapes <= 1
