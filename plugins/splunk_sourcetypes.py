"""Names in Splunk: the sink sends under them and the generated add-on reads them."""

from __future__ import annotations

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
EVENT_ID = "datto_event_id"
"""Indexed field of every event: what the CIM table calls the record's id."""
