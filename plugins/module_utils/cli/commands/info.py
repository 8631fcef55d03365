# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``info``: the figures of a live database."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from typing import Optional

from ...errors import SourceError, UsageError
from ...sqlite.inspect import DatabaseInfo, inspect
from ...units import format_bytes
from ..context import Context, full_path
from ..output import Line, Mark
from ..parser import nearest, one_of
from ..text import count, table

SUMMARY = "figures of a database: sizes, pages, tables, integrity"
DESCRIPTION = """\
The figures of a live database (a name, a path, or all that are configured).
The database is opened to be read only. '--integrity full' checks a snapshot,
never the live file."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("database", nargs="?", metavar="DATABASE", help="name or path (default: all configured ones)")
    parser.add_argument("--integrity", type=one_of("quick", "full"), metavar="LEVEL",
                        help="check it: quick (in place) or full (a snapshot)")
    parser.add_argument("--no-rows", action="store_true", help="do not count rows and bytes, which reads everything")
    parser.add_argument("--scratch", metavar="DIR", help="where the snapshot goes (default: the archive directory)")


def run(context: Context) -> int:
    """Prints the figures. Exit code 0, 3 when a check found damage."""
    options = context.options
    settings = context.settings(optional=options.database is not None and os.sep in options.database)
    paths = choose(options.database, settings.databases)
    scratch = full_path(options.scratch) or settings.directory
    found: list[DatabaseInfo] = [inspect(path, rows=not options.no_rows, integrity=options.integrity,
                                         scratch=scratch or os.path.dirname(path)) for path in paths]
    context.output.show({"databases": [info.as_dict() for info in found]}, lines(found))
    return SourceError.exit_code if any(info.problems for info in found) else 0


def choose(database: Optional[str], configured: Sequence[str]) -> Sequence[str]:
    """The paths that are meant: one by name or path, or all. Raises UsageError."""
    if database is not None and os.sep in database:
        return [os.path.abspath(database)]
    if database is None and configured:
        return configured
    names = [os.path.basename(path) for path in configured]
    if database is None:
        raise UsageError("DATABASE", "no database is configured", "Name one by its path")
    chosen = [path for path in configured if os.path.basename(path) == database]
    if not chosen:
        raise UsageError(database, f"no configured database has this name{nearest(database, names)}",
                         f"Configured are {', '.join(names) or 'none'}; any other is named by its path")
    return chosen


def lines(found: Sequence[DatabaseInfo]) -> Iterator[Line]:
    """The figures for a person."""
    for number, info in enumerate(found):
        if number:
            yield Line()
        yield from _database_lines(info)


def _database_lines(info: DatabaseInfo) -> Iterator[Line]:
    free = info.free_pages * 100 // info.page_count if info.page_count else 0
    yield Line(f"Database: {info.path} ({format_bytes(info.size_bytes)})", Mark.GOOD)
    yield Line(f"Pages: {info.page_count:,} of {info.page_size} bytes, {info.free_pages:,} free ({free} %)", indent=1)
    yield Line(f"Journal mode: {info.journal_mode}, WAL {format_bytes(info.wal_bytes)}", indent=1)
    yield Line(f"Owner: {info.user}:{info.group}, mode {info.mode:04o}, file system {info.filesystem or 'unknown'}",
               indent=1)
    yield Line(f"Schema: version {info.user_version}, application id {info.application_id}, {info.encoding}, "
               f"auto_vacuum {info.auto_vacuum}", indent=1)
    yield Line(f"Schema SHA-256: {info.schema_sha256}", indent=1, detail=True)
    if info.problems:
        for problem in info.problems:
            yield Line(f"Integrity: {problem}", Mark.BAD, indent=1)
    else:
        checked = info.integrity != "not checked"
        yield Line(f"Integrity: {info.integrity}", Mark.GOOD if checked else None, indent=1)
    bug = ", which has the WAL-reset bug that 3.51.3 mends: no checkpoints beside writers" if info.wal_reset_bug else ""
    yield Line(f"SQLite: {info.sqlite_version}{bug}", indent=1)
    for warning in info.warnings:
        yield Line(warning, Mark.WARNING, indent=1)
    yield from _table_lines(info)


def _table_lines(info: DatabaseInfo) -> Iterator[Line]:
    rows = [(item.name, "-" if item.rows is None else f"{item.rows:,}",
             "-" if item.bytes is None else format_bytes(item.bytes)) for item in info.tables]
    yield Line(f"Tables: {count(len(rows), 'table')}", indent=1)
    if any(item.rows is not None for item in info.tables):
        for text in table(("TABLE", "ROWS", "SIZE"), rows, right={1, 2}):
            yield Line(text, indent=2)
