# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to tell: the findings of a run beside what was told before. Changes that last are told once, what changes all
the time is told as unsteady, what stays bad is told again, and what is no longer looked at is not forgotten."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Callable, Optional

from ..alerting import Alerting
from ..archive import fields
from ..archive.fields import Fields, Invalid
from ..catalog.records import MAX_RECORD_BYTES, dump, headed, instant, load, to_second
from ..errors import printable
from ..files import atomic_write
from ..jobs.health import Finding
from ..jobs.report import OK, UNKNOWN, WARNING, worst
from ..units import iso

ALERTS_FORMAT = "feedforward-maintenance alerts"
ALERTS_SCHEMA_VERSION = 1
EVENT_KINDS = ("problem", "worse", "better", "recovery", "reminder", "unsteady", "steady", "gone")
MOST_CONDITIONS = 1000
MEMORY_CHECK = "monitor"
"""The check of the monitor's own memory, which ``decide`` adds to the findings."""

_MOST_RUNS = 10 ** 9
_MOST_CHANGES = 100
_CHECK_CHARACTERS, _TITLE_CHARACTERS, _TEXT_CHARACTERS = 4200, 200, 500


@dataclass(frozen=True)
class Condition:
    """How a check stands. Instants are aware, in UTC, to the second.

    ``level`` was told last (OK: nothing bad), and ``text`` was found last with it. ``since``: from when on the check
    has not been well, or has been well. ``candidate`` was found last, ``candidate_runs`` times in a row, the first time
    at ``candidate_since``; ``bad_runs`` and ``bad_since`` are the same of whatever is not OK. ``missing_runs`` times in
    a row, from ``missing_since`` on, there was no such check. ``changes`` are the instants at which another level was
    found than before, ``reminded_at`` is when the bad state was told last, ``unsteady`` that it was told as such, and
    ``worst_told`` is the worst level that was told since then (None: ``level`` is).
    """

    check: str
    title: str
    level: int
    text: str
    since: datetime
    candidate: int
    candidate_runs: int
    candidate_since: datetime
    bad_runs: int = 0
    bad_since: Optional[datetime] = None
    missing_runs: int = 0
    missing_since: Optional[datetime] = None
    changes: tuple[datetime, ...] = ()
    reminded_at: Optional[datetime] = None
    unsteady: bool = False
    worst_told: Optional[int] = None

    @property
    def well(self) -> bool:
        """Whether nothing bad was told that is not over."""
        return self.level == OK and not self.unsteady


@dataclass(frozen=True)
class AlertState:
    """What the monitor remembers, by check. ``damaged``: there was a memory, and it could not be read."""

    conditions: Mapping[str, Condition] = field(default_factory=dict)
    damaged: bool = False


@dataclass(frozen=True)
class Event:
    """Something to tell. ``kind`` is one of EVENT_KINDS; ``level`` is the new one (of ``gone``: the last that was told)
    and ``previous`` the one that was told before. ``since``: from when on it has not been well, also in the kinds that
    tell of the end of that; of ``steady``: from when on it has kept its level."""

    kind: str
    check: str
    title: str
    level: int
    previous: int
    text: str
    since: datetime


def load_state(path: str) -> AlertState:
    """The memory in ``path``: empty where there is none, empty and ``damaged`` where it cannot be used."""
    try:
        record = headed(load(path), ALERTS_FORMAT, ALERTS_SCHEMA_VERSION)
        conditions = record.take("conditions", fields.items(_condition))
        record.end()
        by_check = {condition.check: condition for condition in conditions}
        if len(by_check) != len(conditions):
            raise Invalid("a check occurs twice")
    except ValueError as error:
        return AlertState(damaged=not isinstance(error.__cause__, FileNotFoundError))
    return AlertState(by_check)


def save_state(path: str, state: AlertState) -> None:
    """Replaces ``path``, durably. Of more than MOST_CONDITIONS, or more than a record may hold, those that are not well
    are kept first. Raises DestinationError."""
    ordered = sorted(state.conditions.values(), key=lambda one: (one.well, one.candidate == OK, one.check))
    kept = ordered[:MOST_CONDITIONS]
    data = _dumped(kept)
    while len(data) > MAX_RECORD_BYTES:
        kept = kept[:len(kept) // 2]
        data = _dumped(kept)
    atomic_write(path, data)


def decide(state: AlertState, findings: Iterable[Finding], now: datetime, policy: Alerting,
           silenced: Callable[[str], bool]) -> tuple[AlertState, tuple[Event, ...]]:
    """The new state, and all there is to tell at the aware instant ``now``. ``silenced`` says of a check whether
    nothing is to be told of it at present.

    Told is told: where the new state cannot be saved, the next run begins where this one did, and finds nothing a
    second time. The caller then decides again with ``confirm_runs`` 1.
    """
    now = to_second(now)
    before = {check: _not_ahead(condition, now) for check, condition in state.conditions.items()}
    # Who lost his memory in every run would never find anything twice, and would tell nothing.
    confirm_runs = 1 if state.damaged else policy.confirm_runs
    found = _by_check((*findings, _own_finding(state)))
    after: dict[str, Condition] = {}
    events: list[Optional[Event]] = []
    for check, finding in found.items():
        quiet = silenced(check)
        condition = _observed(before.get(check), finding, now, policy, quiet)
        if condition is not None:
            event = None if quiet else _news(condition, finding, now, policy, confirm_runs)
            events.append(event)
            after[check] = condition if event is None else _told(condition, event, now)
    # A look that failed as a whole gives one finding, in the place of all that it would have looked at.
    blind = {condition.candidate_since for check, condition in after.items()
             if condition.candidate == UNKNOWN and " " not in check}
    for check in sorted(set(before) - set(found)):
        quiet = silenced(check)
        condition = _missed(before[check], now, policy, blind, quiet)
        event = None if quiet else _loss(condition, now, policy, confirm_runs, blind)
        events.append(event)
        condition = condition if event is None else _told(condition, event, now)
        if condition.changes or not condition.well or condition.missing_runs < confirm_runs:
            after[check] = condition
    return AlertState(after), tuple(event for event in events if event is not None)


def _own_finding(state: AlertState) -> Finding:
    if state.damaged:
        return Finding(WARNING, MEMORY_CHECK, "Monitor", "its memory was damaged or cannot be read: what it told "
                       "before is not known, and what is not well is told again")
    return Finding(OK, MEMORY_CHECK, "Monitor", "it remembers what it told")


def _by_check(findings: Iterable[Finding]) -> dict[str, Finding]:
    """The worst finding of each check, its texts as they are kept."""
    found: dict[str, Finding] = {}
    for finding in findings:
        check = printable(finding.check)[:_CHECK_CHARACTERS]
        if check not in found or worst((found[check].level, finding.level)) != found[check].level:
            found[check] = Finding(finding.level, check, _line(finding.title)[:_TITLE_CHARACTERS],
                                   _line(finding.text)[:_TEXT_CHARACTERS])
    return found


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def _observed(before: Optional[Condition], finding: Finding, now: datetime, policy: Alerting,
              quiet: bool) -> Optional[Condition]:
    """What is remembered of a check after it was looked at, before anything is told; None: nothing."""
    if finding.level == UNKNOWN and finding.check.partition(" ")[0] in policy.unknown_silent:
        if before is None or before.level == UNKNOWN:
            return None
        if before.candidate == UNKNOWN:
            before = replace(before, candidate=before.level, candidate_runs=0)
        return replace(before, missing_runs=0, missing_since=None)
    bad = finding.level != OK
    if before is None:
        before = Condition(finding.check, finding.title, OK, "", now, finding.level, 0, now)
    changed = finding.level != before.candidate
    return replace(
        before, title=finding.title,
        text=finding.text if before.unsteady or finding.level == before.level else before.text,
        candidate=finding.level, candidate_runs=1 if changed else _one_more(before.candidate_runs),
        candidate_since=now if changed or before.missing_runs else before.candidate_since,
        bad_runs=_one_more(before.bad_runs) if bad else 0, bad_since=(before.bad_since or now) if bad else None,
        missing_runs=0, missing_since=None, changes=_changes(before, now, policy, changed and not quiet))


def _missed(before: Condition, now: datetime, policy: Alerting, blind: Collection[datetime],
            quiet: bool) -> Condition:
    """What is remembered of a check that was not among the findings, before anything is told."""
    since = before.missing_since or now
    left = before.missing_runs == 0 and before.candidate != OK and since not in blind
    return replace(before, missing_runs=_one_more(before.missing_runs), missing_since=since,
                   changes=_changes(before, now, policy, left and not quiet))


def _changes(before: Condition, now: datetime, policy: Alerting, changed: bool) -> tuple[datetime, ...]:
    recent = tuple(moment for moment in before.changes if _hours(moment, now) < policy.flap_hours)
    return (*recent, now)[-_MOST_CHANGES:] if changed else recent


def _news(condition: Condition, finding: Finding, now: datetime, policy: Alerting,
          confirm_runs: int) -> Optional[Event]:
    level, confirmed = condition.candidate, condition.candidate_runs >= confirm_runs
    if level != finding.level:
        # It was not known, and that is nothing to tell of this check.
        return _reminder(condition, now, policy)
    if condition.unsteady:
        if _hours(condition.candidate_since, now) >= policy.flap_hours:
            return _event("steady", condition, level, finding.text, condition.candidate_since)
        if confirmed and _worst_told(condition, level) != _worst_told(condition):
            kind, since = ("problem", condition.bad_since) if condition.level == OK else ("worse", condition.since)
            return _event(kind, condition, level, finding.text, since or now)
        return _reminder(condition, now, policy)
    if len(condition.changes) >= policy.flap_changes:
        return _event("unsteady", condition, level, finding.text, condition.changes[0])
    if condition.level == OK:
        # What is bad each time, but never twice in the same way, is told as well.
        if level != OK and (confirmed or condition.bad_runs >= confirm_runs):
            return _event("problem", condition, level, finding.text, condition.bad_since or now)
        return None
    if level == condition.level or not confirmed:
        return _reminder(condition, now, policy)
    if level == OK:
        return _event("recovery", condition, level, finding.text, condition.since)
    # Not to know any more how bad something is, is no progress.
    better = level != UNKNOWN and worst((level, condition.level)) == condition.level
    return _event("better" if better else "worse", condition, level, finding.text, condition.since)


def _loss(condition: Condition, now: datetime, policy: Alerting, confirm_runs: int,
          blind: Collection[datetime]) -> Optional[Event]:
    since = condition.missing_since or now
    if since in blind or (condition.unsteady and _hours(since, now) < policy.flap_hours):
        return _reminder(condition, now, policy)
    if condition.well or condition.missing_runs < confirm_runs:
        return None
    if len(condition.changes) >= policy.flap_changes:
        return _event("unsteady", condition, condition.candidate, condition.text, condition.changes[0])
    return _event("gone", condition, condition.level, condition.text, condition.since)


def _reminder(condition: Condition, now: datetime, policy: Alerting) -> Optional[Event]:
    if _hours(condition.reminded_at or condition.since, now) < policy.reminder_hours:
        return None
    if condition.unsteady:
        return _event("unsteady", condition, condition.candidate, condition.text, condition.since)
    if condition.level == OK or condition.candidate == OK:
        return None
    return _event("reminder", condition, condition.level, condition.text, condition.since)


def _event(kind: str, condition: Condition, level: int, text: str, since: datetime) -> Event:
    return Event(kind, condition.check, condition.title, level, condition.level, text, since)


def _told(condition: Condition, event: Event, now: datetime) -> Condition:
    """What is remembered when ``event`` is told."""
    if event.kind == "gone":
        return replace(condition, level=OK, text="", since=now, candidate=OK, candidate_runs=0, candidate_since=now,
                       bad_runs=0, bad_since=None, reminded_at=None, unsteady=False, worst_told=None)
    if condition.unsteady and event.kind != "steady":
        # It was told that it changes all the time, and nothing of this ends that.
        return replace(condition, level=event.level, text=event.text, reminded_at=now,
                       worst_told=_worst_told(condition, event.level))
    unsteady = event.kind == "unsteady"
    return replace(condition, level=event.level, text=event.text, unsteady=unsteady,
                   worst_told=event.level if unsteady else None,
                   since=condition.candidate_since if event.kind == "recovery" else event.since,
                   reminded_at=now if unsteady or event.level != OK else None)


def _worst_told(condition: Condition, *more: int) -> int:
    """The worst that was told of what is unsteady, and of ``more``."""
    return worst((condition.level if condition.worst_told is None else condition.worst_told, *more))


def _hours(moment: datetime, now: datetime) -> float:
    return (now - moment).total_seconds() / 3600


def _one_more(runs: int) -> int:
    return min(runs + 1, _MOST_RUNS)


def _not_ahead(condition: Condition, now: datetime) -> Condition:
    """The condition with no instant after ``now``: a clock that was put back would keep it quiet until it is there."""
    moments: dict[str, Any] = {name: min(value, now) for name, value in vars(condition).items()
                               if isinstance(value, datetime)}
    return replace(condition, changes=tuple(min(moment, now) for moment in condition.changes), **moments)


_runs = fields.integer(0, _MOST_RUNS)
_level = fields.integer(OK, UNKNOWN)
_TAKEN: Mapping[str, fields.Check[Any]] = {
    "check": fields.text, "title": fields.text, "level": _level, "text": fields.text, "since": instant,
    "candidate": _level, "candidate_runs": _runs, "candidate_since": instant,
    "bad_runs": _runs, "bad_since": fields.optional(instant),
    "missing_runs": _runs, "missing_since": fields.optional(instant),
    "changes": fields.items(instant), "reminded_at": fields.optional(instant), "unsteady": fields.flag}


def _condition(value: Any, where: str) -> Condition:
    record = Fields(value, where)
    taken = {name: record.take(name, check) for name, check in _TAKEN.items()}
    if "worst_told" in value:
        # Memories of earlier versions are without it.
        taken["worst_told"] = record.take("worst_told", fields.optional(_level))
    condition = Condition(**taken)
    record.end()
    if len(condition.changes) > _MOST_CHANGES:
        raise Invalid(f"{where}.changes has more than {_MOST_CHANGES} instants")
    return condition


def _dumped(conditions: Iterable[Condition]) -> bytes:
    return dump({"format": ALERTS_FORMAT, "schema_version": ALERTS_SCHEMA_VERSION,
                 "conditions": [_record(condition) for condition in conditions]})


def _record(condition: Condition) -> dict[str, Any]:
    record = {name: iso(value) if isinstance(value, datetime) else value for name, value in vars(condition).items()}
    return {**record, "changes": [iso(moment) for moment in condition.changes]}
