r"""syslog-ng's own language: texts as patterns, and one shape of pairs as substitutions.

Every byte of a text that is not a letter, a digit or `_` is written as `\xHH`, which PCRE reads
inside single quotes. So no text can end a string, start a reference (`$`), a back-tick parameter or
a comment, or mean anything to the pattern it stands in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from datto_siem.plugins.generators._repair import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datto_siem.plugins.generators._repair import Shape

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_BLANK = r"[ \t\r\n\x0b\x0c]"
_START = rf"(?:^|(?<={_BLANK}))"
_KEY = r"[A-Za-z0-9_][A-Za-z0-9_.,\-]*+(?:\[[0-9]++\])?+"
_WORD = r"\x05[^\x06]*+\x06"  # as `placeholders` marks them
_VALUE = ".datto.pairs"


def pattern(text: str) -> str:
    """A pattern that matches a text and nothing else.

    Raises:
        UnicodeEncodeError: It holds half a surrogate pair, which no record can hold.
    """
    return "".join(chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in text.encode())


def template(text: str) -> str:
    """A template that gives a text, in double quotes."""
    inner = "".join(
        "$$" if byte == 0x24 else chr(byte) if byte in _PLAIN else f"\\x{byte:02x}"
        for byte in text.encode()
    )
    return f'"{inner}"'


def folded(text: str) -> str:
    """A pattern for a folded name, however it is spaced and capitalised; `*` is anything."""
    parts = [r"(?:[^|\\]|\\.)*" if letter == "*" else pattern(letter) for letter in text]
    return f"(?i:{' *'.join(parts)})"


def either(texts: Iterable[str]) -> str:
    """A group that matches any of some texts."""
    return f"(?:{'|'.join(map(pattern, texts))})"


def substitution(find: str, put: str) -> str:
    """One `subst`, over the whole of what is taken apart; both sides are patterns' letters."""
    return f'subst(\'{find}\' "{put}" value("{_VALUE}") flags("global"));'


def _rewrite(steps: list[str]) -> list[str]:
    return ["  rewrite {", *(f"    {step}" for step in steps), "  };"]


def marking(shape: Shape, words: tuple[str, ...]) -> list[str]:
    """Statements that put a mark before each key and behind it."""
    steps = []
    if shape.documented:
        keys = either(key for key, _ in shape.documented)
        steps.append(substitution(f"{_START}({keys})=", r"\x01$1\x02"))
    if shape.numbered:
        steps.append(substitution(f"{_START}({either(shape.numbered)}[0-9]++)=", r"\x03$1\x02"))
    steps += [
        substitution(f"{_START}({either(keys)}):{_fitting(kind, words)}", r"\x01$1\x02")
        for kind, keys in _by_kind(shape.colon)
    ]
    # after a value that a stranger chose only a documented key starts a pair
    skip = rf"\x01{either(shape.free)}\x02[^\x01]*+(*SKIP)(*F)|" if shape.free else ""
    steps.append(substitution(rf"{skip}{_START}(?=[^=]{{1,256}}=)({_KEY})=", r"\x03$1\x02"))
    steps += [
        substitution(f"{skip}{_START}({either(keys)}):{_fitting(kind, words)}", r"\x03$1\x02")
        for kind, keys in _by_kind(shape.loose)
    ]
    return _rewrite(steps)


def parting(shape: Shape) -> list[str]:
    """Statements that part glued pairs at a documented key which is otherwise absent.

    The pair is parted where the right side fits its key, and put together again where the left side
    then does not fit its own: one pattern for both would be too large for PCRE.
    """
    typed = [(kind, keys) for kind, keys in _by_kind(shape.documented) if kind]
    kept = rf"(?!{either(shape.free)}\x02)" if shape.free else ""
    lines = []
    for key, kind in shape.glue:
        name = pattern(key)
        left = rf"[\x01\x03]{kept}[^\x02]++\x02(?:(?!{name}=)[^\x01\x03\x04])++"
        steps = [
            substitution(
                rf"({left}){name}=(?={_form(kind)}(?:[\x01\x03\x04]|\z))", rf"$1\x0e{name}\x02"
            )
        ]
        for one, keys in typed:
            unfit = rf"(\x01{either(keys)}\x02)(?!{_form(one)}\x0e)([^\x01\x03\x04\x0e]*+)"
            steps.append(substitution(rf"{unfit}\x0e{name}\x02", f"${{1}}${{2}}{name}="))
        steps.append(substitution(r"\x0e", r"\x04"))
        lines += [
            f"if (match('{name}=' value(\"{_VALUE}\"))"
            f" and not match('[\\x01\\x03]{name}\\x02' value(\"{_VALUE}\"))) {{",
            *_rewrite(steps),
            "};",
        ]
    return lines


def placeholders(words: tuple[str, ...]) -> str:
    """A substitution that marks the manual's own words, which fit every kind of value."""
    longest_first = sorted(words, key=len, reverse=True)
    return substitution(rf"(?<=[=\x02])({either(longest_first)})", r"\x05$1\x06")


def _by_kind(rows: tuple[tuple[str, str], ...]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for key, kind in rows:
        found.setdefault(kind, []).append(key)
    return list(found.items())


def _form(kind: str) -> str:
    """The form of a value, which ends where the next mark stands."""
    if kind not in FORMS:
        return r"[^\x01\x03\x04]++"
    form = FORMS[kind].replace("(", "(?:").replace(".{2,}", r"[^\x01\x03\x04]{2,}")
    return f"(?:{form}|{_WORD})"


def _fitting(kind: str, words: tuple[str, ...]) -> str:
    """What must follow a colon: a whole word of that form, a placeholder, or nothing."""
    if kind not in FORMS:
        return ""
    form = FORMS[kind].replace("(", "(?:").replace(".{2,}", r"[^ \t\r\n\x0b\x0c]{2,}")
    return f"(?=(?:{form}|{either(words)})?(?:{_BLANK}|\\z))"
