"""What is built holds all tables and nothing but this project, and works once installed."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from engine import ROOT, needed

ROOTS = ("mappings", "converters", "plugins")


def listed() -> list[str]:
    """The packages that pyproject.toml names (read as text: tomllib came with Python 3.11)."""
    block = (ROOT / "pyproject.toml").read_text().split("\npackages = [", 1)[1].split("]", 1)[0]
    return [line.strip(' ",') for line in block.splitlines() if line.strip()]


def files(*patterns: str) -> set[str]:
    """Files of the three roots under their import path, as a wheel has them."""
    return {
        f"datto_siem/{path.relative_to(ROOT).as_posix()}"
        for root in ROOTS
        for pattern in patterns
        for path in (ROOT / root).rglob(pattern)
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a copy: an old `build/` would bring modules that are gone."""
    needed(importlib.util.find_spec("build") is not None, "build")
    out = tmp_path_factory.mktemp("wheel")
    for root in ROOTS:
        bare = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / root, out / "source" / root, ignore=bare)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, out / "source")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(out / "source")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_every_package_folder_is_listed_for_the_build() -> None:
    found = {
        ".".join(("datto_siem", *path.parent.relative_to(ROOT).parts))
        for root in ROOTS
        for path in (ROOT / root).rglob("__init__.py")
    }
    assert sorted(listed()) == sorted(found)


def test_every_module_is_in_a_package() -> None:
    for name in sorted(files("*.py")):
        folder = ROOT / Path(name).relative_to("datto_siem").parent
        assert (folder / "__init__.py").is_file(), name


def test_a_wheel_holds_every_module_table_and_schema(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert files("*.py", "*.yaml", "*.json", "py.typed") - held == set()


def test_a_wheel_holds_nothing_but_the_project(wheel: Path) -> None:
    roots = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    info = {root for root in roots if root.endswith(".dist-info")}
    assert len(info) == 1
    assert roots - info == {"datto_siem"}


def test_an_installed_wheel_loads_its_tables_and_converts(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    line = b"CEF:1|Datto|AccessPoint|7.1.0|system|boot|0|rt=1795514300412\n"
    for target in ("ecs", "cim", "ocsf", "asim", "csl", "cef"):
        run = subprocess.run(  # noqa: S603
            [sys.executable, "-S", "-c", _isolated(site), "convert", "--to", target],
            cwd=tmp_path, input=line, capture_output=True, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr.decode()[-2000:]
        assert len(run.stdout.splitlines()) == 1
        if target == "ecs":
            assert json.loads(run.stdout)["event"]["action"] == "device-boot"


def test_an_installed_wheel_checks_its_tables(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-S", "-c", _isolated(site), "tables", "check"],
        cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr.decode()[-2000:]


def _isolated(site: Path) -> str:
    """Run the command from `site`; -S leaves out the finder of an editable install."""
    places = [str(site), *(place for place in sys.path if place.endswith("site-packages"))]
    return (
        f"import sys; sys.path[:0] = {places!r}\n"
        "import datto_siem.converters as it\n"
        f"assert it.__file__.startswith({str(site)!r}), it.__file__\n"
        "from datto_siem.plugins.cli.main import main\n"
        "sys.exit(main())\n"
    )
