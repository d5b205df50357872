"""Records out of a stream of bytes: octet counts, line feeds, NULs; found out for each stream.

Owns where records begin and end (RFC 6587, RFC 5425), and nothing else: no socket, no file. Any
cutting of the same bytes into pieces gives the same records.

How a stream is framed is decided once, by its first bytes: `123 <34>`, `123 CEF:` or `123 0|` are
octet counts, anything else is lines. It is not decided again at each line, because one who gets a
line feed into a value would then choose how much of what follows is one record.
"""

from __future__ import annotations

import re
from typing import Literal

Mode = Literal["auto", "octet", "lf", "nul"]

_COUNTED = re.compile(rb"[1-9][0-9]{0,7} (?:<[0-9]|CEF:|[01]\|)")
_COUNT = re.compile(rb"([1-9][0-9]{0,7}) ")
_COUNT_BYTES = 9
_ENOUGH = _COUNT_BYTES + 4  # bytes after which `_COUNTED` matches or never will
_BETWEEN = b"\r\n\0"
_DELIMITER = re.compile(rb"[\n\0]")


class Framing:
    """Takes one stream apart.

    Args:
        mode: How records are framed; `auto` finds out.
        longest: Bytes of a record that are kept, a CR at its end included; the rest is skipped.

    Attributes:
        errors: Frames without a valid count, or not whole at the end of the stream, so far.
        cut: Records cut at `longest` so far.
    """

    def __init__(self, mode: Mode, longest: int) -> None:
        """Start at the beginning of a stream."""
        self._mode: Mode = mode
        self._longest = longest
        self._delimiter = {"lf": b"\n", "nul": b"\0"}.get(mode)
        self._both = False  # found out to end with NUL: then line feeds end records too
        self._rest = bytearray()
        self._lacking = 0  # bytes that the frame in `_rest` still needs
        self._skip = 0  # bytes of a cut frame still to come
        self._to_end = False  # the rest of a cut line is still to come
        self._broken = False  # a frame without a count: read up to its line feed
        self.errors = 0
        self.cut = 0

    @property
    def pending(self) -> bool:
        """Whether a record has begun and not ended."""
        return bool(self._rest or self._skip or self._to_end)

    @property
    def held(self) -> int:
        """Bytes of the record begun that were taken in and not given out."""
        return len(self._rest)

    @property
    def skipping(self) -> bool:
        """Whether the rest of a line that was cut is still to come."""
        return self._to_end

    def skip_line(self) -> None:
        """The stream begins within a line that was cut: skip its rest."""
        self._to_end = True

    def feed(self, data: bytes) -> list[bytes]:
        """The records that end in this piece; empty ones are left out."""
        if self._mode == "auto":
            self._rest += data
            if not self._decided():
                return []
            data = bytes(self._rest)
            self._rest.clear()
        return self._octets(data) if self._mode == "octet" else self._lines(data)

    def end(self) -> list[bytes]:
        """The stream has ended: what came of a last record is a record."""
        raw = bytes(self._rest)
        self._rest.clear()
        if self._mode == "octet" and not self._broken and (raw or self._skip):
            self.errors += 1
            counted = _COUNT.match(raw)
            raw = raw[counted.end() :] if counted else raw
        return self._kept([raw])

    def _decided(self) -> bool:
        """Find out how the stream is framed, once its bytes tell."""
        kept = self._rest.lstrip(_BETWEEN)
        self._rest = kept
        if _COUNTED.match(kept):
            self._mode = "octet"
        elif kept and (kept[0] not in b"123456789" or len(kept) >= _ENOUGH or b"\n" in kept):
            self._mode = "lf"
        return self._mode != "auto"

    def _lines(self, data: bytes) -> list[bytes]:
        if self._delimiter is None:
            first = _DELIMITER.search(data)
            if first is not None:
                self._delimiter = first[0]
                self._both = first[0] == b"\0"
        delimiter = self._delimiter
        if delimiter is None or (delimiter not in data and not (self._both and b"\n" in data)):
            if not self._to_end:
                self._rest += data
            return self._overlong()
        if self._both:
            data = data.replace(b"\n", delimiter)
        lines = data.split(delimiter)
        lines[0] = bytes(self._rest) + lines[0]
        if self._to_end:
            del lines[0]
            self._to_end = False
        self._rest[:] = lines.pop()
        return self._kept(lines) + self._overlong()

    def _overlong(self) -> list[bytes]:
        """A line above the cap is given out before it ends."""
        if len(self._rest) <= self._longest:
            return []
        line = bytes(self._rest)
        self._rest.clear()
        self._to_end = True
        return self._kept([line])

    def _kept(self, lines: list[bytes]) -> list[bytes]:
        """Records of lines: cut at the cap, endings off."""
        longest = self._longest
        if any(len(line) > longest for line in lines):
            self.cut += sum(len(line) > longest for line in lines)
            lines = [line[:longest] for line in lines]
        return [record for line in lines if (record := line.rstrip(_BETWEEN))]

    def _octets(self, data: bytes) -> list[bytes]:
        broken = self._broken and b"\n" not in data
        if len(data) < self._lacking or (broken and len(self._rest) + len(data) <= self._longest):
            self._rest += data
            self._lacking = max(0, self._lacking - len(data))
            return []
        if self._rest:
            data = bytes(self._rest) + data
            self._rest.clear()
        self._lacking = 0
        records: list[bytes] = []
        at: int | None = 0
        while at is not None and at < len(data):
            if not (self._skip or self._to_end or self._broken):
                at = self._whole(data, at, records)
            begun = at
            at = self._frame(data, begun, records) if begun < len(data) else begun
            if at is None:
                self._rest[:] = data[begun:]
        return records

    def _whole(self, data: bytes, at: int, records: list[bytes]) -> int:
        """Take frames that are as they should be and all there; where they end."""
        match, longest, there = _COUNT.match, self._longest, len(data)
        while counted := match(data, at):
            start = counted.end()
            end = start + int(counted[1])
            if end > there or end - start > longest:
                break
            if record := data[start:end].rstrip(_BETWEEN):
                records.append(record)
            at = end
        return at

    def _frame(self, data: bytes, at: int, records: list[bytes]) -> int | None:
        """Take what begins here; where the next begins, or None when more bytes are needed."""
        if self._skip:
            skipped = min(self._skip, len(data) - at)
            self._skip -= skipped
            return at + skipped
        if self._to_end or self._broken:
            return self._repaired(data, at, records)
        if data[at] in _BETWEEN:  # some add a line feed they do not count
            return at + 1
        counted = _COUNT.match(data, at)
        if counted is None:
            head = data[at : at + _COUNT_BYTES]
            if len(head) < _COUNT_BYTES and head.isdigit() and head[0] != 48:
                return None
            self.errors += 1
            self._broken = True
            return at
        start, size = counted.end(), int(counted[1])
        kept = min(size, self._longest)
        if len(data) - start < kept:
            self._lacking = start + kept - len(data)
            return None
        records += self._kept([data[start : start + kept]])
        self.cut += size > kept
        self._skip = size - kept
        return start + kept

    def _repaired(self, data: bytes, at: int, records: list[bytes]) -> int | None:
        """A broken frame is a record up to the next line feed; then counts are expected again."""
        end = data.find(b"\n", at)
        if self._to_end:
            self._to_end = end < 0
            return end + 1 if end >= 0 else len(data)
        line = data[at : end if end >= 0 else len(data)]
        if end < 0 and len(line) <= self._longest:
            return None
        records += self._kept([line])
        self._broken = False
        self._to_end = end < 0
        return end + 1 if end >= 0 else len(data)
