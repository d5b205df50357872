"""The wheel holds what the package needs and nothing else."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from engine import needed

ROOT = Path(__file__).parents[1]
FOLDERS = ("converters", "mappings", "plugins")


def packages() -> list[str]:
    """Every folder with an `__init__.py`, as an import path."""
    found = [path.parent for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/__init__.py")]
    return sorted("datto_siem." + ".".join(path.relative_to(ROOT).parts) for path in found)


def test_every_package_folder_is_named_in_pyproject() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text.split("packages = [", 1)[1].split("]", 1)[0]
    named = sorted(line.strip(' ",') for line in block.splitlines() if "datto_siem" in line)
    assert named == packages()


def test_the_wheel_holds_the_tables_and_nothing_outside_the_package(tmp_path: Path) -> None:
    if importlib.util.find_spec("build.__main__") is None:  # not the folder that pip leaves
        pytest.skip("build is not installed; .ci/run checks the wheel as well")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  our own interpreter
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    data = [path for kind in ("yaml", "json") for path in ROOT.glob(f"mappings/**/*.{kind}")]
    modules = [path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*.py")]
    for path in data + modules:
        assert f"datto_siem/{path.relative_to(ROOT)}" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"datto_siem"}


def test_the_typed_marker_is_there() -> None:
    assert (ROOT / "converters" / "py.typed").is_file()
    assert (ROOT / "plugins" / "py.typed").is_file()


def test_engines_are_installed_where_ci_runs() -> None:
    needed((ROOT / ".engines").is_dir(), "the folder .engines")
    assert (ROOT / ".engines" / "package.json").is_file()
