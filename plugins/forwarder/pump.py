"""The pump of one output: read the log, convert, batch, hand over, commit what is settled.

Owns the order of things and the memory they may take. One thread (the caller of `run`) reads,
converts and commits; `concurrency` threads send. How a batch is settled is `delivery`'s, when it
closes is `batches`', what belongs to which part of the log `lanes`', how long a pause is `gate`'s,
how much is under way is `senders`'.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.batches import Limits, capped
from datto_siem.plugins.forwarder.delivery import Delivery
from datto_siem.plugins.forwarder.gate import Gate, Patience, shown
from datto_siem.plugins.forwarder.lanes import Lanes
from datto_siem.plugins.forwarder.letters import Letter
from datto_siem.plugins.forwarder.log import LogAway, Rewound
from datto_siem.plugins.forwarder.senders import Senders

if TYPE_CHECKING:
    from collections.abc import Callable

    from datto_siem.plugins.forwarder.batches import Batch
    from datto_siem.plugins.forwarder.letters import Letters
    from datto_siem.plugins.forwarder.log import Chunk, Reader
    from datto_siem.plugins.forwarder.noise import Noise
    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Sink

_LOG = logging.getLogger(__name__)
_STANDING_EVERY = 1.0
_POLL = 0.05
_TROUBLE = (0.5, 30.0)


@dataclass(frozen=True, slots=True)
class Pace:
    """How an output goes about its work.

    Attributes:
        concurrency: Threads that send; 1 keeps the order of the log.
        limits: The configuration's wishes for batches.
        patience: Pauses after failures.
        grace: Seconds that requests under way get at the end.
        commit: Seconds between commits of the offset.
        chunk: Bytes read from the log at once.
        held: Most bytes of memory for batches, filling and under way; one batch always fits.
    """

    concurrency: int = 1
    limits: Limits = field(default_factory=Limits)
    patience: Patience = field(default_factory=Patience)
    grace: float = 10.0
    commit: float = 0.25
    chunk: int = 256 * 1024
    held: int = 48 * 1024 * 1024


class _Over(Exception):
    """The pump is to end while it is in the middle of a chunk."""


class Pump:
    """Delivers one output's records until stopped.

    Args:
        output: The output's name.
        reader: Its place in the log.
        sink: Its destination; closed by the caller.
        dead_letters: Its dead letters.
        meter: Counts.
        pace: How it goes about it.
        noise: What it leaves out; None: nothing.
        clock: Monotonic seconds.
        wall: Epoch seconds.
    """

    def __init__(
        self,
        output: str,
        reader: Reader,
        sink: Sink,
        dead_letters: Letters,
        meter: Meter,
        pace: Pace | None = None,
        noise: Noise | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; reads nothing yet."""
        self._output, self._reader, self._sink, self._meter = output, reader, sink, meter
        self._pace = pace or Pace()
        self._noise = noise or None
        self._clock, self._wall = clock, wall
        self._gate = Gate(output, meter, self._pace.patience, clock)
        self._delivery = Delivery(output, sink, self._gate, dead_letters, meter, wall)
        self._lanes = Lanes(capped(sink.batching, self._pace.limits))
        self._senders = Senders(
            self._delivery.settle, output, self._pace.concurrency, self._pace.held // 2
        )
        self._grace = self._pace.grace
        self._stopping = False
        self._last: list[Batch] = []
        self._commit_due = self._standing_due = 0.0
        self._trouble = 0.0
        self._ailing: set[str] = set()

    def run(self) -> bool:
        """Deliver until `stop`; then let what is under way finish, within the grace.

        Returns:
            Whether everything read was settled and committed; what was not will be read again.

        Raises:
            RuntimeError: A fault in a sender thread; nothing unsettled was committed.
        """
        settled = False
        self._senders.start()
        try:
            while not self._stopping and self._senders.fault is None:
                self._turn()
        finally:
            settled = self._finish()
        if self._senders.fault is not None:
            raise RuntimeError(f"output {self._output}: a sender failed") from self._senders.fault
        return settled

    def stop(self, grace: float | None = None) -> None:
        """End `run` soon; from another thread or a signal handler.

        Args:
            grace: Seconds that requests under way get; the pace's when None.
        """
        if grace is not None:
            self._grace = grace
        self._stopping = True
        self._gate.stop()
        self._senders.stop()

    def _turn(self) -> None:
        """Read a chunk and pass it on, or wait a little."""
        chunk = None
        try:
            chunk = self._reader.read(self._pace.chunk)
        except Rewound:
            self._rewind()
            return
        except LogAway as error:  # it looks after its service itself; what was read goes on
            self._tell(error, shown(str(error)))
        except Exception as error:  # whatever a log raises: the records are still in it
            self._suffer(error)
            return
        else:
            self._recovered()
        try:
            if chunk is not None:
                self._take(chunk)
            for batch in self._lanes.aged(self._clock(), self._wall()):
                self._hand_over(batch)
            self._tend()
        except Rewound:
            self._rewind()
        except _Over:
            return
        else:
            if chunk is None:
                self._rest()

    def _take(self, chunk: Chunk) -> None:
        """Convert and batch a chunk's records."""
        if chunk.leaving:
            self._leave(chunk)
            return
        records, lane = chunk.records, self._lanes.at(chunk.end)
        if records and lane.reached is None:
            lane.committed = records[0].offset
        if chunk.lost:
            self._meter.add("lost_records", chunk.lost, reason=chunk.why)
            _LOG.error("output %s: %d records lost: %s", self._output, chunk.lost, chunk.why)
        if self._noise is not None:
            records, left_out = self._noise.kept(records)
            for reason, count in left_out.items():
                self._meter.add("dropped_records", count, output=self._output, reason=reason)
        skipped = faulty = 0
        make, add, now = self._sink.item, lane.batches.add, self._clock()
        for record in records:
            try:
                item = make(record)
            except Exception as error:  # a fault of ours: this record must not stop the others
                faulty += 1
                self._set_aside(record, error)
                continue
            if item is None:
                skipped += 1
                continue
            closed = add(record, item, now)
            if closed:
                lane.reached = record.offset + 1  # its batch holds the rest back
                for batch in closed:
                    self._hand_over(batch)
        lane.reached = chunk.end
        self._meter.add("converted_records", len(records) - skipped - faulty, output=self._output)
        if skipped:
            self._meter.add("dropped_records", skipped, output=self._output, reason="skipped")
        while self._lanes.held > self._pace.held // 2:
            oldest = self._lanes.close_oldest()
            if not oldest:
                break
            self._hand_over(oldest[0])

    def _leave(self, chunk: Chunk) -> None:
        """Another forwarder takes a lane over."""
        if chunk.leaving == "now":
            self._lanes.forget(chunk.end)
            return
        for batch in self._lanes.leave(chunk.end):
            self._hand_over(batch)
        self._commit_due = 0.0

    def _set_aside(self, record: Record, error: Exception) -> None:
        _LOG.error("output %s: record %d", self._output, record.offset, exc_info=error)
        why = f"cannot be converted, please report it: {shown(repr(error))}"
        if not self._delivery.bury([Letter(record, why)]):
            raise _Over

    def _hand_over(self, batch: Batch) -> None:
        """Give a batch to the senders; waits while they have enough, which is back-pressure."""
        while not self._senders.offer(batch, self._next_duty()):
            self._tend()
            if self._stopping:
                self._last.append(batch)
                raise _Over

    def _rest(self) -> None:
        """Wait for records, for a batch to age or for one to settle."""
        due = self._lanes.due(self._clock(), self._wall())
        self._senders.rest(_POLL if due is None else min(_POLL, max(0.0, due)))

    def _next_duty(self) -> float:
        return max(0.0, min(self._commit_due, self._standing_due) - self._clock())

    def _tend(self) -> None:
        """What is due: take in settled batches, commit, say how far the output is.

        Raises:
            Rewound: The place was moved.
            _Over: A sender failed.
        """
        if self._senders.fault is not None:
            raise _Over
        self._take_in()
        now = self._clock()
        if now >= self._commit_due:
            self._commit_due = now + self._pace.commit
            self._trying("commit", self._commit)
        if now >= self._standing_due:
            self._standing_due = now + _STANDING_EVERY
            self._trying("standing", self._stand)

    def _take_in(self) -> None:
        for batch in self._senders.settled():
            self._lanes.settled(batch)

    def _trying(self, what: str, do: Callable[[], None]) -> None:
        """Do something with the log that is tried again anyway: trouble is said once."""
        try:
            do()
        except Rewound:
            raise
        except Exception as error:  # whatever a log raises
            self._meter.say("last_error", f"log: {shown(str(error))}", output=self._output)
            if what not in self._ailing:
                self._ailing.add(what)
                _LOG.exception("output %s: %s failed, trying again", self._output, what)
        else:
            self._ailing.discard(what)

    def _commit(self) -> None:
        for lane in self._lanes:
            mark = lane.mark
            if mark is not None:
                self._reader.commit(mark)
                lane.committed = mark

    def _stand(self) -> None:
        """Say how far the output is; notice a new place even while nothing can be sent."""
        standing = self._reader.standing()
        for lane in self._lanes if standing.committed is not None else ():
            if lane.reached is not None and standing.committed != lane.committed:
                mark = lane.batches.watermark(lane.reached)
                self._reader.commit(mark)
                lane.committed = max(mark, standing.committed or 0)
        self._meter.set("lag_records", standing.waiting, output=self._output)
        oldest = standing.oldest
        age = 0.0 if oldest is None else max(0.0, self._wall() - oldest / 1000)
        self._meter.set("lag_seconds", age, output=self._output)

    def _rewind(self) -> None:
        """The place was moved: forget what is under way, it may arrive twice."""
        _LOG.warning("output %s: rewound, reading on from the new place", self._output)
        self._lanes.forget()
        self._senders.forget()

    def _suffer(self, error: Exception) -> None:
        """The log cannot be read: say so once, wait, try again."""
        first, most = _TROUBLE
        pause = min(most, self._trouble * 2 or first)
        self._tell(error)
        self._trouble = pause
        self._take_in()
        self._senders.rest(self._trouble)

    def _tell(self, error: Exception, why: str = "") -> None:
        """Say once that the log cannot be read; with the trace where no reason says it all."""
        if not self._trouble:
            said = f": {why}" if why else ""
            trace = None if why else error
            _LOG.error("output %s: the log cannot be read%s", self._output, said, exc_info=trace)
        self._meter.say("last_error", f"log: {shown(str(error))}", output=self._output)
        self._trouble = self._trouble or _TROUBLE[0]

    def _recovered(self) -> None:
        if self._trouble:
            self._trouble = 0.0
            _LOG.warning("output %s: the log can be read again", self._output)

    def _finish(self) -> bool:
        """Hand over what is open, wait for the senders within the grace, commit."""
        self._gate.stop()
        last = [*self._last, *self._lanes.close_rest()]
        self._senders.finish([] if self._senders.fault is not None else last, self._grace)
        self._take_in()
        try:
            self._commit()
        except Rewound:
            return False
        except Exception as error:  # what is not committed is delivered again
            _LOG.warning("output %s: last commit failed: %s", self._output, shown(str(error)))
            return False
        return all(lane.reached is None or lane.committed >= lane.reached for lane in self._lanes)
