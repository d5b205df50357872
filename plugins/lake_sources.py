"""Custom sources of Amazon Security Lake: the folder that holds each OCSF class.

The output `security_lake` and `plugins.spark` write to the same lake, so both read this table.
"""

from __future__ import annotations

SOURCES = {
    3002: "datto-auth",
    4001: "datto-net",
    4003: "datto-dns",
    4004: "datto-dhcp",
    4014: "datto-tunnel",
    6002: "datto-app",
}
"""class_uid -> custom source, when the configuration says nothing else."""
