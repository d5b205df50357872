"""Documents that go straight to the JSON writer, with what does not change as finished JSON.

Objects that are the same for every record of a header, and those that depend on the sender and its
syslog header only, are written once and remembered. Such documents are not for anybody's eyes.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import orjson

from datto_siem.converters.lean import MEMO_SIZE, Lean
from datto_siem.converters.output import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from datto_siem.converters.evaluate import Lookups
    from datto_siem.converters.fast import Convert
    from datto_siem.converters.plan.model import EventPlan, Reading


def compile_frozen(
    plan: EventPlan, reading: Reading, lookups: Lookups, types: Mapping[str, str], lean: Convert
) -> Convert:
    """Like `compile_complete`, for documents that go straight to the JSON writer.

    What never changes is in them as finished JSON, and what changes with sender and syslog header
    only is remembered as such; so these documents are not for anybody's eyes.
    """
    writer = Frozen(plan, reading, lookups, types)
    writer.complete = True
    return writer.function({"_full": lean})


class Frozen(Lean):
    """Writes objects that do not change as finished JSON."""

    def _root(self, tree: Mapping[tuple[str, bool], Any]) -> None:
        self.constants["_fragment"] = _fragment
        self.constants["_empty"] = _fragment({})
        kept = self.plan.leftovers[0].split(".")[0] if self.plan.leftovers is not None else ""
        thawed: dict[tuple[str, bool], Any] = {}
        lasting: dict[str, Any] = {}
        twins: dict[str, str] = {}
        for (key, is_list), child in tree.items():
            if key == kept or is_list or not isinstance(child, dict):
                thawed[(key, is_list)] = child
                continue
            twin = next((name for (name, _), each in thawed.items() if each == child), None)
            if twin is not None:
                twins[key] = twin
            elif self._all(child, self._is_constant):
                thawed[(key, False)] = self.constant(_fragment(_plain(child)))
            elif self._all(child, self._is_lasting):
                lasting[key] = child
            else:
                thawed[(key, False)] = self._inner(child)
        self._object("d", thawed)
        for key, child in lasting.items():
            self._remembered(key, child)
        for key, twin in twins.items():
            self.line(f"if {twin!r} in d: d[{key!r}] = d[{twin!r}]")

    def _inner(self, tree: Mapping[tuple[str, bool], Any]) -> dict[tuple[str, bool], Any]:
        """The same object with constant objects inside it finished."""
        return {
            key: self.constant(_fragment(_plain(child)))
            if isinstance(child, dict) and not key[1] and self._all(child, self._is_constant)
            else child
            for key, child in tree.items()
        }

    def _remembered(self, key: str, tree: Mapping[tuple[str, bool], Any]) -> None:
        """An object of sender and syslog header, written once for each of them."""
        atoms = sorted(self.bases)
        memory = self.constant({})
        whole, one = self.name(), self.name()
        self.line(f"{whole} = ({', '.join(atoms)},)")
        self.line(f"{one} = {memory}.get({whole})")
        self.line(f"if {one} is None:")
        self.depth += 1
        inner = self.name()
        self._object(inner, tree)
        self.line(f"{one} = _fragment({inner}) if {inner} else _empty")
        self.line(f"if len({memory}) > {MEMO_SIZE}: {memory}.clear()")
        self.line(f"{memory}[{whole}] = {one}")
        self.depth -= 1
        self.line(f"if {one} is not _empty: d[{key!r}] = {one}")

    def _all(self, tree: Any, test: Callable[[str], bool]) -> bool:
        return all(test(atom) for atom in _leaves(tree))

    def _is_constant(self, atom: str) -> bool:
        return not atom.startswith(("v", "_"))

    def _is_lasting(self, atom: str) -> bool:
        return atom in self.lasting or self._is_constant(atom)


def _leaves(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for child in tree.values():
            yield from _leaves(child)
    else:
        yield tree


def _plain(tree: Any) -> Any:
    """A constant object's value, from the literals of its source."""
    if not isinstance(tree, dict):
        return ast.literal_eval(tree)
    return {
        key: [_plain(child)] if is_list else _plain(child) for (key, is_list), child in tree.items()
    }


def _fragment(value: object) -> orjson.Fragment:
    return orjson.Fragment(dump(value))
