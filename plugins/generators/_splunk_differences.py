"""Where the add-on's raw form and the converter differ, and why: for its README and its proof."""

from __future__ import annotations

from datto_siem.plugins.generator import Difference

KNOWN_DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "datto_notes",
        "always",
        "The decoder's notes come from repairs that patterns make without telling; only"
        " `incomplete` (a field its data set needs is missing) is known at search time.",
    ),
    Difference(
        "datto_*",
        "a key no table names",
        "Search-time extraction cannot put a prefix before a name from the record, and without"
        " one a record could fill any field. The pair stays in `_raw`; a row in an overlay's"
        " source table makes it a field.",
    ),
    Difference(
        "datto_*",
        "a key that came twice",
        "The value that counts is the same one; the others stay in `_raw`.",
    ),
    Difference(
        "datto_*",
        "the last pair of a record that was cut",
        "Its value is not trusted here either; what is left of it stays in `_raw`.",
    ),
    Difference(
        "*",
        "a cut record with letters beyond ASCII",
        "A cut is told by the record's length in bytes; patterns count letters, so the last value"
        " is taken as it stands.",
    ),
    Difference(
        "category datto_groups datto_groups_*",
        "a numbered key from 64 on",
        "64 numbers have a group of the pattern each; later ones stay in `_raw`.",
    ),
)
