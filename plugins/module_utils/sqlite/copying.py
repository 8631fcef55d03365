# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy itself: SQLite's online backup, pinned where it can be, watched at each step."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from .. import directories
from ..errors import BusyError, DestinationError, SourceError, from_oserror
from ..files import free_bytes
from ..units import Progress, format_bytes, format_seconds, utc_now
from .connect import connect_to, translate
from .contents import pragma
from .source import SourceFile, file_size

_BUSY = (5, 6)
"""SQLITE_BUSY and SQLITE_LOCKED (https://www.sqlite.org/rescode.html)."""
_DONE = 101
_BUSY_SLEEP_SECONDS = 0.001
"""A writer in rollback mode that never pauses leaves the lock free for an instant between two commits. SQLite's own
waiting, which asks ever more rarely, does not meet it."""
_PINNED_STEP_BYTES = 4 << 20
_UNPINNED_STEP_BYTES = 2 << 20
"""Small enough that a writer with a busy timeout of 100 ms gets through between two steps even from a slow disk."""
_WAL_RESERVE_BYTES = 32 << 20


@dataclass(frozen=True)
class Copied:
    """``taken_at``: the instant whose content this is. ``stall_seconds``: no writer waited longer for the copy."""

    taken_at: datetime
    journal_mode: str
    stall_seconds: float
    restarts: int
    wal_bytes_peak: int


class _RestartBudgetSpent(Exception):
    pass


class Copier:
    """Copies ``source``, read through ``reader``, to the new file ``path``. ``deadline`` is of time.monotonic()."""

    def __init__(self, reader: sqlite3.Connection, source: SourceFile, path: str, *, deadline: float,
                 busy_timeout_seconds: float, progress: Optional[Progress] = None) -> None:
        self._reader = reader
        self._source = source
        self._path = path
        self._deadline = deadline
        self._busy_timeout_seconds = busy_timeout_seconds
        self._progress = progress
        self._page_size = int(pragma(reader, "page_size"))
        self._wal_path = source.path + "-wal"
        self._wal_before = file_size(self._wal_path)
        self._wal_peak = self._wal_before

    def copy(self, restart_budget: int) -> Copied:
        """A WAL database is pinned at once: nobody waits for a reader. In a rollback-journal mode writers get
        through between the steps, until their commits have made the copy start anew ``restart_budget`` times; then it
        is pinned, and writers (and the readers behind a waiting writer) wait for its whole length.

        Raises SourceError, BusyError and DestinationError; the copy is then not to be used.
        """
        journal_mode = str(pragma(self._reader, "journal_mode"))
        if journal_mode == "wal":
            taken_at, _held = self._pinned()
            return Copied(taken_at, journal_mode, 0.0, 0, self._wal_peak)
        steps = _UnpinnedSteps(restart_budget)
        try:
            self._unpinned(steps)
            return Copied(steps.taken_at, journal_mode, steps.longest_seconds, steps.restarts, self._wal_peak)
        except _RestartBudgetSpent:
            taken_at, held_seconds = self._pinned()
        return Copied(taken_at, journal_mode, max(held_seconds, steps.longest_seconds), steps.restarts, self._wal_peak)

    def _pinned(self) -> tuple[datetime, float]:
        """A read transaction held from before the first page to after the last one: no commit can restart the copy."""
        taken_at = utc_now()
        self._reader.execute("BEGIN")
        self._wait_for_lock()
        began = time.monotonic()
        try:
            self._backup(_PINNED_STEP_BYTES, None)
        finally:
            if self._reader.in_transaction:
                self._reader.execute("ROLLBACK")
        return taken_at, time.monotonic() - began

    def _wait_for_lock(self) -> None:
        """Takes the lock that a reader holds. Raises BusyError."""
        until = time.monotonic() + self._busy_timeout_seconds
        self._reader.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    self._reader.execute("PRAGMA schema_version").fetchone()
                    return
                except sqlite3.Error as error:
                    told = translate(error, self._source.path, self._busy_timeout_seconds)
                    if not isinstance(told, BusyError) or time.monotonic() >= until:
                        raise told from error
                self._watch(time.monotonic())
                time.sleep(_BUSY_SLEEP_SECONDS)
        finally:
            self._restore_timeout()

    def _restore_timeout(self) -> None:
        self._reader.execute(f"PRAGMA busy_timeout = {int(self._busy_timeout_seconds * 1000)}")

    def _unpinned(self, steps: _UnpinnedSteps) -> None:
        # A step that finds the database locked returns at once, so that time spent waiting is not taken for time
        # that the lock was held.
        self._reader.execute("PRAGMA busy_timeout = 0")
        try:
            self._backup(_UNPINNED_STEP_BYTES, steps)
        finally:
            self._restore_timeout()

    def _backup(self, step_bytes: int, steps: Optional[_UnpinnedSteps]) -> None:
        pages = max(1, step_bytes // self._page_size)
        busy_since: Optional[float] = None

        def after_step(status: int, remaining: int, total: int) -> None:
            nonlocal busy_since
            now = time.monotonic()
            self._watch(now)
            if steps is not None:
                steps.ended(now, status, remaining, total, pages)
            if status in _BUSY:
                busy_since = now if busy_since is None else busy_since
                if now - busy_since >= self._busy_timeout_seconds:
                    raise BusyError(self._source.path, "another process kept the database locked for"
                                    f" {format_seconds(self._busy_timeout_seconds)}",
                                    "Find it with 'fuser' or 'lsof', let it finish, then run again")
            else:
                busy_since = None
                if self._progress is not None:
                    self._progress("snapshot", (total - remaining) * self._page_size, total * self._page_size)
            if steps is not None:
                steps.begins(_BUSY_SLEEP_SECONDS if status in _BUSY else 0.0)

        destination = self._create()
        try:
            self._reader.backup(destination, pages=pages, progress=after_step, sleep=_BUSY_SLEEP_SECONDS)
        except sqlite3.Error as error:
            if "full" in str(error):
                raise DestinationError(self._path, "no space is left on the device while copying the database",
                                       "Free some space there or choose another directory, then run again") from error
            raise translate(error, self._source.path, self._busy_timeout_seconds) from error
        finally:
            destination.close()

    def _create(self) -> sqlite3.Connection:
        """An empty file of mode 0600. Without journal and fsync: a copy that was interrupted is thrown away."""
        try:
            if os.path.lexists(self._path):
                directories.unlink(self._path)
            with directories.create_file(self._path) as made:
                destination = connect_to(made, self._path)
        except OSError as error:
            raise from_oserror(error, self._path, "creating the copy of the database") from error
        except sqlite3.Error as error:
            raise translate(error, self._path, 0.0) from error
        for statement in ("query_only = OFF", "journal_mode = OFF", "synchronous = OFF"):
            destination.execute(f"PRAGMA {statement}").fetchone()
        return destination

    def _watch(self, now: float) -> None:
        if now > self._deadline:
            raise SourceError(self._source.path, "the copy did not end before the deadline",
                              "Allow more time (deadline_seconds), or look for what slows the disk down")
        wal_bytes = file_size(self._wal_path)
        self._wal_peak = max(self._wal_peak, wal_bytes)
        free = free_bytes(os.path.dirname(self._source.path))
        if wal_log_endangers(wal_bytes - self._wal_before, free):
            raise SourceError(self._wal_path, f"the write-ahead log grew to {format_bytes(wal_bytes)} during the copy"
                              f" and only {format_bytes(free)} are left: the application would run out of space",
                              "Free some space there, or take the backup in a quieter hour")


def wal_log_endangers(grown_bytes: int, free_on_disk_bytes: int) -> bool:
    """Whether the copy must stop because the log, which it keeps from being reset, is filling the disk."""
    return grown_bytes > 0 and free_on_disk_bytes < _WAL_RESERVE_BYTES


class _UnpinnedSteps:
    """Restarts and lock times of a copy that lets writers through.

    A step that did not shrink the remainder by its pages, or met another page count, began anew with page 1.
    """

    def __init__(self, restart_budget: int) -> None:
        self._budget = restart_budget
        self._before: Optional[tuple[int, int]] = None
        self.restarts = 0
        self.longest_seconds = 0.0
        self.begins(0.0)
        self.taken_at = self._began_at

    def begins(self, sleep_seconds: float) -> None:
        """The next step begins after ``sleep_seconds``."""
        self._began = time.monotonic() + sleep_seconds
        self._began_at = utc_now()

    def ended(self, now: float, status: int, remaining: int, total: int, pages: int) -> None:
        """The step ended at ``now``. Raises _RestartBudgetSpent."""
        if status in _BUSY:
            return
        self.longest_seconds = max(self.longest_seconds, now - self._began)
        if self._before is not None and self._before != (remaining + pages, total) and status != _DONE:
            self.restarts += 1
            self.taken_at = self._began_at
            if self.restarts > self._budget:
                raise _RestartBudgetSpent
        self._before = (remaining, total)
