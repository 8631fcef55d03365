# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look of ``jobs.doctor`` at what starts the backups: timers and services of systemd, entries of cron, and what
jobs that failed have said. Of the journal only the lines of our own jobs are read, never those of the application."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from ..catalog.names import KINDS
from ..catalog.status import read_status
from ..errors import MaintenanceError, printable
from ..probes import programs
from ..probes.units import failures, states
from ..units import iso
from .doctor import SCHEDULE, SYMPTOM, Case, Row, noted, problem, unclear, well

LOG_LINES = 10
_CRON_DAEMONS = frozenset({"cron", "crond", "cronie", "fcron"})


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
    found = states([f"{job}.{suffix}" for job in timers for suffix in ("timer", "service")])
    for job in timers:
        timer, service = found.get(f"{job}.timer"), found.get(f"{job}.service")
        title, name = f"Timer {job}", f"{job}.timer"
        state = f"{timer.active}, {timer.enabled or timer.load}" if timer is not None else "unknown"
        if timer is None or timer.active != "active":
            yield problem(f"timer {name}", title, f"it is {state}, so that nothing starts the job",
                          f"Run 'systemctl enable --now {name}'", MaintenanceError.exit_code, SCHEDULE)
        elif timer.enabled != "enabled":
            yield noted(f"timer {name}", title, f"it is {state}: it will not come back when the host starts",
                        f"Run 'systemctl enable {name}'")
        else:
            following = iso(timer.next_at) if timer.next_at is not None else "not known"
            yield well(f"timer {name}", title, f"{state}, next {following}")
        if service is not None and service.active == "failed":
            told.add(job)
            text = f"failed ({service.result}, exit status {service.exit_status})"
            yield problem(f"unit {job}.service", f"Job {job}", text + _log(job), f"Run 'systemctl start {job}.service' "
                          f"and look at 'journalctl -t {job} -n 50'", MaintenanceError.exit_code, SYMPTOM)


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
        records = failures(directory)
    except PermissionError:
        yield unclear("failures", "Failures", f"{directory} may not be looked into by this user")
        return
    for path in records.unreadable:
        yield noted(f"failure {os.path.basename(path)}", "Failure", f"{path} cannot be understood",
                    f"Look at {path}, and remove it")
    for failure in records.failures:
        unit = failure.unit[:-len(".service")]
        check, title = f"failure {unit}", f"Failure of {unit}"
        status = "unknown" if failure.exit_status is None else failure.exit_status
        text = f"{iso(failure.failed_at)}, {failure.result}, exit status {status}"
        kind = unit[len(f"{case.settings.application}-backup-"):]
        if unit != f"{case.settings.application}-backup-{kind}" or kind not in KINDS:
            yield noted(check, title, text, f"Look at 'journalctl -t {unit} -n 50'")
            continue
        last = read_status(case.settings.directory, case.settings.application, kind) if (
            case.settings.directory) else None
        if last is not None and last.last_success_at is not None and last.last_success_at > failure.failed_at:
            yield well(check, title, f"{text}; it has succeeded since")
        else:
            yield problem(check, title, text + ("" if unit in told else _log(unit)),
                          f"Run {case.backup(kind)} and look at what it says", MaintenanceError.exit_code, SYMPTOM)
