# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a live database, for ``info`` and for decisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Optional, TypeVar

from ..errors import UsageError
from ..files import scratch_directory
from .check import CheckReport, demand_level, run_check
from .contents import Contents, count_rows, pragma, read_contents, schema_sha256, user_tables
from .snapshot import take
from .source import SourceFile, examine, file_size, open_private, open_reader

__all__ = ["Contents", "DatabaseInfo", "TableInfo", "has_wal_reset_bug", "inspect", "read_contents"]

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class TableInfo:
    """``rows`` None: not counted or unreadable. ``bytes`` are pages of the table and its indexes (None: not known)."""

    name: str
    rows: Optional[int]
    bytes: Optional[int]


@dataclass(frozen=True)
class DatabaseInfo:
    """Sizes in bytes; ``integrity`` is "not checked", "ok", or the problems as one text; ``mode`` permission bits.

    ``wal_reset_bug``: the SQLite of this host (``sqlite_version``) has the bug by which a checkpoint beside a writer
    can corrupt a WAL database (3.7.0 to 3.51.2, https://www.sqlite.org/changes.html).
    """

    path: str
    size_bytes: int
    page_size: int
    page_count: int
    free_pages: int
    journal_mode: str
    wal_bytes: int
    tables: tuple[TableInfo, ...]
    integrity: str
    problems: tuple[str, ...]
    sqlite_version: str
    wal_reset_bug: bool
    user: str
    group: str
    mode: int
    filesystem: str
    encoding: str
    auto_vacuum: int
    user_version: int
    application_id: int
    schema_sha256: str
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: the fields by their names, tuples as lists."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def inspect(path: str, *, rows: bool = True, integrity: Optional[str] = None, scratch: Optional[str] = None,
            busy_timeout_seconds: float = 5.0) -> DatabaseInfo:
    """What the database at ``path`` is and holds; ``rows`` also counts rows and bytes by table (reads all of it).

    ``integrity`` "quick" checks in place: writers of a database in rollback-journal mode wait meanwhile. "full" checks
    a snapshot, taken below the directory ``scratch`` and removed at the end, never the live file. Raises SourceError,
    BusyError, DestinationError (scratch) and UsageError.
    """
    if integrity is not None:
        demand_level(integrity)
    source = examine(path)
    if integrity == "full":
        if scratch is None:
            raise UsageError(source.path, "a full check needs a directory for a snapshot", "Name a scratch directory")
        return _inspect_snapshot(source, rows, scratch, busy_timeout_seconds)
    with open_reader(source, busy_timeout_seconds=busy_timeout_seconds) as connection:
        journal_mode = str(pragma(connection, "journal_mode"))
        if journal_mode == "wal":
            connection.execute("BEGIN")
        report = run_check(connection, "quick") if integrity else None
        return _info(source, connection, journal_mode, rows, report)


def _inspect_snapshot(source: SourceFile, rows: bool, scratch: str, busy_timeout_seconds: float) -> DatabaseInfo:
    with scratch_directory(scratch) as directory:
        taken = take(source.path, directory, "copy", busy_timeout_seconds=busy_timeout_seconds)
        report = CheckReport(taken.problems, taken.warnings[len(source.warnings):])
        with open_private(taken.path) as connection:
            return _info(source, connection, taken.journal_mode, rows, report)


def has_wal_reset_bug(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Whether this version of SQLite has the WAL-reset bug, fixed in 3.51.3."""
    return (3, 7, 0) <= version <= (3, 51, 2)


def _info(source: SourceFile, connection: sqlite3.Connection, journal_mode: str, rows: bool,
          report: Optional[CheckReport]) -> DatabaseInfo:
    problems = report.problems if report else ()
    notes = report.notes if report else ()
    return DatabaseInfo(
        path=source.path, size_bytes=source.size, page_size=pragma(connection, "page_size"),
        page_count=pragma(connection, "page_count"), free_pages=pragma(connection, "freelist_count"),
        journal_mode=journal_mode, wal_bytes=file_size(source.path + "-wal"), tables=_tables(connection, rows),
        integrity="not checked" if report is None else "; ".join(problems) or "ok", problems=problems,
        sqlite_version=sqlite3.sqlite_version, wal_reset_bug=has_wal_reset_bug(), user=source.user,
        group=source.group, mode=source.mode, filesystem=source.filesystem, encoding=pragma(connection, "encoding"),
        auto_vacuum=pragma(connection, "auto_vacuum"), user_version=pragma(connection, "user_version"),
        application_id=pragma(connection, "application_id"), schema_sha256=schema_sha256(connection),
        warnings=source.warnings + notes)


def _tables(connection: sqlite3.Connection, rows: bool) -> tuple[TableInfo, ...]:
    names = user_tables(connection)
    if not rows:
        return tuple(TableInfo(name, None, None) for name in names)
    sizes = _where_readable(partial(_bytes_by_table, connection)) or {}
    return tuple(TableInfo(name, _where_readable(partial(count_rows, connection, name)), sizes.get(name))
                 for name in names)


def _where_readable(read: Callable[[], _Result]) -> Optional[_Result]:
    """None for what is damaged, or needs what this SQLite lacks. A lock is an error: the figures are there."""
    try:
        return read()
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise
        return None


def _bytes_by_table(connection: sqlite3.Connection) -> dict[str, int]:
    """By dbstat (https://www.sqlite.org/dbstat.html), which may be lacking; {} where a table has taken its name."""
    owners = dict(connection.execute("SELECT name, tbl_name FROM sqlite_master"))
    if any(name.lower() == "dbstat" for name in owners):
        return {}
    sizes: dict[str, int] = {}
    for name, size in connection.execute("SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"):
        sizes[owners.get(name, name)] = sizes.get(owners.get(name, name), 0) + int(size)
    return sizes
