"""Keyed pseudonyms for the personal values of a record, put into its text before it is decoded.

A MAC address of a phone, a host name and a mail address say who. With a key they become pseudonyms
of the same kind, so that every mapping works as before and the same person keeps one pseudonym
across records, products and runs; without the key nobody can go back or try names out.

What is replaced:
    Every value of a key that a source table flags `personal`, in any source and any spelling of
    the key's case, typed or not, also where the pair was read as part of another value (a cut
    MAC, a forged pair) or stands in the part of an oversized record that is not taken apart.
    The same MAC or mail address anywhere else in the record, in any spelling; the same host name
    in other values that strangers choose and in undocumented ones. The seven header fields
    and keys are the device's own words and stay.

What stays: records that are not CEF, the all-zero and the broadcast MAC (they are nobody's), and
an appliance's MAC in `external_id`. What is lost: a MAC's vendor prefix, and whether it was random.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from datto_siem.converters.casts import email
from datto_siem.converters.cef import BLANKS, unescape
from datto_siem.converters.decoder import Decoder
from datto_siem.converters.memo import Memo
from datto_siem.converters.scalars import mac

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.converters.event import Event
    from datto_siem.converters.tables.model import Tables

SHORTEST_KEY = 16
_SHORTEST_WORD = 3  # a shorter host name inside another value is a coincidence
_REMEMBERED = 256  # characters; longer values are not kept in memory
_NOBODY = frozenset({"00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF"})
_MAC = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}"
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}|[0-9A-Fa-f]{12})(?![0-9A-Za-z])"
)


class _Span(NamedTuple):
    """A value's place in the text, and its key."""

    key: str
    start: int
    end: int


class Pseudonymizer:
    """Replaces personal values in records.

    Args:
        key: The secret, at least 16 bytes.
        tables: Which keys are personal.

    Raises:
        ValueError: The key is too short.
    """

    def __init__(self, key: bytes, tables: Tables) -> None:
        """Collect the personal keys of all sources."""
        if len(key) < SHORTEST_KEY:
            raise ValueError(f"a key of pseudonyms has at least {SHORTEST_KEY} bytes")
        self._key = key
        self._decoder = Decoder(tables)
        self._kinds: dict[str, str] = {}
        self._fixed: set[str] = set()
        colons: set[str] = set()
        for source in tables.sources.values():
            rules = [*source.keys.values()]
            for event in source.events.values():
                rules += [rule for rule in event.overrides.values() if rule is not None]
            self._kinds.update((rule.key.lower(), rule.cast) for rule in rules if rule.personal)
            self._fixed.update(rule.key for rule in rules if not rule.free)
            colons.update(rule.key for rule in rules if rule.colon)
        personal = "|".join(map(re.escape, sorted(self._kinds)))
        others = "|".join(map(re.escape, sorted(colons)))
        self._pair = re.compile(f"({personal})[=:]", re.IGNORECASE)
        self._stop = re.compile(
            rf"\s[A-Za-z0-9_.,\[\]-]{{1,256}}=|\s(?:{others}):|(?:{personal})[=:]", re.IGNORECASE
        )
        self._known: Memo[tuple[str, str], str] = Memo(self._made, 8_192)

    def line(self, raw: bytes) -> bytes:
        """One record with its personal values replaced; one that is not CEF as it is."""
        event = self._decoder.decode(raw, _ANY_TIME)
        if event.header is None or not self._kinds:
            return raw
        spans = [span for span in _spans(event) if span.start < span.end]
        own = list(self._personal(event, spans))
        if not own:
            return raw
        text = raw.decode("utf-8", "surrogateescape")
        places = _Places(raw, text, event.text)
        parts, at = [], 0
        for start, end, new in self._replacements(event, spans, own):
            first, last = places(start), places(end)
            if first >= at:
                parts += [text[at:first], new]
                at = last
        parts.append(text[at:])
        return "".join(parts).encode("utf-8", "surrogateescape")

    def pseudonym(self, kind: str, text: str) -> str:
        """The pseudonym of a value.

        Args:
            kind: The cast of its key: `mac`, `email`, or anything else for a name.
            text: The value, unescaped.
        """
        if len(text) > _REMEMBERED:
            return self._made((kind, text))
        return self._known[kind, text]

    def _made(self, value: tuple[str, str]) -> str:
        kind, text = value
        address = mac(text)
        if address is not None:
            return text if address in _NOBODY else _spelled(self._digest("mac", address), text)
        if kind == "email":
            parts = email(text) or {}
            user = f"user-{self._digest('user', text.lower())[:10]}"
            if "email" not in parts:
                return user
            return f"{user}@org-{self._digest('domain', str(parts['domain']))[:10]}.invalid"
        word = "host" if kind == "text" else "id"
        return f"{word}-{self._digest(word, text.lower())[:10]}"

    def _digest(self, kind: str, text: str) -> str:
        content = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()

    def _personal(self, event: Event, spans: list[_Span]) -> Iterator[_Span]:
        """The values to replace, in order."""
        for span in spans:
            if span.key.lower() in self._kinds:
                yield span
            else:
                yield from self._inside(event.text, span)

    def _inside(self, text: str, span: _Span) -> Iterator[_Span]:
        """Personal pairs that were read as part of another value, cut ones among them."""
        match = self._pair.search(text, span.start, span.end)
        while match is not None:
            start = match.end()
            stop = self._stop.search(text, start, span.end)
            end = stop.start() if stop is not None else span.end
            yield _Span(match[1], start, start + len(text[start:end].rstrip(BLANKS)))
            match = self._pair.search(text, end, span.end)

    def _replacements(
        self, event: Event, spans: list[_Span], own: list[_Span]
    ) -> list[tuple[int, int, str]]:
        """(start, end, new text), in order; of two that overlap, the first counts."""
        text = event.text
        found = []
        macs: set[str] = set()
        words: dict[str, tuple[str, bool]] = {}
        for span in own:
            value = unescape(text[span.start : span.end])
            kind = self._kinds[span.key.lower()]
            new = self.pseudonym(kind, value)
            found.append((span.start, span.end, new))
            address = mac(value)
            if address is not None:
                macs.add(address)
            else:
                words[text[span.start : span.end].lower()] = (new, kind == "email")
        head = range(len(event.prefix), event.begins)
        if macs:
            found += [
                (match.start(), match.end(), self.pseudonym("mac", match[0]))
                for match in _MAC.finditer(text)
                if match.start() not in head and mac(match[0]) in macs
            ]
        found += self._echoes(event, spans, words)
        return sorted(found, key=lambda each: (each[0], -each[1]))

    def _is_fixed(self, key: str) -> bool:
        """Whether a key's value is the device's own word."""
        return key in self._fixed or f"{key.rpartition('.')[0]}.*" in self._fixed

    def _echoes(
        self, event: Event, spans: list[_Span], words: dict[str, tuple[str, bool]]
    ) -> Iterator[tuple[int, int, str]]:
        """Where the names of the record stand again, as whole words."""
        low = event.text.lower()
        if len(low) != len(event.text):  # a letter that grows in lower case would shift all places
            low = event.text
        everywhere = [(0, len(event.prefix)), *((span.start, span.end) for span in spans)]
        chosen = [(span.start, span.end) for span in spans if not self._is_fixed(span.key)]
        for word, (new, address) in words.items():
            for start, end in everywhere if address else chosen:
                if len(word) < _SHORTEST_WORD and end - start > len(word):
                    continue
                at = low.find(word, start, end)
                while at >= 0:
                    if not (low[at - 1 : at].isalnum() or low[at + len(word) :][:1].isalnum()):
                        yield at, at + len(word), new
                    at = low.find(word, at + len(word), end)


_ANY_TIME = 1_795_514_400_000  # decoding needs some receive time; places in the text do not


def _spans(event: Event) -> Iterator[_Span]:
    """The places of all values, escapes and all."""
    text = event.text
    scanned = event.scanned
    pairs = [(at, key) for (key, _), at in zip(scanned.pairs, scanned.offsets, strict=True)]
    ends = [at if key in ("_rest", "_text") else at - len(key) - 1 for at, key in pairs[1:]]
    for (start, key), end in zip(pairs, [*ends, len(text)], strict=True):
        yield _Span(key, start, start + len(text[start:end].rstrip(BLANKS)))


def _spelled(digest: str, like: str) -> str:
    """A locally administered unicast MAC, with the separators and case of another."""
    number = int(digest[:2], 16) & 0xFC | 0x02
    digits = iter(f"{number:02x}{digest[2:12]}")
    new = "".join(next(digits) if char.isalnum() else char for char in like)
    return new if like != like.upper() else new.upper()


class _Places:
    r"""Places in the decoder's text as places in ours.

    The decoder takes a byte order mark or a quote off the front and writes a byte that is no UTF-8
    as `\xNN`; we keep such a byte as one character, so that it comes out as it went in.
    """

    def __init__(self, raw: bytes, ours: str, theirs: str) -> None:
        """Work out the shift, and a list of places where bytes are broken."""
        self._starts: list[int] | None = None
        whole = ours
        if not ours.isascii() and _is_broken(ours):
            whole = raw.decode("utf-8", "backslashreplace")
            at, starts = 0, []
            for char in ours:
                starts.append(at)
                at += 4 if "\udc80" <= char <= "\udcff" else 1
            self._starts = [*starts, at]
        self._lead = next(at for at in range(4) if whole.startswith(theirs, at))

    def __call__(self, place: int) -> int:
        """The place in our text."""
        place += self._lead
        return place if self._starts is None else bisect_left(self._starts, place)


def _is_broken(text: str) -> bool:
    return any("\udc80" <= char <= "\udcff" for char in text)
