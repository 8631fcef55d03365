# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why backups fail: looks from the most fundamental cause to the latest symptom, a trial backup, and one sentence on
what to do next. Nothing is changed, neither archives nor the lock nor the records of the jobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Callable, Optional

from ..config import Settings
from ..errors import MaintenanceError, UsageError, from_unforeseen, printable
from ..units import Progress, format_bytes, format_seconds
from .health import Finding
from .privacy import without_names
from .report import CRITICAL, LEVEL_NAMES, OK, UNKNOWN, WARNING

AS_ROOT = "Run it as root"
CAUSE, TRIAL, SCHEDULE, SYMPTOM = range(4)
"""How fundamental a problem is: what keeps a backup from being made, that one could not be made, that nobody starts
them, and what an earlier one left behind."""

_TEXT_CHARACTERS = 4000


@dataclass(frozen=True)
class Places:
    """Where the parts of an installed application lie on this host."""

    units: str = "/etc/systemd/system"
    systemd: str = "/run/systemd/system"
    cron: str = "/etc/cron.d"
    state: str = "/var/lib"


@dataclass(frozen=True)
class Case:
    """What is examined. ``unread``: why the configuration could not be read, where ``settings`` hold no more than the
    command line gave; ``program``: the name of the command, for what is advised."""

    settings: Settings
    program: str
    now: datetime
    unread: Optional[UsageError] = None
    places: Places = Places()

    @property
    def decisive(self) -> bool:
        """Whether what this user may not do keeps backups from being made: root and the owner of the archives make
        them, anybody else only looks."""
        if os.geteuid() == 0:
            return True
        try:
            return self.settings.directory is not None and os.stat(self.settings.directory).st_uid == os.geteuid()
        except OSError:
            return False

    def backup(self, kind: str = "database") -> str:
        """The command that makes a backup, in quotes."""
        return f"'{self.program} backup --kind {kind}'"


@dataclass(frozen=True)
class Row:
    """A finding and what to do about it; ``exit_code`` and ``rank`` count for a CRITICAL one, which is a problem."""

    finding: Finding
    advice: str = ""
    exit_code: int = 0
    rank: int = CAUSE

    @property
    def level(self) -> int:
        return self.finding.level


@dataclass(frozen=True)
class Trial:
    """A backup that was made and removed again: sizes in bytes, before and after compression; ``verified`` is the
    level of its verification as ``jobs.check`` has them."""

    kind: str
    size_bytes: int
    archive_bytes: int
    files: int
    encrypted: bool
    key_id: Optional[str]
    verified: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def __str__(self) -> str:
        return (f"the trial backup of {format_bytes(self.size_bytes)} was made and verified in "
                f"{format_seconds(self.seconds)}")


Look = Callable[[Case], Iterable[Row]]
Attempt = Callable[[Case, Sequence[Row], Optional[Progress]], tuple[Sequence[Row], Optional[Trial]]]


@dataclass(frozen=True)
class Diagnosis:
    """``problems`` is the number of CRITICAL findings, ``advice`` one sentence, ``exit_code`` that of the class of the
    first problem; 1 where there is none and something could not be told; 0 when all is well. ``trial`` is None where
    none was made."""

    findings: tuple[Finding, ...]
    problems: int
    advice: str
    exit_code: int
    trial: Optional[Trial]

    def as_dict(self) -> dict[str, Any]:
        return {"problems": self.problems, "advice": self.advice,
                "findings": [{"state": LEVEL_NAMES[finding.level], "check": finding.check, "title": finding.title,
                              "text": finding.text} for finding in self.findings],
                "trial": self.trial.as_dict() if self.trial else None}


def diagnose(case: Case, looks: Mapping[str, Look], attempt: Optional[Attempt] = None,
             progress: Optional[Progress] = None) -> Diagnosis:
    """Runs ``looks``, by name, in their order, then ``attempt``. One that fails is UNKNOWN and keeps no other from
    running. What is told names no file of the uploads and no e-mail address."""
    rows: list[Row] = []
    for name, look in looks.items():
        try:
            for row in look(case):
                rows.append(row)
        except Exception as error:
            rows.append(_broken(name, error))
    trial = None
    if attempt is not None:
        try:
            made, trial = attempt(case, rows, progress)
            rows += made
        except Exception as error:
            rows.append(_broken("trial", error))
    bad = sorted((row for row in rows if row.level == CRITICAL), key=lambda row: row.rank)
    unknown = [row for row in rows if row.level == UNKNOWN]
    advice = _advice(bad, unknown, [row for row in rows if row.level == WARNING], trial, attempt is not None)
    findings = tuple(replace(row.finding, text=_told(row.finding.text, case.settings)) for row in rows)
    return Diagnosis(findings, len(bad), _told(advice, case.settings),
                     bad[0].exit_code if bad else 1 if unknown else 0, trial)


def _broken(name: str, error: Exception) -> Row:
    told = error if isinstance(error, MaintenanceError) else from_unforeseen(error, name)
    text = str(told) if told else f"unexpected {type(error).__name__}: {error}"
    return unclear(name, name.capitalize(), text, "Report this as a defect" if told is None else AS_ROOT)


def _advice(bad: Sequence[Row], unknown: Sequence[Row], noted: Sequence[Row], trial: Optional[Trial],
            tried: bool) -> str:
    if bad:
        advice, first = bad[0].advice.rstrip("."), bad[0]
        works = trial is not None and first.rank == SYMPTOM and trial.kind in first.finding.check
        return f"{advice}; {trial}, so that now it should work." if works else f"{advice}."
    if unknown:
        found = f"{trial}, but" if trial else "no fault was found, but"
        text = f"{found} {unknown[0].finding.title} is unknown: {unknown[0].advice.rstrip('.')}."
        return text[0].upper() + text[1:]
    proof = str(trial) if trial else "no trial backup was made" + (" (leave out --no-trial)" if not tried else "")
    if noted:
        what = noted[0].advice.rstrip(".") or f"Look at what is said of {noted[0].finding.title}"
        return f"{what}; otherwise all is well: {proof}."
    return f"Nothing is wrong: {proof}." if trial else f"Nothing that was looked at is wrong, and {proof}."


def _told(text: str, settings: Settings) -> str:
    lines = without_names(text, settings.uploads_paths).splitlines()
    return "\n".join(printable(line) for line in lines)[:_TEXT_CHARACTERS]


def well(check: str, title: str, text: str) -> Row:
    """Nothing to do."""
    return Row(Finding(OK, f"doctor {check}", title, text))


def noted(check: str, title: str, text: str, advice: str = "") -> Row:
    """What does not keep backups from being made, and should be known."""
    return Row(Finding(WARNING, f"doctor {check}", title, text), advice)


def problem(check: str, title: str, text: str, advice: str, exit_code: int, rank: int = CAUSE) -> Row:
    """What keeps backups from being made, or shows that they are not."""
    return Row(Finding(CRITICAL, f"doctor {check}", title, text), advice, exit_code, rank)


def unclear(check: str, title: str, text: str, advice: str = AS_ROOT) -> Row:
    """What could not be told."""
    return Row(Finding(UNKNOWN, f"doctor {check}", title, text), advice)


def refused(case: Case, check: str, title: str, error: MaintenanceError, rank: int = CAUSE) -> Row:
    """An error as a problem; unknown where it only says that this user, who makes no backups, lacks permission."""
    lacking = "permission denied" in error.cause.casefold() or "as root" in error.next_step
    text = printable(f"{error.subject}: {error.cause}")
    if lacking and not case.decisive:
        return unclear(check, title, text)
    return problem(check, title, text, printable(f"{error.next_step.rstrip('.')} ({text.rstrip('.')})"),
                   error.exit_code, rank)
