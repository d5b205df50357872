"""Dead letters: records a destination will never take, kept as files until somebody decides.

Owns the files of one output, `<log>/dead-letters/<output>/00000001.ndjson` and up: one JSON object
a line, synced before the record counts as settled, mode 0600. Nothing is ever dropped from them:
at the cap `write` fails, the output halts, and says how to make room. Sending them again is
`redelivery`'s, what a line looks like `letters`'.

Two locks (both `flock`): `write.lock` around each change of files, `retry.lock` for a whole
redelivery. A redelivery first begins a new file, so that the files it works on are appended to no
more; each of those is replaced or removed as a whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from typing import TYPE_CHECKING, Any

import orjson

from datto_siem.plugins.forwarder.letters import Letter, letter_of, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FILE = re.compile(r"[0-9]{8}\.ndjson")
_PART = 1 << 16


class DeadLettersFull(OSError):
    """The files are at their cap; the message says what to do."""


class RetryRunning(Exception):
    """Another process sends this output's dead letters again."""


class DeadLetters:
    """The dead letters of one output. Safe between threads and processes.

    Args:
        directory: `dead-letters` in the log's directory.
        output: The output's name.
        rotate: Bytes after which a new file is begun.
        most: Cap on bytes of all files together.
        now: Epoch seconds.

    Raises:
        ValueError: The name would not be safe as a directory's.
    """

    def __init__(
        self,
        directory: Path,
        output: str,
        now: Callable[[], float],
        rotate: int = 16 * 1024 * 1024,
        most: int = 1024 * 1024 * 1024,
    ) -> None:
        """Touches no file yet."""
        if not _NAME.fullmatch(output):
            raise ValueError(f"{output!r} cannot be an output's name: use letters, digits, - and _")
        self.path = directory / output
        self.output = output
        self._rotate, self._most, self._now = rotate, most, now

    def write(self, letters: Sequence[Letter]) -> None:
        """Add letters; durable on return, all of them or none.

        Raises:
            DeadLettersFull: No room under the cap.
            OSError: The disk refuses.
        """
        lines = b"".join([self._line(letter) for letter in letters])
        with self._locked():
            files = self.files()
            used = sum(file.stat().st_size for file in files)
            if used + len(lines) > self._most:
                raise DeadLettersFull(
                    f"{self.path} holds {used} bytes and may hold {self._most}: mend the cause and"
                    f" run `datto-siem forward dead-letters retry --output {self.output}`, or move"
                    " files away"
                )
            last = files[-1] if files else None
            if last is not None and last.stat().st_size < self._rotate:
                _append(last, lines)
            else:
                _append(self._next(last), lines)
                _sync_directory(self.path)

    def files(self) -> list[Path]:
        """The files, oldest first."""
        try:
            found = [path for path in self.path.iterdir() if _FILE.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        return sorted(found)

    def listed(self) -> Iterator[dict[str, Any]]:
        """Every letter as its file holds it, oldest first; what cannot be read is left out."""
        for path in self.files():
            for _, document in _lines(path):
                if document is not None:
                    yield document

    def counts(self) -> tuple[int, int]:
        """Letters and bytes."""
        files = self.files()
        count = 0
        for path in files:
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                count += sum(part.count(b"\n") for part in iter(lambda: file.read(_PART), b""))
        return count, sum(path.stat().st_size for path in files if path.exists())

    @contextlib.contextmanager
    def sealed(self) -> Iterator[list[Path]]:
        """The files of now, appended to no more; for one redelivery at a time.

        Raises:
            RetryRunning: Another redelivery runs.
        """
        if not self.files():
            yield []
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(_flock(self.path / "retry.lock", fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise RetryRunning(
                    f"dead letters of {self.output} are being sent already"
                ) from error
            with self._locked():
                files = self.files()
                if files and files[-1].stat().st_size == 0:  # an earlier redelivery began it
                    files.pop()
                elif files:
                    _append(self._next(files[-1]), b"")
                    _sync_directory(self.path)
            yield files

    def read(self, path: Path) -> Iterator[tuple[bytes, Letter | None]]:
        """The lines of a file with their letters; None for a line that is no letter."""
        for line, document in _lines(path):
            yield line, None if document is None else letter_of(document)

    def replace(self, path: Path, lines: Iterable[bytes]) -> None:
        """Put what is left of a sealed file in its place, at once; remove it when nothing is."""
        content = b"".join(lines)
        with self._locked():
            if content:
                whole = path.with_suffix(".new")
                whole.unlink(missing_ok=True)
                _append(whole, content)
                whole.replace(path)
            else:
                path.unlink()
            _sync_directory(self.path)

    def again(self, letter: Letter, reason: str) -> bytes:
        """The line of a letter that was refused again."""
        return self._line(letter._replace(reason=reason, tries=letter.tries + 1))

    def _line(self, letter: Letter) -> bytes:
        return written(letter, self.output, self._now())

    def _next(self, last: Path | None) -> Path:
        number = 1 if last is None else int(last.stem) + 1
        return self.path / f"{number:08d}.ndjson"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        for folder in (self.path.parent, self.path):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _flock(self.path / "write.lock", fcntl.LOCK_EX):
            yield


@contextlib.contextmanager
def _flock(path: Path, how: int) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _append(path: Path, lines: bytes) -> None:
    """Add whole lines and sync; a half line of an earlier crash is cut off first.

    Raises:
        OSError: Nothing was added.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        end = _whole(descriptor)
        os.ftruncate(descriptor, end)
        try:
            written = 0
            while written < len(lines):
                written += os.pwrite(descriptor, lines[written:], end + written)
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, end)
            raise
    finally:
        os.close(descriptor)


def _whole(descriptor: int) -> int:
    """Where the last whole line ends."""
    size = os.fstat(descriptor).st_size
    while size:
        start = max(0, size - _PART)
        at = os.pread(descriptor, size - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        size = start
    return 0


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    try:
        file = path.open("rb")
    except FileNotFoundError:  # a redelivery has just finished it
        return
    with file:
        for line in file:
            if not line.endswith(b"\n"):  # being written, or torn by a crash
                return
            try:
                document = orjson.loads(line)
            except orjson.JSONDecodeError:
                document = None
            yield line, document if isinstance(document, dict) else None
