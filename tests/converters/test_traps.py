"""The 26 traps of the vendor's page, one test each, numbered as in the project's domain notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lines import RECEIVED, plain, samples

from datto_siem.converters import decode

if TYPE_CHECKING:
    from datto_siem.converters.event import Event

AP_MAC, STATION, OTHER = "02:00:5E:10:00:03", "DA:A1:19:4C:07:22", "7E:10:9B:55:D0:3A"
UUID, APPLIANCE = "3f0a7c52-9b1d-4e8a-a6c4-51d27be90f13", "06:5E:2C:81:90:4D"
RT = "1795514300412"
MS = 1_795_514_300_412


def ap(event: str, pairs: str, prefix: str = "") -> Event:
    class_id, name = event.split("/")
    line = f"{prefix}CEF:1|Datto|AccessPoint|7.1.0|{class_id}|{name}|0|{pairs}"
    return decode(line, received=RECEIVED)


def edge(event: str, pairs: str) -> Event:
    class_id, name = event.split("/")
    line = f"CEF:1|Datto|Secure Edge|1.2.1|{class_id}|{name}|3|{pairs}"
    return decode(line, received=RECEIVED)


def noted(event: Event, kind: str) -> list[str]:
    """The keys a kind of note is about."""
    return [note.key for note in event.notes if note.kind == kind]


def test_trap_01_glued_pairs_are_parted_at_a_known_key_whose_value_fits() -> None:
    for value in (UUID, APPLIANCE):
        event = edge("traffigatord/drop", f"event_time={RT} policy_id=77external_id={value}")
        assert (event.fields["policy.id"], event.fields["client.uid"]) == ("77", value)
        assert noted(event, "glued_pair") == ["external_id"]
    assert event.original.endswith(b"policy_id=77external_id=06:5E:2C:81:90:4D")


def test_trap_01_glued_text_that_is_no_id_or_would_be_a_second_one_stays() -> None:
    event = edge("traffigatord/drop", f"event_time={RT} policy_id=77external_id=banana")
    assert event.extension["policy_id"] == "77external_id=banana"
    event = edge("traffigatord/drop", f"policy_id=77external_id={APPLIANCE} external_id={UUID}")
    assert event.fields["client.uid"] == UUID


def test_trap_02_colon_pairs_are_read_only_for_listed_keys_with_fitting_values() -> None:
    event = ap("wifi/probe", f"rt={RT} smac={AP_MAC} cs2:a dmac:b: c dvc:9 x:1 dmac:{STATION}")
    assert event.extension["cs2"] == "a dmac:b: c dvc:9 x:1"
    assert event.fields["station.mac"] == STATION
    event = ap("dhcp/up", f"rt={RT} smac={AP_MAC} dmac:{STATION} dvc:2001:db8::7 cs2:a:b")
    assert event.fields["client.ip"] == "2001:db8::7"
    event = edge("coredns/allow", f"query_time={RT} domain=cs2:x dmac:{STATION}")
    assert event.extension["domain"] == f"cs2:x dmac:{STATION}"


def test_trap_03_values_that_repeat_one_another_are_checked_and_both_kept() -> None:
    event = edge("coredns/drop", f"query_time={RT} action=allow domain=a.example.net")
    assert event.reading.activity == "dns.block"
    assert event.fields["verdict.action"] == "allow"
    assert noted(event, "conflict") == ["action"]
    event = edge("coredns/allow", f"query_time={RT} client_ip=100.64.1.1 src_addr=100.64.1.2:5353")
    assert event.fields["client.ip"] == "100.64.1.2"
    assert event.extension["client_ip"] == "100.64.1.1"
    assert noted(event, "conflict") == ["src_addr"]


def test_trap_03_values_that_agree_are_no_conflict() -> None:
    for name in ("coredns/drop", "coredns/allow", "telemeterd/*", "instance-agent/connected"):
        event = decode(plain(name).raw, received=RECEIVED)
        assert not noted(event, "conflict")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("1795510800", "session.ended", 1_795_510_800_000),
        ("1795510800123", "session.ended", 1_795_510_800_123),
        ("5412", "session.length", 5_412_000),
        ("0", "session.length", 0),
        ("1h30m12.5s", "session.length", 5_412_500),
    ],
)
def test_trap_04_duration_is_a_date_or_a_length_by_its_size(
    text: str, key: str, value: int
) -> None:
    event = edge("instance-agent/disconnected", f"timestamp={RT} duration={text}")
    assert event.fields[key] == value
    assert event.fields["session.raw"] == text
    assert len({"session.ended", "session.length"} & set(event.fields)) == 1


def test_trap_05_socket_family_and_protocol_are_told_apart_by_value() -> None:
    event = edge("coredns/allow", f"query_time={RT} socket_family=DOH socket_protocol=INET6")
    assert {event.fields["dns.socket"], event.fields["dns.family"]} == {"DOH", "INET6"}
    assert noted(event, "swapped")
    event = edge("coredns/drop", f"query_time={RT} socket_family=INET socket_protocol=UDP")
    assert not noted(event, "swapped")


@pytest.mark.parametrize(
    "name",
    [
        "deauth", "local-deauth", "inactive-deauth", "deauthenticate", "deauthenticated",
        "deauthentication", "unauth", "unauthenticated",
    ],
)  # fmt: skip
def test_trap_06_every_spelling_of_the_blank_row_is_a_deauthentication(name: str) -> None:
    event = ap(f"wifi/{name}", f"rt={RT} smac={AP_MAC} cs2:Guest dmac:{STATION} reason:3")
    assert event.reading.activity == "wifi.deauth"
    assert event.fields["wifi.reason_code"] == 3
    assert event.header is not None
    assert event.header.name == name
    assert noted(event, "inferred") == [""]


@pytest.mark.parametrize(
    ("text", "ip", "port"),
    [
        ("100.64.1.2:53211", "100.64.1.2", 53211),
        ("100.64.1.2 & 53211", "100.64.1.2", 53211),
        ("100.64.1.2,53211", "100.64.1.2", 53211),
        ("100.64.1.2 53211", "100.64.1.2", 53211),
        ("100.64.1.2#53211", "100.64.1.2", 53211),
        ("[2001:db8::7]:53211", "2001:db8::7", 53211),
        ("2001:db8::7", "2001:db8::7", None),
        ("100.64.1.2", "100.64.1.2", None),
    ],
)
def test_trap_07_src_addr_is_read_in_every_spelling(text: str, ip: str, port: int | None) -> None:
    event = edge("coredns/allow", f"query_time={RT} src_addr={text} socket_protocol=UDP")
    assert event.fields["client.ip"] == ip
    assert event.fields.get("client.port") == port


def test_trap_07_a_port_out_of_range_spoils_src_addr() -> None:
    event = edge("coredns/allow", f"query_time={RT} src_addr=100.64.1.2:70000")
    assert not {"client.ip", "client.port"} & set(event.fields)
    assert noted(event, "bad_type") == ["src_addr"]


def test_trap_08_the_domain_of_a_dns_drop_may_be_missing() -> None:
    event = edge("coredns/drop", f"query_time={RT} external_type=SOFTAWRE_DOMAIN action=drop")
    assert event.reading.activity == "dns.block"
    assert "dns.name" not in event.fields
    assert event.fields["client.kind"] == "softawre_domain"
    event = edge("coredns/drop", f"query_time={RT} external_type=SOFTAWRE domain=A.example.net.")
    assert event.fields["dns.name"] == "a.example.net"


def test_trap_09_external_type_is_folded_and_the_id_tells_the_kind() -> None:
    event = edge("telemeterd/web", f"agg_ts={RT} external_type=SOFTWARE external_id={UUID}")
    assert event.fields["client.kind"] == "software"
    assert "client.mac" not in event.fields
    event = edge("telemeterd/web", f"agg_ts={RT} external_type=Appliance external_id={APPLIANCE}")
    assert event.fields["client.kind"] == "appliance"
    assert event.fields["client.mac"] == APPLIANCE
    event = edge("telemeterd/web", f"agg_ts={RT} external_type=software external_id={APPLIANCE}")
    assert event.fields["client.mac"] == APPLIANCE


@pytest.mark.parametrize("product", ["DSW-24P", "dsw48", "Switch", "Datto Switch 24", "DSW"])
def test_trap_10_a_switch_event_is_kept_as_an_unknown_event_of_a_switch(product: str) -> None:
    line = f"<188>Nov 24 09:58:20 sw-1 CEF:0|Datto|{product}|2.0|port|link-down|4|port=12"
    event = decode(line, received=RECEIVED)
    assert event.reading.source == "switch"
    assert event.reading.activity == "unknown"
    assert event.extension["port"] == "12"
    assert event.envelope.host == "sw-1"


def test_trap_10_a_text_that_is_not_cef_keeps_its_envelope_and_body() -> None:
    line = "<188>Nov 24 09:58:20 sw-core-1 LINK: Interface gi12 link is down"
    event = decode(line, received=RECEIVED)
    assert event.header is None
    assert (event.envelope.priority, event.envelope.host) == (188, "sw-core-1")
    assert event.body is not None
    assert "Interface gi12 link is down" in event.body


def test_trap_11_the_previous_access_point_is_no_station() -> None:
    event = ap(
        "wifi/reassoc",
        f"rt={RT} smac={AP_MAC} cs2:Guest dmac:{STATION} reason:0 dattoDevicePreviousAP:{OTHER}",
    )
    assert event.fields["ap.previous_mac"] == OTHER
    assert event.fields["station.mac"] == STATION


def test_trap_12_dvc_and_dvchost_are_the_stations() -> None:
    event = ap(
        "dhcp/up",
        f"rt={RT} smac={AP_MAC} dmac:{STATION} dvc:10.20.4.117 dvchost:Jo's iPhone cs2:Guest",
        "<134>Nov 24 09:58:20 ap-lobby-3 ",
    )
    assert event.fields["client.ip"] == "10.20.4.117"
    assert event.fields["client.host"] == "Jo's iPhone"
    assert event.envelope.host == "ap-lobby-3"


def test_trap_13_smac_is_the_access_point_even_when_the_station_begins() -> None:
    for name in ("probe", "auth", "assoc", "reassoc", "deauth", "disassoc", "key-mismatch"):
        event = ap(f"wifi/{name}", f"rt={RT} smac={AP_MAC} cs2:Guest dmac:{STATION}")
        assert (event.fields["ap.mac"], event.fields["station.mac"]) == (AP_MAC, STATION)


def test_trap_14_cs2_is_the_ssid_with_or_without_a_label() -> None:
    event = ap("wifi/probe", f"rt={RT} smac={AP_MAC} cs2Label=SSID cs2:Guest dmac:{STATION}")
    assert event.fields["wifi.ssid"] == "Guest"
    assert event.extension["cs2Label"] == "SSID"


def test_trap_15_reason_is_text_on_a_reboot_and_a_number_on_wifi() -> None:
    event = ap("system/reboot", f"rt={RT} smac={AP_MAC} reason:Reboot asked by the cloud: 4")
    assert event.fields["device.reboot_reason"] == "Reboot asked by the cloud: 4"
    event = ap("wifi/disassoc", f"rt={RT} smac={AP_MAC} dmac={STATION} reason=idle too long")
    assert "wifi.reason_code" not in event.fields
    assert noted(event, "bad_type") == ["reason"]
    assert event.extension["reason"] == "idle too long"


def test_trap_16_an_event_is_known_by_product_class_and_name() -> None:
    assert edge("telemeterd/anything at all", f"agg_ts={RT}").reading.activity == "flow.report"
    assert edge("coredns/rewrite", f"query_time={RT}").reading.activity == "unknown"
    assert ap("wifi/roam", f"rt={RT}").reading.activity == "unknown"
    assert ap("telemeterd/web", f"rt={RT}").reading.activity == "unknown"


@pytest.mark.parametrize(
    "start",
    [
        "CEF:1|Datto|AccessPoint", "CEF:0|Datto|AccessPoint", "CEF: 1|Datto|AccessPoint",
        "CEF:1.2|DATTO|accesspoint", "CEF:1|datto|Access Point", "1|Datto|AccessPoint",
        "<134>Nov 24 09:58:20 h 1|Datto|AccessPoint",
    ],
)  # fmt: skip
def test_trap_17_version_blanks_and_case_of_the_header_do_not_matter(start: str) -> None:
    line = f"{start}|7.1.0|wifi|probe|0|rt={RT} smac={AP_MAC} cs2:Guest dmac:{STATION}"
    event = decode(line, received=RECEIVED)
    assert event.reading.activity == "wifi.probe"
    assert event.time == MS


def test_trap_17_a_number_and_a_pipe_alone_are_no_cef() -> None:
    assert decode("1|Other|AccessPoint|7.1.0|wifi|probe|0|rt=1", received=RECEIVED).header is None


def test_trap_18_proto_is_the_application_and_ip_proto_the_transport() -> None:
    event = edge("telemeterd/web", f"agg_ts={RT} proto=tls ip_proto=6")
    assert (event.fields["flow.app"], event.fields["flow.ip_proto"]) == ("tls", "6")


@pytest.mark.parametrize("rt", ["27", "0", "1420070399", "1795700000", "yesterday", ""])
def test_trap_19_an_implausible_clock_gives_way_to_the_next_best(rt: str) -> None:
    event = ap("system/boot", f"rt={rt} smac={AP_MAC}", "<134>Nov 24 09:58:20 ap-lobby-3 ")
    assert event.time == MS // 1000 * 1000
    assert ap("system/boot", f"rt={rt} smac={AP_MAC}").time == RECEIVED
    assert noted(event, "bad_time") or rt == ""


@pytest.mark.parametrize(
    ("rt", "when"),
    [
        ("1795514300", 1_795_514_300_000),
        ("1795514300.412", MS),
        ("1795514300412", MS),
        ("1795514300412999", MS),
        ("1795514300412999999", MS),
        ("2026-11-24T09:58:20.412Z", MS),
        ("2026-11-24T11:58:20.412+02:00", MS),
        ("1420070400", 1_420_070_400_000),
    ],
)
def test_trap_19_the_unit_of_a_time_is_told_by_its_size(rt: str, when: int) -> None:
    assert ap("wifi/probe", f"rt={rt} smac={AP_MAC}").time == when


def test_trap_20_a_code_is_a_status_on_attempts_and_a_reason_on_departures() -> None:
    for name, field in {
        "auth": "wifi.status_code",
        "assoc": "wifi.status_code",
        "reassoc": "wifi.status_code",
        "disassoc": "wifi.reason_code",
        "deauth": "wifi.reason_code",
    }.items():
        event = ap(f"wifi/{name}", f"rt={RT} smac={AP_MAC} cs2:Guest dmac:{STATION} reason:17")
        assert event.fields[field] == 17
        assert len({"wifi.status_code", "wifi.reason_code"} & set(event.fields)) == 1


def test_trap_21_each_event_has_its_own_time_key() -> None:
    assert edge("traffigatord/drop", f"event_time={RT}").time == MS
    assert edge("instance-agent/connected", f"timestamp={RT}").time == MS
    event = edge("telemeterd/web", f"agg_ts={RT}")
    assert (event.time, event.fields["flow.aggregated"]) == (MS, MS)
    event = edge("coredns/allow", f"response_time=1795514300431 query_time={RT}")
    assert event.time == MS
    assert event.fields["dns.answered"] == 1_795_514_300_431


def test_trap_22_keys_the_vendor_leaves_undefined_are_plain_text() -> None:
    event = edge("traffigatord/drop", f"event_time={RT} event_type=7 trigger=user policy")
    assert event.fields["policy.event_type"] == "7"
    assert event.fields["policy.trigger"] == "user policy"
    assert edge("telemeterd/web", f"agg_ts={RT} priority=3").fields["flow.priority"] == "3"


def test_trap_23_the_manuals_own_placeholders_are_noted_and_do_not_fail_their_type() -> None:
    for line in samples().values():
        event = decode(line, received=RECEIVED)
        assert noted(event, "placeholder")
        assert not noted(event, "bad_type")
        assert not noted(event, "bad_time")
        assert event.reading.activity != "unknown"


def test_trap_24_groups_are_gathered_in_number_order_with_a_cap() -> None:
    event = edge("coredns/drop", f"query_time={RT} groups.10=c groups.0=a groups.3=b")
    assert event.fields["policy.groups"] == ["a", "b", "c"]
    many = " ".join(f"groups.{n}=g{n}" for n in range(100))
    event = edge("coredns/drop", f"query_time={RT} {many}")
    assert event.fields["policy.groups"] == [f"g{n}" for n in range(64)]
    assert event.extension["groups.99"] == "g99"
    event = edge("coredns/drop", f"query_time={RT} groups.1000=x groups.x=y groups.0=a")
    assert event.fields["policy.groups"] == ["a"]


def test_trap_25_firmware_older_than_the_minimum_is_noted() -> None:
    line = f"CEF:1|Datto|AccessPoint|7.0.16|system|boot|0|rt={RT} smac={AP_MAC}"
    assert noted(decode(line, received=RECEIVED), "old_firmware") == [""]
    for version in ("7.0.17", "7.1.0", "10.0", "", "lab"):
        line = f"CEF:1|Datto|AccessPoint|{version}|system|boot|0|rt={RT} smac={AP_MAC}"
        event = decode(line, received=RECEIVED)
        assert event.header is not None
        assert event.header.device_version == version
        assert not noted(event, "old_firmware")


def test_trap_26_decoding_itself_hides_no_one() -> None:
    event = edge("coredns/allow", f"query_time={RT} subscriber=Kim@Example.com")
    assert event.fields["user.email"] == "kim@example.com"
    assert event.extension["subscriber"] == "Kim@Example.com"
    event = ap("wifi/probe", f"rt={RT} smac={AP_MAC} cs2:Guest dmac:{STATION.lower()}")
    assert event.fields["station.mac"] == STATION


def test_two_keys_of_one_field_in_another_case_are_a_conflict_and_no_crash() -> None:
    event = decode(
        "CEF:1|Datto|Secure Edge|1.2.1|coredns|drop|7|client_ip=192.0.2.7 SRC_ADDR=192.0.2.8:53"
    )
    assert event.fields["client.ip"] == "192.0.2.8"  # src_addr wins, in any case
    assert "conflict" in {note.kind for note in event.notes}
