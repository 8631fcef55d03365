# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator asks in the morning, and what the findings and their history answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from ..jobs.health import Finding, HealthReport
from ..jobs.report import CRITICAL, OK, UNKNOWN, WARNING, worst
from ..units import format_bytes, format_seconds
from .dashboard_parts import short_day
from .history import Change, History
from .trends import LEAST_SECONDS, full_at, slope_per_day

GAP_SECONDS = 900
_TREND_DAYS = 30
_NEAR_DAYS = 30
_FAR_DAYS = 365
_MOST_DETAILS = 3
_WITH_DATA = ("database", "full")


@dataclass(frozen=True)
class Answer:
    """``verdict`` in a few words, ``details`` in sentences; all of it plain text."""

    question: str
    level: int
    verdict: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Episode:
    """A time in which ``title`` was not well. ``level`` and ``text`` are those of its worst moment; seconds since 1970;
    ``end`` None: it still lasts."""

    title: str
    level: int
    text: str
    begin: int
    end: Optional[int]


@dataclass(frozen=True)
class Trouble:
    """The episodes of one look, of which the newest is the last."""

    title: str
    level: int
    text: str
    episodes: tuple[Episode, ...]
    seconds: int

    @property
    def lasts(self) -> bool:
        return self.episodes[-1].end is None


def kind_of(check: str) -> str:
    return check.partition(" ")[0]


def looks(report: HealthReport, *kinds: str) -> list[Finding]:
    """The findings whose checks are of ``kinds``."""
    return [finding for finding in report.findings if kind_of(finding.check) in kinds]


def is_it_up(report: HealthReport) -> Answer:
    """By its pages, its service and its database, of which none alone proves it."""
    found = looks(report, "page", "pages", "service", "database", "open")
    question, level = "Is it up?", worst(finding.level for finding in found)
    bad = [finding for finding in found if finding.level == level]
    answers = [finding for finding in found if kind_of(finding.check) == "page" and finding.level in (OK, WARNING)]
    if not found:
        return Answer(question, UNKNOWN, "Unknown", ("Nothing looks at its pages, its service or its database.",))
    if level == CRITICAL:
        return Answer(question, level, "In part" if answers else "No", _told(bad))
    if level == UNKNOWN:
        return Answer(question, level, "It answers; the rest is unknown" if answers else "Unknown", _told(bad))
    if level == WARNING:
        return Answer(question, level, "Yes, with a warning" if len(bad) == 1 else f"Yes, with {len(bad)} warnings",
                      _told(bad))
    return Answer(question, level, "Yes", _told(answers or found))


def last_backup(report: HealthReport) -> Answer:
    """The newest backup that holds the data, and when an archive of its kind was proven to be whole."""
    question, found = "Last good backup?", looks(report, "backup", "backups")
    chief = chief_backup(found)
    level = worst(finding.level for finding in found)
    bad = [finding for finding in found if finding.level != OK and finding is not chief]
    if chief is None:
        told = _told([finding for finding in found if finding.level == level])
        return Answer(question, level if found else UNKNOWN, "None is known" if found else "Unknown",
                      told or ("Nothing looks at the backups.",))
    verified = chief.figures.get("verified_age_seconds")
    details = [f"Does it restore? Verified {format_seconds(verified)} ago." if verified is not None
               else "Does it restore? Unknown: it was not verified."]
    if verified is None:
        level = worst((level, UNKNOWN))
    details += _told([chief] if chief.level != OK else []) + _told(bad)
    if level == OK:
        kinds = [finding.check.partition(" ")[2] for finding in found]
        details.append(f"Kind {chief.check.partition(' ')[2]}; all of {', '.join(kinds)} are current."
                       if len(kinds) > 1 else f"Kind {kinds[0]}.")
    return Answer(question, level, f"{format_seconds(chief.figures['age_seconds'])} ago", tuple(details))


def chief_backup(findings: Iterable[Finding]) -> Optional[Finding]:
    """The newest with the data in it; of any kind where there is none. None: no age is known."""
    dated = [finding for finding in findings if "age_seconds" in finding.figures]
    chief = [finding for finding in dated if finding.check.partition(" ")[2] in _WITH_DATA]
    return min(chief or dated, key=lambda finding: finding.figures["age_seconds"], default=None)


def what_fills_up(report: HealthReport, history: History, now: datetime, database_limit_bytes: float) -> Answer:
    """File systems by their free bytes, databases by the size that is critical."""
    question, since = "What is filling up?", now - timedelta(days=_TREND_DAYS)
    watched = [(finding, "free_bytes", 0.0) for finding in looks(report, "storage") if "free_bytes" in finding.figures]
    watched += [(finding, "size_bytes", database_limit_bytes) for finding in looks(report, "database")
                if "size_bytes" in finding.figures]
    standing = looks(report, "storage")
    level, known = worst(finding.level for finding in standing), False
    full: list[tuple[datetime, str]] = []
    for finding, figure, limit in watched:
        series = history.series(finding.check, figure, since)
        known = known or (len(series) > 1 and series[-1][0] - series[0][0] >= LEAST_SECONDS)
        when = full_at(series, limit)
        if when is not None and when - now <= timedelta(days=_FAR_DAYS):
            pace = format_bytes(int(abs(slope_per_day(series) or 0.0)))
            what = "is full" if not limit else f"comes to {format_bytes(int(limit))}"
            full.append((when, f"{finding.title} {what} about {short_day(when.astimezone().date())} {when.year}, "
                               f"by {pace} a day."))
    told = [*_told([finding for finding in standing if finding.level != OK]), *(words for _when, words in sorted(full))]
    if full:
        first = min(when for when, _words in full)
        days = max(0, (first - now).days)
        level = worst((level, WARNING)) if days < _NEAR_DAYS else level
        verdict = "Nothing soon" if level == OK else f"Full in {days} days" if days > 1 else "Full in a day"
        return Answer(question, level, verdict, tuple(told))
    if not watched:
        return Answer(question, UNKNOWN, "Unknown", (*told, "Nothing tells of free space."))
    if not known:
        return Answer(question, worst((level, UNKNOWN)), "Not known yet",
                      (*told, "There are less than 24 hours of history."))
    return Answer(question, level, "Nothing within a year" if level == OK else "Little is left",
                  (*told, *(_told(standing) if level == OK else ())))


def what_went_wrong(troubles: Sequence[Trouble], begins: Optional[int], now: datetime) -> Answer:
    """In the last seven days; ``begins`` is when the history does."""
    question, bad = "What went wrong this week?", [one for one in troubles if one.level != UNKNOWN]
    unknown = [one for one in troubles if one.level == UNKNOWN]
    if begins is None:
        return Answer(question, UNKNOWN, "Unknown", ("The history begins with this page.",))
    details = [f"{one.title}: {'still so' if one.lasts else 'over'}." for one in bad[:_MOST_DETAILS]]
    if len(bad) > _MOST_DETAILS:
        details.append(f"And {len(bad) - _MOST_DETAILS} more below.")
    details += [f"{one.title}: unknown {'now' if one.lasts else f'for {format_seconds(one.seconds)}'}."
                for one in unknown[:_MOST_DETAILS]]
    age = now.timestamp() - begins
    if age < 7 * 86400 - GAP_SECONDS:
        details.append(f"Known for {format_seconds(age)} only." if age >= 60 else "The history has just begun.")
    level = worst([one.level if one.lasts else WARNING for one in bad] + ([UNKNOWN] if unknown and not bad else [OK]))
    verdict = f"{len(bad)} thing{'s' if len(bad) != 1 else ''}" if bad else "Not all is known" if unknown else "Nothing"
    return Answer(question, level, verdict, tuple(details))


def troubles_since(changes: Sequence[Change], runs: Sequence[tuple[int, int]], since: datetime,
                   now: datetime) -> tuple[Trouble, ...]:
    """What was not well, one entry a look: those that still last come first, then the worst. Times in which the monitor
    itself did not run are among them."""
    begin, end = int(since.timestamp()), int(now.timestamp())
    by_look: dict[str, list[Episode]] = {}
    for check in dict.fromkeys(change.check for change in changes):
        by_look[check] = _episodes([change for change in changes if change.check == check], begin)
    times = [*(at for at, _level in runs), end]
    by_look["monitor"] = [
        Episode("The monitor itself", UNKNOWN, "It did not run, so that nothing is known of this time", one, other)
        for one, other in zip(times, times[1:]) if other - one > GAP_SECONDS]
    troubles = []
    for episodes in by_look.values():
        if episodes:
            chief = max(episodes, key=lambda one: (_weight(one.level), one.begin))
            seconds = sum((one.end or end) - max(one.begin, begin) for one in episodes)
            troubles.append(Trouble(chief.title, chief.level, chief.text, tuple(episodes), max(0, seconds)))
    return tuple(sorted(troubles, key=lambda one: (one.level == UNKNOWN, not one.lasts, -_weight(one.level),
                                                   -one.episodes[-1].begin)))


def levels_of(changes: Sequence[Change], runs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """When a run was, and the worst level that a check had then, by ``changes`` alone."""
    found, levels, waiting = [], dict[str, int](), list(reversed(changes))
    for at, _level in runs:
        while waiting and waiting[-1].at <= at:
            change = waiting.pop()
            levels.pop(change.check, None)
            if change.level is not None:
                levels[change.check] = change.level
        found.append((at, worst(levels.values())))
    return found


def _episodes(changes: Sequence[Change], since: int) -> list[Episode]:
    found: list[Episode] = []
    for change in changes:
        last = found[-1] if found and found[-1].end is None else None
        if change.level in (OK, None):
            if last is not None:
                found[-1] = Episode(last.title, last.level, last.text, last.begin, change.at)
        elif last is None:
            found.append(Episode(change.title, change.level or UNKNOWN, change.text, change.at, None))
        elif _weight(change.level or UNKNOWN) > _weight(last.level):
            found[-1] = Episode(change.title, change.level or UNKNOWN, change.text, last.begin, None)
    return [one for one in found if one.end is None or one.end >= since]


def _weight(level: int) -> int:
    return (OK, UNKNOWN, WARNING, CRITICAL).index(level) if level in (OK, UNKNOWN, WARNING, CRITICAL) else 1


def _told(findings: Sequence[Finding]) -> tuple[str, ...]:
    told = tuple(f"{finding.title}: {finding.text}" for finding in findings[:_MOST_DETAILS])
    more = len(findings) - _MOST_DETAILS
    return told if more <= 0 else (*told, f"And {more} more below.")
