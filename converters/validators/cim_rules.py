"""The SPL conditions and validities of the pinned CIM models, as Python.

SPL is not evaluated; the few expressions the models use are translated here, and a test fails when
a new pin brings one that is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import inf

from datto_siem.converters.validators.formats import is_ip, is_lower_mac, is_mac, is_number

Document = Mapping[str, object]
Rule = Callable[[Document, frozenset[str]], bool]

_WHERE = re.compile(r'match\((\w+),\s*"(\^\(\[0-9A-F\])?')
_PAIR = re.compile(r'(\w+)="?(\w+)"?')


def _count(value: object) -> int:
    """Splunk's mvcount: members of a multivalue field, 1 for a single value."""
    return len(value) if isinstance(value, list) else 1


def _says(name: str, *words: str) -> Rule:
    return lambda document, tags: str(document.get(name, "")).lower() in words


def _has(*names: str) -> Rule:
    return lambda document, tags: any(name in document for name in names)


def _both(first: Rule, second: Rule) -> Rule:
    return lambda document, tags: first(document, tags) and second(document, tags)


def _tagged(tag: str) -> Rule:
    return lambda document, tags: tag in tags


_PORTS = _says("transport", "tcp", "udp")
_CARRIED = _says("protocol", "ip", "icmp")

CONDITIONS: dict[str, Rule] = {
    "": _has(),
    "tag=vpn": _tagged("vpn"),
    "tag != dhcp": lambda document, tags: "dhcp" not in tags,
    "src_user=* tag=privileged": _both(_has("src_user"), _tagged("privileged")),
    "transport=tcp OR transport=udp": _PORTS,
    "(protocol=IP OR protocol=ICMP) AND src_translated_ip=*": _both(
        _CARRIED, _has("src_translated_ip")
    ),
    "(transport=tcp OR transport=udp) AND dest_translated_ip=*": _both(
        _PORTS, _has("dest_translated_ip")
    ),
    "(transport=tcp OR transport=udp) AND src_translated_ip=*": _both(
        _PORTS, _has("src_translated_ip")
    ),
    "protocol=icmp": _says("protocol", "icmp"),
    "protocol=ip": _says("protocol", "ip"),
    "status=failure": _says("status", "failure"),
    "object_category=user": _says("object_category", "user"),
    "packets_in=* OR packets_out=*": _has("packets_in", "packets_out"),
    **{
        f"{name}=*": _has(name)
        for name in (
            "bytes",
            "bytes_in",
            "bytes_out",
            "dest_translated_ip",
            "dest_zone",
            "lease_duration",
            "signature_id",
            "src_translated_ip",
            "src_zone",
        )
    },
}


def condition(expression: str) -> Rule | None:
    """The translation of a condition, or None where there is none yet.

    `| where match(src, <pattern>)` asks whether the field is an address: a MAC address where the
    pattern begins with an octet, an IP address otherwise.
    """
    if not expression.startswith("| where match("):
        return CONDITIONS.get(expression)
    asked = [(name, is_mac if octet else is_ip) for name, octet in _WHERE.findall(expression)]
    return lambda document, tags: any(test(document.get(name)) for name, test in asked)


def _unquoted(name: str) -> Rule:
    return lambda document, tags: '"' not in str(document[name])


def _same(name: str, whole: str) -> Rule:
    """An address field repeats the general one, where that one is there."""
    return lambda document, tags: document.get(whole, document[name]) == document[name]


def _above(name: str, limit: float = inf) -> Rule:
    def rule(document: Document, tags: frozenset[str]) -> bool:
        value = document[name]
        number = value if isinstance(value, (int, float)) and is_number(value) else 0
        return 0 < number < limit

    return rule


def _counts(name: str, counted: str) -> Rule:
    return lambda document, tags: (
        is_number(document[name])
        and counted in document
        and document[name] == _count(document[counted])
    )


def _layers(document: Document, tags: frozenset[str]) -> bool:
    """Protocol and transport agree; where one is absent (waived) there is nothing to compare."""
    protocol, transport = document.get("protocol"), document.get("transport")
    if protocol is None or transport is None:
        return True
    return (protocol, transport) in (("icmp", "icmp"), ("ip", "tcp"), ("ip", "udp"))


def _total(document: Document, tags: frozenset[str]) -> bool:
    parts = (document.get("bytes_in"), document.get("bytes_out"))
    return document["bytes"] == sum(part for part in parts if isinstance(part, (int, float)))


def _category(document: Document, tags: frozenset[str]) -> bool:
    return (document["object_category"] == "user") == ("account" in tags)


_QUOTED = "if(like({0},'%\\\"%'),null(),{0})"
_REPEATS = "if((!isnull({0}) AND {1}), {0}, null())"
_COUNTED = "if(isnum({0}) and {0} == mvcount({1}),{0},null())"
_POSITIVE = "if(isnum({0}) and {0}>0,{0},null())"
_LAYERED = (
    'case(protocol=="icmp" AND transport=="icmp",{0} ,protocol=="ip" AND'
    ' (transport=="tcp" OR transport=="udp"),{0},true(), null())'
)

VALIDITIES: dict[str, tuple[Rule, str]] = {
    _QUOTED.format("action"): (_unquoted("action"), "must not hold a quote"),
    _QUOTED.format("object_attrs"): (_unquoted("object_attrs"), "must not hold a quote"),
    _QUOTED.format("object_id"): (_unquoted("object_id"), "must not hold a quote"),
    _QUOTED.format("object_path"): (_unquoted("object_path"), "must not hold a quote"),
    _REPEATS.format("src_ip", "src == src_ip"): (_same("src_ip", "src"), "must equal src"),
    _REPEATS.format("dest_ip", "dest == dest_ip"): (_same("dest_ip", "dest"), "must equal dest"),
    _REPEATS.format("src_mac", "src_mac == src"): (_same("src_mac", "src"), "must equal src"),
    _REPEATS.format("dest_mac", "dest_mac == dest"): (_same("dest_mac", "dest"), "must equal dest"),
    _COUNTED.format("query_count", "query"): (_counts("query_count", "query"), "must count query"),
    _COUNTED.format("answer_count", "answer"): (
        _counts("answer_count", "answer"),
        "must count answer",
    ),
    _POSITIVE.format("bytes_in"): (_above("bytes_in"), "must be a number above 0"),
    _POSITIVE.format("bytes_out"): (_above("bytes_out"), "must be a number above 0"),
    "if(isnum(bytes) and bytes>0 and bytes==(bytes_in+bytes_out),bytes,null())": (
        _both(_above("bytes"), _total),
        "must be bytes_in and bytes_out together",
    ),
    "if(isnum(duration) and duration>0 and duration<3600, duration, null())": (
        _above("duration", 3600),
        "must be seconds, below an hour",
    ),
    "if(isnum(response_time) and response_time>0 AND response_time<3600,response_time,null())": (
        _above("response_time", 3600),
        "must be seconds, below an hour",
    ),
    # the model's own text tests duration; the type of the message is what it means
    "if(isnum(duration) and duration>0 and duration<254,icmp_type,null())": (
        _above("icmp_type", 254),
        "must be a number below 254",
    ),
    "if(action in ['success', 'failure'], action, null())": (
        _says("action", "success", "failure"),
        "needs action success or failure",
    ),
    'if(match(src_mac,"^([0-9a-f]{2}:){5}([0-9a-f]{2})$"),src_mac,null())': (
        lambda document, tags: is_lower_mac(document["src_mac"]),
        "must be a MAC address in lower case with colons",
    ),
    'if((tag=="account" AND object_category=="user") OR (tag!="account" AND'
    ' object_category!="user"),object_category, null())': (
        _category,
        "must be user with tag account, and only then",
    ),
    _LAYERED.format("protocol"): (_layers, "disagrees with transport"),
    _LAYERED.format("transport"): (_layers, "disagrees with protocol"),
}


def validity(name: str, expression: str) -> tuple[Rule, str] | None:
    """The rule for a field that is there, and what to say of a breach; None if untranslated."""
    if expression == f"if(isnum({name}),{name},null())":
        return (lambda document, tags: is_number(document[name])), "must be a number"
    return VALIDITIES.get(expression)


def constraint(expression: str) -> dict[str, str]:
    """Field and value pairs a data set's search asks for; empty where it is no plain conjunction.

    Tags are left out: the data set lists them apart.
    """
    pairs = [_PAIR.fullmatch(word) for word in expression.split()]
    return (
        {} if None in pairs else {pair[1]: pair[2] for pair in pairs if pair and pair[1] != "tag"}
    )
