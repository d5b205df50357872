"""What must be so on this machine before the forwarder starts, beside a good configuration file.

Every fault at once: secrets that are not there, a log that cannot be written, events nobody knows,
an extra that is not installed. What destinations say is `doctor`'s.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from datto_siem.plugins.forwarder import kafka_client, opening
from datto_siem.plugins.forwarder.log import LogRefused
from datto_siem.plugins.secret import SecretMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datto_siem.plugins.forwarder.configuration import Configuration, Output
    from datto_siem.plugins.forwarder.opening import Role


def faults(found: Configuration, role: Role = "both") -> list[str]:
    """Everything that would keep the forwarder from working; changes nothing.

    Args:
        found: The configuration.
        role: What it is to do: a receiver needs nothing of the outputs.

    Raises:
        TableErrors: Faults in the user's mapping tables.
    """
    outputs = () if role == "receiver" else found.outputs
    told = [*_secrets(found, role), *_directory(found), *_log(found), *_outputs(found, outputs)]
    if role != "both" and found.log.type != "kafka":
        told.append(f'--role {role} needs a log that machines share: log.type = "kafka"')
    return list(dict.fromkeys(told))


def _secrets(found: Configuration, role: Role) -> Iterator[str]:
    theirs = [each for output in found.outputs for each in output.secrets()]
    for secret in found.secrets():
        if role == "receiver" and secret in theirs:
            continue
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


def _log(found: Configuration) -> Iterator[str]:
    """What a log on other machines needs on this one."""
    if found.log.kafka is None:
        return
    try:
        with suppress(SecretMissing):  # told already
            kafka_client.producer(found.log.kafka, lambda error: None)
    except (LogRefused, ModuleNotFoundError) as error:
        yield str(error)


def _outputs(found: Configuration, outputs: Sequence[Output]) -> Iterator[str]:
    for output in outputs:
        try:
            opening.noise(found, output)
            with suppress(SecretMissing):  # told already
                opening.open_sink(found, output).close()
        except (ValueError, ModuleNotFoundError) as error:
            yield f"output {output.name}: {error}"
