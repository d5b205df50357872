"""What a careful reader must make of a draft, written apart from the product and the simulator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datto_siem.plugins.simulator.draft import Draft, Pair


def expected(draft: Draft) -> dict[str, str]:
    """Wire key -> text, for the keys a careful reader must agree on.

    Left out: values nobody can be sure of, keys that occur twice with two texts unless one of
    them is forged, and the pair a cut went through.
    """
    texts: dict[str, set[str]] = {}
    unsure = {pair.key for pair in draft.pairs if not pair.sure}
    swallowing: str | None = None  # the free text that may go on: `Guest x=1 y=2`
    for pair in draft.pairs:
        if swallowing is not None and pair.misfit:
            unsure |= {swallowing, pair.key}
        else:
            swallowing = pair.key if draft.free(pair) else None
    for pair in _whole(draft):
        if not pair.forged:
            texts.setdefault(pair.key, set()).add(unescape(draft.written(pair)).rstrip(" "))
    return {
        key: next(iter(found))
        for key, found in texts.items()
        if len(found) == 1 and key not in unsure
    }


def _whole(draft: Draft) -> list[Pair]:
    """The pairs a cut leaves untouched."""
    if draft.cut is None:
        return draft.pairs
    kept: list[Pair] = []
    for count in range(1, len(draft.pairs)):
        head = replace(draft, pairs=draft.pairs[:count], suffix="", cut=None)
        following = draft.pairs[count]
        if following.glued:
            continue  # one value with the pair before it until the next key shows its end
        # A value is known to be whole when the next key follows it before the cut; after a
        # stranger's text, or with a colon, only a whole value makes a key.
        strict = following.sep == ":" or draft.free(draft.pairs[count - 1])
        more = len(following.key) + 2
        more += len(draft.written(following).encode()) if strict else 0
        if len(head.render()) + more > draft.cut:
            break
        kept = draft.pairs[:count]
    return kept


def unescape(text: str) -> str:
    """Undo CEF escapes in one pass; a backslash before anything else is itself."""
    meaning = {"\\": "\\", "=": "=", "|": "|", "n": "\n", "r": "\r"}
    out: list[str] = []
    index = 0
    while index < len(text):
        char = text[index]
        if char == "\\" and text[index + 1 : index + 2] in meaning and index + 1 < len(text):
            out.append(meaning[text[index + 1]])
            index += 2
        else:
            out.append(char)
            index += 1
    return "".join(out)
