"""Rows of Microsoft Sentinel's tables."""

from __future__ import annotations

import pytest

from datto_siem.converters.validators import Finding, validator

ABSENT = object()

ASIM = {
    "Type": "ASimNetworkSessionLogs",
    "TimeGenerated": "2026-11-24T10:00:00.000Z",
    "EventStartTime": "2026-11-24T10:00:00.000Z",
    "EventEndTime": "2026-11-24T10:00:00.000Z",
    "EventCount": 1,
    "EventVendor": "Datto",
    "EventProduct": "Secure Edge",
    "EventSchemaVersion": "0.2.7",
    "EventType": "NetworkSession",
    "EventResult": "Failure",
    "EventSeverity": "High",
    "Dvc": "Secure Edge",
    "DvcAction": "Drop",
    "DvcHostname": "edge-1",
    "SrcIpAddr": "192.0.2.7",
    "SrcPortNumber": 50000,
    "SrcMacAddr": "06:77:88:DD:EE:FF",
    "NetworkProtocol": "TCP",
    "NetworkPackets": 2**40,
    "AdditionalFields": {"Groups": ["social"]},
}

CSL = {
    "TimeGenerated": "2026-11-24T10:00:00.000Z",
    "DeviceVendor": "Datto",
    "Activity": "probe",
    "LogSeverity": "0",
    "SourceMACAddress": "02:11:22:AA:BB:CC",
    "SourcePort": 443,
    "ReceivedBytes": 2**40,
    "MaliciousIPLatitude": 1.5,
    "StartTime": "2026-11-24T10:00:00Z",
}


def changed(row, name, value):
    """A copy with one column replaced, added or (ABSENT) taken out."""
    if value is ABSENT:
        return {key: each for key, each in row.items() if key != name}
    return {**row, name: value}


def paths(findings):
    return [finding.path for finding in findings]


@pytest.mark.parametrize(("target", "row"), [("asim", ASIM), ("csl", CSL)])
def test_a_good_row_has_no_findings(target, row):
    assert validator(target)(row) == []


@pytest.mark.parametrize("action", ["Deny", "Drop ICMP", "Reset Source"])
def test_every_denying_action_is_a_failure(action):
    row = {**ASIM, "DvcAction": action, "EventResult": "Success"}
    assert paths(validator("asim")(row)) == ["EventResult"]
    assert validator("asim")({**row, "DvcAction": "Allow"}) == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("Type", ABSENT, "is not one of ASimAuditEventLogs"),
        ("Type", "CommonSecurityLog", "is not one of ASimAuditEventLogs"),
        ("EventCount", ABSENT, "is mandatory"),
        ("EventCount", "1", "must be a 32-bit whole number"),
        ("EventCount", 2**31, "must be a 32-bit whole number"),
        ("EventResult", "Blocked", "is not one of Success"),
        ("EventResult", "Success", "must be Failure when Drop was done"),
        ("EventSchemaVersion", "0.1", "is not 0.2.7"),
        ("EventSchema", "NetworkSession", "is not a column of ASimNetworkSessionLogs"),
        ("SSID", "x", "is not a column of ASimNetworkSessionLogs"),
        ("TenantId", "x", "is written by the service"),
        ("SrcIpAddr", "192.0.2.7:53", "is not a valid IP address"),
        ("SrcMacAddr", "06-77-88-DD-EE-FF", "is not a valid MAC address"),
        ("SrcHostname", "Jo's iPhone", "is not a valid Hostname"),
        ("SrcDomain", "exa mple.test", "is not a valid Domain"),
        ("SrcFQDN", "host", "is not a valid FQDN"),
        ("NetworkProtocol", "tcp", "is not a valid NetworkProtocol"),
        ("TimeGenerated", 1795514400, "must be an RFC 3339 time"),
        ("AdditionalFields", '{"Groups":[]}', "must be an object or a list"),
        ("TcpFlagsAck", "true", "must be true or false"),
        ("SrcUsername", None, "is null"),
    ],
)
def test_an_asim_fault_is_found_where_it_is(name, value, problem):
    found = validator("asim")(changed(ASIM, name, value))
    assert any(finding.path == name and problem in finding.problem for finding in found), found


def test_a_mandatory_text_nobody_knows_may_be_empty():
    row = {
        **{name: value for name, value in ASIM.items() if name.startswith(("Event", "Time"))},
        "Type": "ASimDhcpEventLogs",
        "EventSchema": "DhcpEvent",
        "EventSchemaVersion": "0.1.1",
        "EventType": "Release",
        "EventResult": "Success",
        "SrcIpAddr": "10.0.0.5",
        "SrcMacAddr": "06:77:88:DD:EE:FF",
        "SrcHostname": "",
    }
    assert validator("asim")(row) == []
    assert validator("asim")({**row, "EventSchema": "Dns"}) == [
        Finding("EventSchema", "'Dns' is not one of DhcpEvent")
    ]


def test_our_own_table_is_checked_by_its_columns():
    row = {"Type": "Datto_CL", "TimeGenerated": "2026-11-24T10:00:00Z", "Extensions": {"a": "b"}}
    assert validator("asim")(row) == []
    assert paths(validator("asim")({**row, "Extensions": "a=b", "More": 1})) == [
        "Extensions",
        "More",
    ]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("TimeGenerated", ABSENT, "is required"),
        ("StartTime", "yesterday", "must be an RFC 3339 time with a zone"),
        ("SourcePort", "443", "must be a 32-bit whole number"),
        ("SourcePort", 2**31, "must be a 32-bit whole number"),
        ("ReceivedBytes", 2**63, "must be a 64-bit whole number"),
        ("MaliciousIPLatitude", "1.5", "must be a number"),
        ("ReceiptTime", 1795514400, "must be text"),
        ("Ssid", "x", "is not a column of CommonSecurityLog"),
        ("_ItemId", "x", "is not a column of CommonSecurityLog"),
        ("_ResourceId", "x", "is written by the service"),
        ("Type", "Datto_CL", "is not CommonSecurityLog"),
    ],
)
def test_a_common_security_log_fault_is_found_where_it_is(name, value, problem):
    found = validator("csl")(changed(CSL, name, value))
    assert any(finding.path == name and problem in finding.problem for finding in found), found


def test_a_common_security_log_row_may_name_its_table():
    assert validator("csl")({**CSL, "Type": "CommonSecurityLog"}) == []
