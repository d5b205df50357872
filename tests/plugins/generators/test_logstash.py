"""The Logstash artefacts as files: reproducible, whole, and their configurations well formed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generators import logstash, logstash_exec
from datto_siem.plugins.generators._ruby import literal
from datto_siem.plugins.generators._shipped import filled

if TYPE_CHECKING:
    from pathlib import Path

ARTEFACTS = {"logstash": logstash.TARGETS, "logstash-exec": logstash_exec.TARGETS}
EVERY = [(name, target) for name, targets in ARTEFACTS.items() for target in targets]

TOKEN = re.compile(
    r'\s+|#[^\n]*|(?P<text>"(?:\\.|[^"\\])*")|(?P<arrow>=>)|(?P<field>(?:\[@?[a-z]+\])+)|(?P<mark>[{}\[\],])'
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
)


class Configuration:
    """Reads a Logstash configuration: sections, plugins, conditions, settings and their values."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(text):
            match = TOKEN.match(text, at)
            assert match is not None, f"no token of a configuration: {text[at : at + 40]!r}"
            if match.lastgroup:
                self.tokens.append((match.lastgroup, match[0]))
            at = match.end()
        self.plugins: dict[str, list[tuple[str, dict[str, object]]]] = {}
        while self.tokens:
            section = self.take("word")
            assert section in ("input", "filter", "output")
            self.plugins.setdefault(section, []).extend(self.section())

    def take(self, kind: str, text: str | None = None) -> str:
        found = self.tokens.pop(0)
        assert found[0] == kind, found
        assert text is None or found[1] == text, found
        return found[1]

    def next(self, text: str) -> bool:
        return bool(self.tokens) and self.tokens[0][1] == text

    def section(self) -> list[tuple[str, dict[str, object]]]:
        self.take("mark", "{")
        found = []
        while not self.next("}"):
            word = self.take("word")
            if word == "if":
                self.take("field")
                found += self.section()
            elif word == "else":
                found += self.section()
            else:
                found.append((word, self.settings()))
        self.take("mark", "}")
        return found

    def settings(self) -> dict[str, object]:
        self.take("mark", "{")
        found: dict[str, object] = {}
        while not self.next("}"):
            kind, name = self.tokens.pop(0)
            assert kind in ("word", "text"), name
            self.take("arrow")
            assert name not in found, f"{name} twice"
            found[name] = self.value()
        self.take("mark", "}")
        return found

    def value(self) -> object:
        kind, text = self.tokens.pop(0)
        if text == "[":
            items = []
            while not self.next("]"):
                items.append(self.value())
                if not self.next("]"):
                    self.take("mark", ",")
            self.take("mark", "]")
            return items
        if text == "{":
            self.tokens.insert(0, (kind, text))
            return self.settings()
        if kind == "word" and self.next("{"):  # a codec with settings
            return text, self.settings()
        assert kind in ("text", "number", "word"), text
        return text.strip('"')


@pytest.mark.parametrize(("name", "target"), EVERY)
def test_an_artefact_is_whole_and_the_same_each_time(name: str, target: str) -> None:
    files = generate(name, target)
    assert files == generate(name, target)
    assert "README.md" in files
    for path, content in files.items():
        assert not re.search(rb"@[A-Z]+@", content), f"{path}: a mark nobody filled"
        assert b"datto-siem 0" in content, f"{path}: no stamp"
        assert content.isascii()


@pytest.mark.parametrize(("name", "target"), EVERY)
def test_configurations_are_well_formed(name: str, target: str) -> None:
    ids = []
    for path, content in generate(name, target).items():
        if not path.endswith(".conf"):
            continue
        found = Configuration(content.decode())
        assert found.plugins["input"]
        assert found.plugins["output"]
        assert not any(plugin == "pipe" for plugin, _ in found.plugins["output"])
        for plugins in found.plugins.values():
            for plugin, settings in plugins:
                assert "id" in settings, f"{path}: {plugin} has no id"
        ids.append(path)
        for plugin, settings in found.plugins.get("filter", []):
            assert plugin == "ruby"
            script = str(settings["path"]).rsplit("/", 1)[1]
            assert script in generate(name, target)
    assert ids


@pytest.mark.parametrize(
    "text",
    [
        "input { udp { port => 1 }",
        'input { udp { port => "1 } }',
        "input { udp { port 1 } }",
        "inputs { }",
        "output { a { b => [1 2] } }",
    ],
)
def test_the_reader_of_configurations_refuses(text: str) -> None:
    with pytest.raises((AssertionError, IndexError)):
        Configuration(text)


def test_the_commands_to_copy_are_taken_by_the_program() -> None:
    commands = []
    for path, content in generate("logstash-exec", "ocsf").items():
        text = content.decode()
        if path == "exec.conf":
            (_, settings), *_ = Configuration(text).plugins["filter"]
            params = settings["script_params"]
            assert isinstance(params, dict)
            commands.append(params['"command"'])
        else:
            found = re.findall(r"datto-siem (filter --to [^`\"@]+)[`\"]", text)
            commands += [["datto-siem", *shlex.split(each)] for each in found]
    assert len(commands) >= 3
    for command in commands:
        run = [sys.executable, "-m", "datto_siem.plugins.cli", *command[1:], "--self-test"]
        subprocess.run(run, check=True, capture_output=True)  # noqa: S603  our own program


def test_a_new_event_is_in_the_script(tmp_path: Path) -> None:
    path = tmp_path / "sources" / "access_point.yaml"
    path.parent.mkdir()
    path.write_text("events:\n  mesh/join: {activity: wifi.assoc, keys: [rt, smac]}\n")
    changed = generate("logstash", "ecs", tmp_path)
    assert b'"mesh/join" => ' in changed["datto_siem.rb"]
    assert b'"mesh/join" => ' not in generate("logstash", "ecs")["datto_siem.rb"]


def test_no_fact_of_the_tables_is_in_the_fixed_part() -> None:
    script = generate("logstash", "ecs")["datto_siem.rb"].decode()
    fixed = script.partition("# What comes from the mapping tables.")[0]
    for word in ("dattoDevicePreviousAP", "traffigatord", "wifi.ssid", "device-boot", "identity"):
        assert word not in fixed
        assert word == "identity" or word in script


def test_what_no_literal_can_hold_is_refused() -> None:
    for value in ("\ud800", float("nan"), float("inf"), {"a": ["\udfff"]}):
        with pytest.raises(ValueError, match="Ruby"):
            literal(value)
    with pytest.raises(TypeError, match="bytes"):
        literal(b"x")


def test_a_mark_takes_its_blanks_to_every_line() -> None:
    assert filled("a {\n  @X@\n  @Y@ @X@\n}", {"X": "b\nc"}) == "a {\n  b\n  c\n  @Y@ b\nc\n}"
