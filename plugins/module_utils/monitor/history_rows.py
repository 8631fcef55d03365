# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the history, and how a run is written into them."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Callable, Optional

from ..errors import printable
from ..jobs.health import Finding, HealthReport

POINT_DAYS = 8
HOUR_DAYS = 400
MOST_BYTES = 32_000_000
_MOST_CHANGES = 20_000
_MOST_TOLD = 5_000
_MOST_FIGURES = 20
_MOST_COUNTS = 50
_NAME_CHARACTERS = 200
_TEXT_CHARACTERS = 300
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE series(id INTEGER PRIMARY KEY, look TEXT NOT NULL, name TEXT NOT NULL, counted INTEGER NOT NULL,"
    " UNIQUE(look, counted, name))",
    # Ordered by time: a run writes one page or two, and what is old goes in one piece.
    "CREATE TABLE points(at INTEGER NOT NULL, series INTEGER NOT NULL, value REAL NOT NULL, PRIMARY KEY(at, series))"
    " WITHOUT ROWID",
    "CREATE TABLE hours(hour INTEGER NOT NULL, series INTEGER NOT NULL, average REAL NOT NULL, most REAL NOT NULL,"
    " number INTEGER NOT NULL, PRIMARY KEY(hour, series)) WITHOUT ROWID",
    "CREATE TABLE days(day INTEGER NOT NULL, series INTEGER NOT NULL, last REAL NOT NULL, most REAL NOT NULL,"
    " PRIMARY KEY(day, series)) WITHOUT ROWID",
    "CREATE TABLE runs(at INTEGER PRIMARY KEY, level INTEGER NOT NULL)",
    "CREATE TABLE looks(name TEXT PRIMARY KEY, level INTEGER NOT NULL)",
    "CREATE TABLE changes(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, look TEXT NOT NULL, level INTEGER, "
    "title TEXT NOT NULL, text TEXT NOT NULL)",
    "CREATE INDEX changes_by_time ON changes(at)",
    "CREATE TABLE told(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, level INTEGER NOT NULL, word TEXT NOT NULL,"
    " title TEXT NOT NULL, text TEXT NOT NULL)",
    f"PRAGMA user_version = {_VERSION}",
)


def prepare(connection: sqlite3.Connection) -> None:
    """Makes a new connection ready, and the tables of an empty database. Raises sqlite3.Error."""
    connection.execute("PRAGMA query_only = OFF")
    connection.execute("PRAGMA synchronous = NORMAL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and tables == 0:
        _in_transaction(connection, lambda: [connection.execute(statement) for statement in _SCHEMA])
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"its form is {version}, and {_VERSION} is read")


def _in_transaction(connection: sqlite3.Connection, act: Callable[[], object]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        act()
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is not what it should be. By class and message: Python tells the codes from 3.11 on only."""
    if type(error) in (sqlite3.DatabaseError, sqlite3.IntegrityError, sqlite3.InternalError):
        return True
    return isinstance(error, sqlite3.OperationalError) and any(
        told in str(error) for told in ("no such table", "no such column", "malformed", "not a database"))


def record(connection: sqlite3.Connection, report: HealthReport, now: datetime) -> None:
    """Writes a run wholly or not at all, and lets go of what is too old or too much. Raises sqlite3.Error."""
    _in_transaction(connection, lambda: _write(connection, report, now))
    _bound(connection)


def tell(connection: sqlite3.Connection, events: Iterable[tuple[int, str, str, str]], now: datetime) -> None:
    """Writes what was told: level, word, title and text of each. Raises sqlite3.Error."""
    rows = [(seconds_of(now), level, *(printable(part)[:_TEXT_CHARACTERS] for part in parts))
            for level, *parts in events]
    _in_transaction(connection, lambda: connection.executemany(
        "INSERT INTO told(at, level, word, title, text) VALUES (?, ?, ?, ?, ?)", rows))


def _write(connection: sqlite3.Connection, report: HealthReport, now: datetime) -> None:
    at, day = seconds_of(now), day_of(now)
    new_day = connection.execute("SELECT 1 FROM days WHERE day = ? LIMIT 1", (day,)).fetchone() is None
    connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (at, report.level))
    for finding in report.findings:
        for name, value in _first(finding.figures, _MOST_FIGURES):
            series = _series(connection, finding.check, name, 0)
            connection.execute("INSERT OR REPLACE INTO points VALUES (?, ?, ?)", (at, series, value))
            connection.execute(
                "INSERT INTO hours VALUES (?, ?, ?, ?, 1) ON CONFLICT(hour, series) DO UPDATE SET number = number + 1,"
                " average = average + (excluded.average - average) / (number + 1), most = max(most, excluded.most)",
                (at // 3600, series, value, value))
            _add_day(connection, day, series, value)
        for name, value in _first(finding.counts, _MOST_COUNTS):
            _add_day(connection, day, _series(connection, finding.check, name, 1), value)
    _write_changes(connection, report.findings, at)
    _let_go(connection, at, day)
    if new_day:
        _forget_names(connection)


def _add_day(connection: sqlite3.Connection, day: int, series: int, value: float) -> None:
    connection.execute("INSERT INTO days VALUES (?, ?, ?, ?) ON CONFLICT(day, series) DO UPDATE SET"
                       " last = excluded.last, most = max(most, excluded.most)", (day, series, value, value))


def _series(connection: sqlite3.Connection, check: str, name: str, counted: int) -> int:
    key = (name_of(check), name_of(name), counted)
    row = connection.execute("SELECT id FROM series WHERE look = ? AND name = ? AND counted = ?", key).fetchone()
    if row is None:
        return connection.execute("INSERT INTO series(look, name, counted) VALUES (?, ?, ?)", key).lastrowid or 0
    return int(row[0])


def _write_changes(connection: sqlite3.Connection, findings: Iterable[Finding], at: int) -> None:
    before = dict(connection.execute("SELECT name, level FROM looks").fetchall())
    now = {name_of(finding.check): finding for finding in findings}
    for name, finding in now.items():
        if before.get(name) != finding.level:
            connection.execute("INSERT OR REPLACE INTO looks VALUES (?, ?)", (name, finding.level))
            _add_change(connection, at, name, finding.level, finding.title, finding.text)
    for name in sorted(set(before) - set(now)):
        connection.execute("DELETE FROM looks WHERE name = ?", (name,))
        _add_change(connection, at, name, None, name, "")


def _add_change(connection: sqlite3.Connection, at: int, name: str, level: Optional[int], title: str,
                text: str) -> None:
    connection.execute("INSERT INTO changes(at, look, level, title, text) VALUES (?, ?, ?, ?, ?)",
                       (at, name, level, printable(title)[:_TEXT_CHARACTERS], printable(text)[:_TEXT_CHARACTERS]))


def _let_go(connection: sqlite3.Connection, at: int, day: int) -> None:
    recent, old = at - POINT_DAYS * 86400, at - HOUR_DAYS * 86400
    connection.execute("DELETE FROM points WHERE at < ?", (recent,))
    connection.execute("DELETE FROM runs WHERE at < ?", (recent,))
    connection.execute("DELETE FROM hours WHERE hour < ?", (old // 3600,))
    connection.execute("DELETE FROM days WHERE day < ?", (day - HOUR_DAYS,))
    for table, most in (("changes", _MOST_CHANGES), ("told", _MOST_TOLD)):
        connection.execute(f"DELETE FROM {table} WHERE at < ?", (old,))
        connection.execute(f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?", (most,))


def _forget_names(connection: sqlite3.Connection) -> None:
    """Every series has a day for as long as it has anything."""
    connection.execute("DELETE FROM series WHERE id NOT IN (SELECT series FROM days)")


def _bound(connection: sqlite3.Connection) -> None:
    """Lets go of the oldest tenth until it is small enough."""
    while _used_bytes(connection) > MOST_BYTES:
        before = connection.total_changes
        _in_transaction(connection, lambda: _shorten(connection))
        if connection.total_changes == before:
            return


def _shorten(connection: sqlite3.Connection) -> None:
    for table, column in (("hours", "hour"), ("days", "day"), ("points", "at")):
        connection.execute(f"DELETE FROM {table} WHERE {column} < (SELECT min({column}) + max(1, (max({column})"
                           f" - min({column})) / 10) FROM {table}) AND {column} < (SELECT max({column}) FROM {table})")
    _forget_names(connection)


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (connection.execute(f"PRAGMA {name}").fetchone()[0]
                         for name in ("page_count", "freelist_count", "page_size"))
    return int((pages - free) * size)


def _first(numbers: Mapping[str, float], most: int) -> list[tuple[str, float]]:
    """The largest, where there are too many."""
    found = [(name, float(value)) for name, value in numbers.items() if math.isfinite(value)]
    return found if len(found) <= most else sorted(found, key=lambda pair: (-pair[1], pair[0]))[:most]


def name_of(text: str) -> str:
    """A name as it stands in the tables."""
    return printable(text)[:_NAME_CHARACTERS]


def seconds_of(moment: datetime) -> int:
    """Since 1970."""
    return int(moment.timestamp())


def day_of(moment: datetime) -> int:
    """The day of an instant in the host's zone, as ``date.toordinal`` counts."""
    return moment.astimezone().date().toordinal()
