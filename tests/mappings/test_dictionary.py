"""The CEF dictionary: complete, typed, and every field it fills is one of the vocabulary's."""

from __future__ import annotations

import pytest

from datto_siem.converters.casts import CASTS
from datto_siem.converters.plan.reading import reading
from datto_siem.converters.tables.load import load

TABLES = load()
ROWS = TABLES.roots["dictionary.yaml"].plain()["keys"]
STANDARD = {key: row for key, row in ROWS.items() if not row.get("also")}

# The document's lists, written down here on their own so that a row lost from the table is seen.
PRODUCER = """
act app cat cnt destinationDnsDomain destinationServiceName destinationTranslatedAddress
destinationTranslatedPort deviceDirection deviceDnsDomain deviceExternalId deviceFacility
deviceInboundInterface deviceNtDomain deviceOutboundInterface devicePayloadId deviceProcessName
deviceTranslatedAddress dhost dmac dntdom dpid dpriv dproc dpt dst dtz duid duser dvc dvchost
dvcpid end externalId fileCreateTime fileHash fileId fileModificationTime filePath filePermission
fileType fname fsize in msg oldFileCreateTime oldFileHash oldFileId oldFileModificationTime
oldFileName oldFilePath oldFilePermission oldFileSize oldFileType out outcome proto reason request
requestClientApplication requestContext requestCookies requestMethod rt shost smac sntdom
sourceDnsDomain sourceServiceName sourceTranslatedAddress sourceTranslatedPort spid spriv sproc
spt src start suid suser type
"""
ADDED = """
agentTranslatedZoneKey agentZoneKey customerKey deviceTranslatedZoneKey deviceZoneKey
dTranslatedZoneKey dZoneKey sTranslatedZoneKey sZoneKey frameworkName reportedDuration
reportedResourceGroupName reportedResourceID reportedResourceName reportedResourceType
threatActor threatAttackID
"""
CONSUMER = """
agt ahost aid amac art at atz av agentDnsDomain agentNtDomain agentTranslatedAddress
customerExternalID customerURI dlat dlong eventId rawEvent slat slong
"""
ZONES = [
    f"{side}{part}"
    for side in (
        *("agent", "agentTranslated", "destination", "destinationTranslated"),
        *("device", "deviceTranslated", "source", "sourceTranslated"),
    )
    for part in ("ZoneExternalID", "ZoneURI")
]
CUSTOM = [
    *(f"cs{number}" for number in range(1, 7)),
    *(f"cn{number}" for number in range(1, 4)),
    *(f"cfp{number}" for number in range(1, 5)),
    *("c6a1", "c6a3", "c6a4", "deviceCustomDate1", "deviceCustomDate2"),
    *("flexDate1", "flexString1", "flexString2"),
]
DOCUMENT = [
    *(PRODUCER + ADDED + CONSUMER).split(),
    *ZONES,
    *CUSTOM,
    *(f"{key}Label" for key in CUSTOM),
]
PEERS = {"mrt", "catdt", "dvcmac", "c6a2", "flexNumber1", "flexNumber2"}


def test_the_dictionary_has_the_174_keys_of_the_document() -> None:
    assert len(DOCUMENT) == len(set(DOCUMENT)) == 174
    assert set(STANDARD) == set(DOCUMENT)


def test_keys_that_only_other_readers_know_are_marked() -> None:
    also = {key for key, row in ROWS.items() if row.get("also")}
    assert also == PEERS | {"c6a2Label", "flexNumber1Label", "flexNumber2Label"}


def test_every_key_has_a_full_name_and_a_cast() -> None:
    assert not [key for key, row in ROWS.items() if not row.get("name") or row["as"] not in CASTS]


@pytest.mark.parametrize(
    ("key", "name", "cast", "size"),
    [
        ("src", "sourceAddress", "ip", None),
        ("c6a3", "deviceCustomIPv6Address3", "ip", None),
        ("dpt", "destinationPort", "port", None),
        ("dmac", "destinationMacAddress", "mac", None),
        ("act", "deviceAction", "text", 63),
        ("in", "bytesIn", "int", None),
        ("art", "agentReceiptTime", "time", None),
        ("slat", "sourceGeoLatitude", "float", None),
        ("cs6", "deviceCustomString6", "text", 4000),
        ("cs6Label", "deviceCustomString6Label", "text", 1023),
        ("flexString1Label", "flexString1Label", "text", 128),
        ("sourceTranslatedZoneURI", "sourceTranslatedZoneURI", "text", 2048),
        ("sZoneKey", "sZoneKey", "int", None),
        ("threatAttackID", "threatAttackID", "text", 32),
    ],
)
def test_a_key_is_known_with_name_type_and_size(
    key: str, name: str, cast: str, size: int | None
) -> None:
    row = TABLES.dictionary[key]
    assert (row.name, row.cast, row.size) == (name, cast, size)


def test_two_keys_never_fill_one_field() -> None:
    fields = [row.field for row in TABLES.dictionary.values() if row.field]
    assert len(fields) == len(set(fields)) > 50


@pytest.mark.parametrize("name", sorted(TABLES.sources))
def test_unknown_events_of_every_source_read_standard_keys_and_known_events_do_not(
    name: str,
) -> None:
    source = TABLES.sources[name]
    for event in source.events.values():
        filled = {field for cast in reading(source, event).casts for _, field in cast.parts}
        own = {field for rule in source.keys.values() for field in rule.parts.values()}
        assert ("std.source.ip" in filled) == (event.activity == "unknown")
        if event.activity != "unknown":
            assert not {field for field in filled - own if field.startswith("std.")}
