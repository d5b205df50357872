"""Channels: the GUIDs by which Splunk keeps the acknowledgements of its senders apart."""

from __future__ import annotations

import itertools
import logging
import threading
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)


class Channels:
    """The channel of each sending thread: a GUID that outlives the process.

    Args:
        state: Directory in which the first one is kept.
    """

    def __init__(self, state: Path) -> None:
        """Prepare; the directory is made when the first channel is asked for."""
        self._state = state
        self._base: uuid.UUID | None = None
        self._local = threading.local()
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    @property
    def current(self) -> str:
        """This thread's channel."""
        channel: str | None = getattr(self._local, "channel", None)
        if channel is None:
            with self._lock:
                if self._base is None:
                    self._base = self._kept()
                channel = str(uuid.uuid5(self._base, str(next(self._numbers))))
            self._local.channel = channel
        return channel

    def renew(self) -> None:
        """Give this thread a channel that was never used."""
        self._local.channel = str(uuid.uuid4())

    def _kept(self) -> uuid.UUID:
        path = self._state / "channel"
        try:
            return uuid.UUID(path.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            made = uuid.uuid4()
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{made}\n", encoding="ascii")
        except (
            OSError
        ) as error:  # then the next start has new channels, which costs Splunk a little
            _LOG.warning("cannot keep the channel in %s: %s", path, error.strerror)
        return made
