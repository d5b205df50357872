"""Ready files for running `datto-siem filter` beside the OpenTelemetry Collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators._ready import TARGETS as JSON_TARGETS
from datto_siem.plugins.generators._ready import ready

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context

USAGE = "OpenTelemetry Collector fed by the converter"
TARGETS = JSON_TARGETS


def files(context: Context) -> Mapping[str, bytes]:
    """See `plugins.generator`."""
    return ready(context, "otel-exec")
