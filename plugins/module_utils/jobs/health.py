# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of an application and its host: many looks at once, a verdict each, none later than the deadline."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Callable, NoReturn

from ..config import Settings
from ..errors import MaintenanceError, printable
from ..units import format_seconds
from .report import LEVEL_NAMES, OK, UNKNOWN, worst

_TEXT_CHARACTERS = 500
_REAP_SECONDS, _POLL_SECONDS = 1.0, 0.01


@dataclass(frozen=True)
class Finding:
    """What one look found: ``check`` names it for machines, ``title`` and ``text`` for people, ``level`` is that of the
    Monitoring Plugins, ``figures`` are numbers by name with the unit at its end, ``counts`` numbers by a name that is
    found on the host (a table, a provider, a class of exceptions)."""

    level: int
    check: str
    title: str
    text: str
    figures: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "figures": dict(self.figures), "counts": dict(self.counts),
                "state": LEVEL_NAMES[self.level]}


@dataclass(frozen=True)
class HealthReport:
    """The worst ``level``; ``findings`` in the order of the checks."""

    level: int
    application: str
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def summary(self) -> str:
        """The worst in a few words."""
        chief = [finding for finding in self.findings if finding.level == self.level]
        if self.level == OK:
            return f"{len(chief)} checks are well"
        more = f" (and {len(chief) - 1} more)" if len(chief) > 1 else ""
        return f"{chief[0].title}: {chief[0].text}{more}" if chief else "nothing was checked"

    def as_dict(self) -> dict[str, Any]:
        return {"level": self.level, "state": LEVEL_NAMES[self.level], "application": self.application,
                "summary": self.summary, "seconds": self.seconds,
                "findings": [finding.as_dict() for finding in self.findings]}


Check = Callable[[Settings, datetime], Iterable[Finding]]


def examine_health(settings: Settings, now: datetime, checks: Mapping[str, Check]) -> HealthReport:
    """Runs ``checks``, by name, all at once, each in a process of its own: one that hangs ends with the deadline, and
    one that acts as the database's owner disturbs no other. One that fails, or has not ended in time, is UNKNOWN."""
    began = time.monotonic()
    looks = []
    try:
        for name, check in checks.items():
            looks.append(_Look(name, check, settings, now))
        _await(looks, began + settings.health.deadline_seconds)
    finally:
        for look in looks:
            look.kill()
        until = time.monotonic() + _REAP_SECONDS
        for look in looks:
            look.reap(until)
    late = f"it had not ended after {format_seconds(settings.health.deadline_seconds)}"
    findings = tuple(finding for look in looks for finding in look.findings(late))
    return HealthReport(worst(finding.level for finding in findings), settings.application, findings,
                        round(time.monotonic() - began, 3))


class _Look:
    """One check in a process of its own, which writes its findings as JSON into a pipe."""

    def __init__(self, name: str, check: Check, settings: Settings, now: datetime) -> None:
        self.name = name
        self.handle, write = os.pipe()
        self._pieces: list[bytes] = []
        self.ended = False
        self._process = os.fork()
        if self._process == 0:
            _child(name, check, settings, now, write)
        os.close(write)

    def read(self) -> None:
        """Takes what has arrived."""
        piece = os.read(self.handle, 1 << 16)
        self._pieces.append(piece)
        self.ended = not piece

    def kill(self) -> None:
        """Whatever it still does, it does no longer."""
        os.close(self.handle)
        with suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)

    def reap(self, until: float) -> None:
        """Awaits its end, not beyond ``until`` in seconds of time.monotonic: no signal reaches one that waits for a
        disk or a file server that hangs. It is left to init, which takes it when we have ended."""
        while os.waitpid(self._process, os.WNOHANG)[0] == 0 and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)

    def findings(self, late: str) -> tuple[Finding, ...]:
        """What it found; UNKNOWN where it did not come to an end."""
        if not self.ended:
            return (_unknown(self.name, late),)
        try:
            return tuple(Finding(**finding) for finding in json.loads(b"".join(self._pieces)))
        except ValueError:
            return (_unknown(self.name, "it ended without an answer"),)


def _await(looks: Sequence[_Look], deadline: float) -> None:
    with selectors.DefaultSelector() as waiting:
        for look in looks:
            waiting.register(look.handle, selectors.EVENT_READ, look)
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                return
            for key, _events in ready:
                key.data.read()
                if key.data.ended:
                    waiting.unregister(key.fileobj)


def _child(name: str, check: Check, settings: Settings, now: datetime, write: int) -> NoReturn:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # Whoever reads what the parent prints must not wait for a child that was left behind.
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in {0, 1, 2} - {write}:
        os.dup2(nothing, handle)
    try:
        findings = [asdict(finding) for finding in _look(name, check, settings, now)]
        with os.fdopen(write, "wb") as stream:
            stream.write(json.dumps(findings).encode())
    finally:
        # Nothing of the parent's is flushed or removed twice.
        os._exit(0)


def _look(name: str, check: Check, settings: Settings, now: datetime) -> tuple[Finding, ...]:
    try:
        return tuple(check(settings, now))
    except MaintenanceError as error:
        return (_unknown(name, str(error)),)
    except OSError as error:
        return (_unknown(name, error.strerror or str(error)),)
    except Exception as error:
        # One look that has a defect must not hide the others.
        return (_unknown(name, f"unexpected {type(error).__name__}: {error}"),)


def _unknown(name: str, text: str) -> Finding:
    return Finding(UNKNOWN, name, name.capitalize(), printable(text)[:_TEXT_CHARACTERS])
