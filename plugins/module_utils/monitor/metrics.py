# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report of health as metrics for Prometheus: its text format 0.0.4, as the textfile collector of node_exporter reads
it. What is not known is left out, never 0; no text of a finding appears."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from ..catalog.names import KINDS
from ..errors import printable
from ..jobs.health import Finding, HealthReport
from ..jobs.privacy import without_logins
from ..jobs.report import worst
from ..version import VERSION

MOST_COUNTS = 50
"""Of the counts by a name that is found on the host, the largest so many of each finding are told."""

_PREFIX = "maintenance_"
_MILLI, _PERCENT, _DAYS = 1000.0, 100.0, 1 / 86400


@dataclass(frozen=True)
class JobRun:
    """The last run of a job of ours: ``ended`` is aware, ``seconds`` how long it took; None: not known."""

    name: str
    ended: Optional[datetime] = None
    seconds: Optional[float] = None
    succeeded: Optional[bool] = None


@dataclass(frozen=True)
class _Figure:
    """The metric of a figure: its value is the figure divided by ``divisor``; with ``instant`` 1 or -1 the present plus
    or minus so many seconds, as seconds since 1970."""

    metric: str
    help: str
    divisor: float = 1.0
    instant: int = 0


# The label that names the subject of a check, by the first word of the check.
_SUBJECTS = {"page": "url", "certificate": "url", "database": "database", "locks": "database", "storage": "path",
             "backup": "kind", "provider": "provider", "timer": "unit"}

_FIGURES: dict[tuple[str, str], _Figure] = {
    ("page", "response_ms"): _Figure("page_response_seconds", "How long the page took to answer.", _MILLI),
    ("certificate", "certificate_days"): _Figure(
        "certificate_expiry_timestamp_seconds", "When the certificate ends.", _DAYS, 1),
    ("database", "size_bytes"): _Figure("database_size_bytes", "Size of the database file."),
    ("database", "wal_bytes"): _Figure("database_wal_size_bytes", "Size of the write-ahead log."),
    ("database", "query_ms"): _Figure("database_query_seconds", "How long a small query took.", _MILLI),
    ("database", "free_pages"): _Figure("database_free_pages", "Pages of the database file that hold nothing."),
    ("database", "page_bytes"): _Figure("database_page_size_bytes", "Size of a page of the database file."),
    ("locks", "busy_percent"): _Figure(
        "database_write_locked_ratio", "Share of the samples in which somebody held the write lock.", _PERCENT),
    ("service", "restarts"): _Figure(
        "service_restarts_total", "Restarts by systemd since somebody started the service."),
    ("storage", "size_bytes"): _Figure("storage_size_bytes", "Size of the file system."),
    ("storage", "free_bytes"): _Figure("storage_free_bytes", "What an ordinary user could still use of it."),
    ("storage", "used_percent"): _Figure("storage_used_ratio", "Share of the file system that is used.", _PERCENT),
    ("storage", "used_files_percent"): _Figure(
        "storage_files_used_ratio", "Share of the inodes that is used.", _PERCENT),
    ("memory", "used_bytes"): _Figure("memory_used_bytes", "Memory that is not available."),
    ("memory", "total_bytes"): _Figure("memory_size_bytes", "Memory of the host."),
    ("memory", "used_percent"): _Figure("memory_used_ratio", "Share of the memory that is not available.", _PERCENT),
    ("cpu", "busy_percent"): _Figure("cpu_busy_ratio", "Share of the time that all processors worked.", _PERCENT),
    ("cpu", "load"): _Figure("cpu_load_average", "Average load of the last minute."),
    ("cpu", "processors"): _Figure("cpu_processors", "Processors of the host."),
    ("backup", "age_seconds"): _Figure(
        "backup_current_as_of_timestamp_seconds", "The instant whose content the newest good backup holds.",
        instant=-1),
    ("backup", "verified_age_seconds"): _Figure(
        "backup_verified_timestamp_seconds", "When a backup of the kind was last verified.", instant=-1),
    ("backup", "size_bytes"): _Figure("backup_size_bytes", "Size of the newest archive."),
    ("backup", "failed"): _Figure("backup_failed", "1 where the last run failed, else 0."),
    ("backup", "verification_failed"): _Figure(
        "backup_verification_failed", "1 where the last verification found damage, else 0."),
    ("mail", "connect_ms"): _Figure("mail_connect_seconds", "How long the mail server took to answer.", _MILLI),
    ("provider", "response_ms"): _Figure(
        "provider_response_seconds", "How long the AI provider took to answer.", _MILLI),
    ("ai", "calls_today"): _Figure("ai_calls_today", "Calls of AI models since midnight."),
    ("ai", "errors_today"): _Figure("ai_errors_today", "Calls of AI models since midnight that failed."),
    ("ai", "error_percent"): _Figure("ai_error_ratio", "Share of today's calls of AI models that failed.", _PERCENT),
    ("ai", "tokens_today"): _Figure("ai_tokens_today", "Tokens of AI models since midnight."),
    ("ai", "cost_today"): _Figure("ai_cost_today", "Cost of AI models since midnight, in the application's currency."),
    ("work", "stuck"): _Figure("work_stuck", "Pieces of work that were begun and do not end."),
    ("work", "oldest_seconds"): _Figure("work_oldest_seconds", "Age of the oldest piece of work in flight."),
    ("timer", "late_seconds"): _Figure("timer_late_seconds", "How long ago the timer should have fired."),
    ("outbox", "waiting"): _Figure("alerts_waiting", "Alerts that wait to be sent."),
    ("errors", "requests"): _Figure("proxy_requests", "Requests in the last part of the reverse proxy's log."),
    ("errors", "errors"): _Figure("proxy_errors", "Requests in that part that the server could not answer."),
    ("errors", "error_percent"): _Figure("proxy_error_ratio", "Share of the requests that failed.", _PERCENT),
    ("journal", "errors_day"): _Figure("journal_errors_day", "Exceptions in the journal of the last 24 hours."),
}

# The metric of the counts of a check, and the label that holds the name of each.
_COUNTS: dict[str, tuple[_Figure, str]] = {
    "database": (_Figure("database_rows", "Rows of a table."), "table"),
    "ai": (_Figure("ai_provider_calls_today", "Calls of an AI provider since midnight."), "provider"),
    "journal": (_Figure("journal_class_errors_day", "Exceptions of a class at a place, in the last 24 hours."),
                "exception"),
}

_LAST_RUN = _Figure("last_run_timestamp_seconds", "When the health was last looked at.")
_RUN_DURATION = _Figure("run_duration_seconds", "How long the last look at the health took.")
_HEALTH_STATE = _Figure("health_state", "The worst of all checks: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")
_BUILD = _Figure("build_info", "Always 1; the version of feedforward.maintenance.")
_CHECK_STATE = _Figure("check_state", "How a check ended: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")
_BACKUP_STATE = _Figure("backup_state", "How the backups of a kind stand: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.")
_JOB_LAST_RUN = _Figure("job_last_run_timestamp_seconds", "When the last run of a maintenance job ended.")
_JOB_DURATION = _Figure("job_duration_seconds", "How long the last run of a maintenance job took.")
_JOB_SUCCEEDED = _Figure("job_succeeded", "1 where the last run of a maintenance job ended well, else 0.")

_ALL = (_LAST_RUN, _RUN_DURATION, _HEALTH_STATE, _BUILD, _CHECK_STATE, _BACKUP_STATE, *_FIGURES.values(),
        *(figure for figure, _label in _COUNTS.values()), _JOB_LAST_RUN, _JOB_DURATION, _JOB_SUCCEEDED)

METRICS: Mapping[str, str] = {_PREFIX + figure.metric: figure.help for figure in _ALL}
"""Each metric that ``render`` can write, and what it means, in the order of the file."""

_Labels = tuple[tuple[str, str], ...]
_Sample = tuple[str, _Labels, float]


def render(report: HealthReport, now: datetime, *, jobs: Sequence[JobRun] = ()) -> str:
    """The metrics of ``report``, which was made at the aware instant ``now``, and of the last runs of ``jobs``.

    The same input gives the same text, which ends with a newline. It may stand beside those of other applications.
    """
    found: dict[str, dict[_Labels, float]] = {}
    for metric, labels, value in _samples(report, now, jobs):
        if math.isfinite(value):
            # A sample that is there twice would cost the whole file.
            samples = found.setdefault(metric, {})
            samples[labels] = _merged(metric, samples.get(labels), value)
    lines: list[str] = []
    for name, help_text in METRICS.items():
        samples = found.get(name.removeprefix(_PREFIX), {})
        if samples:
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += (f"# HELP {name} {help_text}", f"# TYPE {name} {kind}")
            lines += (f"{name}{_braces((('application', report.application), *labels))} {_number(value)}"
                      for labels, value in sorted(samples.items()))
    return "\n".join(lines) + "\n"


def _samples(report: HealthReport, now: datetime, jobs: Iterable[JobRun]) -> Iterator[_Sample]:
    yield _LAST_RUN.metric, (), _second(now.timestamp())
    yield _RUN_DURATION.metric, (), report.seconds
    yield _HEALTH_STATE.metric, (), float(report.level)
    yield _BUILD.metric, (("version", VERSION),), 1.0
    for finding in report.findings:
        yield from _of_finding(finding, now)
    for job in jobs:
        name = (("name", _label(job.name)),)
        if job.ended is not None:
            yield _JOB_LAST_RUN.metric, name, _second(job.ended.timestamp())
        if job.seconds is not None:
            yield _JOB_DURATION.metric, name, job.seconds
        if job.succeeded is not None:
            yield _JOB_SUCCEEDED.metric, name, float(job.succeeded)


def _of_finding(finding: Finding, now: datetime) -> Iterator[_Sample]:
    check, _space, subject = finding.check.partition(" ")
    labels: _Labels = ((_SUBJECTS[check], _label(subject)),) if check in _SUBJECTS else ()
    level = float(finding.level)
    yield _CHECK_STATE.metric, (("check", _label(finding.check)), ("title", _label(finding.title))), level
    if check == "backup" and subject in KINDS:
        yield _BACKUP_STATE.metric, labels, level
    for name, value in finding.figures.items():
        figure = _FIGURES.get((check, name))
        if figure is not None:
            value = value / figure.divisor
            if figure.instant:
                value = _second(now.timestamp() + figure.instant * value)
            yield figure.metric, labels, value
    if check in _COUNTS:
        figure, label = _COUNTS[check]
        largest = sorted(finding.counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_COUNTS]
        for name, value in largest:
            yield figure.metric, (*labels, (label, _label(name))), float(value)


def _merged(metric: str, before: Optional[float], value: float) -> float:
    if before is None:
        return value
    return float(worst((int(before), int(value)))) if metric.endswith("_state") else max(before, value)


def _second(seconds: float) -> float:
    return float(round(seconds)) if math.isfinite(seconds) else seconds


def _label(text: str) -> str:
    return printable(without_logins(text))


def _braces(labels: _Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
