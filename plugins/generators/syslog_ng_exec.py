"""Ready files for the converter in syslog-ng: as a program beside it, or as its Python parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators._ready import TARGETS as JSON_TARGETS
from datto_siem.plugins.generators._ready import ready
from datto_siem.plugins.generators._shipped import shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context

USAGE = "syslog-ng with the converter: in-process python() parser, or program()"
TARGETS = (*JSON_TARGETS, "cef")


def files(context: Context) -> Mapping[str, bytes]:
    """See `plugins.generator`."""
    parser = shipped(".", "_syslog_ng_parser.py")
    return {**ready(context, "syslog-ng-exec"), "datto_siem_parser.py": parser}
