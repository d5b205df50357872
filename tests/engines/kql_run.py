"""Runs KQL over rows of one table with duckdb-kql; started by the tests under its own interpreter.

Request on standard input, answer on standard output, both JSON:
    {"table": name, "columns": {name: type}, "rows": [{}], "texts": {key: query}}
    {key: [rows]}; a datetime as ISO 8601 with milliseconds
"""

from __future__ import annotations

import datetime
import json
import sys
import tempfile
from pathlib import Path

import duckdb_kql

SQL = {
    "string": "VARCHAR",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "DOUBLE",
    "datetime": "TIMESTAMP",
    "boolean": "BOOLEAN",
    "dynamic": "JSON",
}


def filled(connection, request, folder):
    """Create the table; a missing text is '' there, as in Log Analytics."""
    shape = ", ".join(f'"{name}" {SQL[kind]}' for name, kind in request["columns"].items())
    connection.execute(f"CREATE TABLE {request['table']} ({shape})")
    path = folder / "rows.json"
    empty = {name: "" if kind == "string" else None for name, kind in request["columns"].items()}
    path.write_text("\n".join(json.dumps({**empty, **row}) for row in request["rows"]))
    if request["rows"]:
        kinds = ", ".join(f"'{name}': '{SQL[kind]}'" for name, kind in request["columns"].items())
        connection.execute(
            f"INSERT INTO {request['table']} SELECT * FROM read_json('{path}',"  # noqa: S608  ours
            f" format='newline_delimited', maximum_object_size=4000000, columns={{{kinds}}})"
        )


def plain(value):
    """One cell as JSON has it."""
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds") + "Z"
    return value


def main() -> None:
    request = json.load(sys.stdin)
    connection = duckdb_kql.connect()
    # a third of the time goes into this pass, which changes no result
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    with tempfile.TemporaryDirectory() as folder:
        filled(connection, request, Path(folder))
    answer = {}
    for key, text in request["texts"].items():
        found = duckdb_kql.query(connection, text)
        names = [(column[0], str(column[1])) for column in found.description]
        answer[key] = [
            {
                name: json.loads(cell) if kind == "JSON" and cell is not None else plain(cell)
                for (name, kind), cell in zip(names, row, strict=True)
            }
            for row in found.fetchall()
        ]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
