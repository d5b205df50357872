"""The worker of one process: batches in, finished bytes and counts out."""

from __future__ import annotations

import pytest
from shape_making import RECEIVED, forgetful

from datto_siem.converters import Converter, shapes
from datto_siem.plugins.cli.work import Batch, Settings

LINE = "CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412 smac=02:00:5E:10:00:0{}"


def worker():
    made = Settings("ecs").worker()
    made.converter = forgetful("ecs")
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


def test_headers_made_up_cannot_use_up_all_shapes_by_coming_once(monkeypatch):
    monkeypatch.setattr(shapes, "_MOST_EAGER", 3)
    flooded = worker()
    records = [LINE.format(1).replace("7.1.0", f"9.9.{number}") for number in range(40)]
    flooded(Batch(records, 0, RECEIVED))
    assert flooded.converter.shapes.held.shapes == 3
    flooded(Batch([LINE.format(1)] * 40, 0, RECEIVED))
    assert flooded.converter.shapes.held.shapes == 4
