# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of a host as its monitor has them, and two weeks of them in a history."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import replace

from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding, HealthReport
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
    worst,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.history import History

NOW = dt.datetime(2026, 11, 24, 5, 47, tzinfo=dt.timezone.utc)
DATABASE = "/opt/feedforward/data/users.db"
PAGE = "https://feedforward.university.example/landing"


def report_of(findings: Sequence[Finding]) -> HealthReport:
    """A report that holds these."""
    return HealthReport(worst(finding.level for finding in findings), "feedforward", tuple(findings), 1.234)


def changed(report: HealthReport, **by_kind: dict[str, object]) -> HealthReport:
    """The report with other values in the first finding whose check begins with a word."""
    found = list(report.findings)
    for kind, values in by_kind.items():
        place = next(place for place, finding in enumerate(found) if finding.check.split()[0] == kind)
        found[place] = replace(found[place], **values)  # type: ignore[arg-type]
    return report_of(found)


def without(report: HealthReport, *kinds: str) -> HealthReport:
    """The report without the findings whose checks begin with these words."""
    return report_of([finding for finding in report.findings if finding.check.split()[0] not in kinds])


def well(now: dt.datetime = NOW) -> HealthReport:
    """All is well, with figures that follow the hours of the day; the disk fills by 1.5 GB a day."""
    hours = (now - NOW).total_seconds() / 3600
    work = max(0.0, math.sin((now.hour + now.minute / 60 - 7) / 12 * math.pi))
    wave = math.sin(hours * 1.7) * 0.5 + math.sin(hours * 0.31) * 0.5
    calls = round(180 * max(0.0, min(1.0, (now.hour - 7) / 12)) * (0.3 if now.weekday() > 4 else 1.0))
    response, cpu, memory = 38 + 90 * work + 12 * wave, 6 + 42 * work + 5 * wave, 47 + 9 * work + 3 * wave
    size, free = 214e6 + hours * 190e3, 41e9 - hours * 62e6
    return report_of([
        Finding(OK, f"page {PAGE}", f"Page {PAGE}", f"200 in {response:.0f} ms", {"response_ms": response}),
        Finding(OK, f"certificate {PAGE}", f"Certificate of {PAGE}", "good until 2027-02-04T11:20:00Z, 72 days",
                {"certificate_days": 72.0}),
        Finding(OK, f"database {DATABASE}", "Database", f"Connected ({size / 1e6:.1f} MB)",
                {"size_bytes": size, "wal_bytes": 1.2e6 + 9e5 * work, "query_ms": 1.4 + work, "free_pages": 120.0,
                 "page_bytes": 4096.0}, {"drafts": 5210.0, "users": 611.0}),
        Finding(OK, f"query {DATABASE}", "Database, query", "1.4 ms"),
        Finding(OK, f"log {DATABASE}", "Database, write-ahead log", "1.2 MB"),
        Finding(OK, f"locks {DATABASE}", "Database, locks", "held in 2 % of 50 samples",
                {"busy_percent": 2 + 3 * work}),
        Finding(OK, "service", "Service feedforward.service", "active", {"restarts": 0.0}),
        Finding(OK, f"open {DATABASE}", f"{DATABASE} as feedforward.service has it open", "the same file"),
        Finding(OK, "storage /", "Storage of /", f"{free / 1e9:.1f} GB free ({free / 0.8e9:.0f}%)",
                {"size_bytes": 80e9, "free_bytes": free, "used_percent": 100 - free / 0.8e9,
                 "used_files_percent": 11.0}),
        Finding(OK, "storage /srv/backups", "Storage of /srv/backups", "310.0 GB free (62%)",
                {"size_bytes": 500e9, "free_bytes": 310e9, "used_percent": 38.0, "used_files_percent": 2.0}),
        Finding(OK, "memory", "Memory", f"{memory * 0.08:.1f} GB used ({memory:.0f}%)",
                {"used_bytes": memory * 8e7, "total_bytes": 8e9, "used_percent": memory}),
        Finding(OK, "cpu", "CPU", f"{cpu:.0f}% in use, load 0.42 on 2",
                {"busy_percent": cpu, "load": 0.42, "processors": 2.0}),
        *(Finding(OK, f"backup {kind}", "Backup", f"{kind}: current as of 2026-11-24T02:00:04Z, feedforward-{kind}-"
                  "20261124T020004Z.tar.gz.enc, 61.2 MB, verified 2026-11-24T02:03:11Z",
                  {"age_seconds": 13_616.0, "verified_age_seconds": 13_429.0, "size_bytes": 61.2e6})
          for kind in ("database", "config", "logs", "full")),
        Finding(OK, "escrow", "Key", "in escrow"),
        Finding(OK, "mail", "E-mail", "smtp.university.example answers in 41 ms", {"connect_ms": 41.0}),
        Finding(OK, "provider OpenAI", "AI provider OpenAI", "reachable in 120 ms", {"response_ms": 120.0}),
        Finding(OK, "provider Anthropic", "AI provider Anthropic", "reachable in 90 ms", {"response_ms": 90.0}),
        Finding(OK, "ai", "AI usage", f"{calls} calls today, 0.4 % failed",
                {"calls_today": float(calls), "errors_today": float(calls // 90), "error_percent": 0.4,
                 "tokens_today": calls * 5_412.0, "cost_today": calls * 0.0213},
                {"OpenAI": float(calls - calls // 3), "Anthropic": float(calls // 3)}),
        Finding(OK, "work", "Work in flight", "nothing is stuck", {"stuck": 0.0, "oldest_seconds": 0.0}),
        *(Finding(OK, f"timer feedforward-{job}.timer", f"Timer feedforward-{job}.timer", "fired when it should",
                  {"late_seconds": 0.0}) for job in ("backup", "verify", "optimize")),
        Finding(UNKNOWN, "errors", "Requests", "no log of a reverse proxy is configured"),
        Finding(OK, "journal", "Errors in the journal", f"{7 + round(3 * wave)} in the last 24 hours",
                {"errors_day": float(7 + round(3 * wave))},
                {"httpx.ReadTimeout services/ai_client.py:212": 4.0, "sqlite3.OperationalError app/db.py:88": 2.0,
                 "ValueError": 1.0}),
        Finding(OK, "outbox", "Alerts", "are sent by mail", {"waiting": 0.0}),
    ])


def ill(now: dt.datetime = NOW) -> HealthReport:
    """Much is wrong, and what some findings hold is hostile."""
    found = changed(
        well(now),
        page={"level": CRITICAL, "text": "it answers 500, and 200 is expected", "figures": {}},
        storage={"level": WARNING, "text": "9.8 GB free (12%), more than 85 % are used"},
        cpu={"level": UNKNOWN, "text": "it had not ended after 1 min 30 s", "figures": {}},
        backup={"level": CRITICAL, "text": "database: the last run (2026-11-24T02:00:04Z) failed: <no space>"},
        ai={"figures": {"calls_today": 12.0}, "counts": {"<script>alert(1)</script>": 12.0}},
        journal={"level": WARNING, "counts": {"KeyError <script>x.py:1": 2.0, "an essay of anna@example.org": 3.0,
                                              "OSError data/uploads/7/anna@example.org/x.py:1": 1.0}})
    return report_of([*found.findings, Finding(CRITICAL, "unit feedforward-backup.service", "<script>alert(2)</script>",
                                               '"><img src=https://evil.example/x onerror=alert(3)>\x1b[31m\u202e')])


def fill(history: History, days: float = 14.0, now: dt.datetime = NOW, every_minutes: int = 15) -> None:
    """Runs up to ``now``, closer together on the last day. On the way the service was down once, a page was slow
    twice, and the monitor did not run for five hours."""
    at, moments = now - dt.timedelta(days=days), []
    while at < now - dt.timedelta(days=1):
        moments.append(at)
        at += dt.timedelta(minutes=every_minutes)
    moments += [now - dt.timedelta(minutes=5 * number) for number in range(min(288, int(days * 288)), -1, -1)]
    for moment in moments:
        ago = (now - moment).total_seconds() / 3600
        report = well(moment)
        if 100 < ago < 105:
            continue
        if 30 < ago < 33:
            report = changed(report, service={"level": CRITICAL, "text": "it is failed (failed, exit-code)"})
        if 2 < ago < 3 or 60 < ago < 61.5:
            report = changed(report, page={"level": WARNING, "text": "200 in 812 ms, more than 500 ms",
                                           "figures": {"response_ms": 812.0}})
        history.record(report, moment)
