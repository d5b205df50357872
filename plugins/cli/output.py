"""Where finished bytes go: standard output, or a file that appears only when it is whole.

A file is written under a temporary name beside its own and renamed at the end, so that a full disk
or an interrupt leaves whatever stood there before. A device or a pipe is written straight.
"""

from __future__ import annotations

import gzip
import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from datto_siem.plugins.failure import Failure, OutputClosed, os_failure
from datto_siem.plugins.shown import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

STDOUT = "-"


class StandardOutput:
    """Standard output as bytes; every write is handed on at once, so that pipes do not wait."""

    def __init__(self) -> None:
        """Refuse a closed standard output."""
        if sys.stdout is None:
            raise Failure("standard output is closed", "name a file with -o")
        self._stream = sys.stdout.buffer

    def write(self, content: bytes | memoryview) -> None:
        """Write and flush.

        Raises:
            OutputClosed: The reader went away.
            Failure: The system refuses.
        """
        try:
            self._stream.write(content)
            self._stream.flush()
        except BrokenPipeError as error:
            silence()
            raise OutputClosed from error
        except OSError as error:
            silence()
            problem = os_failure("cannot write standard output", error)
            raise Failure(
                problem.problem, f"what is there is not whole; {problem.remedy}"
            ) from error

    def __enter__(self) -> StandardOutput:
        """Nothing to open."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Nothing to finish."""


class FileOutput:
    """A file that appears under its name only when all went well."""

    def __init__(self, path: str) -> None:
        """Open the temporary file; a `.gz` name is packed (with no time inside, so reproducibly).

        Raises:
            Failure: There is no such directory, or it cannot be written.
        """
        self.name = escaped(path)
        self._part: Path | None = None
        self._straight = False
        try:
            self._final = Path(os.path.realpath(path))  # a link stays a link
            self._file = self._open()
        except (OSError, ValueError) as error:
            raise self._failure(error) from error
        packed = path.endswith(".gz")
        self._stream = (
            cast("BinaryIO", gzip.GzipFile("", "wb", 6, self._file, mtime=0))
            if packed
            else self._file
        )

    def _open(self) -> BinaryIO:
        mode = 0o666
        if self._final.is_dir():
            raise IsADirectoryError(21, "it is a directory")
        if self._final.exists():
            state = self._final.stat()
            if not stat.S_ISREG(state.st_mode):
                self._straight = True
                return self._final.open("wb")
            mode = stat.S_IMODE(state.st_mode)
        part = self._final.with_name(f".{self._final.name[:200]}.{secrets.token_hex(4)}.part")
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        self._part = part
        return os.fdopen(number, "wb")

    def write(self, content: bytes | memoryview) -> None:
        """Write a part.

        Raises:
            Failure: The system refuses; nothing is left behind.
        """
        try:
            self._stream.write(content)
        except BrokenPipeError as error:
            raise OutputClosed from error
        except OSError as error:
            raise self._failure(error) from error

    def __enter__(self) -> FileOutput:
        """Opened already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the file its name, or take the temporary one away."""
        try:
            if kind is None:
                self._finish()
        except OSError as problem:
            raise self._failure(problem) from problem
        finally:
            self._discard()

    def _finish(self) -> None:
        if self._stream is not self._file:
            self._stream.close()
        self._file.flush()
        if self._part is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._final)
            self._part = None

    def _discard(self) -> None:
        """Close, whatever is still buffered, and remove the temporary file if it is there."""
        for stream in (self._stream, self._file):
            with suppress(OSError, ValueError):
                stream.close()
        if self._part is not None:
            with suppress(OSError):
                self._part.unlink()
            self._part = None

    def _failure(self, error: Exception) -> Failure:
        if not isinstance(error, OSError):
            return Failure(f"cannot write {self.name}", "check the path")
        problem = os_failure(f"cannot write {self.name}", error)
        told = "what is there is not whole" if self._straight else "nothing was written"
        return Failure(problem.problem, f"{told}; {problem.remedy}")


def output(path: str | None, inputs: Iterable[str]) -> StandardOutput | FileOutput:
    """The output that `-o` names.

    Args:
        path: A file, or None or `-` for standard output.
        inputs: The files being read.

    Raises:
        Failure: It is one of the inputs, or cannot be opened.
    """
    if path is None or path == STDOUT:
        return StandardOutput()
    for each in inputs:
        with suppress(OSError, ValueError):
            if Path(each).samefile(path) and Path(path).is_file():
                raise Failure(f"{escaped(path)} is input and output", "write to another file")
    return FileOutput(path)


def silence() -> None:
    """Keep the interpreter from trying again, and complaining, when it exits."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
