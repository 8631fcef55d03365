# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found over time, in a small SQLite database of bounded size. Nobody is alerted by it: whatever is wrong with
it is said, and a new one is begun."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import Any, Callable, Optional, TypeVar

from ..directories import create_file
from ..jobs.health import HealthReport
from ..sqlite.connect import connect, uri
from .history_rows import day_of, is_damage, name_of, prepare, record, seconds_of, tell

DAMAGED_SUFFIX = ".damaged"
_BUSY_SECONDS = 5.0
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Change:
    """``check`` came to ``level`` at ``at`` (seconds since 1970); None: it is no longer among the findings."""

    at: int
    check: str
    level: Optional[int]
    title: str
    text: str


@dataclass(frozen=True)
class Told:
    """An alert of ``at`` (seconds since 1970): ``word`` is the kind of news, as messages have it."""

    at: int
    level: int
    word: str
    title: str
    text: str


@dataclass(frozen=True)
class Hour:
    """The hour that begins at ``at`` (seconds since 1970): the mean and the largest value."""

    at: int
    average: float
    most: float


@dataclass(frozen=True)
class Day:
    """A day of the host's time: the last and the largest value."""

    day: date
    last: float
    most: float


class History:
    """The database at ``path``, as a context manager; one process uses it at a time. Values as they were found are kept
    for POINT_DAYS, hours, days and changes of state for HOUR_DAYS, and never more than about MOST_BYTES (history_rows).

    A damaged file is set aside beside it (DAMAGED_SUFFIX, over an older one), and a new one is begun. Where none can be
    opened, the history of this run is kept in memory. Either is told by ``problem``; no method raises for it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: Optional[sqlite3.Connection] = None
        self._problem = ""

    @property
    def problem(self) -> str:
        """What was wrong with the history, in one sentence; empty: nothing."""
        return self._problem

    def __enter__(self) -> History:
        self._connection = self._opened()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def record(self, report: HealthReport, now: datetime) -> str:
        """Adds the findings of a run and lets go of what is too old. Returns ``problem``."""
        self._attempt(lambda connection: record(connection, report, now), None)
        return self._problem

    def tell(self, events: Iterable[tuple[int, str, str, str]], now: datetime) -> str:
        """Adds what was told: level, word, title and text of each. Returns ``problem``."""
        self._attempt(lambda connection: tell(connection, events, now), None)
        return self._problem

    def told(self, since: datetime) -> list[Told]:
        """What was told, in that order."""
        return [Told(*row) for row in self._rows(
            "SELECT at, level, word, title, text FROM told WHERE at >= ? ORDER BY id", (seconds_of(since),))]

    def begins(self) -> Optional[int]:
        """When the first run was recorded that is still known (seconds since 1970); None: there is none."""
        rows: list[tuple[Optional[int], Optional[int]]] = self._rows(
            "SELECT (SELECT min(at) FROM runs), (SELECT min(hour) * 3600 FROM hours)")
        run, hour = rows[0] if rows else (None, None)
        return hour if hour is not None and (run is None or hour + 3600 <= run) else run

    def runs(self, since: datetime) -> list[tuple[int, int]]:
        """When runs were recorded (seconds since 1970) and the level of each."""
        return self._rows("SELECT at, level FROM runs WHERE at >= ? ORDER BY at", (seconds_of(since),))

    def series(self, check: str, figure: str, since: datetime) -> list[tuple[int, float]]:
        """Seconds since 1970 and values in their order: as found, before these the means of hours."""
        points = self._rows("SELECT at, value FROM points WHERE at >= ? AND series = ? ORDER BY at",
                            (seconds_of(since), self._identify(check, figure)))
        before = points[0][0] if points else math.inf
        hours = self.hourly(check, figure, since) if before - seconds_of(since) > 3600 else []
        return [*((hour.at, hour.average) for hour in hours if hour.at + 3600 <= before), *points]

    def hourly(self, check: str, figure: str, since: datetime) -> list[Hour]:
        """Hours in their order; the one that has not ended may be the last."""
        return [Hour(hour * 3600, average, most) for hour, average, most in self._rows(
            "SELECT hour, average, most FROM hours WHERE hour >= ? AND series = ? ORDER BY hour",
            (seconds_of(since) // 3600, self._identify(check, figure)))]

    def daily(self, check: str, figure: str, since: datetime) -> list[Day]:
        """Days in their order; the present one may be the last."""
        return [_day(*row) for row in self._rows(
            "SELECT day, last, most FROM days WHERE day >= ? AND series = ? ORDER BY day",
            (day_of(since), self._identify(check, figure)))]

    def counts(self, check: str, since: datetime) -> dict[str, list[Day]]:
        """The counts of a check by their names, each with its days in their order."""
        found: dict[str, list[Day]] = {}
        for name, *row in self._rows(
                "SELECT name, day, last, most FROM days JOIN series ON series.id = days.series"
                " WHERE look = ? AND counted = 1 AND day >= ? ORDER BY name, day", (name_of(check), day_of(since))):
            found.setdefault(name, []).append(_day(*row))
        return found

    def states(self, since: datetime) -> list[Change]:
        """How the level of each check changed, in that order. What held at ``since`` is among them, as the last change
        of its check before."""
        return [Change(*row) for row in self._rows(
            "SELECT at, look, level, title, text FROM changes WHERE at >= ?1 OR id IN"
            " (SELECT max(id) FROM changes WHERE at < ?1 GROUP BY look) ORDER BY id", (seconds_of(since),))]

    def _identify(self, check: str, figure: str) -> int:
        rows = self._rows("SELECT id FROM series WHERE look = ? AND name = ? AND counted = 0",
                          (name_of(check), name_of(figure)))
        return rows[0][0] if rows else -1

    def _rows(self, statement: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        return self._attempt(lambda connection: connection.execute(statement, tuple(values)).fetchall(), [])

    def _attempt(self, act: Callable[[sqlite3.Connection], _Result], otherwise: _Result) -> _Result:
        """``act``, once more on a new history where the old one is damaged."""
        for _attempt in range(2):
            if self._connection is None:
                return otherwise
            try:
                return act(self._connection)
            except sqlite3.Error as error:
                if not is_damage(error):
                    self._problem = f"The history {self._path} cannot be used: {error}."
                    return otherwise
                self._connection.close()
                self._connection = self._begun_anew(error)
        return otherwise

    def _opened(self) -> sqlite3.Connection:
        try:
            return _open(self._path)
        except sqlite3.Error as error:
            if is_damage(error):
                return self._begun_anew(error)
            return self._in_memory(str(error))
        except OSError as error:
            return self._in_memory(error.strerror or str(error))

    def _begun_anew(self, damage: sqlite3.Error) -> sqlite3.Connection:
        try:
            os.replace(self._path, self._path + DAMAGED_SUFFIX)
            with suppress(FileNotFoundError):
                # SQLite would roll it back into the new file.
                os.unlink(self._path + "-journal")
            connection = _open(self._path)
        except (OSError, sqlite3.Error) as error:
            return self._in_memory(f"it is damaged, and no new one can be begun: {error}")
        self._problem = (f"The history {self._path} was damaged ({damage}): it was set aside as "
                         f"{self._path}{DAMAGED_SUFFIX}, and a new one was begun.")
        return connection

    def _in_memory(self, reason: str) -> sqlite3.Connection:
        self._problem = f"The history {self._path} cannot be opened: {reason}."
        connection = connect(":memory:", _BUSY_SECONDS)
        prepare(connection)
        return connection


def _open(path: str) -> sqlite3.Connection:
    """Raises OSError and sqlite3.Error."""
    with suppress(FileExistsError), create_file(path):
        pass
    connection = connect(uri(path, "mode=rw"), _BUSY_SECONDS)
    try:
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _day(day: int, last: float, most: float) -> Day:
    return Day(date.min + timedelta(days=day - 1), last, most)
