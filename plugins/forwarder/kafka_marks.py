"""How far sources were read, kept in a file beside a log that is elsewhere.

A topic has no transaction with a file of ours, so a mark is written after the records before it
were confirmed: what a crash falls between is read, and appended, once more.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from datto_siem.plugins.source import Mark


class Marks:
    """The marks of one process; safe between its threads.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            OSError: It cannot be read.
        """
        self._path, self._lock = path, threading.Lock()
        self._marks: dict[str, str] = {}
        try:
            content = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return
        if isinstance(content, dict):
            self._marks = {str(name): str(value) for name, value in content.items()}

    def get(self, source: str) -> str | None:
        """The last durable position of a source."""
        return self._marks.get(source)

    def put(self, marks: Sequence[Mark]) -> None:
        """Keep marks; durable on return.

        Raises:
            OSError: The disk refuses; the old ones stay.
        """
        if not marks:
            return
        with self._lock:
            changed = {**self._marks, **{mark.source: mark.position for mark in marks}}
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(changed).encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            self._marks = changed
