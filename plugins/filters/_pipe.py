"""The loop over standard input and output: what is there is answered at once, in one write.

Reading whatever is there and answering all of it before reading again gives the speed of batches
to a busy shipper and no delay to a quiet one; nothing needs to be told when to flush.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datto_siem.plugins.filter import Replies

_CHUNK = 1 << 16
LONGEST = 16 * 1024 * 1024
"""Bytes of a line that are kept; the rest of a longer one is left out, and it gets its reply."""


class Lines:
    """Splits chunks into lines without reading any byte twice."""

    def __init__(self) -> None:
        """Nothing is held yet."""
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk."""
        first, feed, rest = chunk.partition(b"\n")
        if not feed:
            self._hold(first)
            return []
        self._hold(first)
        lines = [self.rest()]
        whole = rest.split(b"\n")
        self._hold(whole.pop())
        return lines + whole

    def rest(self) -> bytes:
        """What is held, and nothing is held any more."""
        line = b"".join(self._held)
        self._held, self._size = [], 0
        return line

    def _hold(self, part: bytes) -> None:
        room = LONGEST - self._size
        if part and room > 0:
            self._held.append(part[:room])
            self._size += min(len(part), room)


def serve(replies: Replies, read: int, write: int, stop: int) -> None:
    """Answer until the input ends, or until something arrives on `stop`.

    On a stop, what has arrived already is still answered.

    Args:
        replies: The protocol.
        read: Descriptor of the input.
        write: Descriptor of the output.
        stop: Descriptor that a signal handler writes to.

    Raises:
        BrokenPipeError: Nobody reads the replies any more.
    """
    lines = Lines()
    _write(write, replies.hello)
    while True:
        ready, _, _ = select.select([read, stop], [], [])
        if read not in ready:
            break
        chunk = os.read(read, _CHUNK)
        if not chunk:
            break
        _write(write, b"".join([replies.reply(_bare(line)) for line in lines.feed(chunk)]))
    rest = lines.rest()
    if rest:
        _write(write, replies.reply(_bare(rest)))


def _bare(line: bytes) -> bytes:
    return line[:-1] if line[-1:] == b"\r" else line


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
