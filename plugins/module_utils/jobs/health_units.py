# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks of ``jobs.health`` at the scheduled jobs of this collection: timers that should have fired, and jobs that
failed. Where cron runs the jobs there are no timers, and of failures what the hook wrote down."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Optional

from ..catalog.names import KINDS
from ..catalog.status import read_status
from ..config import Settings
from ..errors import MaintenanceError
from ..probes.units import STARTERS, Failure, State, failures, own_units, states
from ..units import format_seconds, iso
from .health import Finding
from .report import CRITICAL, OK, UNKNOWN, WARNING

FORGOTTEN = timedelta(days=7)
"""A recorded failure of a job that leaves no word of its successes counts no longer than this."""

_STATE_DIRECTORY = "/var/lib"
# What a job of the role monitoring writes below its directory when it ended well, and else not.
_WRITTEN = {"monitor-look": "look/look.json"}
_GONE = State("", "not-found", "inactive", "dead", "", "")


def timers(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Each timer and each path unit of ours. Raises OSError where systemctl does not answer."""
    names = [name for name in own_units(settings.application) if name.endswith(STARTERS)]
    if not names:
        return
    if not os.path.isdir("/run/systemd/system"):
        yield Finding(UNKNOWN, "timers", "Timers", "this host does not run systemd")
        return
    grace = timedelta(minutes=settings.health.timer_grace_minutes)
    found = states(names)
    for name in names:
        yield judged_timer(found.get(name, _GONE), name, now, grace)


def judged_timer(state: State, name: str, now: datetime, grace: timedelta) -> Finding:
    """What the state of ``name`` means, a timer or a path unit. systemd computes the next time of a timer from the last
    one, with the random delay, and keeps it while the timer waits: one that lies in the past by more than ``grace`` was
    missed. While the job runs there is no next time."""
    check, title = f"timer {name}", f"{'Timer' if name.endswith('.timer') else 'Watch for changes'} {name}"
    late = (now - state.next_at).total_seconds() if state.sub == "waiting" and state.next_at is not None else 0.0
    figures = {"late_seconds": max(0.0, late)}
    start = f"type: systemctl enable --now {name}"
    if state.load != "loaded":
        return Finding(CRITICAL, check, title, f"systemd does not load it ({state.load or 'unknown'})", figures)
    if state.active != "active":
        result = f", {state.result}" if state.result not in ("", "success") else ""
        return Finding(CRITICAL, check, title, f"it is {state.active}{result}, and nothing starts its job: {start}",
                       figures)
    if late > grace.total_seconds():
        return Finding(CRITICAL, check, title, f"it should have fired {format_seconds(late)} ago", figures)
    if state.sub == "elapsed":
        return Finding(CRITICAL, check, title, "it has no next time", figures)
    if state.enabled not in ("enabled", "enabled-runtime"):
        return Finding(WARNING, check, title, f"it is {state.enabled or 'not enabled'}, and will not come back with "
                       f"the host: {start}", figures)
    following = f", next {iso(state.next_at)}" if state.next_at is not None and state.sub == "waiting" else ""
    return Finding(OK, check, title, f"{state.sub}{following}", figures)


def units(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Each job of ours that systemd knows, and each that cron runs and that failed. Raises OSError."""
    records = failures(_records(settings))
    recorded = {failure.unit: failure for failure in records.failures}
    if records.unreadable:
        yield Finding(WARNING, "failures", "Recorded failures", "a job failed, and what was written down of it "
                      f"cannot be understood: look at {records.unreadable[0]}, and remove it")
    found: dict[str, State] = {}
    if os.path.isdir("/run/systemd/system"):
        names = [name for name in own_units(settings.application) if name.endswith(".service")]
        found = states(names)
        for name in names:
            state = found.get(name, _GONE)
            yield replace(_judged_unit(settings, state, name, recorded.get(name), now), figures=_run_of(state, now))
    for name, failure in recorded.items():
        if name not in found:
            yield _judged_record(settings, name, failure, None, now)


def _run_of(state: State, now: datetime) -> dict[str, float]:
    """The last run since the host started: how long ago it ended, and how long it took."""
    if state.ended_at is None or state.ended_at > now:
        return {}
    figures = {"ended_seconds_ago": (now - state.ended_at).total_seconds()}
    if state.started_at is not None and state.started_at <= state.ended_at:
        figures["took_seconds"] = (state.ended_at - state.started_at).total_seconds()
    return figures


def _records(settings: Settings) -> str:
    return os.path.join(_STATE_DIRECTORY, f"{settings.application}-maintenance", "failures")


def _judged_unit(settings: Settings, state: State, name: str, failure: Optional[Failure], now: datetime) -> Finding:
    check, title = f"unit {name}", f"Job {name}"
    if state.load != "loaded":
        return Finding(CRITICAL, check, title, f"systemd does not load it ({state.load or 'unknown'})")
    if state.active == "failed":
        status = f", exit status {state.exit_status}" if state.exit_status else ""
        return Finding(CRITICAL, check, title, f"it failed ({state.result}{status}): {_look(name)}")
    if failure is not None:
        return _judged_record(settings, name, failure, state, now)
    if state.active in ("activating", "active", "reloading"):
        return Finding(OK, check, title, "it runs")
    return Finding(OK, check, title, f"ended well at {iso(state.ended_at)}" if state.ended_at is not None
                   else "has not run since the host started")


def _judged_record(settings: Settings, name: str, failure: Failure, state: Optional[State], now: datetime) -> Finding:
    """A failure counts until the job has succeeded after it, or its record is gone. systemd remembers a success as long
    as the host is up; backups and the look of the monitor leave files that tell. Of other jobs nobody may know, so that
    a failure is forgotten at last."""
    check, title = f"unit {name}", f"Job {name}"
    good = max((moment for moment in (_good_end(state), _recorded_success(settings, name)) if moment is not None),
               default=None)
    # The record is cut to the second: what ended well within the same one may have come before it.
    if good is not None and good.replace(microsecond=0) > failure.failed_at:
        return Finding(OK, check, title, f"ended well at {iso(good)}")
    if now - failure.failed_at > FORGOTTEN:
        return Finding(OK, check, title, f"failed at {iso(failure.failed_at)}, and not in the last 7 days")
    status = f", exit status {failure.exit_status}" if failure.exit_status is not None else ""
    return Finding(CRITICAL, check, title, f"it failed at {iso(failure.failed_at)} ({failure.result}{status}), and has "
                   f"not succeeded since: {_look(name)}")


def _good_end(state: Optional[State]) -> Optional[datetime]:
    return state.ended_at if state is not None and state.active == "inactive" and state.result == "success" else None


def _recorded_success(settings: Settings, name: str) -> Optional[datetime]:
    """When the job ended well last, by what it alone writes; None where that is not known."""
    job = name[len(settings.application) + 1:-len(".service")]
    written = _WRITTEN.get(job)
    try:
        if written is not None and settings.alerts.directory:
            seconds = os.stat(os.path.join(settings.alerts.directory, written)).st_mtime
            return datetime.fromtimestamp(seconds, timezone.utc)
        if settings.directory is not None and job.startswith("backup-") and job[len("backup-"):] in KINDS:
            record = read_status(settings.directory, settings.application, job[len("backup-"):])
            return record.last_success_at if record is not None else None
    except (MaintenanceError, OSError):
        pass
    return None


def _look(name: str) -> str:
    return f"look at 'journalctl -t {name[:-len('.service')]} -n 50'"
