# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restore: unpack beside the target, prove it good, prove that nobody holds the old, swap, keep the old."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Optional

from ..archive.reader import UnreadableArchiveError
from ..directories import change_rights, list_directory, mount_of
from ..errors import ArchiveError, BusyError, DestinationError, RestoreError, from_oserror
from ..files import journal_path, remove_leftovers
from ..sqlite.exclusive import lock_database
from ..sqlite.holders import Holders, find_holders
from ..units import Progress, format_bytes, utc_now
from . import safety
from .chain import MissingBaseError
from .collect import SIDECARS
from .restore_journal import Journal, Rename, is_journal, perform, resolve
from .restore_plan import (
    RestorePlan,
    RestoreRequest,
    does_not_verify,
    existing_parent,
    pending_files,
    plan_restore,
    rights_of,
)
from .safety import Moved, SafetyCopy
from .stage import Staged, requested_rights, stage

OWN_JOBS_SECONDS = 60.0
_POLL_SECONDS = 0.25


@dataclass(frozen=True)
class RestoreResult:
    """``steps`` are those of the plan; ``safety_copy`` is the directory that holds what was replaced (None: nothing
    was); ``rows`` by database and table; ``phases`` pairs of name and seconds; ``resolved`` says how interrupted
    restores that were found ended (target, completed or undone)."""

    changed: bool
    action: str
    archive: str
    steps: tuple[dict[str, Any], ...] = ()
    safety_copy: Optional[str] = None
    rows: tuple[tuple[str, dict[str, int]], ...] = ()
    phases: tuple[tuple[str, float], ...] = ()
    resolved: tuple[tuple[str, str], ...] = ()
    expired: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "rows": dict(self.rows)}


class _Clock:
    """Names and seconds of the phases of one restore."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.phases: list[tuple[str, float]] = []

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.phases.append((name, round(now - self.last, 3)))
        self.last = now

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.began, 3)


def run_restore(request: RestoreRequest, *, check: bool = False, progress: Optional[Progress] = None) -> RestoreResult:
    """Plans and, without ``check``, applies."""
    plan = plan_restore(request, verify=check, progress=progress)
    if check:
        return RestoreResult(plan.changed, "planned", plan.archive, _steps(plan), warnings=plan.warnings)
    return apply_restore(plan, progress=progress)


def _steps(plan: RestorePlan) -> tuple[dict[str, Any], ...]:
    return tuple(asdict(step) for step in plan.steps if step.kind == "database" or step.action != "unchanged")


def apply_restore(plan: RestorePlan, *, progress: Optional[Progress] = None) -> RestoreResult:
    """Does what ``plan`` says; equal content changes nothing.

    Old files are moved into a safety copy and never deleted. Raises BusyError (a process holds a database, or
    another restore runs), DestinationError (no room), ArchiveError, RestoreError; whatever is raised, targets are
    as they were, unless the message says that a journal was left.
    """
    clock = _Clock()
    if not plan.changed:
        return RestoreResult(False, "restored", plan.archive, _steps(plan), warnings=plan.warnings,
                             rows=_counted(plan), seconds=clock.seconds)
    refuse_without_room(plan)
    with _locked_directories(plan.database_targets or plan.file_targets[:1]):
        # Another restore may have been interrupted since the plan was made.
        found = [target for target in plan.database_targets if os.path.lexists(journal_path(target))]
        pending = tuple(sorted({*plan.pending, *found}))
        refuse_holders(pending, plan.request.accept_unknown_holders)
        resolved = _end_interrupted((*pending, *pending_files(plan.file_targets)))
        _remove_leftovers((*plan.database_targets, *plan.file_targets))
        refuse_holders(plan.database_targets, plan.request.accept_unknown_holders)
        clock.lap("preflight")
        staged = _stage(plan, progress)
        clock.lap("unpack and check")
        try:
            copy = _swap(plan, staged)
        finally:
            staged.discard()
        _adjust(plan)
        clock.lap("swap")
    expired = _expire(plan, copy)
    return RestoreResult(True, "restored", plan.archive, _steps(plan), copy.path if copy else None,
                         tuple(staged.rows.items()), tuple(clock.phases), resolved, expired,
                         plan.warnings + tuple(staged.warnings), clock.seconds)


def _remove_leftovers(targets: Sequence[str]) -> None:
    free = []
    for directory in sorted({existing_parent(target) for target in targets}):
        # One that its owner exchanges meanwhile is met again by what is done there.
        with suppress(OSError):
            names = [name for name, _status, _leads_to in list_directory(directory)]
            # What another interrupted restore has to install is no leftover.
            if not any(map(is_journal, names)):
                free.append(directory)
    for directory in free:
        remove_leftovers(directory)
    safety.remove_unused(free)


def _stage(plan: RestorePlan, progress: Optional[Progress]) -> Staged:
    try:
        return stage(plan, progress)
    except (MissingBaseError, UnreadableArchiveError):
        raise
    except ArchiveError as error:
        raise does_not_verify(plan.archive, error.cause) from error


def _counted(plan: RestorePlan) -> tuple[tuple[str, dict[str, int]], ...]:
    chosen = {step.name for step in plan.steps if step.kind == "database"}
    return tuple((d.name, dict(d.rows)) for d in plan.manifest.databases if d.name in chosen)


@contextmanager
def _locked_directories(targets: Sequence[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for directory in sorted({existing_parent(target) for target in targets}):
            stack.enter_context(_directory_lock(directory))
        yield


@contextmanager
def _directory_lock(directory: str) -> Iterator[None]:
    """One restore at a time in a directory: flock(2) on the directory itself leaves no file behind."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(directory, "another restore is at work here",
                            "Wait until it has ended, then run again") from None
        yield
    finally:
        os.close(handle)


def refuse_without_room(plan: RestorePlan) -> None:
    """Raises DestinationError where a file system has no room for what is unpacked beside the targets."""
    for directory, needed, free in plan.needs:
        if free < needed:
            raise DestinationError(directory, f"the restore needs {format_bytes(needed)} and {format_bytes(free)} are "
                                   "free", "Free some space there, then run again; nothing was changed")


def refuse_holders(targets: Sequence[str], accept_unknown: bool) -> None:
    """Raises BusyError where a process holds one of the databases, or where it could not be told. Jobs of ours are
    waited for: nobody stops the monitor for a restore."""
    for target in targets:
        until = time.monotonic() + OWN_JOBS_SECONDS
        found = find_holders(target)
        while found.processes and all(_is_ours(one.pid) for one in found.processes) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            found = find_holders(target)
        if found.held:
            raise BusyError(target, f"the database is held open by {_name(found)}",
                            "Stop the application, then run again; nothing was changed")
        if found.unknown and not accept_unknown:
            raise BusyError(target, f"{found.uninspected} processes could not be looked into, so one of them may hold "
                            "the database open", "Run as root (in a container: with CAP_SYS_PTRACE), or accept unknown "
                            "holders explicitly after the application was stopped")


def _is_ours(pid: int) -> bool:
    """Whether a process is the command of this collection, which is called ``<application>-maintenance``."""
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as stream:
        return any(os.path.basename(argument).endswith(b"-maintenance") for argument in stream.read().split(b"\0")[:3])
    return False


def _name(found: Holders) -> str:
    processes = [f"process {p.pid} ({p.command}, user {p.user})" for p in found.processes[:3]]
    return ", ".join(processes) or f"a lock ({'; '.join(found.locks)})"


def _end_interrupted(targets: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Target and outcome of each interrupted restore. Nobody holds the targets."""
    outcomes = ((target, resolve(target)) for target in targets)
    return tuple((target, outcome) for target, outcome in outcomes if outcome is not None)


def _swap(plan: RestorePlan, staged: Staged) -> Optional[SafetyCopy]:
    """Moves old files into safety copies and the staged ones into place, by a journal."""
    if not staged.files:
        return None
    copy, aside = _set_aside(plan, staged)
    install = tuple((path, step.target) for step, path in staged.files)
    journals = tuple(journal_path(t) for t in plan.database_targets) or (journal_path(copy.path),)
    try:
        for path in (copy.path, *copy.others):
            safety.make_directory(path)
        safety.write_record(copy)
        with _locked_databases(plan.database_targets):
            perform(Journal(journals, (tuple(aside), install), plan.archive, copy.path))
    except BaseException:
        if any(os.path.lexists(path) for path in journals):
            # Whoever ends this restore needs the new files.
            staged.files.clear()
            staged.made.clear()
        else:
            safety.remove_empty(copy)
        raise
    return copy


def _set_aside(plan: RestorePlan, staged: Staged) -> tuple[SafetyCopy, list[Rename]]:
    """The safety copy, and the renames that fill it: one directory beside each database; files go into the first
    of these below the same mount point, or into one of their own."""
    moment = utc_now()
    directories: dict[tuple[int, int], str] = {}
    others: list[str] = []
    aside: list[Rename] = []
    moved: list[Moved] = []
    for number, (step, _path) in enumerate(sorted(staged.files, key=lambda item: item[0].kind)):
        parent = os.path.dirname(step.target)
        try:
            mount = mount_of(parent)
        except OSError as error:
            raise from_oserror(error, parent, "looking at the directory") from error
        is_database = step.kind == "database"
        if is_database or mount not in directories:
            path = safety.directory_for(step.target if is_database else os.path.join(parent, safety.FILES), moment)
            others.append(path)
            directories.setdefault(mount, path)
        entries, renames = safety.set_aside(step.target, others[-1] if is_database else directories[mount],
                                            database=is_database, number=number)
        moved += entries
        aside += renames
    return SafetyCopy(others[0], moment, plan.name, "kept", tuple(moved), tuple(others[1:])), aside


@contextmanager
def _locked_databases(targets: Sequence[str]) -> Iterator[None]:
    """Takes SQLite's own exclusive lock on databases that exist, then looks once more for processes that have them
    open (an idle connection in rollback mode holds no lock)."""
    with ExitStack() as stack:
        for target in targets:
            if os.path.lexists(target):
                stack.enter_context(lock_database(target))
        for target in targets:
            found = find_holders(target)
            if found.processes:
                raise BusyError(target, f"the database was opened meanwhile by {_name(found)}",
                                "Stop the application, then run again; nothing was changed")
        yield


def _adjust(plan: RestorePlan) -> None:
    directories = {file.member: file for file in plan.manifest.files if file.type == "directory"}
    for step in plan.steps:
        if step.action == "adjust":
            try:
                if step.kind == "directory":
                    uid, gid, mode = rights_of(directories[step.member])
                else:
                    status = os.stat(step.target)
                    uid, gid, mode = requested_rights(plan, status.st_uid, status.st_gid, status.st_mode & 0o7777)
                change_rights(step.target, (uid, gid), mode)
            except OSError as error:
                raise from_oserror(error, step.target, "giving it its owner and mode") from error


def _expire(plan: RestorePlan, copy: Optional[SafetyCopy]) -> tuple[str, ...]:
    directories = sorted({os.path.dirname(target) for target in plan.database_targets})
    old = safety.expired(directories, now=utc_now(), safety_days=plan.request.safety_days)
    removed = [found for found in old if copy is None or found.path != copy.path]
    for found in removed:
        safety.remove(found)
    return tuple(found.path for found in removed)


def undo_restore(safety_copy: str, *, check: bool = False, accept_unknown_holders: bool = False) -> RestoreResult:
    """Puts back what a restore replaced; the restored files stay below ``undone/`` in the safety copy.

    A second time changes nothing. Raises RestoreError, BusyError, DestinationError.
    """
    clock = _Clock()
    copy = safety.read_record(safety_copy)
    databases = [m.target for m in copy.moved if m.database]
    interrupted = any(os.path.lexists(journal_path(target)) for target in databases or [copy.path])
    if copy.state == "undone" and not interrupted:
        return RestoreResult(False, "undone", copy.archive, safety_copy=copy.path, seconds=clock.seconds)
    steps = tuple({"kind": "database" if m.database else "file", "target": m.target,
                   "action": "replace" if m.safety else "remove"} for m in copy.moved)
    if check:
        return RestoreResult(True, "planned", copy.archive, steps, copy.path)
    with _locked_directories(databases):
        refuse_holders(databases, accept_unknown_holders)
        resolved = _end_interrupted(databases or [copy.path])
        _remove_leftovers(databases)
        copy = safety.read_record(safety_copy)
        if copy.state != "undone":
            with _locked_databases(databases):
                perform(_undo_journal(copy, databases))
    clock.lap("put back")
    return RestoreResult(True, "undone", copy.archive, steps, copy.path, phases=tuple(clock.phases),
                         resolved=resolved, seconds=clock.seconds)


def _undo_journal(copy: SafetyCopy, databases: Sequence[str]) -> Journal:
    """Restored files away, old files back, and last the record that says so."""
    away: list[Rename] = []
    back: list[Rename] = []
    homes: dict[str, str] = {}
    sidecars = {target + suffix for target in databases for suffix in SIDECARS}
    for number, item in enumerate(copy.moved):
        home = os.path.dirname(item.safety) if item.safety else copy.path
        if home not in homes:
            homes[home] = os.path.join(home, "undone")
            if not os.path.isdir(homes[home]):
                safety.make_directory(homes[home])
        if item.target not in sidecars:
            away += safety.set_aside(item.target, homes[home], database=item.database, number=number)[1]
        if item.safety:
            if not os.path.lexists(item.safety):
                raise RestoreError(item.safety, "this part of the safety copy is gone",
                                   "Restore an archive instead; nothing was changed")
            back.append((item.safety, item.target))
    journals = tuple(journal_path(t) for t in databases) or (journal_path(copy.path),)
    records = safety.stage_record(replace(copy, state="undone"))
    return Journal(journals, (tuple(away), tuple(back), records), copy.archive, copy.path)
