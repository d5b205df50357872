"""What the Advanced Security Information Model (ASIM) says of each schema's parsers.

Names of functions, parameters of the filtering parsers and what they filter, and the alias columns
every parser adds. Nothing here is about Datto. Source: Microsoft's ASIM schema and parser pages,
2026.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCT = "DattoNetworking"
ANY = "'*'"
NONE = "dynamic([])"


@dataclass(frozen=True)
class Filter:
    """One parameter of a filtering parser.

    Attributes:
        type: Its type.
        default: Its default, as KQL.
        column: The column it looks at; a parser without that column gives rows only for the
            default.
        test: Condition when it is set; `{column}` and `{name}` stand in it.
    """

    type: str
    default: str
    column: str
    test: str


def _prefix(column: str) -> Filter:
    return Filter("dynamic", NONE, column, "has_any_ipv4_prefix({column}, {name})")


def _words(column: str) -> Filter:
    return Filter("dynamic", NONE, column, "{column} has_any ({name})")


def _one_of(column: str) -> Filter:
    return Filter("dynamic", NONE, column, "{column} in~ ({name})")


def _equal(column: str) -> Filter:
    return Filter("string", ANY, column, "{column} =~ {name}")


TIMES = {
    "starttime": Filter("datetime", "datetime(null)", "TimeGenerated", "{column} >= {name}"),
    "endtime": Filter("datetime", "datetime(null)", "TimeGenerated", "{column} <= {name}"),
}


@dataclass(frozen=True)
class Schema:
    """One schema.

    Attributes:
        name: Its name, as in functions and `EventSchema`.
        filters: Parameter -> what it filters, between the times and `disabled`.
        aliases: Alias column -> the columns it repeats, best first.
    """

    name: str
    filters: Mapping[str, Filter]
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def filtering(self) -> str:
        """Name of the filtering parser."""
        return f"vim{self.name}{PRODUCT}"

    @property
    def parameterless(self) -> str:
        """Name of the parameterless parser."""
        return f"ASim{self.name}{PRODUCT}"


_SOURCE = ("SrcFQDN", "SrcHostname", "SrcIpAddr", "SrcDvcId", "SrcMacAddr")
_DESTINATION = ("DstFQDN", "DstHostname", "DstIpAddr", "DstDvcId", "DstMacAddr")
_TARGET = ("TargetFQDN", "TargetHostname", "TargetIpAddr", "TargetDvcId")
_DEVICE = ("DvcFQDN", "DvcHostname", "DvcIpAddr", "DvcId")

SCHEMAS: Mapping[str, Schema] = {
    "ASimNetworkSessionLogs": Schema(
        "NetworkSession",
        {
            "srcipaddr_has_any_prefix": _prefix("SrcIpAddr"),
            "dstipaddr_has_any_prefix": _prefix("DstIpAddr"),
            "ipaddr_has_any_prefix": _prefix("SrcIpAddr DstIpAddr"),
            "dstportnumber": Filter("int", "int(null)", "DstPortNumber", "{column} == {name}"),
            "hostname_has_any": _words("SrcHostname DstHostname"),
            "dvcaction": _one_of("DvcAction"),
            "eventresult": _equal("EventResult"),
        },
        {
            "Dvc": _DEVICE,
            "Src": _SOURCE,
            "Dst": _DESTINATION,
            "IpAddr": ("SrcIpAddr",),
            "Hostname": ("DstHostname",),
            "User": ("DstUsername",),
            "Rule": ("NetworkRuleName", "NetworkRuleNumber"),
            "Duration": ("NetworkDuration",),
            "SessionId": ("NetworkSessionId",),
        },
    ),
    "ASimDnsActivityLogs": Schema(
        "Dns",
        {
            "srcipaddr": _equal("SrcIpAddr"),
            "domain_has_any": _words("DnsQuery"),
            "responsecodename": _equal("EventResultDetails"),
            "response_has_ipv4": Filter("string", ANY, "DnsResponseName", "{column} has {name}"),
            "response_has_any_prefix": _prefix("DnsResponseName"),
            "eventtype": Filter(
                "string", "'Query'", "EventType", "{name} in~ ('*', 'lookup', {column})"
            ),
        },
        {
            "Dvc": _DEVICE,
            "Src": _SOURCE,
            "Dst": _DESTINATION,
            "IpAddr": ("SrcIpAddr",),
            "User": ("SrcUsername",),
            "Domain": ("DnsQuery",),
            "DnsResponseCodeName": ("EventResultDetails",),
            "DomainCategory": ("UrlCategory",),
            "Rule": ("RuleName", "RuleNumber"),
            "Duration": ("DnsNetworkDuration",),
        },
    ),
    "ASimDhcpEventLogs": Schema(
        "DhcpEvent",
        {
            "srcipaddr_has_any_prefix": _prefix("SrcIpAddr"),
            "srchostname_has_any": _words("SrcHostname"),
            "srcusername_has_any": _words("SrcUsername"),
            "eventresult": _equal("EventResult"),
        },
        {
            "Dvc": _DEVICE,
            "Src": _SOURCE,
            "IpAddr": ("SrcIpAddr",),
            "Hostname": ("SrcHostname",),
            "User": ("SrcUsername",),
            "Rule": ("RuleName",),
            "Duration": ("DhcpLeaseDuration",),
        },
    ),
    "ASimAuthenticationEventLogs": Schema(
        "Authentication",
        {
            "username_has_any": _words("TargetUsername ActorUsername"),
            "targetappname_has_any": _words("TargetAppName"),
            "srcipaddr_has_any_prefix": _prefix("SrcIpAddr"),
            "srchostname_has_any": _words("SrcHostname"),
            "eventtype_in": _one_of("EventType"),
            "eventresultdetails_in": _one_of("EventResultDetails"),
            "eventresult": _equal("EventResult"),
        },
        {
            "Dvc": _DEVICE,
            "Src": _SOURCE,
            "Dst": _TARGET,
            "IpAddr": ("SrcIpAddr",),
            "User": ("TargetUsername",),
            "Application": ("TargetAppName",),
            "LogonTarget": ("TargetAppName", "TargetHostname"),
        },
    ),
    "ASimAuditEventLogs": Schema(
        "AuditEvent",
        {
            "srcipaddr_has_any_prefix": _prefix("SrcIpAddr"),
            "actorusername_has_any": _words("ActorUsername"),
            "operation_has_any": _words("Operation"),
            "eventtype_in": _one_of("EventType"),
            "eventresult": _equal("EventResult"),
            "object_has_any": _words("Object"),
            "newvalue_has_any": _words("NewValue"),
        },
        {
            "Dvc": _DEVICE,
            "Src": _SOURCE,
            "Dst": _TARGET,
            "IpAddr": ("SrcIpAddr",),
            "User": ("ActorUsername",),
            "Application": ("TargetAppName",),
        },
    ),
}
"""Native table -> schema."""


def parameters(filters: Mapping[str, Filter]) -> str:
    """The parameters of a function, as its resource in a template states them."""
    rows = {**filters, "disabled": Filter("bool", "false", "", "")}
    return ", ".join(f"{name}:{row.type}={row.default}" for name, row in rows.items())
