from __future__ import annotations

import os

import pytest

from datto_siem.converters.errors import SchemaMissing
from datto_siem.converters.schemas import cim, columns, ecs, ecs_versions, ocsf, ocsf_versions
from datto_siem.converters.schemas.extract import variant
from datto_siem.converters.validators.cim_rules import condition, validity

PROFILES = {"host", "security_control", "datetime"}


def ocsf_export(version):
    """The full export of an independent package; it may be absent except in CI."""
    try:
        from ocsf_json_schema import get_ocsf_schema
    except ImportError:
        if os.environ.get("CI") == "true":
            pytest.fail("ocsf-json-schema is missing; install the test extra")
        pytest.skip("ocsf-json-schema is not installed")
    return get_ocsf_schema(version)


def profiles_of(attribute):
    if "profiles" in attribute:
        return set(attribute["profiles"] or [])
    return {attribute["profile"]} if attribute.get("profile") else set()


def told(attribute):
    """An export's attribute in the terms of ours."""
    return (
        attribute["type"],
        attribute.get("object_type"),
        attribute.get("is_array", False),
        attribute["requirement"] == "required",
        attribute.get("sibling"),
        {key: value["caption"] for key, value in attribute.get("enum", {}).items()},
        frozenset(profiles_of(attribute) & PROFILES),
        "@deprecated" in attribute,
    )


def ours(attribute):
    return (
        attribute.type,
        attribute.object_type,
        attribute.array,
        attribute.required,
        attribute.sibling,
        {str(key): caption for key, caption in attribute.enum.items()},
        attribute.profiles,
        attribute.deprecated,
    )


@pytest.mark.parametrize("version", ocsf_versions())
def test_one_merged_file_gives_every_ocsf_version_as_its_own_export_has_it(version):
    export, schema = ocsf_export(version), ocsf(version)
    pairs = [(export["classes"][name], entry) for name, entry in schema.classes.items()]
    pairs += [(export["objects"][name], entry) for name, entry in schema.objects.items()]
    for theirs, entry in pairs:
        wanted = {
            name: told(attribute)
            for name, attribute in theirs["attributes"].items()
            if not profiles_of(attribute) or profiles_of(attribute) & PROFILES
        }
        assert {name: ours(each) for name, each in entry.attributes.items()} == wanted
        constraints = theirs.get("constraints", {})
        assert list(entry.at_least_one) == constraints.get("at_least_one", [])
        assert list(entry.just_one) == constraints.get("just_one", [])


@pytest.mark.parametrize("version", ocsf_versions())
def test_every_object_an_attribute_names_is_pinned(version):
    schema = ocsf(version)
    entries = [*schema.classes.values(), *schema.objects.values()]
    attributes = [attribute for entry in entries for attribute in entry.attributes.values()]
    assert {a.object_type for a in attributes if a.object_type} == set(schema.objects)
    assert {a.type for a in attributes if not a.object_type} <= set(schema.types)


def test_each_ocsf_version_has_its_own_classes_and_captions():
    assert "tunnel_activity" not in ocsf("1.1.0").classes
    assert "tunnel_activity" in ocsf("1.2.0").classes
    restart = 5
    assert (
        restart not in ocsf("1.2.0").classes["application_lifecycle"].attributes["activity_id"].enum
    )
    assert (
        ocsf("1.3.0").classes["application_lifecycle"].attributes["activity_id"].enum[restart]
        == "Restart"
    )
    dns = ocsf("1.8.0").classes["dns_activity"]
    assert (dns.uid, dns.caption, dns.category_uid) == (4003, "DNS Activity", 4)
    assert dns.category_name == "Network Activity"
    assert dns.at_least_one == ("dst_endpoint", "src_endpoint")
    assert ocsf("1.1.0").classes["dns_activity"].at_least_one == ()


def test_attributes_of_profiles_that_are_not_ours_are_left_out():
    for version in ocsf_versions():
        for entry in ocsf(version).classes.values():
            assert "cloud" not in entry.attributes
            assert "osint" not in entry.attributes
            assert "metadata" in entry.attributes


def test_observables_come_from_the_attribute_its_type_or_its_object():
    schema = ocsf("1.8.0")
    assert schema.objects["user"].attributes["uid"].observable == 31  # the attribute
    assert schema.objects["network_endpoint"].attributes["ip"].observable == 2  # its type
    assert schema.classes["dns_activity"].attributes["src_endpoint"].observable == 20  # its object
    assert schema.observable_types[2] == "IP Address"
    assert schema.objects["network_endpoint"].attributes["mac"].pattern is not None


def test_ecs_fields_keep_type_array_pattern_and_values():
    schema = ecs("8.11.0")
    mac, kind = schema.field("observer.mac"), schema.field("event.kind")
    assert mac is not None
    assert (mac.type, mac.array) == ("keyword", True)
    assert mac.pattern == "^[A-F0-9]{2}(-[A-F0-9]{2}){5,}$"
    assert kind is not None
    assert set(kind.allowed) >= {"alert", "event", "metric", "state", "pipeline_error", "signal"}
    assert "inbound" in schema.field("network.direction").expected
    assert schema.field("client.mac").array is False
    assert schema.field("related.mac") is None
    assert "denied" in schema.expected_types("network")
    assert schema.expected_types("nonsense") == ()


def test_both_pinned_ecs_versions_keep_their_own_fields():
    assert ecs_versions() == ("8.11.0", "9.4.0")
    assert len(ecs("8.11.0").fields) == 1659
    assert len(ecs("9.4.0").fields) == 2605


def test_a_cim_data_set_inherits_from_its_parents_and_overrides_them():
    dhcp = cim().dataset("Network_Sessions.DHCP")
    assert dhcp.fields["dest_mac"].type == "required"  # of All_Sessions
    assert dhcp.fields["src_mac"].forbidden  # optional in All_Sessions
    assert not cim().dataset("Network_Sessions.VPN").fields["src_mac"].forbidden
    assert dhcp.tags == (("network", "session", "dhcp"),)
    assert cim().dataset("Change.Device_Restarts").fields["object"].type == "required"
    assert cim().dataset("Network_Traffic.Blocked_Traffic").clusters
    assert cim().dataset("Network_Sessions.DHCP").fields["lease_duration"].numeric


def test_every_condition_and_validity_of_the_pinned_models_is_translated():
    for entry in cim().datasets.values():
        for field in entry.fields.values():
            if field.condition:
                assert condition(field.condition) is not None, field
            if field.validity:
                assert validity(field.name, field.validity) is not None, field


def test_fields_that_are_no_columns_are_marked():
    network = columns().table("ASimNetworkSessionLogs")
    assert network["EventSchema"].physical is False
    assert network["Dvc"].physical is True
    assert sum(column.physical for column in network.values()) == 146
    assert columns().table("ASimDnsActivityLogs")["Src"].physical is True
    assert "EventOriginalSubType" not in {
        name for name, c in columns().table("ASimDnsActivityLogs").items() if c.physical
    }


def test_sentinel_enumerations_are_words_and_not_prose():
    network = columns().table("ASimNetworkSessionLogs")
    assert set(network["EventResult"].allowed) == {"Success", "Partial", "Failure", "NA"}
    assert "L2NetworkSession" in network["EventType"].allowed
    assert "IDS" in network["EventType"].allowed
    assert columns().table("ASimDnsActivityLogs")["EventResultDetails"].allowed == ()
    for table in columns().tables.values():
        for column in table.values():
            assert not {"", "-", "Placeholder", "contoso"} & set(column.allowed)
            assert column.type in {
                "string",
                "int",
                "long",
                "real",
                "datetime",
                "dynamic",
                "boolean",
            }


def test_common_security_log_and_our_own_table_are_there():
    csl = columns().table("CommonSecurityLog")
    assert len(csl) == 163
    assert csl["ReceiptTime"].type == "string"
    assert csl["EventType"].type == "int"
    assert csl["TenantId"].klass == "Service"
    assert columns().table("Datto_CL")["Extensions"].type == "dynamic"


def test_an_entry_with_variants_gives_the_one_of_the_asked_version():
    entry = {"variants": [{"until": "1.3.0", "v": 1}, {"since": "1.3.0", "until": "1.5.0", "v": 2}]}
    assert variant(entry, (1, 2, 0)) == entry["variants"][0]
    assert variant(entry, (1, 3, 0)) == entry["variants"][1]
    assert variant(entry, (1, 5, 0)) is None


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: ecs("1.0.0"), "ECS 1.0.0 is not pinned here; pinned are 8.11.0, 9.4.0"),
        (lambda: ocsf("1.9.0"), "OCSF 1.9.0 is not pinned here"),
        (lambda: cim().dataset("Web.Web"), "CIM data set Web.Web is not in the pinned models"),
        (lambda: columns().table("Syslog"), "Sentinel table Syslog is not pinned"),
    ],
)
def test_what_is_not_pinned_is_refused_by_name(ask, message):
    with pytest.raises(SchemaMissing, match=message):
        ask()
