"""The forwarder's configuration: one TOML file, checked whole before anything starts.

Owns reading, the schema of the whole file, and what must fit together. Options of the forwarder are
`sections`', those of a listener or output their plugin's; how faults are worded is `complaints`'.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema

from datto_siem.plugins import options
from datto_siem.plugins.forwarder.complaints import near, told
from datto_siem.plugins.forwarder.places import line, places
from datto_siem.plugins.forwarder.sections import (
    Admin,
    ListenCommon,
    Log,
    OutputCommon,
    Privacy,
    Tables,
    log_faults,
    loopback,
)
from datto_siem.plugins.registry import names, plugin
from datto_siem.plugins.secret import Secret

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from datto_siem.plugins.forwarder.places import Path as Place


class ConfigurationFaults(Exception):
    """All that is wrong with a configuration.

    Attributes:
        faults: `FILE:LINE: what is wrong and what to do`, in order of lines. No values that may
            be secrets.
    """

    def __init__(self, faults: list[str]) -> None:
        """Keep them; the message is all of them, one a line."""
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Output:
    """One output: the common options, and the plugin's."""

    common: OutputCommon
    config: Any

    @property
    def name(self) -> str:
        """Its name."""
        return self.common.name

    def secrets(self) -> list[Secret]:
        """Its secrets."""
        return list(_secrets(self.config))


@dataclass(frozen=True, slots=True)
class Listen:
    """One listener: the common options, and the plugin's."""

    name: str
    common: ListenCommon
    config: Any


@dataclass(frozen=True, slots=True)
class Configuration:
    """The whole file."""

    path: Path
    log: Log
    admin: Admin
    tables: Tables
    privacy: Privacy
    listeners: tuple[Listen, ...]
    outputs: tuple[Output, ...]

    @property
    def overlay(self) -> Path | None:
        """The directory of the user's tables."""
        return None if self.tables.overlay is None else Path(self.tables.overlay)

    def output(self, name: str) -> Output:
        """An output by name.

        Raises:
            LookupError: There is none; the message lists them.
        """
        for each in self.outputs:
            if each.name == name:
                return each
        listed = ", ".join(each.name for each in self.outputs)
        raise LookupError(f"no output {name!r}; there are {listed}")

    def secrets(self) -> list[Secret]:
        """Every secret that is configured."""
        configs = [each.config for each in self.outputs]
        configs += [each.config for each in self.listeners]
        return list(_secrets([*configs, self.privacy, self.log]))


def read(path: Path) -> Configuration:
    """Read and check a configuration.

    Raises:
        ConfigurationFaults: All that is wrong with it.
        OSError: It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationFaults([f"{path}:1: not UTF-8 at byte {error.start}"]) from error
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        where = at[1] if at else str(text.count("\n") + 1)
        raise ConfigurationFaults([f"{path}:{where}: {error}"]) from error
    return _Reading(path, given, places(text)).configuration()


def schema() -> dict[str, Any]:
    """The JSON Schema of the whole file, for editors."""
    outputs = [_merged(OutputCommon, "sinks", name) for name in names("sinks")]
    listeners = [_merged(ListenCommon, "sources", name) for name in names("sources")]
    top = _top()
    top["properties"]["output"] = {"type": "array", "minItems": 1, "items": {"oneOf": outputs}}
    top["properties"]["listen"] = {"type": "array", "minItems": 1, "items": {"oneOf": listeners}}
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, "title": "datto-siem forward", **top}


def _top() -> dict[str, Any]:
    tables = {"type": "array", "minItems": 1, "items": {"type": "object"}}
    return {
        "type": "object",
        "properties": {
            "log": options.schema(Log),
            "admin": options.schema(Admin),
            "tables": options.schema(Tables),
            "privacy": options.schema(Privacy),
            "listen": tables,
            "output": tables,
        },
        "required": ["log", "listen", "output"],
        "additionalProperties": False,
    }


def _merged(common: type, kind: str, name: str) -> dict[str, Any]:
    """The schema of one listener or output."""
    ours, theirs = options.schema(common), options.schema(plugin(kind, name).Config)
    ours["properties"]["type"] = {"const": name}
    return {
        "type": "object",
        "properties": {**theirs["properties"], **ours["properties"]},
        "required": [*ours["required"], *theirs["required"]],
        "additionalProperties": False,
    }


class _Reading:
    """Reads one file, gathering faults."""

    def __init__(self, path: Path, given: dict[str, Any], where: dict[Place, int]) -> None:
        self._path, self._given, self._where = path, given, where
        self._faults: list[tuple[int, str]] = []

    def configuration(self) -> Configuration:
        self._check(_top(), self._given, ())
        outputs = self._plugins("output", "sinks", OutputCommon)
        listeners = self._plugins("listen", "sources", ListenCommon)
        self._raise()
        given = self._given
        found = Configuration(
            path=self._path,
            log=self._built(Log, given["log"], ("log",)),
            admin=self._built(Admin, given.get("admin", {}), ("admin",)),
            tables=self._built(Tables, given.get("tables", {}), ("tables",)),
            privacy=self._built(Privacy, given.get("privacy", {}), ("privacy",)),
            listeners=tuple(
                Listen(common.name or common.type, common, config) for common, config in listeners
            ),
            outputs=tuple(Output(common, config) for common, config in outputs),
        )
        self._raise()
        self._belongs_together(found)
        self._raise()
        return found

    def _plugins(self, key: str, kind: str, common: type) -> list[tuple[Any, Any]]:
        """Common options and the plugin's own, of each table of an array."""
        built = []
        tables = self._given.get(key)
        for at, table in enumerate(tables if isinstance(tables, list) else []):
            place = (key, at)
            if not isinstance(table, dict):
                continue
            name = table.get("type")
            if name not in names(kind):
                hint = near(str(name), names(kind))
                self._fault((*place, "type"), f"no {key} type {name!r}; {hint}")
                continue
            if not self._check(_merged(common, kind, name), table, place):
                continue
            own = {each.name for each in fields(common)}
            theirs = {name: value for name, value in table.items() if name not in own}
            ours = {name: value for name, value in table.items() if name in own}
            config = self._built(plugin(kind, name).Config, theirs, place)
            built.append((self._built(common, ours, place), config))
        return [pair for pair in built if pair[1] is not None]

    def _built(self, config: type, given: dict[str, Any], place: Place) -> Any:
        try:
            return options.build(config, given)
        except ValueError as error:
            self._fault(place, str(error))
            return None

    def _check(self, wanted: dict[str, Any], given: Any, place: Place) -> bool:
        """Whether a part fits its schema; faults are kept."""
        errors = list(jsonschema.Draft202012Validator(wanted).iter_errors(given))
        for error in errors:
            for path, said in told(error):
                self._fault((*place, *path), said)
        return not errors

    def _belongs_together(self, found: Configuration) -> None:
        """What no schema can say."""
        self._unique("output", [each.name for each in found.outputs])
        self._unique("listen", [each.name for each in found.listeners])
        self._addresses(found)
        try:
            loopback(found.admin)
        except ValueError as error:
            self._fault(("admin", "address"), str(error))
        overlay = found.overlay
        if overlay is not None and not overlay.is_dir():
            self._fault(("tables", "overlay"), f"{overlay} is no directory")
        for name, said in log_faults(found.log, self._given["log"]):
            self._fault(("log", name), said)
        self._files(("log", "kafka"), found.log.kafka)
        for at, output in enumerate(found.outputs):
            self._files(("output", at), output.config)
        for at, listen in enumerate(found.listeners):
            self._files(("listen", at), listen.config)

    def _unique(self, key: str, given: list[str]) -> None:
        for at, name in enumerate(given):
            if name in given[:at]:
                self._fault((key, at), f"another {key} is named {name!r}: set `name`")

    def _addresses(self, found: Configuration) -> None:
        """One address, one listener: of UDP, and of TCP with and without TLS."""
        taken: dict[tuple[bool, str], str] = {}
        for at, listen in enumerate(found.listeners):
            address = getattr(listen.config, "address", None)
            if not isinstance(address, str) or address.endswith(":0"):
                continue
            other = taken.setdefault((listen.common.type == "udp", address), listen.name)
            if other != listen.name:
                self._fault(("listen", at, "address"), f"{address} is taken by listener {other!r}")

    def _files(self, place: Place, config: Any) -> None:
        """Certificates and keys that are named must be there."""
        tls = getattr(config, "tls", None)
        for each in fields(tls) if tls is not None else ():
            value = getattr(tls, each.name)
            if isinstance(value, str) and each.name in _FILES and not Path(value).is_file():
                self._fault((*place, "tls", each.name), f"no file {value}")

    def _fault(self, place: Place, said: str) -> None:
        at = line(self._where, place)
        told = (at, f"{self._path}:{at}: {said}")
        if told not in self._faults:
            self._faults.append(told)

    def _raise(self) -> None:
        if self._faults:
            raise ConfigurationFaults([said for _, said in sorted(self._faults)])


_FILES = ("ca_file", "client_cert", "client_key", "cert", "key", "cert_file", "key_file")


def _secrets(value: Any) -> Iterator[Secret]:
    """Every secret below a value."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _secrets(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _secrets(each)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _secrets(getattr(value, name))
