"""ECS and CIM documents, and what all validators share."""

from __future__ import annotations

import copy

import pytest

from datto_siem.converters.errors import SchemaMissing
from datto_siem.converters.schemas import cim as cim_models
from datto_siem.converters.validators import TARGETS, Finding, cim, validator
from datto_siem.converters.validators.finding import shown
from datto_siem.converters.validators.formats import compiled, is_ip, is_time

ABSENT = object()

ECS = {
    "@timestamp": "2026-11-24T10:00:00.123Z",
    "ecs": {"version": "8.11.0"},
    "message": "Station used a wrong passphrase",
    "data_stream": {"type": "logs", "dataset": "datto.log", "namespace": "default"},
    "event": {
        "kind": "event",
        "category": ["authentication", "network"],
        "type": ["denied", "start"],
        "outcome": "failure",
        "severity": 7,
        "created": "2026-11-24T10:00:00.401+00:00",
    },
    "observer": {"mac": ["02-11-22-AA-BB-CC"], "ip": ["192.0.2.10"], "vendor": "Datto"},
    "client": {"mac": "06-77-88-DD-EE-FF", "ip": "2001:db8::7"},
    "network": {"direction": "outbound", "packets": 3},
    "dns": {"answers": [{"name": "example.com", "ttl": 5}]},
    "labels": {"site": "one"},
    "tags": ["datto", "forwarded"],
    "datto": {"wifi.any": None, "extensions": {}},
}

CIM = {
    "_time": 1795514400.123,
    "vendor": "Datto",
    "vendor_product": "Datto Secure Edge",
    "action": "allowed",
    "app": "https",
    "src": "192.0.2.7",
    "src_ip": "192.0.2.7",
    "src_port": 50000,
    "dest": "198.51.100.9",
    "dest_ip": "198.51.100.9",
    "dest_port": 443,
    "dvc": "gateway",
    "transport": "tcp",
    "protocol": "ip",
    "protocol_version": "ipv4",
    "direction": "outbound",
    "datto_groups": ["-", "b"],
}
TRAFFIC = ("Network_Traffic.Allowed_Traffic", ("network", "communicate"))

DHCP = {
    "_time": 1795514400,
    "vendor_product": "Datto Access Point",
    "signature": "DHCP lease assigned",
    "action": "started",
    "dest_ip": "10.0.0.5",
    "dest_mac": "06:77:88:dd:ee:ff",
}
LEASE = ("Network_Sessions.DHCP", ("network", "session", "dhcp", "start"))


def changed(document, path, value):
    """A copy with one member replaced, added or (ABSENT) taken out."""
    copied = copy.deepcopy(document)
    *way, last = path.split("/")
    members = copied
    for name in way:
        members = members.setdefault(name, {})
    if value is ABSENT:
        del members[last]
    else:
        members[last] = value
    return copied


def paths(findings):
    return [finding.path for finding in findings]


@pytest.mark.parametrize(
    ("target", "document"),
    [("ecs", ECS), ("cim", CIM), ("cim", DHCP)],
)
def test_a_good_document_has_no_findings(target, document):
    assert validator(target)(document) == []


@pytest.mark.parametrize("version", ["8.11.0", "9.4.0"])
def test_the_ecs_document_is_good_in_both_pinned_versions(version):
    assert validator("ecs", version)(ECS) == []


@pytest.mark.parametrize(
    ("path", "value", "where", "problem"),
    [
        ("@timestamp", ABSENT, "@timestamp", "is required"),
        ("@timestamp", "24 Nov 2026", "@timestamp", "must be an RFC 3339 time with a zone"),
        ("@timestamp", "2026-02-30T10:00:00Z", "@timestamp", "must be an RFC 3339 time"),
        ("ecs", ABSENT, "ecs.version", "is required"),
        ("ecs/version", "1.6.0", "ecs.version", "is not one of 8.11.0, 9.4.0"),
        ("event.code", "wifi:probe", "event.code", "is a dotted key"),
        ("client/mac", "06:77:88:dd:ee:ff", "client.mac", "does not match"),
        ("client/mac", ["06-77-88-DD-EE-FF"], "client.mac", "must be a single value"),
        ("client/ip", "192.0.2.300", "client.ip", "must be an IP address"),
        ("client/port", "443", "client.port", "must be a whole number"),
        ("client/port", True, "client.port", "must be a whole number"),
        ("client/bytes", 2**63, "client.bytes", "must be a whole number"),
        ("observer/mac", "02-11-22-AA-BB-CC", "observer.mac", "must be a list"),
        ("observer/ip", ["192.0.2.1", "x"], "observer.ip[1]", "must be an IP address"),
        ("observer/vendor", 5, "observer.vendor", "must be text"),
        ("observer/os", "linux", "observer.os", "must be an object"),
        ("event/kind", "incident", "event.kind", "is not one of alert"),
        ("event/outcome", "deny", "event.outcome", "is not one of"),
        ("event/severity", "7", "event.severity", "must be a whole number"),
        ("event/category", ["network", "nonsense"], "event.category[1]", "is not one of"),
        ("event/type", ["indicator"], "event.type", "is expected by none of"),
        ("event/category", ["authentication"], "event.type", "'denied' is expected by none of"),
        ("event/type", ["protocol"], "network.protocol", "is required with category network"),
        ("network/direction", "up", "network.direction", "is not one of ingress"),
        ("related/mac", ["x"], "related.mac", "is not a field of ECS 8.11.0"),
        ("source", {}, "source", "is empty"),
        ("tags", [], "tags", "is empty"),
        ("event/action", None, "event.action", "is null"),
        ("dns/answers", [{}, {"nonsense": 1}], "dns.answers[1].nonsense", "is not a field"),
        ("dns/answers", ["example.com"], "dns.answers[0]", "must be an object"),
    ],
)
def test_an_ecs_fault_is_found_where_it_is(path, value, where, problem):
    found = validator("ecs")(changed(ECS, path, value))
    assert any(finding.path == where and problem in finding.problem for finding in found), found


def test_type_and_category_agree_as_a_union_over_all_categories():
    both = changed(ECS, "event/category", ["authentication", "network"])
    assert validator("ecs")(both) == []
    alone = changed(ECS, "event/category", ["authentication"])
    assert paths(validator("ecs")(alone)) == ["event.type"]


def test_a_field_of_the_newer_ecs_is_refused_under_the_older():
    document = changed(ECS, "user/entity/id", "x")
    assert paths(validator("ecs", "8.11.0")(document)) == ["user.entity"]
    assert validator("ecs", "9.4.0")(document) == []


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("action", "drop", "is not one of allowed, blocked"),
        ("action", "blocked", "must be allowed in Network_Traffic.Allowed_Traffic"),
        ("transport", "TCP", "is not one of tcp, udp, icmp"),
        ("transport", ABSENT, "is required and neither there nor waived"),
        ("src_port", ABSENT, "is conditional and neither there nor waived"),
        ("src_ip", ABSENT, "is conditional and neither there nor waived"),
        ("src_ip", "192.0.2.8", "must equal src"),
        ("dest_port", "443", "must be a number"),
        ("protocol_version", ABSENT, "is conditional and neither there nor waived"),
        ("protocol", "icmp", "disagrees with transport"),
        ("channel", "6", "is forbidden in this data set"),
        ("packets_in", 3, ""),
        ("app", "unknown", "says nothing"),
        ("app", " ", "says nothing"),
        ("app", None, "is null or empty"),
        ("app", {"name": "https"}, "is nested"),
        ("dest_category", "pci", "belongs to asset and identity correlation"),
        ("tag", ["network"], "belongs to asset and identity correlation"),
        ("dest_mac", "02-11-22-AA-BB-CC", "is not a MAC address in lower case with colons"),
        ("_time", "2026-11-24T10:00:00Z", "must be a number of seconds"),
    ],
)
def test_a_cim_fault_is_found_where_it_is(name, value, problem):
    found = cim.check(changed(CIM, name, value), *TRAFFIC)
    assert any(finding.path == name and problem in finding.problem for finding in found) or (
        name == "packets_in" and any("must come together" in each.problem for each in found)
    ), found


def test_a_complete_cim_document_passes_its_data_set():
    assert cim.check(CIM, *TRAFFIC) == []
    assert cim.check(DHCP, *LEASE) == []


def test_a_waived_field_may_be_absent_or_there():
    waived = {"transport": "not reported"}
    assert cim.check(changed(CIM, "transport", ABSENT), *TRAFFIC, waived) == []
    assert cim.check(CIM, *TRAFFIC, waived) == []


def test_the_dhcp_client_is_never_src():
    found = cim.check(changed(DHCP, "src_mac", "06:77:88:dd:ee:ff"), *LEASE)
    assert found == [Finding("src_mac", "is forbidden in this data set")]


def test_a_vpn_session_needs_its_user():
    dataset, tags = "Network_Sessions.VPN", ("network", "session", "vpn")
    assert paths(cim.check(DHCP, dataset, tags)) == ["user"]
    assert cim.check({**DHCP, "user": "someone@example.com"}, dataset, tags) == []


def test_tags_lead_to_one_model_and_to_the_right_one():
    dataset, tags = TRAFFIC
    assert "needs the tags network, communicate" in cim.check(CIM, dataset, ("network",))[0].problem
    found = cim.check(CIM, dataset, (*tags, "session"))
    assert found == [
        Finding("tag", "the tags also put it into Network_Sessions; one event, one model")
    ]


def test_counts_of_a_dns_event_are_the_number_of_values():
    dataset, tags = "Network_Resolution.DNS", ("network", "resolution", "dns")
    document = {"query": ["a.example", "b.example"], "query_count": 1}
    required = [field.name for field in cim_models().dataset(dataset).fields.values()]
    waived = dict.fromkeys(required, "not reported")
    assert paths(cim.check(document, dataset, tags, waived)) == ["query_count"]
    assert cim.check({**document, "query_count": 2}, dataset, tags, waived) == []


def test_without_a_data_set_only_the_general_cim_rules_hold():
    assert validator("cim")({"vendor": "Datto", "action": "anything"}) == []
    assert paths(validator("cim")({"vendor": "unknown"})) == ["vendor"]


def test_our_own_cim_fields_may_hold_what_the_vendor_sent():
    assert validator("cim")({"datto_text": "-", "datto_previous_mac": "X"}) == []


def test_every_target_has_a_validator_that_takes_an_empty_document():
    for target in TARGETS:
        assert all(isinstance(finding, Finding) for finding in validator(target)({}))


@pytest.mark.parametrize("target", ["ecs", "ocsf"])
def test_a_version_that_is_not_pinned_is_refused_at_once(target):
    with pytest.raises(SchemaMissing, match=r"0\.0\.1 is not pinned here"):
        validator(target, "0.0.1")


def test_a_target_that_does_not_exist_is_refused_by_name():
    with pytest.raises(SchemaMissing, match="there is no target 'leef'; targets are ecs, cim"):
        validator("leef")


def test_a_value_in_a_message_is_short_and_shows_control_characters():
    assert shown("a\x1bb") == r"'a\x1bb'"
    assert len(shown("x" * 500)) == 60


def test_a_dollar_sign_of_a_schema_means_the_very_end():
    assert compiled("^a$").search("a")
    assert not compiled("^a$").search("a\n")
    assert compiled(r"^[$]\$$").search("$$")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2026-11-24T10:00:00Z", True),
        ("2026-11-24T10:00:00.123456789+02:00", True),
        ("2026-11-24T10:00:00", False),
        ("2026-11-24 10:00:00Z", False),
        ("2026-13-24T10:00:00Z", False),
        ("2026-11-24T10:00:00Z\n", False),
        (1795514400, False),
    ],
)
def test_a_time_has_a_zone_and_a_date_that_exists(text, good):
    assert is_time(text) is good


def test_an_address_is_text_without_port_or_prefix():
    assert is_ip("192.0.2.1")
    assert is_ip("2001:db8::1")
    assert not is_ip("192.0.2.1:53")
    assert not is_ip("192.0.2.0/24")
    assert not is_ip(3232235777)
