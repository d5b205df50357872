"""Where things stand in a TOML file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datto_siem.plugins.forwarder.places import line, places

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = '''\
# [not.a.table]
[log]  # a comment
path = "a # b [x]"
"quoted key" = 'it''s'
size = """
[no.table]
key = 1
"""
[[output]]
name = "one"
batch = { count = 1, age = "1s" }
list = [
  "a",  # ]
  "b",
]
after = 1
[output.tls]
ca_file = "x"
[[output]]
name.first = "two"
[output.tls]
ca_file = "y"
'''.replace("'it''s'", "'its'")


def test_tables_keys_and_elements_of_arrays_have_their_line() -> None:
    found = places(TEXT)
    assert found["log",] == 2
    assert found["log", "path"] == 3
    assert found["log", "quoted key"] == 4
    assert found["log", "size"] == 5
    assert ("no", "table") not in found
    assert found["output", 0] == 9
    assert found["output", 0, "batch"] == 11
    assert found["output", 0, "after"] == 16
    assert found["output", 0, "tls", "ca_file"] == 18
    assert found["output", 1] == 19
    assert found["output", 1, "name", "first"] == 20
    assert found["output", 1, "tls", "ca_file"] == 22


def test_what_has_no_line_has_that_of_what_is_around_it() -> None:
    found = places(TEXT)
    assert line(found, ("output", 0, "batch", "count")) == 11
    assert line(found, ("log", "absent")) == 2
    assert line(found, ("absent",)) == 1


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every table and key of a document that is not inside a value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*at, name)
            yield from paths(inner, (*at, name))


WORD = st.text("abc-_", min_size=1, max_size=3)
VALUE = st.sampled_from(
    ["1", '"x"', "'#'", '"\\"]"', "[1, [2]]", "[\n1, # ]\n2\n]", '"""\n[a]\n"""', "'''\nb = 1'''"]
)


@given(st.dictionaries(WORD, st.dictionaries(WORD, VALUE, max_size=3), max_size=4))
def test_every_key_that_a_parser_finds_has_the_line_it_stands_on(
    tables: dict[str, dict[str, str]],
) -> None:
    text = "".join(
        f"[{table}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for table, keys in tables.items()
    )
    found = places(text)
    lines = text.split("\n")
    for path in paths(tomllib.loads(text)):
        shown = lines[found[path] - 1]
        assert shown == f"[{path[0]}]" if len(path) == 1 else shown.startswith(f"{path[1]} =")


@pytest.mark.parametrize("text", ["", "\n", "a = 1", "[a]", '"a.b" = 1', "a.b.c = 1\n"])
def test_small_documents(text: str) -> None:
    assert places(text)[()] == 1
