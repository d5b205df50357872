"""Parameters of a filtering parser as conditions on its finished columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators._sentinel_schema import TIMES, Filter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def filtered(filters: Mapping[str, Filter], written: set[str]) -> Iterator[str]:
    """Conditions on finished columns; a column nobody writes matches nothing."""
    rest = {name: row for name, row in filters.items() if name not in TIMES}
    if "ipaddr_has_any_prefix" in rest:
        yield from _addresses(rest)
        for name in (
            "srcipaddr_has_any_prefix",
            "dstipaddr_has_any_prefix",
            "ipaddr_has_any_prefix",
        ):
            del rest[name]
    for name, row in rest.items():
        unset = {
            "dynamic": f"array_length({name}) == 0",
            "string": f"{name} == '*'",
        }.get(row.type, f"isnull({name})")
        columns = [column for column in row.column.split() if column in written]
        tests = [row.test.format(column=f"o_{column}", name=name) for column in columns]
        yield f"| where {' or '.join([unset, *tests])}"


def _addresses(filters: Mapping[str, Filter]) -> Iterator[str]:
    """The three address parameters of network sessions, and which side matched."""
    source, destination, either = (
        "srcipaddr_has_any_prefix",
        "dstipaddr_has_any_prefix",
        "ipaddr_has_any_prefix",
    )
    yield (
        f"| extend from_ = has_any_ipv4_prefix(o_SrcIpAddr, {source})"
        f" or has_any_ipv4_prefix(o_SrcIpAddr, {either}),\n"
        f"         to_ = has_any_ipv4_prefix(o_DstIpAddr, {destination})"
        f" or has_any_ipv4_prefix(o_DstIpAddr, {either})"
    )
    unset = " and ".join(f"array_length({name}) == 0" for name in (source, destination, either))
    yield (
        f"| extend ASimMatchingIpAddr = case({unset}, '-', from_ and to_, 'Both',"
        " from_, 'SrcIpAddr', to_, 'DstIpAddr', 'No match')"
    )
    yield "| where ASimMatchingIpAddr != 'No match'"
