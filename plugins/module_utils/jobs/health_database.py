# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks of ``jobs.health`` at databases, as their owner and without a lock that anybody would wait for."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime

from ..config import Settings
from ..errors import MaintenanceError
from ..sqlite.contention import write_lock_percent
from ..sqlite.contents import pragma
from ..sqlite.source import SourceFile, examine, open_reader
from ..sqlite.usage import ROLLBACK_READ_SECONDS, OverBudget, quick_check, rows_by_table
from ..units import format_bytes, format_seconds
from ..watch import Watch
from .health import Finding
from .report import CRITICAL, OK, UNKNOWN, WARNING

LOCK_SAMPLES, LOCK_SECONDS = 20, 1.0
ROWS_SECONDS = 1.0


def databases(settings: Settings, _now: datetime) -> Iterator[Finding]:
    """Each database: whether it can be read and is sound; how large it is and how quick, and its write-ahead log. Each
    is a check of its own, so that one that is missing is news although it was too large before."""
    if not settings.databases:
        yield Finding(UNKNOWN, "database", "Database", "none is configured")
    for path in settings.databases:
        yield from _database(settings, path)


def _database(settings: Settings, path: str) -> Iterator[Finding]:
    check, title, limits = f"database {path}", _title(settings, path), settings.health
    try:
        source = examine(path)
        began = time.monotonic()
        with open_reader(source) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            milliseconds = (time.monotonic() - began) * 1000
            journal_mode, free_pages = pragma(connection, "journal_mode"), pragma(connection, "freelist_count")
            damage, note = _soundness(connection, source, journal_mode, limits)
            rows = rows_by_table(connection, ROWS_SECONDS if journal_mode == "wal" else ROLLBACK_READ_SECONDS)
    except MaintenanceError as error:
        yield Finding(CRITICAL, check, title, str(error))
        return
    figures = {"size_bytes": float(source.size), "wal_bytes": float(source.wal_bytes), "query_ms": milliseconds,
               "free_pages": float(free_pages), "page_bytes": float(source.page_size)}
    if damage:
        yield Finding(CRITICAL, check, title, f"it is damaged: {damage}. Restore the newest good archive", figures,
                      rows)
    else:
        yield Finding(OK, check, title, f"Connected ({format_bytes(source.size)}){note}", figures, rows)
    level, more = _size(source.size, limits)
    yield Finding(level, f"size {path}", f"{title}, size", f"{format_bytes(source.size)}{more}")
    slow = milliseconds > limits.query_target_ms
    yield Finding(WARNING if slow else OK, f"query {path}", f"{title}, query", f"{milliseconds:.1f} ms"
                  + (f", above the target of {limits.query_target_ms:g} ms" if slow else ""))
    if journal_mode == "wal":
        large = source.wal_bytes > limits.wal_warning_bytes
        yield Finding(WARNING if large else OK, f"log {path}", f"{title}, write-ahead log",
                      format_bytes(source.wal_bytes)
                      + (": a reader that does not end may keep it from being emptied" if large else ""))


def _title(settings: Settings, path: str) -> str:
    return "Database" if len(settings.databases) == 1 else f"Database {path}"


def _size(size: int, limits: Watch) -> tuple[int, str]:
    if size >= limits.database_critical_bytes:
        return CRITICAL, f", more than {format_bytes(limits.database_critical_bytes)}"
    if size >= limits.database_notice_bytes:
        step = limits.database_warning_bytes if size >= limits.database_warning_bytes else limits.database_notice_bytes
        return WARNING, f", more than {format_bytes(step)}"
    return OK, ""


def _soundness(connection: sqlite3.Connection, source: SourceFile, journal_mode: str, limits: Watch) -> tuple[str, str]:
    """The first damage, and what is to be said where the quick check did not end. Only where it is cheap, and where no
    writer waits for a reader: every archive gets the full check of its copy anyway."""
    if journal_mode != "wal" or not limits.quick_check_seconds or source.size > limits.quick_check_bytes:
        return "", ""
    try:
        report = quick_check(connection, limits.quick_check_seconds)
    except OverBudget:
        return "", f", quick check not finished in {format_seconds(limits.quick_check_seconds)}"
    return (report.problems[0] if report.problems else ""), ""


def locks(settings: Settings, _now: datetime) -> Iterator[Finding]:
    """How much of a second somebody held the write lock of each database. One that is not there is ``databases``' to
    tell."""
    for path in settings.databases:
        check, title = f"locks {path}", f"{_title(settings, path)}, write lock"
        try:
            percent = write_lock_percent(examine(path), LOCK_SAMPLES, LOCK_SECONDS)
        except MaintenanceError as error:
            yield Finding(UNKNOWN, check, title, str(error))
            continue
        except OSError as error:
            yield Finding(UNKNOWN, check, title, f"its locks cannot be looked at: {error.strerror or error}")
            continue
        much = percent > settings.health.lock_warning_percent
        yield Finding(WARNING if much else OK, check, title, f"held in {percent:.0f}% of {LOCK_SAMPLES} samples"
                      + (f", more than {settings.health.lock_warning_percent:g} %" if much else ""),
                      {"busy_percent": percent})
