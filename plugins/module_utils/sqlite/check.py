# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a private copy a sound database? SQLite's own checks, and what they do not look at."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from dataclasses import dataclass
from typing import Optional

from ..errors import SourceError, UsageError, printable
from .contents import quoted, read_rows, user_tables
from .header import HEADER_BYTES, parse_header
from .source import file_size, open_private

PRAGMAS = {"full": "integrity_check", "quick": "quick_check"}
_NO_WORD, _UNEXPLAINED = "vtable constructor failed: ", "SQL logic error"
_FOREIGN = ("no such collation sequence", "unknown function", "no such function", "no such module", "unsafe use of",
            "no such tokenizer: ", "unknown tokenizer", "error in tokenizer constructor", _NO_WORD)
_OWN_MODULE = re.compile(r"\busing\W+(fts[345]|rtree|geopoly)", re.IGNORECASE)
_KEY_ORDER = "not in PRIMARY KEY order"
_MAXIMUM = 100
_OPCODES = 200_000


@dataclass(frozen=True)
class CheckReport:
    """``problems``: empty means sound. ``notes``: what could not be checked as fully as was asked, and why."""

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check(path: str, level: str = "full") -> tuple[str, ...]:
    """The problems of the private copy at ``path``; empty means sound.

    ``full`` is integrity_check, ``quick`` is quick_check (https://www.sqlite.org/pragma.html#pragma_integrity_check);
    both see the structure and not the content. Raises SourceError when the file cannot be read at all and UsageError
    for another level; a damaged copy is a problem and no exception.
    """
    return check_copy(path, level).problems


def check_copy(path: str, level: str = "full", *, deadline: Optional[float] = None) -> CheckReport:
    """As ``check``, with notes. ``deadline`` (of time.monotonic()): SourceError when it passes before the end."""
    demand_level(level)
    problem = _file_problem(path)
    if problem is not None:
        return CheckReport((problem,))
    with open_private(path) as connection:
        if deadline is not None:
            until = deadline
            connection.set_progress_handler(lambda: time.monotonic() > until, _OPCODES)
        try:
            return run_check(connection, level)
        except sqlite3.DatabaseError as error:
            if str(error) == "interrupted":
                raise SourceError(path, "the check of the copy did not end before the deadline",
                                  "Allow more time, or look for what slows the disk down") from error
            return CheckReport((printable(str(error)),))


def demand_level(level: str) -> None:
    """Raises UsageError when ``level`` is neither full nor quick."""
    if level not in PRAGMAS:
        raise UsageError(f"check level {level!r}", "this level is unknown", "Use full or quick")


def run_check(connection: sqlite3.Connection, level: str) -> CheckReport:
    """Runs the check of this level in ``connection``. Raises sqlite3.DatabaseError when SQLite cannot even run it."""
    try:
        return CheckReport(_lines(connection, f"PRAGMA {PRAGMAS[level]}({_MAXIMUM})"))
    except sqlite3.OperationalError as error:
        if str(error) != _UNEXPLAINED:
            _foreign_reason(error)
        report = _check_by_table(connection, level)
        if str(error) == _UNEXPLAINED and not report.notes:
            raise
        return report


def _check_by_table(connection: sqlite3.Connection, level: str) -> CheckReport:
    """Some table needs functions, collations or modules that only the application has: the others are checked in
    full."""
    problems = list(_lines(connection, f"PRAGMA {PRAGMAS[level]}(sqlite_master)"))
    reasons: dict[str, str] = {}
    for table in user_tables(connection):
        try:
            problems += _lines(connection, f"PRAGMA {PRAGMAS[level]}({quoted(table)})")
        except sqlite3.OperationalError as error:
            reasons[table] = _foreign_reason(error)
    # After the full checks: stand-ins sort otherwise than the application does, so that order proves nothing.
    notes = []
    for table, reason in reasons.items():
        try:
            found = _without_ok([str(row[0]) for row in read_rows(connection, f"PRAGMA quick_check({quoted(table)})")])
            problems += [line for line in found if _KEY_ORDER not in line]
            notes.append(f"the indexes of table {printable(table)} could not be checked ({reason})")
        except sqlite3.OperationalError as error:
            notes.append(f"table {printable(table)} could not be checked ({_foreign_reason(error)})")
    for table, statement in _virtual_tables(connection):
        try:
            problems += _lines(connection, f"PRAGMA {PRAGMAS[level]}({quoted(table)})")
        except sqlite3.OperationalError as error:
            reason = _foreign_module(connection, table, statement, error)
            notes.append(f"table {printable(table)} could not be checked ({reason})")
    return CheckReport(tuple(problems), tuple(notes))


def _virtual_tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Names and statements. SQLite checks such tables from 3.44 on, which begins with connecting them; before, a check
    of them finds nothing."""
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND coalesce(rootpage, 0) = 0"
                               " ORDER BY name").fetchall()
    return [(name, str(statement)) for name, statement in found]


def _foreign_module(connection: sqlite3.Connection, table: str, statement: str, error: sqlite3.OperationalError) -> str:
    """What a virtual table lacks here. Raises ``error`` where that is nothing of the application's."""
    if str(error).startswith(_NO_WORD) and _OWN_MODULE.search(statement):
        # SQLite's own modules name what the application has not brought. Without a word they fail for a table of
        # theirs that is gone.
        raise error
    if str(error) != _UNEXPLAINED:
        return _foreign_reason(error)
    name = quoted(table)
    try:
        # From 3.47 on FTS5 looks for its tokenizer when it is first used, and a check does not pass on what it says.
        connection.execute(f"SELECT 1 FROM {name} WHERE {name} MATCH 'a' LIMIT 1").fetchall()
    except sqlite3.OperationalError as told:
        if str(told).startswith(_FOREIGN):
            return printable(str(told))
    raise error


def _foreign_reason(error: sqlite3.OperationalError) -> str:
    if not str(error).startswith(_FOREIGN):
        raise error
    return printable(str(error))


def _lines(connection: sqlite3.Connection, statement: str) -> tuple[str, ...]:
    return _without_ok([str(row[0]) for row in connection.execute(statement)])


def _without_ok(rows: list[str]) -> tuple[str, ...]:
    lines = [line.strip() for row in rows for line in row.splitlines()]
    return tuple(printable(line) for line in lines if line not in ("", "ok", "*** in database main ***"))


def _file_problem(path: str) -> Optional[str]:
    """What SQLite would pass over in silence: an empty file, a cut or grown one, a log with rows beside it."""
    try:
        with open(path, "rb", buffering=0) as stream:
            head = stream.read(HEADER_BYTES)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise SourceError(path, f"it cannot be read: {error.strerror}", "Look at the path and the disk") from error
    try:
        header = parse_header(head, path)
    except SourceError as error:
        return error.cause
    if header.pages is not None and size != header.pages * header.page_size:
        return (f"the file has {size} bytes, its header counts {header.pages} pages of {header.page_size} bytes,"
                f" {header.pages * header.page_size} in all")
    for suffix in ("-wal", "-journal"):
        if file_size(path + suffix):
            return f"{path}{suffix} lies beside it: the file alone is not the whole database"
    return None
