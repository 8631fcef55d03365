# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore would do, decided without writing to any target."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Optional

from ..archive.digests import MemberDigest
from ..archive.keys import KeyRing, load_ring
from ..archive.manifest import DatabaseEntry, FileEntry, Manifest
from ..archive.reader import read_manifest
from ..catalog.catalog import Catalog, Entry
from ..directories import ForeignLinkError, resolve
from ..errors import ArchiveError, MaintenanceError, RestoreError, SourceError, UsageError
from ..files import RESTORE_JOURNAL_SUFFIX, free_bytes, journal_path, scratch_directory, sha256_file
from ..owners import acting_as, owner_ids, owner_names
from ..sqlite import snapshot
from ..sqlite.holders import Holders, find_holders
from ..sqlite.inspect import inspect
from ..units import Progress, iso, parse_time
from .chain import MissingBaseError
from .check import check_archive
from .collect import PARTS
from .safety import FILES_JOURNAL

ALL_PARTS = ("databases", *PARTS)
_OPENING_BYTES = 1 << 20
"""For the log and the index, without which the application could not open what was restored."""


@dataclass(frozen=True)
class RestoreRequest:
    """What to restore, from where, to where.

    ``archive``: latest, a name in ``destination``, or a path; ``before`` (aware) limits latest; ``kind`` None means
    any that holds what is wanted; ``databases`` are names in the archive (empty: all); ``target`` is another path
    for the one database; ``parts`` some of databases, config, uploads, logs; owner, group, mode override those of
    the file that is there now, which override those of the archive; ``safety_days`` is how long safety copies stay.
    """

    application: str
    destination: Optional[str] = None
    archive: str = "latest"
    before: Optional[datetime] = None
    kind: Optional[str] = None
    databases: tuple[str, ...] = ()
    target: Optional[str] = None
    parts: tuple[str, ...] = ("databases",)
    key_file: Optional[str] = None
    safety_days: int = 7
    owner: Optional[str] = None
    group: Optional[str] = None
    mode: Optional[int] = None
    accept_unknown_holders: bool = False
    allow_older_schema: bool = False


@dataclass(frozen=True)
class RestoreStep:
    """One path: ``kind`` is database, file or directory; ``action`` is create, replace, adjust (only owner and mode
    differ from what the request names) or unchanged."""

    kind: str
    name: str
    member: str
    target: str
    action: str
    size_bytes: int
    reason: str


@dataclass(frozen=True)
class RestorePlan:
    """``needs`` tells for each directory that is written to the bytes needed and the bytes free; ``holders`` for
    each database who has it open; ``pending`` are targets with an interrupted restore, which is ended first, and
    ``pending_files`` what the function of this name finds;
    ``verified`` False: the archive is verified while it is unpacked, which is before anything is replaced."""

    request: RestoreRequest
    archive: str
    name: str
    kind: str
    created_at: datetime
    manifest: Manifest
    ring: Optional[KeyRing]
    steps: tuple[RestoreStep, ...]
    needs: tuple[tuple[str, int, int], ...]
    holders: tuple[tuple[str, Holders], ...]
    pending: tuple[str, ...]
    warnings: tuple[str, ...]
    verified: bool = True
    pending_files: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.pending or self.pending_files) or any(step.action != "unchanged" for step in self.steps)

    @property
    def database_targets(self) -> tuple[str, ...]:
        """Databases that will be written anew: their application must be stopped."""
        return tuple(s.target for s in self.steps if s.kind == "database" and s.action in ("create", "replace"))

    @property
    def file_targets(self) -> tuple[str, ...]:
        """Whatever is no database, unchanged or not."""
        return tuple(s.target for s in self.steps if s.kind != "database")

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; unchanged files are only counted."""
        shown = [asdict(s) for s in self.steps if s.kind == "database" or s.action != "unchanged"]
        return {
            "archive": self.archive, "name": self.name, "kind": self.kind, "created_at": iso(self.created_at),
            "changed": self.changed, "steps": shown,
            "unchanged_files": sum(1 for s in self.steps if s.kind != "database" and s.action == "unchanged"),
            "needs": [{"directory": d, "needed_bytes": n, "free_bytes": f} for d, n, f in self.needs],
            "holders": [{"database": path, "held": found.held, "uninspected": found.uninspected,
                         "locks": list(found.locks), "processes": [asdict(p) for p in found.processes]}
                        for path, found in self.holders],
            "pending": list(self.pending), "warnings": list(self.warnings),
        }


def plan_restore(request: RestoreRequest, *, verify: bool = True, progress: Optional[Progress] = None) -> RestorePlan:
    """Finds the archive, verifies it in full, and compares it with what is there.

    ``verify`` False: the plan is applied at once, which verifies all that it unpacks. Then only the head of an archive
    is read here, unless files are restored or nothing would change, which no unpacking would prove.

    Raises ArchiveError (none, damaged, does not hold what is wanted), KeyFileError, UsageError, RestoreError (a
    target that cannot be one; an older schema). Who holds the database is told, not judged.
    """
    _validate(request)
    ring = load_ring(request.key_file) if request.key_file else None
    entry = _find(request, ring)
    verify = verify or request.parts != ("databases",)
    members: tuple[MemberDigest, ...] = ()
    manifest = None if verify else _head(entry, ring)
    if manifest is None:
        verify = True
        manifest, members = _verified(entry, ring, progress)
    warnings = list(manifest.warnings)
    if ring is not None and not manifest.encrypted:
        warnings.append(f"{entry.name} is not encrypted: whoever may write to its directory could have made it")
    pending: list[str] = []
    steps: list[RestoreStep] = []
    for item in _chosen_databases(request, entry, manifest):
        step = _database_step(request, item, pending, warnings, progress)
        steps.append(step)
    digests = {member.name: member for member in members}
    for file in manifest.files:
        if file.part not in request.parts:
            continue
        if digests[file.member].vanished:
            warnings.append(f"{file.path} vanished while the archive was made and is not in it")
            continue
        steps.append(_file_step(file, digests[file.member]))
    if not steps:
        raise ArchiveError(entry.path, f"it holds nothing of {', '.join(request.parts)}",
                           "Choose other parts or an archive of kind full")
    if not verify and all(step.action in ("unchanged", "adjust") for step in steps):
        verify = True
        _verified(entry, ring, progress)
    interrupted = pending_files([step.target for step in steps if step.kind != "database"])
    targets = [s.target for s in steps if s.kind == "database" and s.action in ("create", "replace")]
    holders = tuple((target, find_holders(target)) for target in targets)
    return RestorePlan(request, entry.path, entry.name, entry.kind, parse_time(manifest.created_at), manifest, ring,
                       tuple(steps), _needs(steps), holders, tuple(pending), tuple(warnings), verify, interrupted)


def _verified(entry: Entry, ring: Optional[KeyRing],
              progress: Optional[Progress]) -> tuple[Manifest, tuple[MemberDigest, ...]]:
    checked = check_archive(entry.path, ring, level="checksums", progress=progress)
    if checked.error is not None and (checked.verdict == "unknown" or isinstance(checked.error, MissingBaseError)):
        # A wrong key and a base that lies elsewhere are no damage.
        raise checked.error
    if checked.verdict != "passed" or checked.manifest is None:
        raise does_not_verify(entry.path, "; ".join(checked.problems))
    return checked.manifest, checked.members


def _head(entry: Entry, ring: Optional[KeyRing]) -> Optional[Manifest]:
    """The manifest; None where it cannot be read, for which a verification finds the right words."""
    try:
        return read_manifest(entry.path, ring)
    except MaintenanceError:
        return None


def does_not_verify(path: str, cause: str) -> ArchiveError:
    """The error for an archive that cannot be restored because it is damaged."""
    return ArchiveError(path, f"it does not verify: {cause}",
                        "Restore another archive: 'list' shows what there is; nothing was changed")


def _validate(request: RestoreRequest) -> None:
    unknown = [part for part in request.parts if part not in ALL_PARTS]
    if unknown or not request.parts:
        raise UsageError(f"part {', '.join(unknown) or '(none)'}", "this part is unknown",
                         f"Use some of {', '.join(ALL_PARTS)}")
    if request.destination is None and os.sep not in request.archive:
        raise UsageError(request.archive, "without a directory of archives only a path can be restored",
                         "Name the directory, or the full path of the archive")
    if request.target is not None and not os.path.isabs(request.target):
        raise UsageError(request.target, "the target is not a full path", "Write the full path")
    if request.databases and "databases" not in request.parts:
        raise UsageError("databases", "single databases are named but databases are not among the parts",
                         "Add databases to the parts, or name none")


def _find(request: RestoreRequest, ring: Optional[KeyRing]) -> Entry:
    path = os.path.abspath(request.archive) if os.sep in request.archive else request.archive
    if os.sep in path and not os.path.lexists(path):
        raise ArchiveError(path, "there is no such archive", "Correct the path, or use 'latest'")
    catalog = Catalog(request.destination or os.path.dirname(path), request.application)
    kinds: Optional[Sequence[str]] = (request.kind,) if request.kind else None
    if kinds is None and request.archive in ("latest", "oldest"):
        only = request.parts[0] if len(request.parts) == 1 else None
        kinds = {"databases": ("database", "full"), "config": ("config", "full"), "logs": ("logs", "full")}.get(
            only or "", ("full",))
    return catalog.find(path, kinds, request.before, ring)


def _chosen_databases(request: RestoreRequest, entry: Entry, manifest: Manifest) -> list[DatabaseEntry]:
    if "databases" not in request.parts:
        return []
    known = {item.name: item for item in manifest.databases}
    missing = [name for name in request.databases if name not in known]
    if missing:
        raise ArchiveError(entry.path, f"it holds no database named {missing[0]}",
                           f"Choose from: {', '.join(known) or 'none'}")
    chosen = [known[name] for name in request.databases] or list(manifest.databases)
    if request.target is not None and len(chosen) != 1:
        raise UsageError(request.target, f"one target for {len(chosen)} databases", "Name the one database to restore")
    return chosen


def _database_step(request: RestoreRequest, item: DatabaseEntry, pending: list[str], warnings: list[str],
                   progress: Optional[Progress]) -> RestoreStep:
    _check_way(request.target or item.source)
    target = os.path.realpath(request.target or item.source)
    if os.path.lexists(journal_path(target)):
        pending.append(target)
        action, reason = "replace", "an interrupted restore is ended first"
    else:
        action, reason = _compare_database(request, item, target, warnings, progress)
        if action == "unchanged" and _rights(request, target) != _rights_of(target):
            action, reason = "adjust", "its owner or mode is not the one asked for"
    return RestoreStep("database", item.name, item.member, target, action, item.size, reason)


def _rights_of(target: str) -> tuple[str, str, int]:
    status = os.stat(target)
    return (*owner_names(status.st_uid, status.st_gid), stat.S_IMODE(status.st_mode))


def _rights(request: RestoreRequest, target: str) -> tuple[str, str, int]:
    user, group, mode = _rights_of(target)
    return request.owner or user, request.group or group, mode if request.mode is None else request.mode


def _compare_database(request: RestoreRequest, item: DatabaseEntry, target: str, warnings: list[str],
                      progress: Optional[Progress]) -> tuple[str, str]:
    if os.path.isdir(target):
        raise RestoreError(target, "the target is a directory", "Name the path of the database file")
    if not os.path.lexists(target):
        return "create", "there is no database"
    status = os.stat(target)
    if not stat.S_ISREG(status.st_mode):
        raise RestoreError(target, "the target is not a regular file", "Name the path of the database file")
    if status.st_nlink > 1:
        raise RestoreError(target, "the target has more than one hard link, and a restore would part them",
                           "Remove the other links, or restore to another path")
    try:
        live = inspect(target, rows=False)
        if live.user_version > item.user_version and not request.allow_older_schema:
            raise RestoreError(target, f"its schema is version {live.user_version}, the archive's {item.user_version}",
                               "Restore an archive of this version, or allow the older schema explicitly")
        if live.schema_sha256 != item.schema_sha256:
            warnings.append(f"the schema in the archive differs from that of {target}")
        if (live.page_size, live.page_count) != (item.page_size, item.page_count):
            return "replace", "its content differs"
        with _as_common_owner(target, status), scratch_directory(os.path.dirname(target)) as scratch:
            taken = snapshot.take(target, scratch, "live", progress=progress)
            if taken.problems:
                return "replace", f"it is damaged: {taken.problems[0]}"
            same = taken.digests.content_sha256 == item.content_sha256
        return ("unchanged", "it holds the same content") if same else ("replace", "its content differs")
    except RestoreError:
        raise
    except SourceError as error:
        return "replace", f"it cannot be read as a database: {error.cause}"
    except MaintenanceError as error:
        return "replace", f"its content could not be compared: {error.cause}"


def _as_common_owner(target: str, status: os.stat_result) -> AbstractContextManager[None]:
    """Root copies the database as its owner, where that is the owner of the directory as well: who could exchange the
    scratch directory under root's hands then leads nobody but himself astray."""
    directory = os.stat(os.path.dirname(target))
    return acting_as(status.st_uid, status.st_gid) if directory.st_uid == status.st_uid else nullcontext()


def _file_step(file: FileEntry, found: MemberDigest) -> RestoreStep:
    target = file.path
    _check_way(target)
    action, reason = "replace", "its content or its rights differ"
    try:
        status = os.stat(target)
        is_directory = stat.S_ISDIR(status.st_mode)
        if is_directory != (file.type == "directory"):
            raise RestoreError(target, f"the archive holds a {file.type} of this name, and something else is there",
                               "Move it away, or leave this part out of the restore")
        rights = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        # Only root can change owners.
        same = rights == (rights_of(file) if os.geteuid() == 0 else (*rights[:2], file.mode))
        if is_directory and not same:
            action, reason = "adjust", "its owner or mode is another"
        elif same and (is_directory or (status.st_size == found.size and sha256_file(target) == found.sha256)):
            action, reason = "unchanged", "it holds the same content"
    except FileNotFoundError:
        action, reason = "create", "it does not exist"
    except OSError as error:
        raise RestoreError(target, f"it cannot be looked at: {error.strerror}", "Run as root") from error
    return RestoreStep(file.type, os.path.basename(target), file.member, target, action, found.size, reason)


def rights_of(file: FileEntry) -> tuple[int, int, int]:
    """uid, gid and mode of a file of the archive on this host."""
    return (*owner_ids(file.user, file.group, file.uid, file.gid), file.mode)


def pending_files(targets: Sequence[str]) -> tuple[str, ...]:
    """What interrupted restores of files alone left a journal of, in the directories of ``targets``: the paths that
    ``journal_path`` takes."""
    found: list[str] = []
    for directory in sorted({existing_parent(target) for target in targets}):
        # One that its owner exchanges meanwhile is met again by what is done there.
        with suppress(OSError):
            found += (os.path.join(directory, name[1:-len(RESTORE_JOURNAL_SUFFIX)])
                      for name in sorted(os.listdir(directory)) if FILES_JOURNAL.fullmatch(name))
    return tuple(found)


def _check_way(path: str) -> None:
    """Refuses a path that leads through another user's symbolic link to what is not his: whoever may write to a
    directory of uploads must not choose what root replaces."""
    existing = path if os.path.lexists(path) else existing_parent(path)
    try:
        resolve(existing)
    except ForeignLinkError as error:
        raise RestoreError(path, str(error.strerror), "Replace the link by what it means, or restore to another path"
                           ) from error
    except OSError:
        # A link that leads nowhere, or no right to look: what is done there says what is wrong.
        return


def existing_parent(path: str) -> str:
    """The nearest directory above ``path`` that exists."""
    parent = os.path.dirname(path)
    while not os.path.isdir(parent) and parent != os.path.dirname(parent):
        parent = os.path.dirname(parent)
    return parent


def _needs(steps: Sequence[RestoreStep]) -> tuple[tuple[str, int, int], ...]:
    """Directory, bytes needed, bytes free: one row for each file system, named by the first directory on it."""
    rows: dict[int, list[Any]] = {}
    for step in steps:
        if step.action in ("unchanged", "adjust") or step.kind == "directory":
            continue
        parent = existing_parent(step.target)
        row = rows.setdefault(os.stat(parent).st_dev, [parent, 0, free_bytes(parent)])
        row[1] += step.size_bytes + (_OPENING_BYTES if step.kind == "database" else 0)
    return tuple((str(parent), int(needed), int(free)) for parent, needed, free in rows.values())
