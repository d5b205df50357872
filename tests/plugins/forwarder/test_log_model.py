"""The embedded log against a list: any order of appending, reading, committing, reopening."""

from __future__ import annotations

import tempfile
from pathlib import Path

from durable import TIME, arrivals, number
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from datto_siem.plugins.forwarder.log import Reader, Rewound
from datto_siem.plugins.forwarder.sqlite_log import SqliteLog
from datto_siem.plugins.source import Mark

OUTPUTS = ("one", "two")
OUTPUT = st.sampled_from(OUTPUTS)


class LogModel(RuleBasedStateMachine):
    """The model: how many records there are, each output's offset, each source's mark."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.now = TIME / 1000
        self.count = 0
        self.kept = 0
        self.committed = dict.fromkeys(OUTPUTS, 0)
        self.marks: dict[str, str] = {}
        self.open()

    def open(self) -> None:
        self.log = SqliteLog(
            Path(self.folder.name) / "log",
            max_bytes=4 * 1024 * 1024,
            keep=10,
            max_age=10**6,
            clock=lambda: self.now,
        )
        self.writers = [self.log.writer(), self.log.writer()]
        self.readers: dict[str, Reader] = {name: self.log.reader(name) for name in OUTPUTS}
        self.position = dict(self.committed)
        self.rewound: set[str] = set()

    def shut(self) -> None:
        for each in (*self.writers, *self.readers.values()):
            each.close()
        self.log.close()

    @rule(
        writer=st.integers(0, 1),
        count=st.integers(0, 20),
        size=st.sampled_from([20, 5000]),
        marked=st.booleans(),
    )
    def append(self, writer: int, count: int, size: int, marked: bool) -> None:
        if self.count * 5000 > 2_000_000:
            return
        marks = [Mark(f"8:{count % 3}", str(self.count))] if marked else []
        batch = arrivals(self.count, count, size=size, received=int(self.now * 1000) - self.count)
        assert self.writers[writer].append(batch, marks) == 0
        self.count += count
        self.marks.update({mark.source: mark.position for mark in marks})

    @rule(output=OUTPUT, nbytes=st.sampled_from([1, 30_000, 10**9]))
    def read(self, output: str, nbytes: int) -> None:
        try:
            chunk = self.readers[output].read(nbytes)
        except Rewound:
            assert output in self.rewound
            self.rewound.discard(output)
            self.position[output] = self.committed[output]
            return
        assert output not in self.rewound
        if chunk is None:
            assert self.position[output] == self.count
            return
        assert chunk.lost == 0
        start = max(self.position[output], self.kept)
        assert [each.offset for each in chunk.records] == list(range(start, chunk.end))
        assert [number(each) for each in chunk.records] == list(range(start, chunk.end))
        self.position[output] = chunk.end

    @rule(output=OUTPUT, share=st.floats(0, 1))
    def commit(self, output: str, share: float) -> None:
        low, high = self.committed[output], self.position[output]
        end = low + int((high - low) * share)
        try:
            self.readers[output].commit(end)
        except Rewound:
            assert output in self.rewound
            self.rewound.discard(output)
            self.position[output] = self.committed[output]
            return
        assert output not in self.rewound
        self.committed[output] = max(low, end)

    @precondition(lambda self: self.count > self.kept)
    @rule(output=OUTPUT, data=st.data())
    def rewind(self, output: str, data: st.DataObject) -> None:
        # Receive times of records: each was received at the time its batch was, so a time long
        # past is before all of them and one to come is behind them.
        before = data.draw(st.booleans())
        again = self.log.rewind(output, 0 if before else int(self.now * 1000) + 10**9)
        to = min(self.committed[output], self.first()) if before else self.committed[output]
        assert again == self.committed[output] - to
        self.committed[output] = to
        self.rewound.add(output)

    def first(self) -> int:
        """The first record that is there."""
        return self.count - self.log.size()[1]

    @rule(seconds=st.sampled_from([0, 1, 100]))
    def sweep(self, seconds: int) -> None:
        self.now += seconds
        assert self.log.sweep(OUTPUTS) == {}
        self.kept = self.first()
        assert self.kept <= min(self.committed.values())

    @rule()
    def reopen(self) -> None:
        self.shut()
        self.open()

    @invariant()
    def what_is_known_is_right(self) -> None:
        if not hasattr(self, "log"):
            return
        for output in OUTPUTS:
            standing = self.readers[output].standing()
            committed = max(self.committed[output], min(self.committed[output], self.first()))
            assert (standing.committed, standing.end) == (committed, self.count)
        for source, position in self.marks.items():
            assert self.writers[0].mark(source) == position

    def teardown(self) -> None:
        if hasattr(self, "log"):
            self.shut()
            self.folder.cleanup()


TestLogModel = LogModel.TestCase
TestLogModel.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
