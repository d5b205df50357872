"""The Splunk add-on as files: the same bytes each time, complete, told what it cannot do."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from importlib import metadata
from typing import TYPE_CHECKING

import pytest

from datto_siem.plugins.cli.rules import generate
from datto_siem.plugins.generator import Context
from datto_siem.plugins.generators._splunk_differences import KNOWN_DIFFERENCES
from datto_siem.plugins.generators._splunk_package import APP
from datto_siem.plugins.products import PRODUCTS
from datto_siem.plugins.sinks.splunk_hec import Config
from datto_siem.plugins.splunk_sourcetypes import SOURCETYPES

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "README.md",
    "LICENSE.txt",
    "app.manifest",
    "default/app.conf",
    "default/eventtypes.conf",
    "default/fields.conf",
    "default/props.conf",
    "default/tags.conf",
    "default/transforms.conf",
    "lookups/datto_dot11_reason_text.csv",
    "lookups/datto_dot11_status_text.csv",
    "lookups/datto_events.csv",
    "metadata/default.meta",
    "samples/datto.samples",
    "static/appIcon.png",
    "static/appIcon_2x.png",
}


def unpacked(package: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as tar:
        found = {entry.name: tar.extractfile(entry) for entry in tar.getmembers()}
        return {name: file.read() for name, file in found.items() if file is not None}


@pytest.fixture(scope="module")
def package() -> bytes:
    return generate("splunk-ta")[f"{APP}.spl"]


def test_writing_again_gives_the_same_bytes(package: bytes) -> None:
    again = generate("splunk-ta")
    assert again[f"{APP}.spl"] == package
    assert set(again) == {"README.md", f"{APP}.spl"}


def test_the_package_holds_one_folder_named_after_the_app(package: bytes) -> None:
    found = unpacked(package)
    assert set(found) == {f"{APP}/{name}" for name in FILES}
    assert json.loads(found[f"{APP}/app.manifest"])["info"]["id"]["name"] == APP
    assert f"id = {APP}\n".encode() in found[f"{APP}/default/app.conf"]
    assert f"name = {APP}\n".encode() in found[f"{APP}/default/app.conf"]


def test_nothing_of_the_machine_is_in_the_package(package: bytes) -> None:
    assert package[:10] == b"\x1f\x8b\x08\0\0\0\0\0\x02\xff"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(package))) as tar:
        entries = tar.getmembers()
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    for entry in entries:
        assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")
        assert entry.mode == (0o755 if entry.isdir() else 0o644)


def test_each_configuration_file_tells_what_made_it(package: bytes) -> None:
    stamp = Context(metadata.version("datto-siem")).stamp
    for name, content in unpacked(package).items():
        if name.endswith(".conf"):
            assert content.decode().startswith(f"# {stamp}\n")


def test_the_readme_tells_each_difference_event_type_and_sourcetype(package: bytes) -> None:
    readme = generate("splunk-ta")["README.md"].decode()
    assert unpacked(package)[f"{APP}/README.md"].decode() == readme
    assert "@" not in readme
    for row in KNOWN_DIFFERENCES:
        assert row.reason in readme
        assert row.when in readme
    for sourcetype in (*SOURCETYPES["raw"].values(), SOURCETYPES["cim"][""]):
        assert f"`{sourcetype}`" in readme
    events = unpacked(package)[f"{APP}/default/eventtypes.conf"].decode()
    names = [line[1:-1] for line in events.split("\n") if line.startswith("[")]
    assert len(names) == 17
    assert [name for name in names if f"| `{name}` |" not in readme] == []


def test_the_sink_sends_under_the_sourcetypes_the_add_on_reads(package: bytes) -> None:
    props = unpacked(package)[f"{APP}/default/props.conf"].decode()
    for sourcetype in (*SOURCETYPES["raw"].values(), *SOURCETYPES["cim"].values()):
        assert f"\n[{sourcetype}]\n" in props
    assert set(SOURCETYPES["raw"]) == {*PRODUCTS, ""}
    assert Config.__dataclass_fields__["sourcetype"].default is None


def test_an_overlay_without_the_event_s_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    (tmp_path / "targets" / "cim.yaml").write_text("rows: {signature_id: x}\n")
    with pytest.raises(ValueError, match=r"needs a row of cim with \$event\.code"):
        generate("splunk-ta", None, tmp_path)
