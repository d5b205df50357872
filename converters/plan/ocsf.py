"""What OCSF adds to rows: ids, siblings, class and type, observables, guards.

Tables hold captions, never numbers; everything here is worked out from the pinned schema:

* a caption row also fills its `_id`, leaf by leaf, so a conditional caption stays one expression;
* `activity` and the fact `class` fill the class, category and type attributes;
* rows the version or the profiles lack are left out, a caption the version lacks becomes 99
  (Other) with its text kept;
* an object with an `at_least_one` rule or required attributes is written only when they are met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from datto_siem.converters.plan.model import Step
from datto_siem.converters.schemas import Ocsf, OcsfAttribute, OcsfClass, OcsfObject
from datto_siem.converters.tables.expression import ABSENT, Expr

Rows = dict[str, Step]
Sure = Callable[[Expr], bool]
_INDEX = re.compile(r"\[\d+\]")
OTHER = 99


class OcsfRules:
    """The rules of one OCSF version."""

    def __init__(self, schema: Ocsf, observables: tuple[int, ...]) -> None:
        """`observables` are the observable type ids worth collecting."""
        self.schema = schema
        self._observables = frozenset(observables)

    def class_of(self, facts: Mapping[str, Any]) -> OcsfClass | None:
        """The class the facts name, when this version has it."""
        return self.schema.classes.get(facts.get("class", ""))

    def profiles(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """Of the profiles the facts name, those the class has in this version."""
        class_ = self.class_of(facts)
        return (
            () if class_ is None else _profiles(self.schema, class_.name, facts.get("profiles", ()))
        )

    def attribute(self, path: str, facts: Mapping[str, Any]) -> OcsfAttribute | None:
        """The attribute at a path, or None when the version or the profiles lack it."""
        container, name = self._container(path, facts)
        return None if container is None else _visible(container, self.profiles(facts)).get(name)

    def _container(
        self, path: str, facts: Mapping[str, Any]
    ) -> tuple[OcsfClass | OcsfObject | None, str]:
        *parents, name = _INDEX.sub("", path).split(".")
        profiles = self.profiles(facts)
        container: OcsfClass | OcsfObject | None = self.class_of(facts)
        for parent in parents:
            if container is None:
                return None, name
            attribute = _visible(container, profiles).get(parent)
            if attribute is None or attribute.object_type is None:
                return None, name
            container = self.schema.objects.get(attribute.object_type)
        return container, name

    def open(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Whether a path lies in an object that takes any attribute (`unmapped`)."""
        container, _ = self._container(path, facts)
        return isinstance(container, OcsfObject) and not container.attributes

    def known(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Whether this version has the attribute, its id, or an open object there."""
        if self.attribute(path, facts) is not None or self.open(path, facts):
            return True
        return self._pair(path, facts) is not None

    def captions(self, path: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """The captions a caption attribute may hold, or nothing where it is free text."""
        if path == "activity":
            class_ = self.class_of(facts)
            return tuple(class_.attributes["activity_id"].enum.values()) if class_ else ()
        pair = self._pair(path, facts)
        return tuple(pair[1].enum.values()) if pair is not None else ()

    def holds_text(self, path: str, facts: Mapping[str, Any]) -> bool:
        """Attributes whose scalar type is text."""
        attribute = self.attribute(path, facts)
        if attribute is None or attribute.object_type is not None:
            return False
        scalar = self.schema.types.get(attribute.type)
        return scalar is not None and scalar.base == "string_t"

    def expand(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> Rows:
        """Ids and siblings for captions; class, type and profiles; rows this version has."""
        class_ = self.class_of(facts)
        if class_ is None:
            return {}
        found = self._class_rows(class_, rows, facts)
        for path, step in rows.items():
            if path == "activity":
                continue
            pair = self._pair(path, facts)
            if pair is not None:
                id_path, id_attribute = pair
                found[id_path] = step._replace(into=id_path, expr=ids(step.expr, id_attribute.enum))
            if self.attribute(path, facts) is not None or self.open(path, facts):
                found[path] = step
        return found

    def _pair(self, path: str, facts: Mapping[str, Any]) -> tuple[str, OcsfAttribute] | None:
        """The id attribute beside a caption attribute."""
        container, name = self._container(path, facts)
        if container is None:
            return None
        for attribute in _visible(container, self.profiles(facts)).values():
            if attribute.sibling == name and attribute.enum:
                return path[: len(path) - len(name)] + attribute.name, attribute
        return None

    def _class_rows(self, class_: OcsfClass, rows: Rows, facts: Mapping[str, Any]) -> Rows:
        def row(path: str, expr: Expr, where: str) -> None:
            made[path] = Step(path, expr, where)

        made: Rows = {}
        activity = rows.get("activity")
        where = activity.where if activity is not None else ""
        row("class_uid", ("const", class_.uid), where)
        row("class_name", ("const", class_.caption), where)
        row("category_uid", ("const", class_.category_uid), where)
        row("category_name", ("const", class_.category_name), where)
        profiles = self.profiles(facts)
        if profiles:
            row("metadata.profiles", ("const", profiles), where)
        if activity is None:
            return made
        enum = class_.attributes["activity_id"].enum
        number = ids(activity.expr, enum)
        row("activity_id", number, where)
        row("activity_name", activity.expr, where)
        row("type_uid", _each(number, lambda id_: class_.uid * 100 + id_), where)
        names = {id_: f"{class_.caption}: {text}" for id_, text in enum.items()}
        name = _each(number, lambda id_: names.get(id_, f"{class_.caption}: Other"))
        if class_.uid == 0:  # type 99 is itself "Other" there, so its name is the activity's text
            name = ("join", ("list", (("const", class_.caption), activity.expr)), ": ")
        row("type_name", name, where)
        return made

    def finish(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> Rows:
        """Guards on objects that would be invalid half-filled, then observables."""
        guarded = self._guard(rows, facts, sure)
        found = self._collect(guarded, facts)
        if found:
            guarded["observables"] = Step("observables", ("collect", found), "")
        return guarded

    def _collect(self, rows: Rows, facts: Mapping[str, Any]) -> tuple[Any, ...]:
        found = []
        for path, step in rows.items():
            if path.startswith(("metadata.", "unmapped.")) or "[" in path:
                continue
            attribute = self.attribute(path, facts)
            if attribute is None or attribute.array or attribute.observable is None:
                continue
            if attribute.observable in self._observables:
                caption = self.schema.observable_types[attribute.observable]
                found.append((path, attribute.observable, caption, step.expr))
        return tuple(found)

    def _guard(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> Rows:
        found = dict(rows)
        prefixes = {path[:dot] for path in rows for dot in _dots(path)}
        for prefix in sorted(prefixes, key=lambda each: -each.count(".")):
            attribute = self.attribute(prefix, facts)
            if attribute is None or attribute.object_type is None:
                continue
            container = self.schema.objects[attribute.object_type]
            inside = {path: step for path, step in found.items() if path.startswith(prefix + ".")}
            for condition in self._conditions(container, prefix, inside, facts):
                if sure(condition):
                    continue
                members = condition[1] if condition[0] == "first" else (condition,)
                for path, step in inside.items():
                    if step.expr not in members:  # a member's own presence meets the condition
                        found[path] = step._replace(expr=_only_if(condition, found[path].expr))
        return {path: step for path, step in found.items() if step.expr != ABSENT}

    def _conditions(
        self, container: OcsfObject, prefix: str, inside: Rows, facts: Mapping[str, Any]
    ) -> list[Expr]:
        def under(names: tuple[str, ...]) -> Expr:
            return any_of(
                step.expr for path, step in inside.items() if _member(path, prefix) in names
            )

        visible = _visible(container, self.profiles(facts))
        wanted = [under((name,)) for name, each in visible.items() if each.required]
        if container.at_least_one:
            wanted.append(under(container.at_least_one))
        return wanted

    def needs(self, rows: Rows, facts: Mapping[str, Any], sure: Sure) -> list[Expr]:
        """Required attributes of the class, and its own at-least-one rule."""
        class_ = self.class_of(facts)
        if class_ is None:
            return []
        visible = _visible(class_, self.profiles(facts))
        groups: list[tuple[str, ...]] = [(name,) for name, each in visible.items() if each.required]
        if class_.at_least_one:
            groups.append(class_.at_least_one)
        wanted = []
        for names in groups:
            expr = any_of(step.expr for path, step in rows.items() if _member(path, "") in names)
            if not sure(expr):
                wanted.append(expr)
        return wanted


_cache: dict[tuple[int, tuple[str, ...]], Any] = {}
"""By identity of a pinned class or object, which live as long as the process."""


def _visible(
    container: OcsfClass | OcsfObject, profiles: tuple[str, ...]
) -> Mapping[str, OcsfAttribute]:
    key = (id(container), profiles)
    if key not in _cache:
        _cache[key] = {
            name: each
            for name, each in container.attributes.items()
            if not each.profiles or each.profiles & set(profiles)
        }
    found: Mapping[str, OcsfAttribute] = _cache[key]
    return found


def _profiles(schema: Ocsf, class_: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    key = (id(schema.classes[class_]), ("profiles of", *wanted))
    if key not in _cache:
        attributes = schema.classes[class_].attributes.values()
        known = {name for each in attributes for name in each.profiles}
        _cache[key] = tuple(name for name in wanted if name in known)
    found: tuple[str, ...] = _cache[key]
    return found


def _dots(path: str) -> list[int]:
    return [index for index, char in enumerate(path) if char == "."]


def _member(path: str, prefix: str) -> str:
    inside = path[len(prefix) + 1 :] if prefix else path
    return _INDEX.sub("", inside.split(".")[0])


def any_of(exprs: Any) -> Expr:
    """Present when any of them is."""
    kept = tuple(dict.fromkeys(expr for expr in exprs if expr != ABSENT))
    if not kept:
        return ABSENT
    return kept[0] if len(kept) == 1 else ("first", kept)


def _only_if(condition: Expr, expr: Expr) -> Expr:
    return ABSENT if ABSENT in (condition, expr) else ("if", condition, expr, ABSENT)


def ids(expr: Expr, enum: Mapping[int | str, str]) -> Expr:
    """The enumeration's number for every leaf of a caption expression."""
    by_caption = {caption.lower(): id_ for id_, caption in enum.items()}
    op = expr[0]
    if op == "const":
        return ABSENT if expr[1] is None else ("const", by_caption.get(str(expr[1]).lower(), OTHER))
    if op == "first":
        return (op, tuple(ids(item, enum) for item in expr[1]))
    if op == "if":
        return (op, expr[1], ids(expr[2], enum), ids(expr[3], enum))
    if op == "lookup":
        rows = tuple((key, ids(row, enum)) for key, row in expr[2])
        return (op, expr[1], rows, ids(expr[3], enum))
    if op == "other":
        return ("if", expr[1], ("const", OTHER), ABSENT)
    rows = tuple((caption, ("const", id_)) for caption, id_ in by_caption.items())
    return ("lookup", expr, rows, ("if", expr, ("const", OTHER), ABSENT))


def _each(expr: Expr, change: Callable[[int], object]) -> Expr:
    """The same choice with every constant leaf changed."""
    op = expr[0]
    if op == "const":
        return expr if expr[1] is None else ("const", change(expr[1]))
    if op == "first":
        return (op, tuple(_each(item, change) for item in expr[1]))
    if op == "if":
        return (op, expr[1], _each(expr[2], change), _each(expr[3], change))
    rows = tuple((key, _each(row, change)) for key, row in expr[2])
    return ("lookup", expr[1], rows, _each(expr[3], change))
