"""Records from files that are being written, rotated and packed.

Owns which files there are and when one is done; what one file holds is `_file_followed`'s and
`_file_packed`'s. How far a file was read is stored together with its records: a restart goes on
there.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from datto_siem.plugins.options import Duration, Size, option
from datto_siem.plugins.seldom import Seldom
from datto_siem.plugins.sources._file_followed import Followed
from datto_siem.plugins.sources._file_packed import Damaged, read_packed
from datto_siem.plugins.sources._file_place import Outlet, peer, same, source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.plugins.meter import Meter
    from datto_siem.plugins.source import Intake

USAGE = """\
Records from files, one a line, followed as they grow.

Files may be rotated by renaming or by copying and truncating. A `.gz` file is read once; do not
name both a log and its packed rotations, or their records come twice. A last line without its end
waits until it has one, or until the file was rotated.
"""

EXAMPLE = """\
[[listen]]
type = "file"
paths = ["/var/log/datto/*.log"]
"""

_LOG = logging.getLogger(__name__)
_FIXED = re.compile(r"[^*?\[]*")


@dataclass(frozen=True)
class Config:
    """Options of files."""

    paths: list[str] = option("Files; * ? [ ] match any, ** any depth", minItems=1)
    start: Literal["beginning", "end"] = option(
        "Where files begin that are there at the first start; later ones begin at the beginning",
        "beginning",
    )
    follow: bool = option("Wait for more; false: end when all is read", True)
    poll: Duration = option("Seconds between looks for more", Duration(1.0))
    linger: Duration = option("How long a rotated file may still grow", Duration(5.0))
    max_record: Size = option("Longer lines are cut and counted", Size(64 * 1024))

    def __post_init__(self) -> None:
        """Check what the schema cannot."""
        relative = [each for each in self.paths if not each.startswith("/")]
        if relative:
            raise ValueError(f"paths: {relative[0]!r} is not absolute: begin it with /")
        if self.poll <= 0:
            raise ValueError("poll must be above 0")
        if not 480 <= self.max_record <= 16 << 20:
            raise ValueError("max_record: between 480 and 16MiB")


def open_listener(config: Config, intake: Intake, meter: Meter, name: str) -> Files:
    """Prepare; files are opened by `run`.

    Args:
        config: Its options.
        intake: Where records go.
        meter: Where they are counted.
        name: The listener's label there.
    """
    return Files(config, intake, meter, name)


class Files:
    """The files of one listener."""

    def __init__(self, config: Config, intake: Intake, meter: Meter, name: str) -> None:
        """Start with no file open."""
        self.address = f"file://{config.paths[0]}"
        self._config = config
        self._outlet = Outlet(intake, meter, name, config.max_record)
        self._seldom = Seldom(_LOG, name)
        self._files: dict[str, Followed] = {}
        self._packed: dict[str, tuple[int, int]] = {}  # size and time when last looked at
        self._unpacked: set[tuple[str, int, int]] = set()
        self._first = True
        self._stopping = threading.Event()

    def run(self) -> None:
        """Read until `stop`, or until all is read when not following."""
        try:
            while not self._stopping.is_set():
                look = time.monotonic() + self._config.poll
                self._discover()
                while (busy := self._read()) and time.monotonic() < look:
                    pass
                if busy:
                    continue
                if not self._config.follow:
                    self._end()
                    return
                self._stopping.wait(self._config.poll)
        finally:
            for each in self._files.values():
                each.close()

    def stop(self) -> None:
        """Stop reading; the place of each file is stored already."""
        self._stopping.set()

    def reload(self) -> None:
        """Files are looked for all the time."""

    def _discover(self) -> None:
        """Look for new files, and for those that were renamed or removed."""
        there = dict(self._found())
        for key, path in there.items():
            if self._stopping.is_set():
                return
            with self._complaining(path):
                if path.suffix == ".gz":
                    self._unpack(key, path)
                elif key not in self._files:
                    at_end = self._first and self._config.start == "end"
                    self._files[key] = Followed(key, path, self._outlet, at_end=at_end)
        for key, each in self._files.items():
            each.moved(there.get(key) != each.path)
        self._first = False

    def _read(self) -> bool:
        """Read a piece of each file; whether there was any."""
        busy = False
        for key, each in list(self._files.items()):
            if not self._outlet.ready(self._stopping):
                return False
            over = True  # an error closes the file; the next look opens it again
            with self._complaining(each.path):
                busy |= each.read()
                over = each.over(self._config.linger)
            if over:
                each.close()
                del self._files[key]
        return busy

    def _end(self) -> None:
        """Take the last lines of all files."""
        if not self._stopping.is_set():
            for each in self._files.values():
                each.finish()

    def _unpack(self, key: str, path: Path) -> None:
        """Read a packed file once it has stopped growing."""
        found = path.stat()
        looks = (found.st_size, found.st_mtime_ns)
        settled = self._packed.get(key) == looks or not self._config.follow
        self._packed[key] = looks
        if not settled or (key, *looks) in self._unpacked:
            return
        self._unpacked.add((key, *looks))
        read_packed(key, path, self._outlet, self._stopping)

    @contextlib.contextmanager
    def _complaining(self, path: Path) -> Iterator[None]:
        """One file that cannot be read does not stop the others."""
        try:
            yield
        except Damaged as error:
            self._outlet.broken()
            self._seldom.warn("a packed file is damaged", f"{peer(path)}: {error}")
        except OSError as error:
            self._seldom.warn("cannot read a file", f"{peer(path)}: {error.strerror}")

    def _found(self) -> Iterator[tuple[str, Path]]:
        """Files that are there now, by what stays the same when they are renamed."""
        for pattern in self._config.paths:
            named = {Path(each) for each in glob.iglob(pattern, recursive=True)}  # noqa: PTH207
            if self._first:
                yield from self._left_over(pattern, named)
            for path in sorted(named):
                key = _key(path)
                if key is not None:
                    yield key, path

    def _left_over(self, pattern: str, named: set[Path]) -> Iterator[tuple[str, Path]]:
        """Files that were renamed while nobody followed them; the next look misses them again."""
        head, begin = os.path.split(_FIXED.match(pattern)[0])  # type: ignore[index]  # matches all
        folder = Path(head)
        if not begin or not folder.is_dir():
            return
        for path in sorted(folder.iterdir()):
            if path.name.startswith(begin) and path not in named and path.suffix != ".gz":
                key = _key(path)
                if key is not None and self._continues(key, path):
                    yield key, path

    def _continues(self, key: str, path: Path) -> bool:
        """Whether a file was read before under another name."""
        known = self._outlet.stored(key)
        if known is None:
            return False
        try:
            with path.open("rb") as file:
                return same(file.fileno(), known)
        except OSError:
            return False


def _key(path: Path) -> str | None:
    """The source of an ordinary file; None for anything else."""
    try:
        found = path.stat()
    except OSError:  # gone since it was listed
        return None
    return source(found) if stat.S_ISREG(found.st_mode) else None
