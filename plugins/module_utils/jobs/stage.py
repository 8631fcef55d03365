# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New files beside their targets, complete, checked and durable, before anything old is touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Optional, Union

from .. import directories
from ..archive.manifest import DatabaseEntry, FileEntry
from ..archive.reader import MemberInfo, open_archive
from ..errors import RestoreError, from_oserror
from ..files import TEMPORARY_SUFFIX, fsync_directory, temporary_name
from ..owners import owner_ids
from ..units import Progress
from .chain import read_chain
from .check import inspect_unpacked, read_through
from .replay import replay, sized
from .restore_plan import RestorePlan, RestoreStep, existing_parent

ACCESS_ACL = "system.posix_acl_access"

Item = Union[DatabaseEntry, FileEntry]


@dataclass
class Staged:
    """``files`` pairs each step with its staged path; ``unsynced`` are the open files of databases, which are made
    durable while they are checked; ``made`` are directories that were created on the way."""

    files: list[tuple[RestoreStep, str]] = field(default_factory=list)
    unsynced: list[BinaryIO] = field(default_factory=list)
    rows: dict[str, dict[str, int]] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def discard(self) -> None:
        """Removes what was staged, and directories of ours that are still empty."""
        for stream in self.unsynced:
            stream.close()
        for _step, path in self.files:
            with suppress(OSError):
                # What cannot be removed now, the next run removes.
                if os.path.lexists(path):
                    directories.unlink(path)
        for path in reversed(self.made):
            with suppress(OSError):
                # Unless somebody put a file there: then it is no longer ours to remove.
                os.rmdir(path)


def stage(plan: RestorePlan, progress: Optional[Progress]) -> Staged:
    """Unpacks what ``plan`` creates or replaces to names beside the targets, with owner and mode, fsynced.

    The archive is read to its end and every digest compared; databases pass ``integrity_check`` and have the rows
    of the manifest. Raises ArchiveError, RestoreError, DestinationError; nothing is left after an error.
    """
    staged = Staged()
    items: dict[str, Item] = {d.member: d for d in plan.manifest.databases}
    items.update({f.member: f for f in plan.manifest.files})
    wanted = {step.member: step for step in plan.steps if step.action in ("create", "replace")}
    try:
        for step in plan.steps:
            if step.kind == "directory" and step.action == "create":
                _make_directory(plan, step, items[step.member], staged)
        (_unpack if plan.manifest.base is None else _unpack_chain)(plan, wanted, items, staged, progress)
        with ThreadPoolExecutor(max_workers=1) as other:
            durable = other.submit(_make_durable, staged.unsynced)
            for step, path in staged.files:
                item = items[step.member]
                if isinstance(item, DatabaseEntry):
                    _check(step, path, item, staged)
            durable.result()
        for directory in sorted({os.path.dirname(path) for _step, path in staged.files}):
            fsync_directory(directory)
    except OSError as error:
        staged.discard()
        raise from_oserror(error, _place(error, staged, plan), "unpacking beside the target") from error
    except BaseException:
        staged.discard()
        raise
    return staged


def _make_durable(streams: Sequence[BinaryIO]) -> None:
    for stream in streams:
        with stream:
            os.fsync(stream.fileno())


def _check(step: RestoreStep, path: str, item: DatabaseEntry, staged: Staged) -> None:
    report = inspect_unpacked(path, item)
    if report["problems"]:
        raise RestoreError(step.target, f"the restored copy is not good: {'; '.join(report['problems'])}",
                           "Nothing was changed; restore another archive")
    staged.rows[item.name] = report["rows"]


def _place(error: OSError, staged: Staged, plan: RestorePlan) -> str:
    """Where the error was met: the directory of a temporary file, which is gone when somebody reads of it."""
    if error.filename is None:
        return os.path.dirname(staged.files[-1][1]) if staged.files else plan.archive
    path = str(error.filename)
    return os.path.dirname(path) if path.endswith(TEMPORARY_SUFFIX) else path


def _unpack(plan: RestorePlan, wanted: dict[str, RestoreStep], items: dict[str, Item], staged: Staged,
            progress: Optional[Progress]) -> None:
    current: list[tuple[BinaryIO, RestoreStep, Item]] = []

    def finish() -> None:
        for opened in current:
            _finish(plan, staged, *opened)
        current.clear()

    def sink_for(info: MemberInfo) -> Optional[BinaryIO]:
        finish()
        step = wanted.get(info.name)
        if step is None or step.kind == "directory":
            return None
        item = items[step.member]
        current.append((_new_file(plan, step, item, staged), step, item))
        return current[0][0]

    try:
        with open_archive(plan.archive, plan.ring) as reader:
            # The SHA-256 of each file is compared; what is restored does not depend on the tables of page digests.
            read_through(reader, sink_for, progress, pages=False)
        finish()
    finally:
        for stream, _step, _item in current:
            stream.close()


def _unpack_chain(plan: RestorePlan, wanted: dict[str, RestoreStep], items: dict[str, Item], staged: Staged,
                  progress: Optional[Progress]) -> None:
    """As ``_unpack``, for an increment: all its databases are written at once, page by page."""
    links = read_chain(plan.archive, plan.ring)
    if links[0].manifest != plan.manifest:
        raise RestoreError(plan.archive, "it was changed since it was verified", "Run again; nothing was changed")
    with ExitStack() as stack:
        sinks: dict[str, BinaryIO] = {}
        files = []
        for member, step in wanted.items():
            item = items[member]
            stream = stack.enter_context(_new_file(plan, step, item, staged))
            sinks[step.name] = sized(stream, step.size_bytes)
            files.append((stream, step, item))
        replay(links, plan.ring, sinks, progress=progress)
        for opened in files:
            _finish(plan, staged, *opened)
        stack.pop_all()


def _new_file(plan: RestorePlan, step: RestoreStep, item: Item, staged: Staged) -> BinaryIO:
    _make_parents(plan, step.target, item, staged)
    path = temporary_name(step.target)
    # Noted before it exists: a signal may arrive as soon as it does.
    staged.files.append((step, path))
    return directories.create_file(path)


def _finish(plan: RestorePlan, staged: Staged, stream: BinaryIO, step: RestoreStep, item: Item) -> None:
    """Owner and mode; a file of which nothing is left to check is made durable and closed."""
    stream.flush()
    _give_rights(stream.fileno(), plan, step, item, staged)
    if step.kind == "database":
        staged.unsynced.append(stream)
    else:
        _make_durable([stream])


def _owner(plan: RestorePlan, step: RestoreStep, item: Item) -> tuple[int, int, int]:
    """uid, gid and mode: what the request names, else those of the file that is there, else the archive's."""
    uid, gid = owner_ids(item.user, item.group, item.uid, item.gid)
    mode = item.mode
    if step.kind != "database":
        return uid, gid, mode
    with suppress(FileNotFoundError):
        status = os.lstat(step.target)
        if stat.S_ISREG(status.st_mode):
            uid, gid, mode = status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)
    return requested_rights(plan, uid, gid, mode)


def requested_rights(plan: RestorePlan, uid: int, gid: int, mode: int) -> tuple[int, int, int]:
    """The given rights, overridden by what the request names. Raises RestoreError for an unknown user or group."""
    request = plan.request
    new_uid, new_gid = owner_ids(request.owner or "", request.group or "", uid, gid)
    for name, known in ((request.owner, owner_ids(request.owner or "", "", -1, -1)[0]),
                        (request.group, owner_ids("", request.group or "", -1, -1)[1])):
        if name and known == -1:
            raise RestoreError(name, "this user or group does not exist on this host", "Create it, or name another")
    return new_uid, new_gid, mode if request.mode is None else request.mode


def _give_rights(handle: int, plan: RestorePlan, step: RestoreStep, item: Item, staged: Staged) -> None:
    uid, gid, mode = _owner(plan, step, item)
    status = os.fstat(handle)
    if (status.st_uid, status.st_gid) != (uid, gid):
        try:
            os.fchown(handle, uid, gid)
        except PermissionError:
            staged.warnings.append(f"{step.target} belongs to the user who restores: only root can change its owner")
    os.fchmod(handle, mode)
    if os.path.exists(step.target):
        try:
            os.setxattr(handle, ACCESS_ACL, os.getxattr(step.target, ACCESS_ACL))
        except OSError:
            # No list there, or a file system without them: the mode says it all.
            return


def _make_parents(plan: RestorePlan, target: str, item: Item, staged: Staged) -> None:
    """Directories on the way to ``target`` that are missing: mode 0750, owned like the file."""
    parent, missing = os.path.dirname(target), []
    stop = existing_parent(target)
    while parent != stop:
        missing.append(parent)
        parent = os.path.dirname(parent)
    for path in reversed(missing):
        _make(path, 0o750, item, staged)
        staged.warnings.append(f"the directory {path} was missing and was made")


def _make_directory(plan: RestorePlan, step: RestoreStep, item: Item, staged: Staged) -> None:
    if os.path.isdir(step.target):
        return
    _make_parents(plan, step.target, item, staged)
    _make(step.target, item.mode, item, staged)


def _make(path: str, mode: int, item: Item, staged: Staged) -> None:
    owner = owner_ids(item.user, item.group, item.uid, item.gid) if os.geteuid() == 0 else None
    directories.make_directory(path, mode, owner)
    staged.made.append(path)
