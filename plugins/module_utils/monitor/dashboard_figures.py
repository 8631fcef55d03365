# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the dashboard that show figures: metrics over time, the use of AI, errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from statistics import median
from typing import NamedTuple, Optional

from ..jobs.health import Finding, HealthReport
from ..jobs.report import OK
from ..watch import Watch
from . import plots
from .dashboard_answers import kind_of, looks
from .dashboard_parts import Row, badge, measure, number, short_day, table, text, words
from .history import Day, History

_MOST_CARDS = 18
_MOST_PLACES = 20
_DAYS = 14
# An exception's class and where it was raised. Whatever else a journal may hold is not shown.
_PLACE = re.compile(r"[A-Za-z_][\w.]{0,100}( [^\s<>@\"']{1,150}:\d{1,7})?")


class Metric(NamedTuple):
    """A figure that is drawn; ``field`` is the limit in Watch (empty: none), ``whole`` the top of its scale (0: the
    largest value)."""

    kind: str
    figure: str
    title: str
    field: str = ""
    whole: float = 0.0


METRICS = (
    Metric("page", "response_ms", "Response time", "response_warning_ms"),
    Metric("cpu", "busy_percent", "CPU", "cpu_warning_percent", 100.0),
    Metric("memory", "used_percent", "Memory", "memory_critical_percent", 100.0),
    Metric("storage", "used_percent", "Disk", "disk_warning_percent", 100.0),
    Metric("database", "size_bytes", "Database size", "database_critical_bytes"),
    Metric("database", "wal_bytes", "Write-ahead log", "wal_warning_bytes"),
    Metric("database", "query_ms", "Time of a small query", "query_target_ms"),
    Metric("locks", "busy_percent", "Database locked for writing"),
    Metric("errors", "error_percent", "Failed requests"),
)


def metrics(report: HealthReport, history: History, now: datetime, limits: Watch) -> str:
    """A card a figure: how it is now, and how it was for 24 hours and 7 days."""
    cards: list[str] = []
    for metric in METRICS:
        for finding in looks(report, metric.kind):
            card = _card(metric, finding, history, now, limits, f"m{len(cards)}")
            if card:
                cards.append(card)
    left_out = len(cards) - _MOST_CARDS
    more = f'<p class="muted">{left_out} more are not drawn.</p>' if left_out > 0 else ""
    if not cards:
        return '<p class="card">Nothing is measured yet.</p>'
    return f'<div class="grid wide">{"".join(cards[:_MOST_CARDS])}</div>{more}'


def _card(metric: Metric, finding: Finding, history: History, now: datetime, limits: Watch, identity: str) -> str:
    day, week = now - timedelta(days=1), now - timedelta(days=7)
    points = history.series(finding.check, metric.figure, day)
    hours = history.hourly(finding.check, metric.figure, week)
    current = finding.figures.get(metric.figure)
    if current is None and not hours:
        return ""
    limit = getattr(limits, metric.field) if metric.field else None
    subject = finding.check.partition(" ")[2]
    value = measure(metric.figure, current) if current is not None else badge(None, "Unknown now")
    means, most = [(hour.at, hour.average) for hour in hours], [(hour.at, hour.most) for hour in hours]
    pictures = "".join((
        _picture(metric, points, (), day, now, limit, f"{identity}d", "24 hours"),
        _picture(metric, means, most, week, now, limit, f"{identity}w", "7 days")))
    told = ""
    if limit is not None:
        dashed = ", the dashed line" if 'class="p-limit"' in pictures else ""
        told = f"Limit: {measure(metric.figure, limit)}{dashed}."
    return (f'<article class="card"><h3>{text(metric.title)}</h3>'
            f'{f"<p class=small>{words(subject)}</p>" if subject else ""}<p class="figure">{value}</p>'
            f'<div class="plots">{pictures}</div>{f"<p class=small>{text(told)}</p>" if told else ""}</article>')


def _picture(metric: Metric, series: Sequence[tuple[float, float]], most: Sequence[tuple[float, float]],
             since: datetime, now: datetime, limit: Optional[float], identity: str, span: str) -> str:
    if not series:
        return f"<figure><figcaption><b>{span}</b> nothing was measured</figcaption></figure>"
    values = [value for _at, value in series]
    largest = max([*values, *(value for _at, value in most)])
    lowest, middle, highest = (measure(metric.figure, value) for value in (min(values), median(values), largest))
    told = f"{lowest} to {highest}, typically {middle}" if lowest != highest else f"{lowest} all the time"
    top = metric.whole or (max(largest, limit) if limit is not None and limit <= 1.6 * largest else largest) or 1.0
    drawn = plots.line(series, since.timestamp(), now.timestamp(), top, identity=identity,
                       title=f"{metric.title}, last {span}", text=told, most=most, limit=limit,
                       ticks=4 if span == "24 hours" else 7, gap_seconds=900.0 if span == "24 hours" else 7200.0)
    scale = text(measure(metric.figure, top))
    return (f'<figure><div class="axis" aria-hidden="true"><span>{scale}</span></div>{drawn}'
            f'<div class="axis" aria-hidden="true"><span>{span} ago</span><span>now</span></div>'
            f"<figcaption><b>{span}:</b> {text(told)}</figcaption></figure>")


def ai(report: HealthReport, history: History, now: datetime) -> str:
    """Calls, tokens and cost by day, calls by provider."""
    finding = next(iter(looks(report, "ai")), None)
    if finding is None:
        return '<p class="card">Unknown: nothing looks at the use of AI.</p>'
    days = _days(now)
    cards = "".join(_by_day(finding, figure, title, history, days, f"a{place}", True) for place, (figure, title) in
                    enumerate((("calls_today", "Calls"), ("tokens_today", "Tokens"), ("cost_today", "Cost"),
                               ("errors_today", "Failed calls"))))
    return (f'<p>{badge(finding.level)} {text(finding.text)}</p><div class="grid">{cards}</div>'
            f"{_providers(finding, history, days)}")


def _providers(finding: Finding, history: History, days: Sequence[date]) -> str:
    counts = history.counts(finding.check, _midnight(days[0]))
    names = sorted({*counts, *finding.counts}, key=lambda name: (-finding.counts.get(name, 0.0), name))[:_MOST_PLACES]
    if not names:
        return ""
    rows = []
    for place, name in enumerate(names):
        values = _values(counts.get(name, ()), days, True)
        week = sum(value for value in values[-7:] if value is not None)
        told = f"{number(sum(value or 0.0 for value in values))} calls in {_DAYS} days"
        today = number(finding.counts.get(name, 0.0)) if "calls_today" in finding.figures else "unknown"
        drawn = plots.bars(values, identity=f"p{place}", title=f"Calls to {name} by day", text=told)
        rows.append(Row((text(name), today,
                         number(week), drawn)))
    return '<div class="card after providers">' + table(
        "Calls by provider", ("Provider", "Today", "7 days", f"{_DAYS} days"), rows,
        ("", "number", "number", "")) + "</div>"


def errors(report: HealthReport, history: History, now: datetime) -> str:
    """Exceptions by class and place, never what they said."""
    parts = []
    found = looks(report, "errors", "journal")
    if found:
        parts.append("".join(f"<p>{badge(one.level)} {words(one.title)}: {words(one.text)}</p>" for one in found))
    finding = next((one for one in found if kind_of(one.check) == "journal"), None)
    if finding is None or (finding.level != OK and not finding.figures and not finding.counts):
        parts.append('<p class="card">Unknown: nothing could be counted in the journal.</p>')
        return "".join(parts)
    places: dict[str, float] = {}
    for name, count in finding.counts.items():
        shown = name if _PLACE.fullmatch(name) else "of another form"
        places[shown] = places.get(shown, 0.0) + count
    ordered = sorted(places.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [Row((f'<span class="mono">{text(kind)}</span>', f'<span class="mono">{words(where) or "not told"}</span>',
                 number(count)))
            for (kind, _space, where), count in ((name.partition(" ") if _PLACE.fullmatch(name) else (name, "", ""),
                                                  count) for name, count in ordered[:_MOST_PLACES])]
    by_day = _by_day(finding, "errors_day", "Errors by day", history, _days(now), "e0", False)
    left_out = f" {len(ordered) - _MOST_PLACES} more are left out." if len(ordered) > _MOST_PLACES else ""
    caption = (f"Errors of the last 24 hours, by class and place.{left_out} Messages are never shown: they may hold "
               "what students wrote.")
    listed = (table(caption, ("Exception", "Raised at", "Count"), rows, ("", "", "number")) if rows
              else "<p>None in the last 24 hours.</p>")
    parts.append(f'<div class="grid wide"><div class="card">{listed}</div>{by_day}</div>')
    return "".join(parts)


def _by_day(finding: Finding, figure: str, title: str, history: History, days: Sequence[date], identity: str,
            grows: bool) -> str:
    """Bars for days. ``grows``: the figure counts from midnight on, so that the day's largest value is the day's."""
    values = _values(history.daily(finding.check, figure, _midnight(days[0])), days, grows)
    current = finding.figures.get(figure)
    known = [value for value in values if value is not None]
    if current is None and not known:
        return f'<article class="card"><h3>{text(title)}</h3><p>{badge(None)} It is not recorded.</p></article>'
    shown = measure(figure, current) if current is not None else badge(None, "Unknown now")
    told = f"{measure(figure, min(known))} to {measure(figure, max(known))} a day" if known else "no day is known yet"
    if len(known) < len(days):
        told += f"; nothing is known of {len(days) - len(known)} days"
    rows = [Row((short_day(day), "unknown" if value is None else measure(figure, value)))
            for day, value in zip(reversed(days), reversed(values))]
    drawn = plots.bars(values, identity=identity, title=f"{title}, last {len(days)} days", text=told)
    since = "today" if grows else "last 24 hours"
    return (f'<article class="card"><h3>{text(title)} <span class="muted small">{since}</span></h3>'
            f'<p class="figure">{shown}</p><figure>{drawn}'
            f'<div class="axis" aria-hidden="true"><span>{short_day(days[0])}</span><span>today</span></div>'
            f"<figcaption>{text(told)}</figcaption></figure><details><summary>{text(title)}, day by day</summary>"
            f"{table(text(title), ('Day', 'Value'), rows, ('', 'number'))}</details></article>")


def _values(found: Sequence[Day], days: Sequence[date], grows: bool) -> list[Optional[float]]:
    by_day = {one.day: one.most if grows else one.last for one in found}
    return [by_day.get(day) for day in days]


def _days(now: datetime) -> list[date]:
    today = now.astimezone().date()
    return [today - timedelta(days=before) for before in range(_DAYS - 1, -1, -1)]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day).astimezone()
