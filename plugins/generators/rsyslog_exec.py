"""Ready files for running `datto-siem filter` inside rsyslog: in place, or delivering."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators._ready import TARGETS as JSON_TARGETS
from datto_siem.plugins.generators._ready import ready

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context

USAGE = "rsyslog with the converter: mmexternal in place, omprog with confirmation"
TARGETS = (*JSON_TARGETS, "cef")


def files(context: Context) -> Mapping[str, bytes]:
    """See `plugins.generator`."""
    return ready(context, "rsyslog-exec")
