"""A product's dialect: which keys an event has, and what their values are.

Everything comes from the source tables, through `Reading`s. Beside plain CEF a dialect knows

* colon pairs (`cs2:Guest`), only for the keys the table lists and only where the value fits;
* glued pairs (`policy_id=7external_id=<uuid>`), parted at a documented key that is otherwise
  absent and whose value fits;
* values that strangers choose (`free`: SSID, DHCP host name, DNS name): after one of them only a
  documented key starts a pair, so `x=y` inside an SSID stays in the SSID;
* which of duplicate keys counts: the first, if it stands before every value a stranger chose,
  else the last, because what is forged inside a value comes before what the device writes after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datto_siem.converters.casts import CASTS, is_uid
from datto_siem.converters.cef import KEYS, MAX_KEY, MAX_PAIRS, unescape
from datto_siem.converters.event import Event
from datto_siem.converters.plan.model import Cast, Reading

if TYPE_CHECKING:
    from collections.abc import Callable

Fits = "Callable[[str], bool]"
_NO_CAST = frozenset({"text", "lower", "list", "span"})
_SPACES = str.maketrans("\t\r\n\x0b\x0c", "     ")


class Dialect:
    """One event's keys, ready for the scanner.

    Attributes:
        reading: The table row.
        casts: Wire key -> cast, for every key that is read.
        fits: Keys that start a pair even after a value a stranger chose, and what must hold of
            their value for that.
    """

    def __init__(
        self,
        reading: Reading,
        boundary: Mapping[str, Cast],
        placeholders: frozenset[str],
    ) -> None:
        """`boundary` holds the keys known to start a pair; `placeholders` the manual's words."""
        self.reading = reading
        self.placeholders = placeholders
        self.casts = {cast.key: cast for cast in reading.casts if not cast.key.endswith("*")}
        self.lists = tuple(
            (cast.key[:-1], cast) for cast in reading.casts if cast.key.endswith("*")
        )
        self.numbered = tuple(start for start, _ in self.lists)
        self.fits = {key: self._fits(cast) for key, cast in boundary.items()}
        self.colon = {
            cast.key: self._fits(cast) for cast in (*reading.casts, *boundary.values()) if cast.colon
        }
        self.free = frozenset(key for key, cast in boundary.items() if cast.free)
        self.glue = tuple(
            (key, self._glues(cast))
            for key, cast in boundary.items()
            if key in reading.keys and cast.kind not in _NO_CAST
        )

    def _fits(self, cast: Cast) -> Callable[[str], bool] | None:
        """A test of the value's first word, or None where any text will do."""
        if cast.kind in _NO_CAST:
            return None
        read = CASTS[cast.kind].read

        def fits(text: str) -> bool:
            return not text or read(text, _FAR) is not None or text in self.placeholders

        return fits

    def _glues(self, cast: Cast) -> Callable[[str], bool]:
        """A stricter test for glued pairs: an id must be a UUID or a MAC."""
        if cast.kind != "uid":
            return self.fits[cast.key] or bool
        return lambda text: is_uid(text) or text in self.placeholders

    def scan(self, event: Event, start: int, end: int) -> None:
        """Split an extension into pairs, into `event.pairs`, `.offsets` and `.extension`."""
        text = event.text
        shadow = text[start:end]
        if not shadow.isprintable():  # other white space may part pairs too
            shadow = shadow.translate(_SPACES)
        fits, colon, free_keys = self.fits, self.colon, self.free
        found: list[tuple[str, int, int]] = []  # key, start of the value, start of the pair
        numbered = self.numbered
        free = False
        at = start
        for token in shadow.split(" "):
            key, equals, rest = token.partition("=")
            if equals:
                if key in fits:
                    test = fits[key]
                    if not free or test is None or test(rest):
                        found.append((key, at + len(key) + 1, at))
                        free = key in free_keys
                        at += len(token) + 1
                        continue
                elif (not free and len(key) <= MAX_KEY and KEYS[key]) or (
                    numbered and key.startswith(numbered) and _numbered(key)
                ):
                    found.append((key, at + len(key) + 1, at))
                    at += len(token) + 1
                    continue
            if colon and ":" in token:
                key, _, rest = token.partition(":")
                if key in colon and (not free or key in fits):
                    test = colon[key]
                    if test is None or test(rest):
                        found.append((key, at + len(key) + 1, at))
                        free = key in free_keys
            at += len(token) + 1
        self._keep(event, found, start, end)

    def _keep(
        self, event: Event, found: list[tuple[str, int, int]], start: int, end: int
    ) -> None:
        text = event.text
        pairs, offsets, extension = event.pairs, event.offsets, event.extension
        if not found or found[0][2] > start:
            lead = text[start : found[0][2] if found else end].strip()
            if lead:
                pairs.append(("_text", lead))
                offsets.append(start)
                extension["_text"] = lead
                event.note("text_before_key", "", start)
        if len(found) > MAX_PAIRS:
            cut = found[MAX_PAIRS][2]
            found = found[:MAX_PAIRS]
            self.keep_rest(event, cut, end, "too_many_pairs")
            end = cut
        last = len(found) - 1
        for index, (key, begins, _) in enumerate(found):
            stops = end if index == last else found[index + 1][2]
            value = text[begins:stops].rstrip()
            glued: list[tuple[str, str, int]] = []
            if "=" in value and key not in self.free and self.glue:
                value, glued = self._unglue(event, key, value, begins)
            for name, part, offset in ((key, value, begins), *glued):
                clear = unescape(part) if "\\" in part else part
                pairs.append((name, clear))
                offsets.append(offset)
                if name in extension:
                    event.note("duplicate_key", name, offset)
                else:
                    extension[name] = clear

    def keep_rest(self, event: Event, start: int, end: int, note: str) -> None:
        """Keep what is not taken apart as one pair of its own."""
        event.note(note, "", start)
        rest = event.text[start:end].strip()
        if rest:
            event.pairs.append(("_rest", rest))
            event.offsets.append(start)
            event.extension.setdefault("_rest", rest)

    def _unglue(
        self, event: Event, key: str, value: str, begins: int
    ) -> tuple[str, list[tuple[str, str, int]]]:
        """Part `7external_id=<uuid>` at documented keys that are otherwise absent."""
        glued: list[tuple[str, str, int]] = []
        for other, fits in self.glue:
            at = value.find(other + "=")
            if at <= 0 or other == key or f" {other}=" in event.text:
                continue
            right = value[at + len(other) + 1 :]
            if right and fits(right):
                event.note("glued_pair", other, begins + at)
                glued.insert(0, (other, right, begins + at + len(other) + 1))
                value = value[:at]
        return value, glued


def _numbered(key: str) -> bool:
    """Whether a key ends like `groups.12`."""
    return key[key.rindex(".") + 1 :].isdigit() and key.count(".") == 1 and key.isascii()


_FAR = 4_102_444_800_000  # 2100: a boundary test asks for a time's form, not whether it is plausible
