# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds: tables, rows, schema. Every name in it is somebody else's text."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import Any

_MISSING_COLLATION = "no such collation sequence: "


@dataclass(frozen=True)
class Contents:
    """``rows`` by table, empty ones too; ``auto_vacuum`` 0 none, 1 full, 2 incremental; ``schema_sha256`` hexadecimal.

    Tables are those with pages of their own: SQLite's (``sqlite_...``) are left out, and so are virtual ones, whose
    rows lie in the shadow tables that are counted.
    """

    rows: dict[str, int]
    schema_sha256: str
    user_version: int
    application_id: int
    encoding: str
    auto_vacuum: int


def read_contents(connection: sqlite3.Connection) -> Contents:
    """Counts every row (the whole database is read). Raises sqlite3.DatabaseError for a damaged database."""
    return Contents(
        rows={name: count_rows(connection, name) for name in user_tables(connection)},
        schema_sha256=schema_sha256(connection), user_version=pragma(connection, "user_version"),
        application_id=pragma(connection, "application_id"), encoding=pragma(connection, "encoding"),
        auto_vacuum=pragma(connection, "auto_vacuum"))


def user_tables(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The names of the tables that ``Contents.rows`` has, sorted. Raises sqlite3.DatabaseError."""
    found = connection.execute(
        r"SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite\_%' ESCAPE '\'"
        " ORDER BY name").fetchall()
    return tuple(name for (name,) in found)


def count_rows(connection: sqlite3.Connection, table: str) -> int:
    """Raises sqlite3.DatabaseError, also for a "table" that is really a view or has no valid name."""
    return int(read_rows(connection, f"SELECT count(*) FROM {quoted(table)}")[0][0])


def read_rows(connection: sqlite3.Connection, statement: str) -> list[tuple[Any, ...]]:
    """All rows of a statement that compares nothing: stand-ins serve for collations that only the application has."""
    made: set[str] = set()
    while True:
        try:
            return connection.execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            name = str(error)[len(_MISSING_COLLATION):]
            if not str(error).startswith(_MISSING_COLLATION) or name in made:
                raise
            connection.create_collation(name, _bytewise)
            made.add(name)


def _bytewise(left: str, right: str) -> int:
    return (left > right) - (left < right)


def quoted(name: str) -> str:
    """``name`` as an identifier of SQL. Raises sqlite3.DatabaseError when no identifier can be it."""
    if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        raise sqlite3.DatabaseError(f"the table name {name!a} is not valid text")
    return '"' + name.replace('"', '""') + '"'


def schema_sha256(connection: sqlite3.Connection) -> str:
    """SHA-256 over the sorted statements that made the schema; what ANALYZE and AUTOINCREMENT add does not count."""
    found = connection.execute(
        r"SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'").fetchall()
    statements = sorted(str(sql).encode("utf-8", "surrogateescape") for (sql,) in found)
    return hashlib.sha256(b"\0".join(statements)).hexdigest()


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    """The single value of a pragma. Raises sqlite3.DatabaseError."""
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
