"""Imports point one way, converters are pure, modules are small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path for folder in ("converters", "plugins") for path in ROOT.glob(f"{folder}/**/*.py")
)
MIDDLE = ("filters", "generators", "sinks", "sources", "forwarder", "simulator")
FORBIDDEN = {"socket", "threading", "asyncio", "subprocess", "multiprocessing", "requests", "http"}
CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow"}
CLOCK_READER = "converters/decoder.py"  # its `received=None` means now
LONGEST = 350
ABOVE = "plugins/reference.py"  # writes the reference of all plugins


def layer(module: str) -> str:
    """The part of the package a module path belongs to."""
    parts = module.split("/")
    if parts[0] != "plugins":
        return parts[0]
    return parts[1] if (ROOT / "plugins" / parts[1]).is_dir() else "plugins"


def imported(path: Path) -> list[tuple[int, str]]:
    """Every module a file imports, with the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.lineno, node.module))
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    own = layer(str(path.relative_to(ROOT)))
    for line, module in imported(path):
        if not module.startswith("datto_siem."):
            continue
        other = layer(module.removeprefix("datto_siem.").replace(".", "/") + "/x")
        edge = f"{path.relative_to(ROOT)}:{line}: {own} imports {other}"
        if own == "converters":
            assert other in ("converters", "mappings"), edge
        elif own in MIDDLE:
            assert other in (own, "converters", "mappings", "plugins"), edge
        elif own == "plugins" and str(path.relative_to(ROOT)) != ABOVE:
            assert other in (own, "converters", "mappings"), edge


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("converters/**/*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_converters_are_pure(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    for line, module in imported(path):
        assert module.split(".")[0] not in FORBIDDEN, f"{name}:{line}"
    source = path.read_text()
    assert "os.environ" not in source
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            assert called not in CLOCKS or name == CLOCK_READER, f"{name}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_small_and_say_what_they_own(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), path
    assert text.count("\n") <= LONGEST, path
