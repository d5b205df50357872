"""Ready files for running `datto-siem filter` from Logstash, which has no filter for programs.

Owns the artefact `logstash-exec`: the sidecar, the ruby filter script that holds one co-process,
and the pipe input. What the program answers is `filters`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators._shipped import part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from datto_siem.plugins.generator import Context

USAGE = "Logstash with `datto-siem filter` as sidecar, inside a ruby filter, or behind a pipe"
TARGETS = ("ecs", "ocsf", "cim", "asim", "csl")

_FOLDER = "ruby"

_SCRIPT = "datto_siem_exec.rb"
_CONFIGURATIONS = ("sidecar.conf", "exec.conf", "pipe.conf")


def files(context: Context) -> Mapping[str, bytes]:
    """The files of the artefact."""
    marks = {"STAMP": context.stamp, "TARGET": context.target}
    output = "elasticsearch.conf" if context.target == "ecs" else "file.conf"
    marks["OUTPUT"] = part(_FOLDER, output, marks).rstrip("\n")
    found = {name: part(_FOLDER, name, marks) for name in (*_CONFIGURATIONS, _SCRIPT)}
    found["README.md"] = part(_FOLDER, "exec.md", marks)
    return {name: text.encode() for name, text in found.items()}
