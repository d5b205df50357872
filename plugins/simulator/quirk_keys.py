"""Quirks of the set of pairs: missing, extra, twice, forged, in another order, glued."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from datto_siem.plugins.simulator import values
from datto_siem.plugins.simulator.draft import FREE_TEXT, Draft, Pair
from datto_siem.plugins.simulator.quirks import quirk

if TYPE_CHECKING:
    from random import Random

EXTRA = (
    ("fw_build", "7741"),
    ("channel", "36"),
    ("vlan", "20"),
    ("dattoDeviceSite", "Copenhagen 2"),
    ("x-trace", "ab12"),
    ("tags[0]", "lab"),
    ("__proto__", "1"),
)


@quirk("missing")
def missing_keys(draft: Draft, rng: Random) -> bool:
    """Up to three keys are not sent."""
    count = min(rng.randrange(1, 4), len(draft.pairs) - 1)
    for pair in rng.sample(draft.pairs, max(count, 0)):
        draft.pairs.remove(pair)
    return count > 0


@quirk("order")
def shuffled(draft: Draft, rng: Random) -> bool:
    """Secure Edge prints its keys in random order; a firmware may too."""
    if len(draft.pairs) < 2:
        return False
    rng.shuffle(draft.pairs)
    return True


@quirk("extra")
def extra_keys(draft: Draft, rng: Random) -> bool:
    """Keys a later firmware adds; never right after a stranger's text, where nobody could tell."""
    for key, text in rng.sample(EXTRA, rng.randrange(1, 4)):
        places = [
            i for i in range(len(draft.pairs)) if i == 0 or not draft.free(draft.pairs[i - 1])
        ]
        if not places:
            return False
        draft.pairs.insert(rng.choice(places), Pair(key, text, misfit=True))
    return True


@quirk("extra")
def empty_value(draft: Draft, rng: Random) -> bool:
    """A key with nothing after its `=`."""
    pair = rng.choice(draft.pairs) if draft.pairs else None
    if pair is None or pair.key in draft.times:
        return False
    pair.text, pair.sep = "", "="
    return True


@quirk("duplicate")
def duplicate_same(draft: Draft, rng: Random) -> bool:
    """A key is sent twice with one text."""
    if not draft.pairs:
        return False
    pair = rng.choice(draft.pairs)
    draft.pairs.append(replace(pair))
    return True


@quirk("duplicate", wild=True)
def duplicate_other(draft: Draft, rng: Random) -> bool:
    """A key is sent twice with two texts."""
    chosen = [pair for pair in draft.pairs if not draft.free(pair)]
    if not chosen:
        return False
    pair = rng.choice(chosen)
    draft.pairs.append(Pair(pair.key, f"{pair.text}0", "=", sure=False, misfit=True))
    draft.injected = True
    return True


def _inject(draft: Draft, key: str, lead: str, forged: list[tuple[str, str]]) -> bool:
    at = draft.index(key)
    if at < 0:
        return False
    victim = draft.pairs[at]
    victim.text, victim.sure = lead, False
    draft.pairs[at + 1 : at + 1] = [Pair(k, t, victim.sep, forged=True) for k, t in forged]
    draft.injected = True
    return True


def _only_true_ones(draft: Draft, forged: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Forge keys the line has anyway; a forged key without a true one is beyond any reader."""
    return [(key, text) for key, text in forged if draft.pair(key)]


@quirk("inject", wild=True)
def inject_ssid(draft: Draft, rng: Random) -> bool:
    """The SSID forges the station, the access point and the code."""
    forged = [("dmac", values.mac(rng)), ("smac", values.mac(rng)), ("reason", "0")]
    return _inject(draft, "cs2", "Free WiFi", _only_true_ones(draft, forged))


@quirk("inject", wild=True)
def inject_host(draft: Draft, rng: Random) -> bool:
    """The DHCP host name forges the station, its address and the network."""
    forged = [("dmac", values.mac(rng)), ("dvc", "192.0.2.66"), ("cs2", "Corporate")]
    return _inject(draft, "dvchost", "laptop", _only_true_ones(draft, forged))


@quirk("inject", wild=True)
def inject_domain(draft: Draft, _rng: Random) -> bool:
    """The DNS name forges the verdict and the subscriber."""
    forged = [("action", "allow.evil.test"), ("subscriber", "ceo@example.com")]
    return _inject(draft, "domain", "a\\", _only_true_ones(draft, forged))


@quirk("inject", wild=True)
def unknown_key_in_text(draft: Draft, rng: Random) -> bool:
    """A stranger's text holds ` word=`: one value or two pairs, nobody can tell."""
    chosen = [pair for pair in draft.pairs if pair.key in FREE_TEXT]
    if not chosen:
        return False
    pair = rng.choice(chosen)
    pair.text, pair.sure = "Guest x=1", False
    draft.injected = True
    return True


@quirk("separator")
def equals_separators(draft: Draft, _rng: Random) -> bool:
    """Every pair with `=`."""
    for pair in draft.pairs:
        pair.sep = "="
    return True


@quirk("separator")
def mixed_separators(draft: Draft, rng: Random) -> bool:
    """Some of the colon keys with `=`."""
    colon = [pair for pair in draft.pairs if pair.sep == ":"]
    for pair in rng.sample(colon, (len(colon) + 1) // 2):
        pair.sep = "="
    return bool(colon)


@quirk("glue")
def glued_pair(draft: Draft, _rng: Random) -> bool:
    """`policy_id=..external_id=..` without a blank, as one of the vendor's examples has it."""
    policy, external = draft.pair("policy_id"), draft.pair("external_id")
    if policy is None or external is None or not (policy.text and external.text):
        return False
    if draft.injected or sum(p.key in {"policy_id", "external_id"} for p in draft.pairs) > 2:
        return False
    draft.pairs.remove(external)
    draft.pairs.insert(draft.pairs.index(policy) + 1, external)
    external.glued = True
    return True


@quirk("escape")
def escaped_values(draft: Draft, rng: Random) -> bool:
    """The sender escapes, and has something to escape."""
    chosen = [p for p in draft.pairs if p.key in {*FREE_TEXT, "trigger", "subscriber"}]
    if not chosen:
        return False
    draft.escape = True
    pair = rng.choice(chosen)
    if pair.sure and not pair.forged:
        pair.text = rng.choice(("a=b", "C:\\net\\rig", "line\nbreak", "x dmac=1 y", "\\", "a\\\\b"))
    return True
