"""Rotated files of the file sink: their names, packing them, removing the oldest.

A rotated file of `events.ndjson` is `events.ndjson.20261124T101500Z`, with `.gz` when packed and
`-2` and up before that for more in one second. Packing runs in one thread of its own.
"""

from __future__ import annotations

import gzip
import logging
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)
_PART = 1 << 16
_LONGEST_TAIL = 64 * 1024 * 1024
_LEVEL = 6
_TAIL = re.compile(r"\.([0-9]{8}T[0-9]{6}Z)(?:-([0-9]+))?(\.gz)?(\.part)?")


class Rotation:
    """Moves the file aside and looks after those moved before.

    Args:
        path: The file that is written.
        keep: Rotated files kept.
        keep_bytes: Bytes of them kept, or None.
        pack: Whether they are packed.
    """

    def __init__(self, path: Path, keep: int, keep_bytes: int | None, pack: bool) -> None:
        """Touches nothing yet."""
        self._path, self._keep, self._keep_bytes, self._pack = path, keep, keep_bytes, pack
        self._packer: ThreadPoolExecutor | None = None

    def rotate(self) -> None:
        """Move the file aside; packing and pruning follow in the background.

        Raises:
            OSError: It cannot be moved.
        """
        now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        last, number, _ = max(self._rotated(), default=("", 0, self._path))
        # In the same second, or with the clock set back, the number keeps names in order.
        tail = f"{last}-{number + 1}" if last >= now else now
        self._path.rename(self._path.with_name(f"{self._path.name}.{tail}"))
        if self._packer is None:
            self._packer = ThreadPoolExecutor(1, thread_name_prefix="rotate")
        self._packer.submit(self._look_after)

    def close(self) -> None:
        """Wait until what was rotated is packed."""
        if self._packer is not None:
            self._packer.shutdown()
            self._packer = None

    def _look_after(self) -> None:
        try:
            rotated = self._rotated()
            for _, _, path in rotated:
                if path.suffix == ".part":  # of a crash; what it was made from is still there
                    path.unlink()
            self._prune()
            if self._pack:
                for _, _, path in rotated:
                    if path.suffix not in (".gz", ".part") and path.exists():
                        _packed(path)
        except OSError as error:
            _LOG.warning("%s: rotated files: %s", self._path, error.strerror)

    def _prune(self) -> None:
        room = self._keep_bytes
        for at, (_, _, path) in enumerate(reversed(self._rotated())):
            size = path.stat().st_size
            if room is not None:
                room -= size
            if at >= self._keep or (room is not None and room < 0):
                path.unlink()

    def _rotated(self) -> list[tuple[str, int, Path]]:
        """Time, number and path of rotated files, oldest first."""
        found = []
        for path in self._path.absolute().parent.iterdir():
            name = path.name
            if not name.startswith(self._path.name):
                continue
            match = _TAIL.fullmatch(name, len(self._path.name))
            if match:
                found.append((match[1], int(match[2] or 1), path))
        return sorted(found)


def _packed(path: Path) -> None:
    """Pack a file; it is there whole, packed or not, at every moment."""
    whole = path.with_name(f"{path.name}.gz")
    part = path.with_name(f"{path.name}.gz.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(part, flags, 0o640), "wb") as target, path.open("rb") as source:
        with gzip.GzipFile("", "wb", _LEVEL, target) as packer:
            shutil.copyfileobj(source, packer, _PART)
        target.flush()
        os.fsync(target.fileno())
    part.replace(whole)
    path.unlink()


def end_of_lines(descriptor: int) -> int:
    """Where the last whole line of a file ends.

    Raises:
        OSError: It does not look like a file of lines, and nothing of it is cut off.
    """
    size = at = os.fstat(descriptor).st_size
    while at and size - at < _LONGEST_TAIL:
        start = max(0, at - _PART)
        found = os.pread(descriptor, at - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    if at or (size and not os.pread(descriptor, 4, 0).startswith((b"{", b"CEF:"))):
        raise OSError("its last line does not end, so it is no file of ours: move it away")
    return 0
