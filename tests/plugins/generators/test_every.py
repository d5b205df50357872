"""What holds of every artefact of `datto-siem rules`, whatever it is for."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
import yaml
from engine import ROOT

from datto_siem.converters import Converter
from datto_siem.plugins.cli import filter as filter_command
from datto_siem.plugins.cli import parsing
from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.registry import names, plugin

if TYPE_CHECKING:
    from collections.abc import Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMES = [name.replace("_", "-") for name in names("generators")]
FORMS = [
    (name, target)
    for name in NAMES
    for target in (plugin("generators", name.replace("-", "_")).TARGETS or (None,))
]


@pytest.mark.parametrize(("name", "target"), FORMS)
def test_it_is_whole_and_the_same_each_time(name: str, target: str | None) -> None:
    found = generate(name, target)
    assert found == generate(name, target)
    stamp = f"tables {Converter('ecs').tables.version}"
    assert stamp in found["README.md"].decode()
    for path, content in found.items():
        place = PurePosixPath(path)
        assert not place.is_absolute()
        assert ".." not in place.parts
        assert re.fullmatch(r"[A-Za-z0-9._/@-]+", path)
        assert not re.search(rb"@(TARGET|STAMP)@", content), path
        assert str(ROOT).encode() not in content


@pytest.mark.parametrize("name", NAMES)
def test_its_files_are_read_by_their_own_parsers(name: str, tmp_path: Path) -> None:
    for path, content in generate(name).items():
        suffix = PurePosixPath(path).suffix
        if suffix in (".yaml", ".yml"):
            list(yaml.safe_load_all(content))
        elif suffix == ".toml" or (suffix == ".conf" and name == "telegraf-exec"):
            tomllib.loads(content.decode())
        elif suffix == ".sh":
            place = tmp_path / "script"
            place.write_bytes(content)
            subprocess.run(["sh", "-n", place], check=True)  # noqa: S603, S607


def test_fluentds_sections_close_and_parameters_stand_inside_them() -> None:
    open_: list[str] = []
    for line in generate("fluentd-exec")["datto.conf"].decode().splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if found := re.fullmatch(r"<([a-z]+)(?: [a-z.*]+)?>", text):
            open_.append(found.group(1))
        elif found := re.fullmatch(r"</([a-z]+)>", text):
            assert open_.pop() == found.group(1)
        else:
            assert open_, text
            assert re.fullmatch(r"@?[a-z_]+ \S.*", text), text
    assert open_ == []


def test_fluent_bits_parsers_are_sections_of_known_keys() -> None:
    for name in ("parsers.conf", "parsers_json.conf"):
        section = ""
        for line in generate("fluent-bit-exec")[name].decode().splitlines():
            text = line.strip()
            if text.startswith("["):
                section = text
            elif text and not text.startswith("#"):
                assert section == "[PARSER]"
                assert text.split()[0] in ("Name", "Format", "Regex"), text


def commands(text: str) -> list[list[str]]:
    """Arguments of every `datto-siem filter` in a file."""
    joined = re.sub(r"\\\n\s*", " ", text)
    ends = r"(?=[`\"'\n|]|>>|$| \|)"
    return [
        shlex.split(found.group(1))
        for found in re.finditer(rf"datto-siem filter ((?:--?[a-z]|[^`\n|])*?){ends}", joined)
        if "--to" in found.group(1)
    ]


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("-exec")])
def test_the_commands_in_it_are_ours(name: str) -> None:
    parser = parsing.Parser("datto-siem filter")
    filter_command.add(parser)
    assert [
        parser.read(args)
        for content in generate(name).values()
        for args in commands(content.decode())
    ]


def whole(files: Mapping[str, bytes]) -> bytes:
    """All that is in an artefact, archives unpacked."""
    parts = []
    for path, content in files.items():
        parts.append(content)
        if path.endswith(".spl"):
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                members = [archive.extractfile(member) for member in archive if member.isfile()]
                parts += [member.read() for member in members if member is not None]
    return b"\n".join(parts)


# SC4S only routes by vendor and product: what an event holds is the add-on's to read
READING = [name for name in NAMES if not name.endswith("-exec") and name != "sc4s"]


@pytest.mark.parametrize("name", READING)
def test_a_new_event_of_an_overlay_appears_in_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "access_point.yaml").write_text(
        "fields:\n  dattoRoamTo: {as: mac, is: ap.previous_mac, colon: true, doc: Where}\n"
        "events:\n  wifi/zzroam: {activity: wifi.reassoc, keys: [rt, smac, dattoRoamTo]}\n"
    )
    before, after = whole(generate(name)), whole(generate(name, overlay=tmp_path))
    assert b"dattoRoamTo" not in before
    assert b"dattoRoamTo" in after
    if name not in ("rsyslog", "syslog-ng"):  # these know keys, whatever the event
        assert b"zzroam" in after
