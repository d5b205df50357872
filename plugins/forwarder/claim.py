"""A claim on a file: one process at a time, let go of by closing it or by the process's end."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder.log import LogRefused

if TYPE_CHECKING:
    from pathlib import Path


def claimed(path: Path) -> int:
    """Claim a file; the descriptor to close in the end.

    Raises:
        LogRefused: Another process has it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(fd, 32).decode("ascii", "replace").strip()
        os.close(fd)
        raise LogRefused(
            f"{path.parent} is in use by another forwarder (process {holder or 'unknown'}); "
            "stop it, or give this one its own log.path"
        ) from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    return fd
