# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A consistent copy of a live database, checked and digested."""

from __future__ import annotations

import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from ..directories import make_private
from ..errors import DestinationError, SourceError, UsageError, from_oserror, printable
from ..files import free_bytes
from ..units import Progress, format_bytes
from .check import CheckReport, check_copy
from .contents import Contents, read_contents
from .copying import Copied, Copier
from .digest import DatabaseDigests, digest_database
from .source import SourceFile, examine, file_size, open_private, open_reader

_NOTHING = Contents(rows={}, schema_sha256="", user_version=0, application_id=0, encoding="", auto_vacuum=0)
_ROOM = 1.05
_WAL_GROWTH = 0.6
"""At full write speed the log of a 540 MB database grew to 60 % of it during a copy."""


@dataclass(frozen=True)
class Snapshot:
    """``path`` is the copy, ``page_digests_path`` its table of 16-byte page digests; both are the caller's to remove.

    ``taken_at`` (UTC) is the instant of the content. ``problems`` empty: the full integrity check found nothing.
    ``seconds`` took the copy, ``check_seconds`` digests and check. ``stall_seconds``: no writer waited longer for the
    copy (0.0 in WAL mode). ``warnings`` begin with those of ``source``.
    """

    source: SourceFile
    path: str
    name: str
    taken_at: datetime
    journal_mode: str
    digests: DatabaseDigests
    contents: Contents
    problems: tuple[str, ...]
    page_digests_path: str
    seconds: float
    check_seconds: float
    stall_seconds: float
    restarts: int
    wal_bytes_before: int
    wal_bytes_after: int
    wal_bytes_peak: int
    sqlite_version: str
    warnings: tuple[str, ...] = ()


def take(source_path: str, scratch: str, name: str, *, progress: Optional[Progress] = None,
         deadline_seconds: float = 3600.0, restart_budget: int = 3, busy_timeout_seconds: float = 30.0) -> Snapshot:
    """Copies the database at ``source_path`` into the private directory ``scratch`` (as databases/``name``, 0600).

    Uses SQLite's online backup (https://www.sqlite.org/backup.html) from a read-only connection; never checkpoints,
    never writes to the source. ``progress`` is called with the phases snapshot, digest and check, and may raise to
    stop. Raises SourceError (also when ``deadline_seconds`` are over), BusyError, DestinationError and UsageError.
    Damage that the check finds in the copy is in ``problems``.
    """
    began = time.monotonic()
    deadline = began + deadline_seconds
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise UsageError(f"name {name!r}", "this cannot be the name of a file", "Give the base name of the database")
    source = examine(source_path)
    warnings = source.warnings + _preflight(source, scratch)
    path, page_digests_path = _places(scratch, name)
    with open_reader(source, busy_timeout_seconds=min(busy_timeout_seconds, deadline_seconds)) as reader:
        copied = Copier(reader, source, path, deadline=deadline, busy_timeout_seconds=busy_timeout_seconds,
                        progress=progress).copy(restart_budget)
    wal_bytes_after = file_size(source.path + "-wal")
    copied_at = time.monotonic()
    digests, report, contents = _prove(path, page_digests_path, deadline, progress)
    return Snapshot(
        source=source, path=path, name=name, taken_at=copied.taken_at, journal_mode=copied.journal_mode,
        digests=digests, contents=contents, problems=report.problems, page_digests_path=page_digests_path,
        seconds=copied_at - began, check_seconds=time.monotonic() - copied_at, stall_seconds=copied.stall_seconds,
        restarts=copied.restarts, wal_bytes_before=source.wal_bytes, wal_bytes_after=wal_bytes_after,
        wal_bytes_peak=max(copied.wal_bytes_peak, wal_bytes_after), sqlite_version=sqlite3.sqlite_version,
        warnings=warnings + report.notes + _advice(source, copied))


def _places(scratch: str, name: str) -> tuple[str, str]:
    """Two directories, so that no database's name can be that of another one's table."""
    places = []
    for part in ("databases", "page-digests"):
        directory = os.path.join(scratch, part)
        try:
            if not os.path.isdir(directory):
                make_private(directory)
        except OSError as error:
            raise from_oserror(error, directory, "making room for the snapshot") from error
        place = os.path.join(directory, name)
        if os.path.lexists(place):
            raise DestinationError(place, "a snapshot of this name is there already", "Use another name or directory")
        places.append(place)
    return places[0], places[1]


def _preflight(source: SourceFile, scratch: str) -> tuple[str, ...]:
    """Demands room for the copy; warns when the log, which grows while the copy lasts, may lack it."""
    directory = os.path.dirname(source.path)
    needed = int((source.size + source.wal_bytes) * _ROOM)
    try:
        free, free_beside = free_bytes(scratch), free_bytes(directory)
        shared = os.stat(scratch).st_dev == os.stat(directory).st_dev
    except OSError as error:
        raise from_oserror(error, scratch, "looking for room for the snapshot") from error
    if free < needed:
        raise DestinationError(scratch, f"the snapshot of {source.path} needs {format_bytes(needed)} and only"
                               f" {format_bytes(free)} are free",
                               "Free some space there or choose another directory, then run again")
    growth = int(source.size * _WAL_GROWTH)
    if source.wal and free_beside - (needed if shared else 0) < growth:
        return (f"{directory}: {format_bytes(free_beside)} are free, and the write-ahead log may grow by"
                f" {format_bytes(growth)} while the copy lasts; it stops before the disk is full",)
    return ()


def _prove(path: str, page_digests_path: str, deadline: float,
           progress: Optional[Progress]) -> tuple[DatabaseDigests, CheckReport, Contents]:
    """Digests and full check at once: both let go of the interpreter lock."""

    def watch(phase: str, done: int, total: int) -> None:
        if time.monotonic() > deadline:
            raise SourceError(path, "the digests of the copy were not ready before the deadline",
                              "Allow more time (deadline_seconds), or look for what slows the disk down")
        if progress is not None:
            progress(phase, done, total)

    with ThreadPoolExecutor(max_workers=1) as other:
        checking = other.submit(_check_and_count, path, deadline)
        digests = digest_database(path, page_digests_path, watch)
        watch("check", 0, digests.size)
        report, contents = checking.result()
    watch("check", digests.size, digests.size)
    return digests, report, contents


def _check_and_count(path: str, deadline: float) -> tuple[CheckReport, Contents]:
    report = check_copy(path, deadline=deadline)
    try:
        with open_private(path) as connection:
            return report, read_contents(connection)
    except sqlite3.DatabaseError as error:
        problem = f"the rows cannot be counted: {printable(str(error))}"
        return CheckReport((*report.problems, problem), report.notes), _NOTHING


def _advice(source: SourceFile, copied: Copied) -> tuple[str, ...]:
    if copied.journal_mode == "wal" or copied.restarts == 0:
        return ()
    return (f"{source.path}: commits made the copy start anew {copied.restarts} times, and writers may have waited up"
            f" to {copied.stall_seconds:.2f} s; in WAL mode (PRAGMA journal_mode = WAL) they would not wait",)
