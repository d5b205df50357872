"""Sourcetypes in Splunk: by which name a form of a product's records goes.

The sink sends under these names and the generated add-on reads them, so both read this table.
"""

from __future__ import annotations

PRODUCTS = ("access_point", "secure_edge", "switch")
"""Source tables whose records have a sourcetype of their own in raw form."""
SOURCETYPES: dict[str, dict[str, str]] = {
    "cim": {"": "datto:cim"},
    "ecs": {"": "datto:ecs"},
    "ocsf": {"": "ocsf:datto:networking"},  # Splunk's OCSF add-on takes what begins with "ocsf:"
    "raw": {
        "access_point": "datto:accesspoint:cef",
        "secure_edge": "datto:secureedge:cef",
        "switch": "datto:switch",
        "": "datto:cef",
    },
}
"""Form -> product -> sourcetype; "" for any other."""
