"""Rotating files: one record a line, in any of our forms.

Owns the files: opening, appending, syncing, rotating, packing, pruning. A batch is taken when it is
synced; one that fails is cut off again, so a retry does not write half of it twice.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from datto_siem.converters import Converter
from datto_siem.plugins.options import Duration, Size, option
from datto_siem.plugins.sink import TAKEN, Batching, Finding, Item, Level, Next, Reply, whole
from datto_siem.plugins.sinks._file_rotation import Rotation, end_of_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from datto_siem.plugins.record import Record
    from datto_siem.plugins.sink import Context

USAGE = """\
A file of one JSON document (or CEF line, or the record itself) a line, rotated by size or age.

The directory must exist and be writable for the forwarder. The file may be moved away at any time,
as logrotate does: the next batch goes to a new one. Two outputs cannot share a file.
"""

EXAMPLE = """\
[[output]]
name = "archive"
type = "file"
path = "/var/log/datto-siem/events.ndjson"
to = "ecs"
rotate_bytes = "100MB"
keep = 30
"""

_MODE = 0o640
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_ROOM = 100 * 1024 * 1024
_REMEDIES = {
    errno.EACCES: "let the forwarder's user write there",
    errno.EPERM: "let the forwarder's user write there",
    errno.EROFS: "the file system is mounted read-only",
    errno.ENOENT: "make the directory",
    errno.ENOTDIR: "name a file in a directory",
    errno.EISDIR: "name a file, not a directory",
    errno.ELOOP: "the file is a symbolic link: name the file itself",
    errno.ENXIO: "name an ordinary file",
    errno.EWOULDBLOCK: "another process or output writes this file: give each its own",
}


@dataclass(frozen=True)
class Config:
    """Options of the file sink."""

    path: str = option("The file; its directory must exist")
    to: Literal["ecs", "cim", "ocsf", "asim", "csl", "cef", "raw"] = option(
        "Form of a line; `raw` is the record as received, line breaks inside as `\\n`", "ecs"
    )
    ocsf_version: str | None = option("OCSF version to write; absent: the newest", None)
    rotate_bytes: Size = option(
        "Begin a new file before this size is exceeded; 0: never by size", Size(100_000_000)
    )
    rotate_age: Duration = option(
        "Begin a new file each such period of UTC (`1d`: at midnight); 0: never by age",
        Duration(86400.0),
    )
    keep: int = option("Rotated files kept; the oldest are removed", 30, minimum=0)
    keep_bytes: Size | None = option("Bytes of rotated files kept; absent: no such limit", None)
    gzip: bool = option("Pack rotated files", True)

    def __post_init__(self) -> None:
        """Check what the schema cannot."""
        if not Path(self.path).name or self.path.endswith("/"):
            raise ValueError(f"path {self.path!r} names no file: write a file's name")
        if self.ocsf_version is not None and self.to != "ocsf":
            raise ValueError('ocsf_version is for to = "ocsf" only: leave it out')


def connect(config: Config, context: Context) -> FileSink:
    """Prepare the sink; opens no file yet.

    Raises:
        DattoSiemError: Faults in the tables, or no such schema version.
    """
    converter = None
    if config.to != "raw":
        converter = Converter(config.to, config.ocsf_version, context.overlay, context.switches)
    return FileSink(config, converter)


class FileSink:
    """Appends batches to the file. Safe between threads: one batch is written at a time."""

    batching = Batching(count=5000, nbytes=4_000_000, age=1.0, each=1)

    def __init__(self, config: Config, converter: Converter | None) -> None:
        """Open nothing yet."""
        self._config = config
        self._path = Path(config.path)
        self._encode = None if converter is None else converter.encode
        self._rotation = Rotation(self._path, config.keep, config.keep_bytes, config.gzip)
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._period = 0

    def item(self, record: Record) -> Item:
        """The record's line, without its line feed."""
        if self._encode is None:
            return Item(_one_line(record.raw))
        peer = record.peer or None
        return Item(self._encode(record.raw, record.received, peer, ordinal=record.offset))

    def send(self, items: Sequence[Item]) -> Reply:
        """Append and sync."""
        lines = b"\n".join([*[item.body for item in items], b""])
        with self._lock:
            try:
                descriptor = self._ready(len(lines))
                _append(descriptor, lines)
            except OSError as error:
                self._close()
                return whole(len(items), *_judged(error, self._path))
        return TAKEN

    def check(self, test: Record | None) -> Iterable[Finding]:
        """Look at the directory, the file and the room; write the test record when given."""
        folder = self._path.absolute().parent
        what = f"directory {folder}"
        if not folder.is_dir():
            yield Finding(Level.FAULT, what, "is not there", f"make it: mkdir -p {folder}")
            return
        if not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(Level.FAULT, what, "cannot be written", _REMEDIES[errno.EACCES])
            return
        mode = folder.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            remedy = f"chmod o-w {folder}"
            yield Finding(Level.WARNING, what, "anybody can put files there", remedy)
        else:
            yield Finding(Level.GOOD, what, "can be written")
        free = shutil.disk_usage(folder).free
        level = Level.GOOD if free > _ROOM else Level.WARNING
        remedy = "" if free > _ROOM else "make room: the output waits while the disk is full"
        yield Finding(level, "room", f"{free // 1_000_000} MB are free", remedy)
        if test is not None:
            reply = self.send([self.item(test)])
            said = reply.reason or "a test record was written"
            level = Level.FAULT if reply.left else Level.GOOD
            yield Finding(level, f"file {self._path}", said)

    def close(self) -> None:
        """Close the file; a rotated file being packed is finished first."""
        with self._lock:
            self._close()
        self._rotation.close()

    def _ready(self, coming: int) -> int:
        """The open file, with room for what is coming.

        Raises:
            OSError: It cannot be had.
        """
        if self._descriptor is not None and not _same(self._descriptor, self._path):
            self._close()  # moved or removed by somebody, such as logrotate
        if self._descriptor is None:
            self._descriptor = self._open()
        if self._is_over(os.fstat(self._descriptor), coming):
            self._close()
            self._rotation.rotate()
            self._descriptor = self._open()
        return self._descriptor

    def _open(self) -> int:
        try:
            descriptor = os.open(self._path, _FLAGS, _MODE)
        except OSError as error:
            if error.errno == errno.EMLINK:  # what some systems say of O_NOFOLLOW
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error
            raise
        try:
            self._claim(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _claim(self, descriptor: int) -> None:
        """Make sure that the file is ours alone and ends with a whole line."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ENXIO, "it is not an ordinary file")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        end = end_of_lines(descriptor)
        if end < status.st_size:  # torn by a crash: never acknowledged, so it comes again
            os.ftruncate(descriptor, end)
        if not status.st_size:
            _sync_directory(self._path.absolute().parent)
        self._period = self._period_of(status.st_mtime if end else _now())

    def _is_over(self, status: os.stat_result, coming: int) -> bool:
        if not status.st_size:
            return False
        config = self._config
        if config.rotate_bytes and status.st_size + coming > config.rotate_bytes:
            return True
        return self._period_of(_now()) != self._period

    def _period_of(self, at: float) -> int:
        age = self._config.rotate_age
        return int(at // age) if age else 0

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_now = time.time


def _append(descriptor: int, lines: bytes) -> None:
    """Write and sync all or nothing."""
    before = os.fstat(descriptor).st_size
    try:
        view = memoryview(lines)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fdatasync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _judged(error: OSError, path: Path) -> tuple[Next, str]:
    """Whether somebody must mend it, and what to say."""
    said = f"{path}: {error.strerror or error}"
    if error.errno is None:
        return Next.HALT, said
    remedy = _REMEDIES.get(error.errno)
    return (Next.RETRY, said) if remedy is None else (Next.HALT, f"{said}: {remedy}")


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _one_line(raw: bytes) -> bytes:
    """The record on one line; breaks inside are written as CEF writes them."""
    text = raw.rstrip(b"\r\n\0")
    if b"\n" in text:
        text = text.replace(b"\n", b"\\n")
    return text


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
