# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the monitor: look, decide what to tell, tell it, and write down what others read."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Callable

from ..catalog.records import dump
from ..channels import heartbeat
from ..channels.errors import ChannelError
from ..config import Settings
from ..errors import BusyError, MaintenanceError, UsageError, from_oserror
from ..files import atomic_write
from ..jobs.health import Finding, HealthReport, examine_health
from ..jobs.health_checks import NETWORK_CHECKS
from ..jobs.health_network import watched_providers
from ..jobs.report import OK, UNKNOWN, WARNING, worst
from ..owners import acting_as
from ..units import format_seconds
from . import dashboard, metrics, outbox, silences
from .alerts import AlertState, Event, decide, load_state, save_state
from .history import History
from .letters import read_json
from .look import read_look
from .messages import compose, headline

LATE_ALERT_SECONDS = 3600.0
HELD_BACK_SECONDS = 3600
SENDING_SECONDS = 50.0
"""So long after its beginning a run begins to send."""


@dataclass(frozen=True)
class Places:
    """Where a monitor keeps its things, below ``Alerting.directory``. Root writes ``look``; ``state`` is the monitor's
    own; ``public`` is for everybody to read."""

    directory: str

    @property
    def look(self) -> str:
        return os.path.join(self.directory, "look", "look.json")

    @property
    def state(self) -> str:
        return os.path.join(self.directory, "state")

    def kept(self, name: str) -> str:
        """A file of the monitor's own."""
        return os.path.join(self.state, name)

    def published(self, name: str) -> str:
        """A file that everybody may read."""
        return os.path.join(self.directory, "public", name)


@dataclass(frozen=True)
class MonitorRun:
    """``events`` are what was new to tell; ``problems`` sentences on what this run could not do itself."""

    report: HealthReport
    events: tuple[Event, ...]
    delivery: outbox.Delivery
    problems: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"health": self.report.as_dict(), "sent": self.delivery.sent, "waiting": self.delivery.waiting,
                "failures": [{"channel": channel, "reason": reason} for channel, reason in self.delivery.failures],
                "events": [{"kind": event.kind, "check": event.check, "level": event.level, "text": event.text}
                           for event in self.events],
                "problems": list(self.problems)}


def places_of(settings: Settings) -> Places:
    """Raises UsageError where no directory is configured."""
    if not settings.alerts.directory:
        raise UsageError("alerts.directory", "no directory for the monitor is configured",
                         "Run the role monitoring, which configures it")
    return Places(settings.alerts.directory)


@contextmanager
def as_the_monitor(places: Places) -> Iterator[None]:
    """Root acts as the owner of the state meanwhile, so that it makes no file that the monitor could not read, and does
    not talk to the network as root. Raises OSError where there is no state; SourceError as ``acting_as``."""
    owner = os.stat(places.state)
    with acting_as(owner.st_uid, owner.st_gid):
        yield


def run_monitor(settings: Settings, now: datetime) -> MonitorRun:
    """Looks, tells and writes. Raises UsageError, BusyError where another run is at work, DestinationError where not
    even the lock can be taken; whatever else goes wrong is among ``problems``, and is told where telling works."""
    places, host, began = places_of(settings), socket.gethostname(), time.monotonic()
    with _alone(places):
        quiet = silences.read_silences(places.kept("silences.json"))
        report = _report(settings, places, quiet, now)
        problems: list[str] = []
        events = _tell(settings, places, quiet, report, now, host, problems)
        delivery = _deliver(settings, places, now, problems, began)
        _publish(settings, places, report, events, now, host, problems)
        _beat(settings, report, problems)
        return MonitorRun(report, events, delivery, tuple(problems))


def _tell(settings: Settings, places: Places, quiet: silences.Silences, report: HealthReport, now: datetime, host: str,
          problems: list[str]) -> tuple[Event, ...]:
    """Makes what is new wait for its ways, and only then remembers that it was told: a crash in between tells it
    twice. Where that cannot be written, a memory elsewhere keeps the same from being told in each run."""
    path, elsewhere = places.kept("alerts.json"), _Elsewhere.read(now)
    state = load_state(path)
    heard = [finding for finding in report.findings
             if finding.level != UNKNOWN or finding.check.split(" ")[0] not in settings.alerts.unknown_silent]

    def decided(confirm_runs: int) -> tuple[AlertState, tuple[Event, ...]]:
        return decide(state, report.findings, now, replace(settings.alerts, confirm_runs=confirm_runs),
                      lambda check: silences.is_silenced(quiet, check, now))

    def told(events: tuple[Event, ...]) -> tuple[Event, ...]:
        new = tuple(event for event in events if not elsewhere.knows(event))
        if not new:
            return ()
        message = compose(settings.application, host, new, heard, now, settings.alerts.dashboard_url)
        try:
            outbox.enqueue(places.kept("outbox"), message, settings.alerts.channels)
        except MaintenanceError as error:
            # A full disk must not keep an alert from going out.
            failed = outbox.send_at_once(settings.alerts, message)
            problems.extend((str(error), *failed))
            if len(failed) == len(settings.alerts.channels):
                return new
        elsewhere.add(new)
        return new

    after, events = decided(settings.alerts.confirm_runs)
    new = told(events)
    try:
        save_state(path, after)
    except MaintenanceError as error:
        problems.append(str(error))
        # Without a memory nothing is ever found a second time.
        known = {(event.check, event.kind) for event in events}
        _after, hasty = decided(1)
        new += told(tuple(event for event in hasty if (event.check, event.kind) not in known))
    else:
        elsewhere.forget(events)
    elsewhere.write()
    return new


@dataclass
class _Elsewhere:
    """What was told while the memory proper could not be written, on another file system: hashes by those of checks,
    with a time in seconds. ``path`` empty: there is no such place."""

    path: str
    now: int
    told: dict[str, tuple[str, int]]

    @classmethod
    def read(cls, now: datetime) -> _Elsewhere:
        """Of the last hour, from the directory that systemd gives the unit for as long as the host runs."""
        directory, seconds = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0], int(now.timestamp())
        if not os.path.isabs(directory):
            return cls("", seconds, {})
        path = os.path.join(directory, "told.json")
        try:
            told = {check: (str(event), int(at)) for check, (event, at) in read_json(path).items()}
        except (OSError, ValueError, TypeError, AttributeError, OverflowError):
            told = {}
        return cls(path, seconds, {check: (event, at) for check, (event, at) in told.items()
                                   if 0 <= seconds - at < HELD_BACK_SECONDS})

    def knows(self, event: Event) -> bool:
        check, what = _hashes(event)
        return check in self.told and self.told[check][0] == what

    def add(self, events: Sequence[Event]) -> None:
        for event in events:
            check, what = _hashes(event)
            self.told[check] = (what, self.now)

    def forget(self, events: Sequence[Event]) -> None:
        """The memory proper knows them now."""
        for event in events:
            self.told.pop(_hashes(event)[0], None)

    def write(self) -> None:
        """As well as it can be: without it, more is told."""
        if not self.path:
            return
        with suppress(MaintenanceError, OSError):
            if self.told:
                atomic_write(self.path, dump({check: list(told) for check, told in self.told.items()}))
            elif os.path.lexists(self.path):
                os.unlink(self.path)


def _hashes(event: Event) -> tuple[str, str]:
    """Of its check; of what is told of it, without the text, in which figures change."""
    check, what = event.check.encode("utf-8", "replace"), f"{event.kind} {event.level}".encode("ascii")
    return hashlib.sha256(check).hexdigest()[:32], hashlib.sha256(what).hexdigest()[:32]


def _report(settings: Settings, places: Places, quiet: silences.Silences, now: datetime) -> HealthReport:
    own: list[Finding] = []
    try:
        look = read_look(places.look, now)
        local = look.findings
        found = look.providers if settings.health.database_providers else ()
        watched = replace(settings.health, providers=watched_providers(settings, found), database_providers=False)
    except ValueError as error:
        local, watched = (), settings.health
        own.append(Finding(UNKNOWN, "look", "What root sees", str(error)))
    network = examine_health(replace(settings, health=watched), now, NETWORK_CHECKS)
    own += silences.findings(quiet, now)
    own.append(_waiting(settings, places, now))
    findings = (*network.findings, *local, *own)
    return HealthReport(worst(finding.level for finding in findings), settings.application, findings, network.seconds)


def _waiting(settings: Settings, places: Places, now: datetime) -> Finding:
    """How the monitor's own messages get on."""
    if not settings.alerts.channels:
        return Finding(OK, "outbox", "Alerts", "nobody is told: no address and no other way is configured")
    try:
        waiting, oldest = outbox.waiting(places.kept("outbox"))
        unreadable = outbox.unreadable(places.kept("outbox"))
        lost = outbox.set_aside(places.kept("outbox"))
    except MaintenanceError as error:
        return Finding(WARNING, "outbox", "Alerts", str(error))
    if lost:
        return Finding(WARNING, "outbox", "Alerts", f"{lost} were refused for good, were never taken or cannot be "
                       f"understood: look into {places.kept('outbox')}, and remove them there",
                       {"waiting": float(waiting)})
    if unreadable:
        return Finding(WARNING, "outbox", "Alerts", f"{unreadable} of {waiting} that wait cannot be read, and reach "
                       f"nobody: correct owner and mode in {places.kept('outbox')}", {"waiting": float(waiting)})
    seconds = max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
    late = seconds > LATE_ALERT_SECONDS
    refused = outbox.refused_recipients(places.kept("outbox"), settings.alerts)
    if refused and not late:
        # Others are told: not a matter for the dead man's switch.
        return Finding(WARNING, "outbox", "Alerts", refused, {"waiting": float(waiting), "refused_recipients": 1.0})
    if not waiting or oldest is None:
        return Finding(OK, "outbox", "Alerts", f"are sent by {', '.join(settings.alerts.channels)}", {"waiting": 0.0})
    return Finding(WARNING if late else OK, "outbox", "Alerts", f"{waiting} wait to be sent, the oldest since "
                   f"{format_seconds(seconds)}", {"waiting": float(waiting)})


def _deliver(settings: Settings, places: Places, now: datetime, problems: list[str],
             began: float) -> outbox.Delivery:
    """``began``: when the run did, by the monotonic clock."""
    # What is begun last may take END_SECONDS more, and the run is killed after 120 s where the role is told so.
    budget = max(0.0, SENDING_SECONDS - (time.monotonic() - began))
    try:
        done = outbox.deliver(places.kept("outbox"), settings.alerts, now, budget_seconds=budget)
    except MaintenanceError as error:
        problems.append(str(error))
        return outbox.Delivery()
    problems.extend(reason for channel, reason in done.failures if channel == "outbox")
    return done


def _publish(settings: Settings, places: Places, report: HealthReport, events: Sequence[Event], now: datetime,
             host: str, problems: list[str]) -> None:
    def page() -> None:
        with History(places.kept("history.db")) as history:
            history.record(report, now)
            if history.tell([(*headline(event), event.title, event.text) for event in events], now):
                problems.append(history.problem)
            text = dashboard.render(report, history, now, application=settings.application, host=host,
                                    limits=settings.health, unknown_silent=settings.alerts.unknown_silent)
        atomic_write(places.published("index.html"), text.encode("utf-8"), mode=0o644)

    _try(problems, page)
    _try(problems, lambda: atomic_write(places.published("summary.json"),
                                        dump(dashboard.summary(report, now, host=host,
                                                               unknown_silent=settings.alerts.unknown_silent)),
                                        mode=0o644))
    _try(problems, lambda: atomic_write(places.published("metrics.prom"),
                                        metrics.render(report, now, jobs=_jobs(report, now)).encode("utf-8"),
                                        mode=0o644))


def _jobs(report: HealthReport, now: datetime) -> list[metrics.JobRun]:
    """The last run of each job that systemd knows."""
    jobs = []
    for finding in report.findings:
        kind, _space, unit = finding.check.partition(" ")
        if kind == "unit" and "ended_seconds_ago" in finding.figures:
            jobs.append(metrics.JobRun(
                unit.rsplit(".", 1)[0], now - timedelta(seconds=finding.figures["ended_seconds_ago"]),
                finding.figures.get("took_seconds"), finding.level == OK))
    return jobs


def _beat(settings: Settings, report: HealthReport, problems: list[str]) -> None:
    """The dead man's switch hears of every run that did all of its work, whatever was found. It is the only one left to
    raise an alarm where no message gets out, and so it hears nothing then."""
    stuck = any(finding.check == "outbox" and finding.level != OK and "refused_recipients" not in finding.figures
                for finding in report.findings)
    if settings.alerts.heartbeat and not problems and not stuck:
        try:
            heartbeat.ping(settings.alerts.heartbeat)
        except ChannelError as error:
            problems.append(f"heartbeat: {error}")


def _try(problems: list[str], act: Callable[[], None]) -> None:
    try:
        act()
    except MaintenanceError as error:
        problems.append(str(error))
    except (OSError, sqlite3.Error) as error:
        problems.append(f"{type(error).__name__}: {error}")


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    path = places.kept("monitor.lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise from_oserror(error, path, "taking the lock") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(path, "another run of the monitor is at work", "Wait for its end") from None
        yield
    finally:
        os.close(handle)
