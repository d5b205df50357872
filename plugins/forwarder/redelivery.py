"""Dead letters sent again: `forward dead-letters retry`.

Owns one pass over an output's dead letters. What the destination takes is removed, what it refuses
again stays with its new reason and count, and at the first sign that the destination is away or
halted the pass ends and the rest stays. Nobody waits in pauses here: a person is watching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from datto_siem.plugins.sink import Next

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datto_siem.plugins.forwarder.letters import Letter, Letters
    from datto_siem.plugins.sink import Item, Sink


class Outcome(NamedTuple):
    """What a pass did.

    Attributes:
        taken: Letters the destination took; removed.
        skipped: Letters it has no place for any more; removed.
        refused: Letters refused again; kept.
        kept: Letters and unreadable lines not tried; kept.
        stopped: Why the pass ended early; "" when it did not.
    """

    taken: int = 0
    skipped: int = 0
    refused: int = 0
    kept: int = 0
    stopped: str = ""


class _Tried(NamedTuple):
    """A letter being sent, by the number of its line."""

    at: int
    letter: Letter
    item: Item


_MOST_AT_ONCE = 200


def retry(letters: Letters, sink: Sink) -> Outcome:
    """Send all dead letters of an output once more.

    Files are rewritten one by one after their letters were sent, so a pass that is killed sends
    the letters of one file twice at most.

    Raises:
        RetryRunning: Another pass runs.
        OSError: A file cannot be read or rewritten; everything not settled is still there.
    """
    total = Outcome()
    with letters.sealed() as files:
        for path in files:
            one = _File(letters, path, sink)
            total = _sum(total, one.run())
            if total.stopped:
                break
    return total


class _File:
    """One file's letters."""

    def __init__(self, letters: Letters, path: Any, sink: Sink) -> None:
        self._letters, self._path, self._sink = letters, path, sink
        self._kept: dict[int, bytes] = {}
        self._taken = self._skipped = self._refused = 0
        self._stopped = ""

    def run(self) -> Outcome:
        """Send what can be sent and rewrite the file."""
        groups: dict[str, list[_Tried]] = {}
        for at, (line, letter) in enumerate(self._letters.read(self._path)):
            self._kept[at] = line
            if letter is None or self._stopped:
                continue
            item = self._item(at, letter)
            if item is None:
                continue
            group = groups.setdefault(item.key, [])
            if group and self._full(group, item):
                self._send(group)
                group.clear()
            group.append(_Tried(at, letter, item))
        for group in groups.values():
            self._send(group)
        self._letters.replace(self._path, self._kept.values())
        kept = len(self._kept) - self._refused
        return Outcome(self._taken, self._skipped, self._refused, kept, self._stopped)

    def _full(self, group: Sequence[_Tried], item: Item) -> bool:
        batching = self._sink.batching
        if len(group) >= min(batching.count, _MOST_AT_ONCE):
            return True
        bodies = sum(len(tried.item.body) + batching.each for tried in group)
        return batching.fixed + bodies + len(item.body) + batching.each > batching.nbytes

    def _item(self, at: int, letter: Letter) -> Item | None:
        try:
            item = self._sink.item(letter.record)
        except Exception as error:  # the fault that made it a dead letter is still there
            self._refuse(at, letter, f"cannot be converted: {error!r}")
            return None
        if item is None:
            self._skipped += 1
            del self._kept[at]
        return item

    def _send(self, group: Sequence[_Tried]) -> None:
        waiting = [list(group)]
        hurried = False
        while waiting and not self._stopped:
            part = waiting.pop()
            reply = self._sink.send([tried.item for tried in part])
            for at, why in reply.rejected.items():
                self._refuse(part[at].at, part[at].letter, why)
            left = sorted(set(reply.left) - reply.rejected.keys())
            for at in set(range(len(part))) - set(left) - reply.rejected.keys():
                self._taken += 1
                del self._kept[part[at].at]
            again = [part[at] for at in left]
            if not again:
                continue
            in_vain = len(again) == len(part)
            if reply.next is Next.SPLIT and len(again) == 1:
                self._refuse(again[0].at, again[0].letter, reply.reason)
            elif reply.next is Next.SPLIT:
                half = len(again) // 2
                waiting += [again[half:], again[:half]]
            elif reply.next is Next.AGAIN and not (in_vain and hurried):
                hurried = in_vain
                waiting.append(again)
            else:
                self._stopped = reply.reason or "the destination does not take anything now"

    def _refuse(self, at: int, letter: Letter, why: str) -> None:
        self._kept[at] = self._letters.again(letter, why)
        self._refused += 1


def _sum(one: Outcome, other: Outcome) -> Outcome:
    return Outcome(
        one.taken + other.taken,
        one.skipped + other.skipped,
        one.refused + other.refused,
        one.kept + other.kept,
        other.stopped,
    )
