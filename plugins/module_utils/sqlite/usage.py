# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live application does, by its tables: rows, calls of AI models, work in flight. Only numbers, states, times
and names of providers are taken; no text that a person wrote, and no key."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Optional

from .check import CheckReport, run_check
from .contents import count_rows, quoted, user_tables

MOST_TABLES = 50
FAILED_RUN = frozenset({"error", "failed", "timeout"})
IN_FLIGHT = frozenset({"submitted", "processing"})

ROLLBACK_READ_SECONDS = 0.05
"""How long one read may last where writers wait for it (no write-ahead log). FeedForward gives up after 0.1 s."""

_OPCODES = 1000
_OLDER_ROWS = 500
"""So many rows in a row that are older end a walk back: rows are made in the order of time, but for a few."""
_TABLE_SHARE = 0.2
_TOKENS = (("total_tokens",), ("tokens_used",), ("tokens",), ("prompt_tokens", "completion_tokens"),
           ("input_tokens", "output_tokens"))
_COSTS = (("total_cost",), ("cost",), ("cost_usd",))
_ADDRESSES = ("base_url", "api_base", "endpoint")


class OverBudget(Exception):
    """The time that was allowed for reading passed before the end."""


@dataclass(frozen=True)
class ModelUsage:
    """Calls of AI models since a local midnight; None: the tables do not tell. ``by_provider`` has calls by the lower
    case name of the provider; ``cost`` is in whatever the application counts."""

    calls: int
    errors: Optional[int]
    tokens: Optional[int]
    cost: Optional[float]
    by_provider: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class StuckWork:
    """Pieces of work that wait for too long; ``oldest_seconds`` 0 where there are none."""

    count: int
    oldest_seconds: float


@contextmanager
def budget(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Statements inside end with OverBudget once ``seconds`` have passed. Raises what they raise."""
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _OPCODES)
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error) == "interrupted":
            raise OverBudget() from None
        raise
    finally:
        connection.set_progress_handler(None, 0)


def rows_by_table(connection: sqlite3.Connection, seconds: float) -> dict[str, int]:
    """Rows of the first MOST_TABLES tables, without those for which the time does not suffice. Raises
    sqlite3.DatabaseError for a damaged database."""
    found, until = {}, time.monotonic() + seconds
    for table in [name for name in user_tables(connection) if name.isprintable()][:MOST_TABLES]:
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            with budget(connection, min(left, seconds * _TABLE_SHARE)):
                found[table] = count_rows(connection, table)
        except (OverBudget, sqlite3.OperationalError):
            # Too large to be counted in passing, or of functions that only the application has.
            continue
    return found


def quick_check(connection: sqlite3.Connection, seconds: float) -> CheckReport:
    """SQLite's quick check of the live database. Raises OverBudget, sqlite3.DatabaseError."""
    with budget(connection, seconds):
        return run_check(connection, "quick")


def columns(connection: sqlite3.Connection, table: str) -> frozenset[str]:
    """The names of the columns of a table, in lower case; empty where there is no such table. Raises
    sqlite3.DatabaseError."""
    if table not in user_tables(connection):
        return frozenset()
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    return frozenset(str(name).lower() for (name,) in found)


def model_usage(connection: sqlite3.Connection, midnight: datetime, seconds: float) -> Optional[ModelUsage]:
    """Calls since ``midnight`` (naive, local), as FeedForward keeps them in ``model_runs`` and ``ai_models``; None
    where there are no such tables. Raises OverBudget, sqlite3.DatabaseError."""
    with budget(connection, seconds):
        known = columns(connection, "model_runs")
        if "timestamp" not in known:
            return None
        tokens, cost = _first_of(_TOKENS, known), _first_of(_COSTS, known)
        wanted = [name for name in ("model_id", "status") if name in known] + [*tokens, *cost]
        providers = _providers_by_model(connection) if "model_id" in known else {}
        calls = errors = spent_tokens = 0
        spent = 0.0
        by_provider: dict[str, int] = {}
        for row in _since(connection, "model_runs", "timestamp", wanted, midnight):
            values = dict(zip(wanted, row[1:]))
            calls += 1
            errors += str(values.get("status")).lower() in FAILED_RUN
            spent_tokens += sum(int(_number(values[name])) for name in tokens)
            spent += sum(_number(values[name]) for name in cost)
            provider = providers.get(values.get("model_id"))
            if provider is not None:
                by_provider[provider] = by_provider.get(provider, 0) + 1
    return ModelUsage(calls, errors if "status" in known else None, spent_tokens if tokens else None,
                      spent if cost else None, by_provider)


def model_providers(connection: sqlite3.Connection, seconds: float) -> tuple[tuple[str, str], ...]:
    """Pairs of a provider's name in lower case and the address that its models are configured with (empty: none), as
    FeedForward keeps them in ``ai_models``, of models that are active. SQLite itself takes the address out of the
    JSON, so that the key beside it is never read here. Raises OverBudget, sqlite3.DatabaseError."""
    with budget(connection, seconds):
        known = columns(connection, "ai_models")
        if "provider" not in known:
            return ()
        condition = "WHERE active" if "active" in known else ""
        addresses = ", ".join(f"CASE WHEN typeof(json_extract(api_config, '$.{name}')) = 'text'"
                              f" THEN json_extract(api_config, '$.{name}') END" for name in _ADDRESSES)
        address = (f"CASE WHEN typeof(api_config) = 'text' AND json_valid(api_config) THEN coalesce({addresses}, '')"
                   " ELSE '' END") if "api_config" in known else "''"
        try:
            found = connection.execute(f"SELECT DISTINCT provider, {address} FROM ai_models {condition}").fetchall()
        except sqlite3.OperationalError as error:
            if not str(error).startswith("no such function"):
                raise
            # An SQLite that knows no JSON.
            found = connection.execute(f"SELECT DISTINCT provider, '' FROM ai_models {condition}").fetchall()
    return tuple(sorted({(_provider(provider), str(url)) for provider, url in found if _provider(provider)}))


def stuck_drafts(connection: sqlite3.Connection, now: datetime, stuck: timedelta, forgotten: timedelta,
                 seconds: float) -> Optional[StuckWork]:
    """Drafts that are in flight for longer than ``stuck`` and not longer than ``forgotten`` at ``now`` (naive, local),
    as FeedForward keeps them; None where there is no such table. Raises OverBudget, sqlite3.DatabaseError."""
    with budget(connection, seconds):
        if not {"status", "submission_date"} <= columns(connection, "drafts"):
            return None
        ages = [(now - moment).total_seconds() for moment, status in
                _since(connection, "drafts", "submission_date", ["status"], now - forgotten) if status in IN_FLIGHT]
    waiting = [age for age in ages if age > stuck.total_seconds()]
    return StuckWork(len(waiting), max(waiting, default=0.0))


def asked_work(connection: sqlite3.Connection, query: str, seconds: float) -> Optional[StuckWork]:
    """What the operator's query tells: one row of a number and of an age in seconds, which may be NULL. None where it
    gives anything else. Raises OverBudget, sqlite3.DatabaseError and sqlite3.Warning (for more than one statement)."""
    with budget(connection, seconds):
        rows = connection.execute(query).fetchmany(2)
    if len(rows) != 1 or len(rows[0]) != 2:
        return None
    count, age = rows[0]
    if isinstance(count, bool) or not isinstance(count, int) or not isinstance(age, (int, float, type(None))):
        return None
    return StuckWork(count, float(age or 0))


def _since(connection: sqlite3.Connection, table: str, time_column: str, others: Sequence[str],
           since: datetime) -> Iterator[tuple[Any, ...]]:
    """The time and the other columns of rows that are not older than ``since`` (both naive), from the newest on; rows
    whose time cannot be read are passed over."""
    selected = ", ".join(quoted(name) for name in (time_column, *others))
    older = 0
    for text, *rest in connection.execute(f"SELECT {selected} FROM {quoted(table)} ORDER BY rowid DESC"):
        moment = _moment(text)
        if moment is None or moment < since:
            older += 1
            if older >= _OLDER_ROWS:
                return
            continue
        older = 0
        yield (moment, *rest)


def _moment(value: Any) -> Optional[datetime]:
    """An instant as the application writes it, naive and local; one with a zone is brought into the local one."""
    try:
        moment = datetime.fromisoformat(value)
        return moment if moment.tzinfo is None else moment.astimezone().replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _first_of(choices: Sequence[tuple[str, ...]], known: frozenset[str]) -> tuple[str, ...]:
    found = [choice for choice in choices if known.issuperset(choice)]
    return found[0] if found else ()


def _providers_by_model(connection: sqlite3.Connection) -> dict[Any, str]:
    if not {"id", "provider"} <= columns(connection, "ai_models"):
        return {}
    found = connection.execute("SELECT id, provider FROM ai_models").fetchall()
    return {number: _provider(provider) for number, provider in found if _provider(provider)}


def _provider(value: Any) -> str:
    """A name in lower case that is good for a list; empty where it is none."""
    text = " ".join(str(value).split()).lower()[:60] if isinstance(value, str) else ""
    return "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "_" for c in text)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
