"""The log's directory: its permissions, its locks, the names and sizes of its files.

Owns what is not inside a database: the lock all writers pass, the claim of one running forwarder,
and `sequence`, a few bytes that say where the log ends. They are written after each commit and not
synced, so after damage they tell how much is missing; nothing else depends on them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.plugins.forwarder.claim import claimed
from datto_siem.plugins.forwarder.log import LogRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".segment"
_SIDES = ("", "-wal", "-shm")
_ASIDE = ".damaged-"
_SEQUENCE = struct.Struct("<QQI")
_DIGITS = 20
_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "lustre", "gfs2"),
    *("ocfs2", "beegfs", "gpfs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs"),
}


_UNUSABLE = (
    "{}: cannot be used as the log's directory ({}); set log.path to a directory of this user"
)


class Sequence(NamedTuple):
    """Where the log ends, as last written down."""

    end: int
    """One behind the last record."""
    current: int
    """First offset of the segment that is appended to."""


class Directory:
    """An open directory of a log; safe between threads and processes."""

    def __init__(self, path: Path) -> None:
        """Make the directory when it is not there.

        Raises:
            LogRefused: It is on a network file system or not ours.
        """
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            network = network_type(path, _mounts())
        except OSError as error:
            raise LogRefused(_UNUSABLE.format(path, error.strerror)) from error
        if network:
            raise LogRefused(
                f"{path} is on a network file system ({network}), where locks and syncs cannot be "
                "trusted; set log.path to a local disk"
            )
        try:
            if not any(path.iterdir()):
                path.chmod(0o700)
            self._sequence = os.open(path / "sequence", os.O_RDWR | os.O_CREAT, 0o600)
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise LogRefused(_UNUSABLE.format(path, error.strerror)) from error
        self._held = [self._sequence, self._fd]
        self._lock = threading.RLock()
        self._depth = 0
        self._counted = (-1, -1, 0)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock that appending, removing and repairing take; ends with its process."""
        with self._lock:
            if not self._depth:
                fcntl.flock(self._fd, fcntl.LOCK_EX)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    fcntl.flock(self._fd, fcntl.LOCK_UN)

    def claim(self) -> None:
        """Keep any other forwarder off this log until `close`.

        Raises:
            LogRefused: Another one runs.
        """
        self._held.append(claimed(self.path / "forwarder.lock"))

    def sequence(self) -> Sequence | None:
        """Where the log ends, or None when that is not known."""
        data = os.pread(self._sequence, _SEQUENCE.size, 0)
        if len(data) < _SEQUENCE.size:
            return None
        end, current, crc = _SEQUENCE.unpack(data)
        return Sequence(end, current) if crc == zlib.crc32(data[:-4]) else None

    def write_sequence(self, sequence: Sequence) -> None:
        """Write down where the log ends."""
        data = _SEQUENCE.pack(*sequence, 0)[:-4]
        os.pwrite(self._sequence, data + struct.pack("<I", zlib.crc32(data)), 0)

    def segment(self, first: int) -> Path:
        """The file of the segment that begins with an offset."""
        return self.path / f"{first:0{_DIGITS}d}{SUFFIX}"

    def segments(self) -> list[int]:
        """First offsets of all segments, in order."""
        found = []
        for name in self._names():
            stem, dot, suffix = name.partition(".")
            if dot + suffix == SUFFIX and len(stem) == _DIGITS and stem.isdecimal():
                found.append(int(stem))
        return sorted(found)

    def size(self, current: int | None = None) -> int:
        """Bytes of all files of the log; counted anew without `current`.

        Args:
            current: The segment being appended to; what the others take is remembered until a
                file appears or goes.
        """
        stamp = os.fstat(self._fd).st_mtime_ns
        if current is None or self._counted[:2] != (current, stamp):
            apart = [] if current is None else [each.name for each in _files(self.segment(current))]
            with os.scandir(self._fd) as entries:
                sizes = [_size(each) for each in entries if each.name not in apart]
            self._counted = (-1 if current is None else current, stamp, sum(sizes))
        total = self._counted[2]
        if current is not None:
            total += sum(map(_length, _files(self.segment(current))))
        return total

    def remove(self, first: int) -> None:
        """Give back what a segment takes."""
        for path in _files(self.segment(first)):
            path.unlink(missing_ok=True)

    def move_aside(self, path: Path) -> Path:
        """Keep a damaged database under another name, out of the way."""
        number = 1
        while (aside := path.with_name(f"{path.name}{_ASIDE}{number}")).exists():
            number += 1
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
        wal = path.with_name(path.name + "-wal")
        if wal.exists():
            wal.rename(aside.with_name(aside.name + "-wal"))
        path.rename(aside)
        return aside

    def remove_aside(self) -> bool:
        """Remove one file that was moved aside, when room is needed; whether there was one."""
        found = sorted(name for name in self._names() if _ASIDE in name)
        if found:
            (self.path / found[0]).unlink(missing_ok=True)
        return bool(found)

    def _names(self) -> list[str]:
        """Names of all files."""
        with os.scandir(self._fd) as entries:
            return [each.name for each in entries]

    def sync(self) -> None:
        """Make the names of files durable."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            held, self._held = self._held, []
        for fd in held:
            os.close(fd)


def network_type(path: Path, mounts: str) -> str | None:
    """The type of the network file system a path is on; None when it is local.

    Args:
        path: It exists.
        mounts: The text of `/proc/self/mountinfo`; without it, every path counts as local.
    """
    resolved = path.resolve()
    longest, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        place = before.split(" ")[4].encode().decode("unicode_escape")  # "\040" is a space
        if resolved.is_relative_to(place) and len(place) >= longest:
            longest, kind = len(place), after.split(" ")[0]
    return kind if kind in _NETWORK else None


def _mounts() -> str:
    """What is mounted where, on systems that say so."""
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _files(path: Path) -> list[Path]:
    """A database and its side files."""
    return [path.with_name(path.name + side) for side in _SIDES]


def _length(path: Path) -> int:
    """A file's size; 0 when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _size(entry: os.DirEntry[str]) -> int:
    """A listed file's size; folders (dead letters) are somebody else's."""
    try:
        return entry.stat(follow_symlinks=False).st_size if entry.is_file() else 0
    except FileNotFoundError:
        return 0
