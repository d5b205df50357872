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

from typing import TYPE_CHECKING

from datto_siem.converters.casts import CASTS, is_uid
from datto_siem.converters.cef import BLANKS, KEYS, MAX_KEY, MAX_PAIRS, MAX_TEXT, unescape
from datto_siem.converters.notes import Note
from datto_siem.converters.sequences import Sequences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from datto_siem.converters.event import Parts
    from datto_siem.converters.plan.model import Cast, Reading

Fits = "Callable[[str], bool]"
QUICK_LIST = 10
"""Numbered keys up to this many are plain."""
_NO_CAST = frozenset({"text", "lower", "list", "span"})
_SPACES = str.maketrans("\t\r\n\x0b\x0c", "     ")


class Dialect:
    """One event's keys, ready for the scanner.

    Attributes:
        reading: The table row.
        casts: Wire key -> cast, for every key that is read.
        plain: Keys that a plain record may have.
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
        numbers = [f"{start}{number}" for start in self.numbered for number in range(QUICK_LIST)]
        self.plain = frozenset([*self.fits, *numbers])
        self.colon = {
            cast.key: self._fits(cast)
            for cast in (*reading.casts, *boundary.values())
            if cast.colon
        }
        kinds = {
            cast.key: "" if self.colon[cast.key] is None else cast.kind
            for cast in (*reading.casts, *boundary.values())
            if cast.colon
        }
        self.sequences = Sequences(kinds)
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

    def scan(self, text: str, start: int, parts: Parts) -> None:
        """Split an extension into pairs, into `parts.pairs`, `.offsets` and `.extension`."""
        end = min(len(text), MAX_TEXT)
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
                    found.append((key, at + len(key) + 1, at))
                    free = key in free_keys
                    at += len(token) + 1
                    continue
                if (not free and len(key) <= MAX_KEY and KEYS[key]) or (
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
        self._keep(text, parts, found, start, end)
        if end < len(text):
            _rest(text, parts, end, len(text), "line_too_long")

    def _keep(
        self, text: str, parts: Parts, found: list[tuple[str, int, int]], start: int, end: int
    ) -> None:
        pairs, offsets, extension = parts.pairs, parts.offsets, parts.extension
        if not found or found[0][2] > start:
            lead = text[start : found[0][2] if found else end].strip(BLANKS)
            if lead:
                pairs.append(("_text", lead))
                offsets.append(start)
                extension["_text"] = lead
                parts.note("text_before_key", "", start)
        limit = end
        if len(found) > MAX_PAIRS:
            limit = found[MAX_PAIRS][2]
            found = found[:MAX_PAIRS]
        last = len(found) - 1
        present = {key for key, *_ in found}
        for index, (key, begins, _) in enumerate(found):
            stops = limit if index == last else found[index + 1][2]
            value = text[begins:stops].rstrip(BLANKS)
            glued: list[tuple[str, str, int]] = []
            if "=" in value and key not in self.free and self.glue:
                value, glued = self._unglue(present, parts, key, value, begins)
            for name, part, offset in ((key, value, begins), *glued):
                clear = unescape(part) if "\\" in part else part
                pairs.append((name, clear))
                offsets.append(offset)
                if name in extension:
                    parts.note("duplicate_key", name, offset)
                else:
                    extension[name] = clear
        if limit < end:
            _rest(text, parts, limit, end, "too_many_pairs")

    def _unglue(
        self, present: set[str], parts: Parts, key: str, value: str, begins: int
    ) -> tuple[str, list[tuple[str, str, int]]]:
        """Part `7external_id=<uuid>` at documented keys that are otherwise absent."""
        glued: list[tuple[str, str, int]] = []
        for other, fits in self.glue:
            at = value.find(other + "=")
            if at <= 0 or other in present:
                continue
            right = value[at + len(other) + 1 :]
            if right and fits(right) and self._may_be(key, value[:at]):
                parts.note("glued_pair", other, begins + at)
                glued.insert(0, (other, right, begins + at + len(other) + 1))
                value = value[:at]
        return value, glued

    def quick(self, text: str, start: int, repairs: list[Note]) -> dict[str, str] | None:
        """The pairs of a plain record: documented keys, each once, at most glued.

        Nearly every line is one. The result is what `scan` would find; anything else gives None.

        Args:
            text: The record.
            start: Where its extension begins.
            repairs: Receives a note for a glued pair, which the vendor's own example has.
        """
        for read in self.sequences.known:
            found = read(text, start)
            if found is not None:
                return found
        found = self._quick(text, start, repairs)
        if found and not repairs:
            self.sequences.learn(text, start, found)
        return found

    def _quick(self, text: str, start: int, repairs: list[Note]) -> dict[str, str] | None:
        body = text[start:]
        if not self.colon and body.isascii() and "= " not in body:
            # a strict `k=v k=v` is two splits; control characters and backslashes spoil the pattern
            words = body.replace(" ", "=").split("=")
            count = len(words) // 2
            if body.encode().translate(None, _ORDINARY) == _ALTERNATING[: 2 * count - 1]:
                found = dict(zip(words[::2], words[1::2]))  # noqa: B905  alternating: both equal
                plain = len(found) == count and self.plain.issuperset(found) and words[-1]
                return found if plain else None
        if "\\" in body or not body.isprintable():
            return None
        return self._by_word(body, start, repairs)

    def _by_word(self, body: str, start: int, repairs: list[Note]) -> dict[str, str] | None:
        """The same for values with blanks and for colon pairs."""
        found: dict[str, str] = {}
        plain, colon = self.plain, self.colon
        last = ""
        for token in body.split(" "):
            key, equals, value = token.partition("=")
            if equals:
                if key not in plain or not (value or colon):
                    return None  # only a dialect with colon pairs has empty values: hidden SSIDs
                if "=" in value:
                    if key in self.free:
                        return None  # a stranger's text is never parted
                    other, value, right = self._glued(key, value)
                    if not other or other in found or f" {other}=" in body:
                        return None
                    at = start + body.index(token) + len(key) + 1
                    repairs.append(Note("glued_pair", other, at + len(value)))
                    if key in found:
                        return None
                    found[key], found[other] = value, right
                    last = ""  # more words would be part of the value that was tested
                    continue
            else:
                key, equals, value = token.partition(":")
                if equals and key in colon:
                    test = colon[key]
                    if key not in plain or not (test is None or test(value)):
                        return None
                elif last and token:
                    found[last] += " " + token
                    continue
                else:
                    return None
            if key in found:
                return None
            found[key] = value
            last = key
        return found

    def _glued(self, key: str, value: str) -> tuple[str, str, str]:
        """The one documented key inside a value, and what stands before and after it."""
        for other, fits in self.glue:
            left, equals, right = value.partition(other + "=")
            if equals and left and right and other != key and fits(right):
                one = "=" not in left and "=" not in right
                return (other, left, right) if one and self._may_be(key, left) else ("", value, "")
        return "", value, ""

    def _may_be(self, key: str, value: str) -> bool:
        """Whether what stays with a key after parting still fits it."""
        test = self.fits.get(key)
        return test is None or test(value)


def _rest(text: str, parts: Parts, start: int, end: int, note: str) -> None:
    """Keep what is not taken apart as one pair of its own."""
    parts.note(note, "", start)
    rest = text[start:end].strip(BLANKS)
    if rest:
        parts.pairs.append(("_rest", rest))
        parts.offsets.append(start)
        parts.extension.setdefault("_rest", rest)


def _numbered(key: str) -> bool:
    """Whether a key ends like `groups.12`."""
    return key[key.rindex(".") + 1 :].isdigit() and key.count(".") == 1 and key.isascii()


_ORDINARY = bytes(code for code in range(33, 127) if code not in b"=\\")
_ALTERNATING = b"= " * (MAX_PAIRS + 1)
_FAR = (
    4_102_444_800_000  # 2100: a boundary test asks for a time's form, not whether it is plausible
)
