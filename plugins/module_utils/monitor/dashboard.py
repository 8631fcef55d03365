# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard: how one application is and was, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Optional

from ..alerting import Alerting
from ..jobs.health import Finding, HealthReport
from ..jobs.report import LEVEL_NAMES, OK, UNKNOWN, worst
from ..units import format_seconds, iso
from ..watch import Watch
from . import dashboard_figures, plots
from .dashboard_answers import (
    Answer,
    Trouble,
    chief_backup,
    is_it_up,
    kind_of,
    last_backup,
    levels_of,
    looks,
    troubles_since,
    what_fills_up,
    what_went_wrong,
)
from .dashboard_parts import Row, badge, document, section, short_moment, state, table, text, words, written
from .fleet import fleet
from .history import History, Told

__all__ = ["fleet", "render", "summary"]

SUMMARY_SCHEMA = 1
_WEEK_HOURS = 168
_MOST_TROUBLES = 25
_MOST_ALERTS = 30
_STALE = "monitoring has stopped, and nothing on this page can be relied on."
_AREAS = (
    ("Application", ("page", "pages", "certificate", "service", "open", "work", "errors", "journal")),
    ("Database", ("database", "size", "query", "log", "locks")),
    ("Host", ("storage", "memory", "cpu")),
    ("Backups", ("backup", "backups", "escrow")),
    ("AI and mail", ("ai", "provider", "mail")),
    ("Maintenance and monitoring", ("timer", "unit", "silence", "outbox", "look")),
)
_OTHER = "Other"


def render(report: HealthReport, history: History, now: datetime, *, application: str, host: str,
           limits: Optional[Watch] = None, unknown_silent: Sequence[str] = Alerting.unknown_silent) -> str:
    """The page, in HTML 5. ``history`` already holds ``report``; ``now`` is aware; ``limits`` are drawn into the
    plots (None: the defaults). Times are in the zone of this host. A check of ``unknown_silent`` that is unknown is
    shown as that, but does not make the whole unknown. Holds what findings hold, and no message of any log."""
    watch, now = limits or Watch(), now.astimezone()
    whole = _heard(report, unknown_silent)
    week = now - timedelta(hours=_WEEK_HOURS)
    runs = history.runs(week)
    changes = [change for change in history.states(week)
               if change.level != UNKNOWN or kind_of(change.check) not in unknown_silent]
    troubles = troubles_since(changes, runs, week, now)
    answers = (is_it_up(report), last_backup(report),
               what_fills_up(report, history, now, watch.database_critical_bytes),
               what_went_wrong(troubles, history.begins(), now))
    parts = [
        ("glance", "At a glance", _answers(answers)),
        ("week", "What went wrong this week", _strip(levels_of(changes, runs), week) + _troubles(troubles, week, now)),
        ("overview", "System overview", _overview(report)),
        ("metrics", "Real-time metrics", dashboard_figures.metrics(report, history, now, watch)),
        ("ai", "AI usage", dashboard_figures.ai(report, history, now)),
        ("errors", "Error logs", dashboard_figures.errors(report, history, now)),
        ("alerts", "Alerts of this week", _alerts(history.told(week), now)),
    ]
    links = "".join(f'<li><a href="#{identity}">{text(heading)}</a></li>' for identity, heading, _content in parts[1:])
    said = f'<p class="written">{text(history.problem)}</p>' if history.problem else ""
    title = f"{application} on {host}"
    return document(
        title, whole.level,
        f'<h1>{words(title)}</h1>\n<p class="lead">{badge(whole.level)} <span>{words(whole.summary)}</span></p>\n'
        f'{written(now, _STALE)}{said}\n<nav aria-label="Parts of this page"><ul>{links}</ul></nav>',
        "\n".join(section(identity, heading, content, hidden=identity == "glance")
                  for identity, heading, content in parts),
        "No row of the application, no address of a student and no message of a log is on this page.")


def summary(report: HealthReport, now: datetime, *, host: str,
            unknown_silent: Sequence[str] = Alerting.unknown_silent) -> dict[str, Any]:
    """What ``fleet`` needs of one host, for JSON: schema, host, application, level, state, summary, written_at (ISO
    8601, UTC), last_backup_at and last_verified_at (the same, or None), and checks: state, title, text and silent (it
    may be unknown) by name."""
    chief = chief_backup(looks(report, "backup", "backups"))
    figures = chief.figures if chief is not None else {}
    whole = _heard(report, unknown_silent)

    def ago(figure: str) -> Optional[str]:
        return iso(now - timedelta(seconds=figures[figure])) if figure in figures else None

    return {"schema": SUMMARY_SCHEMA, "host": host, "application": report.application, "level": whole.level,
            "state": LEVEL_NAMES[whole.level], "summary": whole.summary, "written_at": iso(now),
            "last_backup_at": ago("age_seconds"), "last_verified_at": ago("verified_age_seconds"),
            "checks": {finding.check: {"state": LEVEL_NAMES[finding.level], "title": finding.title,
                                       "text": finding.text, "silent": finding not in whole.findings}
                       for finding in report.findings}}


def _heard(report: HealthReport, silent: Sequence[str]) -> HealthReport:
    """Without what may be unknown."""
    findings = tuple(finding for finding in report.findings
                     if finding.level != UNKNOWN or kind_of(finding.check) not in silent)
    return replace(report, level=worst(finding.level for finding in findings), findings=findings)


def _answers(answers: Sequence[Answer]) -> str:
    cards = []
    for answer in answers:
        shown = state(answer.level)
        details = "".join(f"<p>{words(detail)}</p>" for detail in answer.details)
        cards.append(f'<article class="card answer edge-{shown.style}"><h3>{text(answer.question)}</h3>'
                     f'<p class="verdict"><span class="symbol {shown.style}" aria-hidden="true">{shown.symbol}</span>'
                     f'<span><span class="hidden">{shown.word}: </span>{text(answer.verdict)}</span></p>'
                     f"{details}</article>")
    return f'<div class="grid">{"".join(cards)}</div>'


def _strip(runs: Sequence[tuple[int, int]], week: datetime) -> str:
    worst_of: dict[int, int] = {}
    for at, level in runs:
        hour = int((at - week.timestamp()) // 3600)
        worst_of[hour] = worst((worst_of.get(hour, OK), level))
    hours = [state(worst_of[hour]).style if hour in worst_of else "" for hour in range(_WEEK_HOURS)]
    names = (("ok", "OK"), ("warning", "with a warning"), ("critical", "critical"), ("unknown", "unknown"),
             ("", "without a run of the monitor"))
    told = ", ".join(f"{hours.count(style)} {name}" for style, name in names if hours.count(style))
    drawn = plots.strip(hours, identity="w", title="The last 7 days, hour by hour", text=told)
    return (f'<figure class="card"><div>{drawn}</div><div class="axis" aria-hidden="true"><span>7 days ago</span>'
            f"<span>now</span></div><figcaption>Each hour by its worst state, the worse the higher: {text(told)}."
            "</figcaption></figure>")


def _troubles(troubles: Sequence[Trouble], week: datetime, now: datetime) -> str:
    if not troubles:
        return '<p class="card after">Nothing that is known of.</p>'
    rows = []
    for trouble in troubles[:_MOST_TROUBLES]:
        last = trouble.episodes[-1]
        began = datetime.fromtimestamp(last.begin, week.tzinfo)
        since = f"since {short_moment(began)}" if last.begin >= week.timestamp() else "for more than a week"
        when = (f"<strong>Still so</strong>, {since}" if last.end is None
                else f"Over since {short_moment(datetime.fromtimestamp(last.end, week.tzinfo))}")
        times = "once" if len(trouble.episodes) == 1 else f"{len(trouble.episodes)} times"
        long = f", {format_seconds(trouble.seconds)} in all" if trouble.seconds else ""
        rows.append(Row((words(trouble.title), badge(trouble.level), words(trouble.text),
                         f"{when}<br><span class=muted>{times}{long}</span>")))
    left_out = len(troubles) - _MOST_TROUBLES
    more = f" {left_out} more are left out." if left_out > 0 else ""
    return '<div class="card after">' + table(
        f"What was not well, at its worst.{more}", ("What", "State", "Found", "When"), rows, style="stacked"
    ) + "</div>"


def _overview(report: HealthReport) -> str:
    areas: dict[str, list[Finding]] = {name: [] for name, _kinds in _AREAS}
    for finding in report.findings:
        area = next((name for name, kinds in _AREAS if kind_of(finding.check) in kinds), _OTHER)
        areas.setdefault(area, []).append(finding)
    rows = []
    for area, findings in areas.items():
        if findings:
            rows.append(Row((text(area),), group=True))
            rows += [Row((words(finding.title), badge(finding.level), words(finding.text))) for finding in findings]
    if not rows:
        return f'<p class="card">{badge(UNKNOWN)} Nothing was checked.</p>'
    counts = ", ".join(f"{number} {state(level).word.lower() if level != OK else 'OK'}" for level, number in (
        (level, sum(1 for finding in report.findings if finding.level == level)) for level in (2, 1, 3, 0)) if number)
    return '<div class="card">' + table(
        f"{len(report.findings)} findings: {counts}.", ("What", "State", "Found"), rows, style="stacked") + "</div>"


def _alerts(alerts: Sequence[Told], now: datetime) -> str:
    if not alerts:
        return '<p class="card">None.</p>'
    newest = alerts[::-1][:_MOST_ALERTS]
    rows = [Row((short_moment(datetime.fromtimestamp(alert.at, now.tzinfo)), badge(alert.level, alert.word),
                 words(alert.title), words(alert.text))) for alert in newest]
    left_out = len(alerts) - len(newest)
    more = f" {left_out} older ones are left out." if left_out else ""
    return '<div class="card">' + table(
        f"What was told, the newest first.{more}", ("When", "News", "What", "Found"), rows, style="stacked") + "</div>"
