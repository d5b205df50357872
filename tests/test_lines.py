"""The corpus itself: the same for a seed, every quirk and event in it, no real address in it."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest
from lines import QUIRKS, events, generate, with_quirk

FIXTURES = Path(__file__).parents[1] / "fixtures"
LOGS = sorted(FIXTURES.rglob("*.log"))
ALLOWED = [
    ipaddress.ip_network(text)
    for text in (
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.0.0.0/8", "100.64.0.0/10",
        "2001:db8::/32",
    )
]  # fmt: skip
NO_ADDRESS = {"010.1.1.1"}  # in a hostile record, to be refused


def test_a_seed_gives_the_same_lines_every_time() -> None:
    assert list(generate(200, seed=3)) == list(generate(200, seed=3))
    assert list(generate(200, seed=3)) != list(generate(200, seed=4))


@pytest.mark.parametrize("name", QUIRKS)
def test_each_quirk_can_be_had_alone(name: str) -> None:
    lines = list(with_quirk(name, 8))
    assert len(lines) == 8
    assert all(line.quirks[0] == name for line in lines)


def test_traffic_holds_every_event_and_nearly_every_quirk() -> None:
    lines = list(generate(4000))
    assert {(item.product, item.event) for item in events()} <= {
        (line.product, line.event) for line in lines
    }
    drawn = {name for line in lines for name in line.quirks}
    assert len(drawn & set(QUIRKS)) > 0.95 * len(QUIRKS)
    assert sum(line.clean for line in lines) > 0.75 * len(lines)


def texts() -> list[tuple[str, str]]:
    found = [
        (path.relative_to(FIXTURES).as_posix(), path.read_bytes().decode("utf-8", "replace"))
        for path in LOGS
        if not path.stem.startswith(("blob", "utf16"))
    ]
    return [*found, ("generated", "\n".join(line.raw.decode() for line in generate(500)))]


@pytest.mark.parametrize(("name", "text"), texts(), ids=[name for name, _ in texts()])
def test_only_documentation_addresses_are_used(name: str, text: str) -> None:
    for found in re.findall(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])", text):
        if found not in NO_ADDRESS and all(int(octet) < 256 for octet in found.split(".")):
            address = ipaddress.ip_address(found)
            assert any(address in net for net in ALLOWED), (name, found)
    bare = re.sub(r"[A-Za-z]{3,}:", " ", text)  # `dmac:` is no part of the address after it
    for found in re.findall(r"(?<![0-9A-Fa-f:])[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}", bare):
        assert found[1] in "26AEae", (name, found)
    for found in re.findall(r"[\w.+-]+@([\w.-]+)", text):
        assert re.search(r"(^|\.)(example\.(com|net|org)|\w+\.test)$|^32473$", found), (name, found)
