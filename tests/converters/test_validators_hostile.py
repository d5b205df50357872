"""No document makes a validator raise, whatever stands in it."""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from datto_siem.converters.schemas import cim as cim_models
from datto_siem.converters.validators import Finding, cim, validator

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["version", "ip", "name", "", "a.b"]), inner, max_size=3)
    ),
    max_leaves=6,
)

SEEDS = {
    "ecs": {
        "@timestamp": "2026-11-24T10:00:00Z",
        "ecs": {"version": "8.11.0"},
        "event": {"category": ["network"], "type": ["protocol"], "kind": "event"},
        "observer": {"mac": ["02-11-22-AA-BB-CC"]},
        "network": {"protocol": "dns"},
        "dns": {"answers": [{"name": "example.com"}]},
    },
    "ocsf": {
        "class_uid": 3002,
        "activity_id": 1,
        "type_uid": 300201,
        "time": 1795514400123,
        "metadata": {"version": "1.8.0", "profiles": ["host"], "product": {"name": "x"}},
        "user": {"uid": "x", "type_id": 99, "type": "Station"},
        "device": {"ip": "192.0.2.1", "type_id": 1},
        "observables": [{"name": "user.uid", "type_id": 31, "value": "x"}],
    },
    "asim": {
        "Type": "ASimNetworkSessionLogs",
        "DvcAction": "Drop",
        "EventResult": "Failure",
        "EventSchemaVersion": "0.2.7",
        "SrcIpAddr": "192.0.2.1",
        "TimeGenerated": "2026-11-24T10:00:00Z",
    },
    "csl": {"Type": "CommonSecurityLog", "SourcePort": 1, "StartTime": "2026-11-24T10:00:00Z"},
}


def places(document):
    """Every member of a document, as the containers and keys that lead to it."""
    found = []
    for key in document if isinstance(document, dict) else range(len(document)):
        found.append((key,))
        if isinstance(document[key], (dict, list)):
            found += [(key, *rest) for rest in places(document[key])]
    return found


def replaced(document, place, value):
    copied = copy.deepcopy(document)
    members = copied
    for key in place[:-1]:
        members = members[key]
    members[place[-1]] = value
    return copied


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_value_in_any_place_makes_a_validator_raise(data):
    target = data.draw(st.sampled_from(sorted(SEEDS)))
    place = data.draw(st.sampled_from(places(SEEDS[target])))
    document = replaced(SEEDS[target], place, data.draw(JSON))
    assert all(isinstance(finding, Finding) for finding in validator(target)(document))


FIELDS = sorted({name for each in cim_models().datasets.values() for name in each.fields})


@settings(max_examples=300, deadline=None)
@given(
    document=st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["tcp", "ip", "-"])),
    dataset=st.sampled_from(sorted(cim_models().datasets)),
    tags=st.sets(st.sampled_from(["network", "session", "vpn", "dhcp", "change", "account"])),
)
def test_no_value_of_a_cim_field_makes_the_validator_raise(document, dataset, tags):
    found = cim.check(document, dataset, tags)
    assert all(isinstance(finding, Finding) for finding in found)
