"""Streams of the data collection rule (DCR): which table's rows go to which stream.

The sink sends to these names and the generated DCR declares them, so both read this table.
"""

from __future__ import annotations

STREAMS = {
    "ASimNetworkSessionLogs": "Custom-DattoNetworkSession",
    "ASimDnsActivityLogs": "Custom-DattoDns",
    "ASimDhcpEventLogs": "Custom-DattoDhcpEvent",
    "ASimAuthenticationEventLogs": "Custom-DattoAuthentication",
    "ASimAuditEventLogs": "Custom-DattoAuditEvent",
    "CommonSecurityLog": "Custom-DattoCommonSecurityLog",
    "Datto_CL": "Custom-Datto_CL",
}
"""Destination table -> stream of the DCR."""
