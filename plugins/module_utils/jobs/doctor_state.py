# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks of ``jobs.doctor`` at what runs left: records, the newest archive of each kind, the lock, leftovers."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Optional

from ..archive import fields
from ..catalog.catalog import Catalog, Entry
from ..catalog.lock import CATALOG_LOCK
from ..catalog.names import KINDS
from ..catalog.records import load, parse_instant
from ..catalog.sidecar import described_sidecar
from ..catalog.status import StatusRecord, read_status
from ..config import Settings
from ..errors import ArchiveError, BusyError, DestinationError, MaintenanceError, printable
from ..files import SCRATCH_PREFIX, TEMPORARY_SUFFIX
from ..sqlite.source import file_size
from ..units import format_bytes, format_seconds, iso
from .doctor import SYMPTOM, Case, Row, noted, problem, refused, unclear, well
from .report import CRITICAL, UNKNOWN, WARNING, status

_COMMAND_CHARACTERS = 200


def records(case: Case) -> Iterator[Row]:
    """How the last run of each kind ended, whether it is too long ago, and whether its archive is whole."""
    settings, directory = case.settings, case.settings.directory
    if directory is None or not os.path.isdir(directory):
        return
    try:
        entries = Catalog(directory, settings.application).entries()
    except MaintenanceError as error:
        yield refused(case, "records", "Records", error, SYMPTOM)
        return
    for kind in KINDS:
        newest = [entry for entry in entries if entry.kind == kind]
        record = read_status(directory, settings.application, kind)
        if newest or record is not None or _is_made(settings, kind):
            yield from _record(case, kind, record)
            if newest:
                yield _archive(case, newest)


def _is_made(settings: Settings, kind: str) -> bool:
    """Whether the configuration means backups of that kind."""
    sources = {"config": (*settings.config_paths, *settings.optional_config_paths), "logs": settings.logs_paths}
    return bool(settings.fragments and kind in settings.max_age_hours and sources.get(kind, settings.databases))


def _record(case: Case, kind: str, record: Optional[StatusRecord]) -> Iterator[Row]:
    ages = {kind: case.settings.max_age_hours[kind]} if kind in case.settings.max_age_hours else {}
    check, title = f"record {kind}", f"Last backup of kind {kind}"
    for level, line in status(replace(case.settings, databases=(), max_age_hours=ages), case.now).lines if ages else ():
        text = line.partition(": ")[2]
        if level == CRITICAL:
            failed = record is not None and record.last_outcome == "failed"
            yield problem(check, title, text, f"Run {case.backup(kind)} and look at what it says",
                          MaintenanceError.exit_code if failed else ArchiveError.exit_code, SYMPTOM)
        elif level == UNKNOWN and record is not None:
            yield unclear(check, title, text, "Look whether the clock of this host is right")
        elif level == UNKNOWN and not case.decisive:
            yield unclear(check, title, text)
        elif level in (UNKNOWN, WARNING):
            yield noted(check, title, text, f"Run {case.backup(kind)}, which records its run")
        else:
            yield well(check, title, text)


def _archive(case: Case, entries: Sequence[Entry]) -> Row:
    """The newest of one kind, by what was written down when it was made."""
    newest = entries[-1]
    check, title = f"archive {newest.kind}", f"Newest archive of kind {newest.kind}"
    verify = f"'{case.program} verify {newest.name}'"
    told, names = described_sidecar(newest.path), {entry.name for entry in entries}
    if told is not None and told.size != newest.size:
        fault = f"it had {told.size:,} bytes and has {newest.size:,}"
    elif newest.damaged and newest.sidecar is not None:
        fault = f"it did not verify: {newest.sidecar.damage}"
    elif newest.base is not None and newest.base not in names:
        fault = f"it is an increment on {newest.base}, which is gone"
    else:
        text = f"{newest.name}, {format_bytes(newest.size)}"
        if newest.sidecar is None:
            return noted(check, title, f"{text}: nothing is written down about it", f"Run {verify}")
        if not newest.verified or newest.sidecar.verified_at is None:
            return noted(check, title, f"{text}, never verified", f"Run {verify}")
        verified = f"verified {iso(newest.sidecar.verified_at)} ({newest.sidecar.verified_level})"
        return well(check, title, f"{text}, {verified}; {verify[:-1]} --level restore' proves it in full")
    return problem(check, title, f"{newest.name}: {fault}", f"Run {case.backup(newest.kind)}, for {newest.name} is no "
                   "good", ArchiveError.exit_code, SYMPTOM)


def lock(case: Case) -> Iterator[Row]:
    """Who holds the lock of the catalog, and what runs that were killed left there. Raises OSError."""
    settings, directory = case.settings, case.settings.directory
    if directory is None or not os.path.isdir(directory):
        return
    # Who may not look into the directory does not learn that nobody holds the lock.
    names = os.listdir(directory)
    path = os.path.join(directory, CATALOG_LOCK)
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        yield problem("lock", "Lock", f"what lies at {path} is no file", f"Find out who put {path} there, and remove "
                      "it", DestinationError.exit_code)
        return
    holder = _holder(path)
    if holder is None:
        yield well("lock", "Lock", "nobody holds it")
        yield from _leftovers(directory, names)
        return
    seconds = 0.0 if holder.started is None else max(0.0, (case.now - holder.started).total_seconds())
    since = f" since {iso(holder.started)} ({format_seconds(seconds)})" if holder.started else ""
    who = f"process {holder.pid} ({holder.command})"
    if seconds < settings.lock_timeout_seconds:
        yield noted("lock", "Lock", f"{who} has held it{since}: others wait for it", f"Wait until {who} has finished")
    else:
        yield problem("lock", "Lock", f"{who} has held it{since}, and others wait no longer than "
                      f"{format_seconds(settings.lock_timeout_seconds)}", f"Wait until {who} has finished, or find out "
                      f"why it hangs and stop it, then run {case.backup()}", BusyError.exit_code)


@dataclass(frozen=True)
class _Holder:
    pid: int
    command: str
    started: Optional[datetime]


def _holder(path: str) -> Optional[_Holder]:
    """Who holds the lock, by its own record, else by the kernel's list. The lock itself is not tried: that would hold
    it for an instant, and a run that begins then would find it taken."""
    try:
        record = load(path)
        pid, command = record.take("pid", fields.integer(1, 2**31 - 1)), record.take("command", fields.text)
        started = parse_instant(record.take("started_at", fields.instant))
        if _has_open(pid, path):
            return _Holder(pid, printable(command)[:_COMMAND_CHARACTERS], started)
    except ValueError:
        # Nobody holds it, or whoever does had no room to write down who he is.
        pass
    listed = _listed(path)
    if listed is None:
        return None
    try:
        with open(f"/proc/{listed}/comm", encoding="utf-8", errors="replace") as stream:
            return _Holder(listed, printable(stream.read().strip()), None)
    except OSError:
        return _Holder(listed, "invisible here", None)


def _has_open(pid: int, path: str) -> bool:
    """Whether the process lives and has the file open; where that may not be seen, its own record is believed."""
    directory = f"/proc/{pid}/fd"
    try:
        wanted = os.stat(path)
        names = os.listdir(directory)
    except PermissionError:
        return True
    except OSError:
        return False
    for name in names:
        # It may be closed meanwhile.
        with suppress(OSError):
            if os.path.samestat(os.stat(f"{directory}/{name}"), wanted):
                return True
    return False


def _listed(path: str) -> Optional[int]:
    """The process that holds a flock on the file by /proc/locks (proc(5)), which lists those visible here."""
    try:
        status = os.stat(path)
        wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        with open("/proc/locks", encoding="ascii", errors="replace") as lines:
            rows = [line.split() for line in lines]
    except OSError:
        return None
    return next((int(row[4]) for row in rows if len(row) > 5 and row[1] == "FLOCK" and row[5] == wanted), None)


def _leftovers(directory: str, names: Sequence[str]) -> Iterator[Row]:
    left = sorted(name for name in names if name.startswith(SCRATCH_PREFIX)
                  or (name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)))
    if left:
        size = sum(_size(os.path.join(directory, name)) for name in left)
        yield noted("leftovers", "Leftovers", left[0] + (f" and {len(left) - 1} more" if left[1:] else "")
                    + f" ({format_bytes(size)}), which a run that was killed left and the next one removes",
                    "Find out why a run was killed (the kernel log tells when memory was short)")


def _size(path: str) -> int:
    if not os.path.isdir(path):
        return file_size(path)
    return sum(file_size(os.path.join(base, name)) for base, _directories, names in os.walk(path) for name in names)
