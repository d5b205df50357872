"""A sample line of an event in the vendor's form, with documentation addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datto_siem.converters.tables.model import Source

_BY_CAST = {
    "time": "1795514300412",
    "ip": "192.0.2.17",
    "port": "53124",
    "int": "0",
    "float": "1.5",
    "mac": "02:00:5E:10:00:03",
    "hostport": "192.0.2.17:53124",
    "uid": "3f0a7c52-9b1d-4e8a-a6c4-51d27be90f13",
    "email": "kim@example.com",
    "dns_name": "www.example.com",
    "span": "0",
}
_BY_KEY = {"dmac": "DA:A1:19:4C:07:22", "cs2": "Guest", "dvchost": "Kims-Phone"}


def line(source: Source, event: str, keys: Sequence[str]) -> str:
    """One line, line feed included."""
    class_id, _, name = event.partition("/")
    name = "sample" if name == "*" else name
    pairs = " ".join(_pair(source, key) for key in keys)
    return f"CEF:1|{_device(source)}|{class_id}|{name}|0|{pairs}\n"


def _device(source: Source) -> str:
    """`Vendor|Product|Version`, as the source's samples have them."""
    for sample in source.samples.values():
        parts = sample.split("|")
        if len(parts) > 4:
            return "|".join(parts[1:4])
    product = source.products[0].strip("*").upper() if source.products else "Device"
    return f"{source.vendor.capitalize()}|{product}|1.0.0"


def _pair(source: Source, key: str) -> str:
    rule = source.keys.get(key)
    name = f"{key[:-1]}0" if key.endswith("*") else key
    value = _BY_KEY.get(key) or _BY_CAST.get(rule.cast if rule is not None else "", "sample")
    return f"{name}{':' if rule is not None and rule.colon else '='}{value}"
