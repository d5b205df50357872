"""OCSF events against our own checker and, side by side, against an independent one."""

from __future__ import annotations

import copy
import os
from functools import cache

import pytest

from datto_siem.converters.schemas import ocsf, ocsf_versions
from datto_siem.converters.validators import Finding, validator

ABSENT = object()

DNS = {
    "activity_id": 6,
    "activity_name": "Traffic",
    "type_uid": 400306,
    "type_name": "DNS Activity: Traffic",
    "class_uid": 4003,
    "class_name": "DNS Activity",
    "category_uid": 4,
    "category_name": "Network Activity",
    "severity_id": 4,
    "severity": "High",
    "status_id": 2,
    "status": "Failure",
    "action_id": 2,
    "action": "Denied",
    "disposition_id": 2,
    "disposition": "Blocked",
    "time": 1795514400123,
    "metadata": {
        "version": "1.8.0",
        "product": {"name": "Secure Edge", "vendor_name": "Datto"},
        "profiles": ["host", "security_control"],
    },
    "query": {"hostname": "social.example"},
    "src_endpoint": {"ip": "10.0.0.5", "port": 50000, "mac": "06:77:88:DD:EE:FF"},
    "dst_endpoint": {
        "name": "resolver",
        "mac": "02:11:22:AA:BB:CC",
        "type_id": 99,
        "type": "Resolver",
    },
    "device": {"uid": "edge-1", "type_id": 99, "type": "SASE Gateway"},
    "actor": {"user": {"name": "someone", "email_addr": "someone@example.com"}},
    "observables": [
        {"name": "src_endpoint.ip", "type_id": 2, "type": "IP Address", "value": "10.0.0.5"},
        {"name": "query.hostname", "type_id": 1, "type": "Hostname", "value": "social.example"},
    ],
    "unmapped": {"ssid": "Guest", "any": [{"thing": None}]},
}

LOGON = {
    "activity_id": 1,
    "type_uid": 300201,
    "class_uid": 3002,
    "category_uid": 3,
    "severity_id": 1,
    "time": 1795514400123,
    "metadata": {"version": "1.8.0", "product": {"vendor_name": "Datto", "name": "AccessPoint"}},
    "user": {"uid": "06:77:88:DD:EE:FF", "type_id": 99, "type": "Wi-Fi Station"},
    "service": {"name": "Guest"},
}

UNKNOWN = {
    "activity_id": 99,
    "activity_name": "channel-switch",
    "type_uid": 99,
    "type_name": "Base Event: channel-switch",
    "class_uid": 0,
    "category_uid": 0,
    "severity_id": 0,
    "time": 1795514400123,
    "metadata": {"version": "1.8.0", "product": {"vendor_name": "Datto", "name": "AccessPoint"}},
}


def changed(document, path, value):
    """A copy with one member replaced, added or (ABSENT) taken out."""
    copied = copy.deepcopy(document)
    *way, last = path.split("/")
    members = copied
    for name in way:
        members = members[int(name)] if name.isdigit() else members.setdefault(name, {})
    if value is ABSENT:
        del members[last]
    else:
        members[last] = value
    return copied


def at(version, document):
    return changed(document, "metadata/version", version)


@cache
def outside_schema(version, uid, profiles):
    """The JSON Schema of an independent package for one class."""
    try:
        import jsonschema_rs
        from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
    except ImportError:
        if os.environ.get("CI") == "true":
            pytest.fail("ocsf-json-schema or jsonschema-rs is missing; install the test extra")
        pytest.skip("ocsf-json-schema or jsonschema-rs is not installed")
    export = get_ocsf_schema(version)
    name = next(name for name, entry in export["classes"].items() if entry["uid"] == uid)
    schema = OcsfJsonSchemaEmbedded(export).get_class_schema(name, list(profiles))
    return jsonschema_rs.Draft202012Validator(schema)


def outside_accepts(document):
    metadata = document["metadata"]
    profiles = tuple(metadata.get("profiles", []))
    return outside_schema(metadata["version"], document["class_uid"], profiles).is_valid(document)


@pytest.mark.parametrize("document", [DNS, LOGON, UNKNOWN], ids=["dns", "logon", "unknown"])
def test_a_good_event_is_good_here_and_outside(document):
    assert validator("ocsf")(document) == []
    assert outside_accepts(document)


@pytest.mark.parametrize("version", ocsf_versions())
def test_a_plain_logon_is_good_in_every_version_here_and_outside(version):
    document = at(version, LOGON)
    assert validator("ocsf")(document) == []
    assert outside_accepts(document)


STRUCTURAL = [
    ("severity_id", ABSENT, "severity_id", "is required"),
    ("severity_id", 77, "severity_id", "77 is not in the enumeration of severity_id"),
    ("severity_id", "4", "severity_id", "must be a whole number"),
    ("nonsense", 1, "nonsense", "is not an attribute of dns_activity in 1.8.0"),
    (
        "src_endpoint/nonsense",
        1,
        "src_endpoint.nonsense",
        "is not an attribute of network_endpoint",
    ),
    ("time", "1795514400123", "time", "must be a whole number"),
    ("src_endpoint/port", 70000, "src_endpoint.port", "70000 is not between 0 and 65535"),
    ("src_endpoint/mac", "06-77", "src_endpoint.mac", "is not a valid mac_t"),
    ("src_endpoint/mac", "06:77:88:DD:EE:FF\n", "src_endpoint.mac", "is not a valid mac_t"),
    ("src_endpoint/ip", "10.0.0.500", "src_endpoint.ip", "is not a valid ip_t"),
    ("actor/user/email_addr", "no mail", "actor.user.email_addr", "is not a valid email_t"),
    ("query", None, "query", "is null"),
    ("query", "social.example", "query", "must be an object"),
    ("observables", {"name": "x"}, "observables", "must be a list"),
    ("src_endpoint", {"mac": "06:77:88:DD:EE:FF"}, "src_endpoint", "needs at least one of"),
    ("metadata/profiles", ["host"], "action_id", "needs profile security_control"),
    ("metadata/product", ABSENT, "metadata.product", "is required"),
    ("is_alert", "true", "is_alert", "must be true or false"),
]


@pytest.mark.parametrize(("path", "value", "where", "problem"), STRUCTURAL)
def test_a_structural_fault_is_found_here_and_refused_outside(path, value, where, problem):
    faulted = changed(DNS, path, value)
    found = validator("ocsf")(faulted)
    assert any(each.path == where and problem in each.problem for each in found), found
    assert not any(each.warning for each in found)
    assert not outside_accepts(faulted)


def test_an_event_without_any_endpoint_is_refused_here_and_outside():
    faulted = changed(changed(DNS, "src_endpoint", ABSENT), "dst_endpoint", ABSENT)
    found = validator("ocsf")(faulted)
    assert Finding("", "dns_activity needs at least one of dst_endpoint, src_endpoint") in found
    assert not outside_accepts(faulted)


SEMANTIC = [
    ("severity", "Critical", "severity", "'Critical' is not 'High', as severity_id says"),
    ("type_name", "DNS Activity: Query", "type_name", "is not 'DNS Activity: Traffic'"),
    ("device/type", ABSENT, "device.type", "must say what type_id 99 stands for"),
    ("device/type", "Other", "device.type", "must say more than 'Other'"),
    ("proxy", {"ip": "192.0.2.1"}, "proxy", "warning: is deprecated"),
    ("time", 1795514400, "time", "is not a time in milliseconds"),
    ("observables/0/name", "src.ip", "observables[0].name", "is not a path of this class"),
    ("observables/0/name", "src_endpoint.", "observables[0].name", "is not a path of this class"),
    (
        "observables/0/value",
        "10.0.0.6",
        "observables[0].value",
        "is not what src_endpoint.ip holds",
    ),
    ("observables/0/type", "IP", "observables[0].type", "is not 'IP Address', as type_id says"),
]


@pytest.mark.parametrize(("path", "value", "where", "problem"), SEMANTIC)
def test_a_fault_no_json_schema_can_tell_is_found_here(path, value, where, problem):
    faulted = changed(DNS, path, value)
    found = validator("ocsf")(faulted)
    assert [(each.path, problem in each.problem) for each in found] == [(where, True)]
    assert outside_accepts(faulted)


def test_a_type_uid_of_another_activity_is_found_here():
    faulted = changed(LOGON, "type_uid", 300202)
    assert validator("ocsf")(faulted) == [Finding("type_uid", "300202 is not 300201")]
    assert outside_accepts(faulted)


def test_profiles_are_those_the_class_offers():
    base = changed(UNKNOWN, "metadata/profiles", ["host"])
    assert validator("ocsf")(at("1.4.0", base)) == []
    assert validator("ocsf")(at("1.3.0", base)) == [
        Finding("metadata.profiles", "base_event has no profile 'host'")
    ]
    assert validator("ocsf")(changed(LOGON, "metadata/profiles", ["cloud"])) == [
        Finding("metadata.profiles", "'cloud' is not pinned here and goes unchecked")
    ]


def test_a_service_name_in_a_query_is_only_warned_about_up_to_1_3():
    event = changed(LOGON, "src_endpoint", {"hostname": "_ldap._tcp.example.com"})
    (found,) = validator("ocsf")(at("1.3.0", event))
    assert found.warning
    assert found.path == "src_endpoint.hostname"
    assert validator("ocsf")(at("1.4.0", event)) == []


def test_an_attribute_of_a_later_version_is_refused_in_an_earlier_one():
    event = changed(LOGON, "metadata/reporter", {"ip": "192.0.2.1"})
    assert validator("ocsf")(at("1.7.0", event)) == []
    found = validator("ocsf")(at("1.6.0", event))
    assert [each.path for each in found] == ["metadata.reporter"]


def test_a_class_the_version_lacks_is_refused():
    event = {**LOGON, "class_uid": 4014}
    (found,) = validator("ocsf")(at("1.1.0", event))
    assert found.path == "class_uid"


@pytest.mark.parametrize("document", [{}, {"metadata": None}, {"metadata": {"version": "2.0"}}])
def test_an_event_that_states_no_pinned_version_is_not_checked_further(document):
    assert [each.path for each in validator("ocsf")(document)] == ["metadata.version"]


def test_an_asked_version_wins_and_the_difference_is_told():
    (found,) = validator("ocsf", "1.7.0")(LOGON)
    assert found == Finding("metadata.version", "'1.8.0' is not 1.7.0")


def test_an_observable_in_a_list_is_looked_up_by_position_or_in_all():
    def event(name, value):
        observable = {"name": name, "type_id": 99, "type": "Group", "value": value}
        user = {"name": "someone", "groups": [{"name": "a"}, {"name": "b"}]}
        return {**LOGON, "user": user, "observables": [observable]}

    check = validator("ocsf")
    assert check(event("user.groups[1].name", "b")) == []
    assert check(event("user.groups.name", "b")) == []
    assert check(event("user.groups[0].name", "b")) != []
    assert check(event("user.groups[7].name", "b")) != []


def test_an_object_that_holds_itself_very_often_is_refused_without_overflow():
    process = {"pid": 1}
    for _ in range(5000):
        process = {"pid": 1, "parent_process": process}
    found = validator("ocsf")({**LOGON, "actor": {"process": process}})
    assert [each.problem for each in found] == ["is nested deeper than 32 objects"]


def test_every_pinned_pattern_can_be_compiled():
    from datto_siem.converters.validators.formats import compiled

    for version in ocsf_versions():
        for kind in ocsf(version).types.values():
            if kind.pattern:
                assert compiled(kind.pattern)
