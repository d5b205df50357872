"""What must be so on this machine before the forwarder starts, beside a good configuration file.

Every fault at once: secrets that are not there, a log that cannot be written, events nobody knows,
an extra that is not installed. What destinations say is `doctor`'s.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import opening
from datto_siem.plugins.secret import SecretMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.plugins.forwarder.configuration import Configuration


def faults(found: Configuration) -> list[str]:
    """Everything that would keep the forwarder from working; changes nothing.

    Raises:
        TableErrors: Faults in the user's mapping tables.
    """
    return list(dict.fromkeys([*_secrets(found), *_directory(found), *_outputs(found)]))


def _secrets(found: Configuration) -> Iterator[str]:
    for secret in found.secrets():
        try:
            secret.value()
        except SecretMissing as error:
            yield str(error)


def _directory(found: Configuration) -> Iterator[str]:
    """The log's directory, or the nearest one above it, must be ours to write."""
    path = Path(found.log.path).absolute()
    nearest = next(each for each in (path, *path.parents) if each.exists())
    if not nearest.is_dir():
        yield f"log.path: {nearest} is no directory: name another"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield f"log.path: {nearest} cannot be written by this user: change its owner, or log.path"


def _outputs(found: Configuration) -> Iterator[str]:
    for output in found.outputs:
        try:
            opening.noise(found, output)
            with suppress(SecretMissing):  # told already
                opening.open_sink(found, output).close()
        except (ValueError, ModuleNotFoundError) as error:
            yield f"output {output.name}: {error}"
