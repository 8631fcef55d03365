# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks of ``jobs.health`` at what the application does: calls of AI models, work in flight, exceptions, errors.
Numbers come out of them, and never what a person wrote."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Callable, Optional, TypeVar

from ..config import Settings
from ..errors import MaintenanceError, SourceError
from ..probes import access_log, provider
from ..probes import journal as journal_probe
from ..sqlite.source import examine, open_reader
from ..sqlite.usage import (
    ROLLBACK_READ_SECONDS,
    ModelUsage,
    OverBudget,
    StuckWork,
    asked_work,
    model_providers,
    model_usage,
    stuck_drafts,
)
from ..units import format_seconds
from .health import Finding
from .report import OK, UNKNOWN, WARNING

BUDGET_SECONDS = 2.0
MOST_PROVIDERS = 20
UNUSABLE_ADDRESS = "unusable"
"""In place of an address in the database that is none, which may hold anything."""

_DAY = timedelta(days=1)
_KNOWN_PROVIDERS = {
    "openai": "https://api.openai.com/", "anthropic": "https://api.anthropic.com/",
    "google": "https://generativelanguage.googleapis.com/", "gemini": "https://generativelanguage.googleapis.com/",
    "mistral": "https://api.mistral.ai/", "cohere": "https://api.cohere.com/", "groq": "https://api.groq.com/",
    "deepseek": "https://api.deepseek.com/", "openrouter": "https://openrouter.ai/", "xai": "https://api.x.ai/"}

_Found = TypeVar("_Found")


def _read(path: str, read: Callable[[sqlite3.Connection, float], _Found]) -> _Found:
    """What ``read`` makes of a connection within the seconds that it is given. Raises SourceError and BusyError; also
    where they did not suffice."""
    source = examine(path)
    seconds = BUDGET_SECONDS if source.wal else ROLLBACK_READ_SECONDS
    try:
        with open_reader(source) as connection:
            return read(connection, seconds)
    except OverBudget:
        raise SourceError(path, f"it could not be read within {format_seconds(seconds)}",
                          "Look again when the host is less busy") from None


def _usage(settings: Settings, now: datetime) -> Optional[ModelUsage]:
    """That of the first database that has the tables. Raises SourceError, BusyError."""
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    for path in settings.databases:
        found = _read(path, lambda connection, seconds: model_usage(connection, midnight, seconds))
        if found is not None:
            return found
    return None


def ai(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Calls of AI models since the local midnight; nothing where the application keeps none as FeedForward does."""
    usage = _usage(settings, now)
    if usage is None:
        return
    figures = {"calls_today": float(usage.calls)}
    text, level, limits = f"{usage.calls:,} calls today", OK, settings.health
    if usage.errors is not None:
        percent = 100.0 * usage.errors / usage.calls if usage.calls else 0.0
        figures.update(errors_today=float(usage.errors), error_percent=percent)
        text += f", {usage.errors:,} failed ({percent:.1f}%)"
        if usage.errors >= limits.ai_error_minimum and percent > limits.ai_error_percent:
            level, text = WARNING, f"{text}, more than {limits.ai_error_percent:g} %"
    if usage.tokens is not None:
        figures["tokens_today"] = float(usage.tokens)
        text += f", {usage.tokens:,} tokens"
    if usage.cost is not None:
        figures["cost_today"] = usage.cost
        text += f", cost {usage.cost:,.2f}"
    yield Finding(level, "ai", "AI usage", text, figures, dict(usage.by_provider))


def calls_by_provider(settings: Settings, now: datetime) -> dict[str, int]:
    """Today's calls by the lower case name of the provider; empty where they cannot be told. Raises nothing."""
    try:
        usage = _usage(settings, now)
    except (MaintenanceError, OSError):
        return {}
    return dict(usage.by_provider) if usage is not None else {}


def found_providers(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Pairs of name (lower case) and address (scheme, host and port only) of the providers that the models in the
    application's database use, at most MOST_PROVIDERS; a provider that everybody knows needs no address there. Empty
    where they cannot be told or are not wanted (``database_providers``). Raises nothing."""
    if not settings.health.database_providers:
        return ()
    found: dict[str, str] = {}
    for path in settings.databases:
        try:
            pairs = _read(path, model_providers)
        except (MaintenanceError, OSError):
            # The look ``ai`` tells it.
            continue
        for name, configured in pairs:
            url = configured or _KNOWN_PROVIDERS.get(name, "")
            if url and len(found) < MOST_PROVIDERS:
                _add(found, name, url)
    return tuple(found.items())


def _add(found: dict[str, str], name: str, url: str) -> None:
    try:
        address = provider.origin(url)
    except provider.RefusedAddress:
        address = UNUSABLE_ADDRESS
    if address in (found.get(name), found.get(f"{name} {_host(address)}")):
        return
    found[name if name not in found else f"{name} {_host(address)}"] = address


def _host(address: str) -> str:
    return address.partition("://")[2].rstrip("/") or address


def work(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Pieces of work that were begun and do not end: what the configured query tells, else FeedForward's drafts;
    nothing where there is neither."""
    limits = settings.health
    found: Optional[StuckWork] = None
    if limits.work_query and settings.databases:
        found = _read(settings.databases[0], _asked(settings.databases[0], limits.work_query))
    else:
        moment = now.astimezone().replace(tzinfo=None)
        stuck, forgotten = timedelta(minutes=limits.stuck_minutes), timedelta(days=limits.stuck_days)
        for path in settings.databases:
            found = found or _read(path, lambda connection, seconds: stuck_drafts(connection, moment, stuck, forgotten,
                                                                                  seconds))
    if found is None:
        return
    figures = {"stuck": float(found.count), "oldest_seconds": found.oldest_seconds}
    if found.count:
        yield Finding(WARNING, "work", "Work in flight", f"{found.count:,} wait for too long, the oldest for "
                      f"{format_seconds(found.oldest_seconds)}", figures)
    else:
        yield Finding(OK, "work", "Work in flight", "nothing is stuck", figures)


def _asked(path: str, query: str) -> Callable[[sqlite3.Connection, float], StuckWork]:
    def ask(connection: sqlite3.Connection, seconds: float) -> StuckWork:
        try:
            found = asked_work(connection, query, seconds)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise SourceError(path, f"health.work_query fails: {error}", "Correct it") from error
        if found is None:
            raise SourceError(path, "health.work_query does not give one row of a whole number and an age in seconds",
                              "Correct it")
        return found
    return ask


def journal(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Exceptions in the journal of the application's service in the last 24 hours, by class and place."""
    if settings.service is None:
        return
    title = "Exceptions"
    if not os.path.isdir("/run/systemd/system"):
        yield Finding(UNKNOWN, "journal", title, "this host does not run systemd")
        return
    found = journal_probe.exceptions_since(settings.service, now - _DAY)
    text = f"{found.total:,} in 24 hours" if found.total else "none in 24 hours"
    if not found.complete:
        text += ", and the rest of the journal was too long to be read"
    counts = {name: float(number) for name, number in found.by_place.items()}
    yield Finding(OK, "journal", title, text, {"errors_day": float(found.total)}, counts)


def errors(settings: Settings, now: datetime) -> Iterator[Finding]:
    """The share of requests that the reverse proxy could not have answered, by its log; nothing where none is
    configured."""
    limits = settings.health
    if not limits.access_log:
        return
    title, minutes = "Errors of requests", limits.error_window_minutes
    found = access_log.requests_since(limits.access_log, now - timedelta(minutes=minutes))
    if found.unread and not found.requests:
        yield Finding(UNKNOWN, "errors", title, f"{limits.access_log} is not in the common or combined log format")
        return
    percent = 100.0 * found.errors / found.requests if found.requests else 0.0
    bad = found.errors >= limits.error_minimum and percent > limits.error_rate_percent
    text = f"{found.errors:,} of {found.requests:,} requests in {minutes:g} min ({percent:.2f}%)"
    if not found.complete:
        text += ", of the newest that were read"
    if bad:
        text += f", more than {limits.error_rate_percent:g} %"
    yield Finding(WARNING if bad else OK, "errors", title, text,
                  {"requests": float(found.requests), "errors": float(found.errors), "error_percent": percent})
