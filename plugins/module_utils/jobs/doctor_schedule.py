# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look of ``jobs.doctor`` at what starts the backups: timers and services of systemd, entries of cron, and what
jobs that failed have said. Of the journal only the lines of our own jobs are read, never those of the application."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..catalog.names import KINDS
from ..catalog.records import parse_instant
from ..catalog.status import read_status
from ..errors import MaintenanceError, printable
from ..probes import programs
from .doctor import SCHEDULE, SYMPTOM, Case, Row, noted, problem, unclear, well

LOG_LINES = 10
_PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "UnitFileState",
               "NextElapseUSecRealtime")
_CRON_DAEMONS = frozenset({"cron", "crond", "cronie", "fcron"})
_RECORD_BYTES = 65536


def schedule(case: Case) -> Iterator[Row]:
    """Both schedulers, then the failures that were recorded. Raises OSError where systemctl does not answer."""
    jobs = _jobs(case)
    timers = [job for job in jobs if os.path.lexists(os.path.join(case.places.units, f"{job}.timer"))]
    entries = [job for job in jobs if os.path.lexists(os.path.join(case.places.cron, job))]
    told: set[str] = set()
    if timers:
        yield from _systemd(case, timers, told)
    if entries:
        yield from _cron(case, entries)
    both = sorted(set(timers) & set(entries))
    if both:
        yield noted("schedule", "Schedule", f"{', '.join(both)}: both a timer and an entry of cron run it",
                    f"Remove {os.path.join(case.places.cron, both[0])}, or run the role backup, which does")
    if not timers and not entries and case.settings.fragments:
        yield noted("schedule", "Schedule", "no timer and no entry of cron makes backups: only people do",
                    "Run the role backup, which schedules them")
    yield from _failures(case, told)


def _jobs(case: Case) -> tuple[str, ...]:
    return (*(f"{case.settings.application}-backup-{kind}" for kind in KINDS), f"{case.settings.application}-verify")


def _systemd(case: Case, timers: Sequence[str], told: set[str]) -> Iterator[Row]:
    if not os.path.isdir(case.places.systemd):
        yield problem("schedule", "Schedule", f"{timers[0]}.timer lies in {case.places.units}, and this host does not "
                      "run systemd", "Set backup_scheduler to cron and run the role backup",
                      MaintenanceError.exit_code, SCHEDULE)
        return
    units = _show([f"{job}.{suffix}" for job in timers for suffix in ("timer", "service")])
    for job in timers:
        timer, service = units.get(f"{job}.timer", {}), units.get(f"{job}.service", {})
        title, name = f"Timer {job}", f"{job}.timer"
        state = f"{timer.get('ActiveState', 'unknown')}, {timer.get('UnitFileState') or timer.get('LoadState', '')}"
        if timer.get("ActiveState") != "active":
            yield problem(f"timer {name}", title, f"it is {state}, so that nothing starts the job",
                          f"Run 'systemctl enable --now {name}'", MaintenanceError.exit_code, SCHEDULE)
        elif timer.get("UnitFileState") != "enabled":
            yield noted(f"timer {name}", title, f"it is {state}: it will not come back when the host starts",
                        f"Run 'systemctl enable {name}'")
        else:
            yield well(f"timer {name}", title, f"{state}, next {timer.get('NextElapseUSecRealtime') or 'not known'}")
        if service.get("ActiveState") == "failed":
            told.add(job)
            text = f"failed ({service.get('Result')}, exit status {service.get('ExecMainStatus')})"
            yield problem(f"unit {job}.service", f"Job {job}", text + _log(job), f"Run 'systemctl start {job}.service' "
                          f"and look at 'journalctl -t {job} -n 50'", MaintenanceError.exit_code, SYMPTOM)


def _show(units: Sequence[str]) -> dict[str, dict[str, str]]:
    """The properties of each unit, by its name. Raises OSError."""
    shown = programs.answer(["systemctl", "show", "--no-pager", "--property", ",".join(_PROPERTIES), "--", *units])
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in shown.split("\n\n")]
    return {block["Id"]: block for block in blocks if "Id" in block}


def _log(job: str) -> str:
    """The last lines that a job of ours wrote, each on a line of its own; empty where no journal tells."""
    try:
        done = programs.ended(["journalctl", "--identifier", job, "--lines", str(LOG_LINES), "--no-pager", "--quiet",
                               "--output", "short-iso"])
    except OSError:
        return ""
    lines = [printable(line) for line in done.stdout.splitlines() if not line.startswith("-- ")]
    return "".join(f"\n{line}" for line in lines[-LOG_LINES:]) if done.returncode == 0 else ""


def _cron(case: Case, entries: Sequence[str]) -> Iterator[Row]:
    for job in entries:
        path = os.path.join(case.places.cron, job)
        status = os.stat(path)
        if status.st_uid != 0 or status.st_mode & 0o022:
            yield problem(f"cron {job}", f"Entry of cron {job}", f"cron passes over {path}: others than root could "
                          "write it", f"Run 'chown root:root' and 'chmod 0644' on {path}", MaintenanceError.exit_code,
                          SCHEDULE)
        elif "." in job:
            yield noted(f"cron {job}", f"Entry of cron {job}", f"{path} has a dot in its name, which some crons pass "
                        "over", "Look in the log of cron whether it runs")
        else:
            yield well(f"cron {job}", f"Entry of cron {job}", path)
    if _CRON_DAEMONS & _commands():
        yield well("cron", "Cron", "it runs")
    elif not os.path.exists("/proc/1/comm"):
        yield unclear("cron", "Cron", "the processes of others are not shown to this user")
    else:
        yield problem("cron", "Cron", "no cron daemon runs, so that nothing starts the jobs", "Start cron and let it "
                      "start with the host ('systemctl enable --now cron', or crond)", MaintenanceError.exit_code,
                      SCHEDULE)


def _commands() -> set[str]:
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as stream:
                found.add(stream.read().strip())
    return found


def _failures(case: Case, told: set[str]) -> Iterator[Row]:
    """What the hook of failed jobs wrote down (role application, on-failure.sh), unless the job succeeded since."""
    directory = os.path.join(case.places.state, f"{case.settings.application}-maintenance", "failures")
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        yield unclear("failures", "Failures", f"{directory} may not be looked into by this user")
        return
    for name in names:
        path = os.path.join(directory, name)
        job, title = name[:-len(".json")], f"Failure of {case.settings.application}-{name[:-len('.json')]}"
        try:
            record = _failure(path)
            failed_at = parse_instant(str(record.get("failed_at")))
        except (OSError, ValueError):
            yield noted(f"failure {job}", title, f"{path} cannot be understood", f"Look at {path}")
            continue
        unit = f"{case.settings.application}-{job}"
        text = f"{record['failed_at']}, {record.get('result')}, exit status {record.get('exit_status')}"
        kind = job[len("backup-"):] if job.startswith("backup-") else None
        if kind not in KINDS:
            yield noted(f"failure {job}", title, text, f"Look at 'journalctl -t {unit} -n 50'")
            continue
        status = read_status(case.settings.directory, case.settings.application, kind) if (
            case.settings.directory) else None
        if status is not None and status.last_success_at is not None and status.last_success_at > failed_at:
            yield well(f"failure {job}", title, f"{text}; it has succeeded since")
        else:
            yield problem(f"failure {job}", title, text + ("" if unit in told else _log(unit)),
                          f"Run {case.backup(kind)} and look at what it says", MaintenanceError.exit_code, SYMPTOM)


def _failure(path: str) -> Mapping[str, Any]:
    """The record, of which only what it is expected to hold is taken. Raises OSError, ValueError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        value = json.loads(stream.read(_RECORD_BYTES))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    plain = re.compile(r"[A-Za-z0-9:._-]{1,40}")
    return {name: text for name, text in value.items()
            if name in ("failed_at", "result", "exit_status") and plain.fullmatch(str(text))}
