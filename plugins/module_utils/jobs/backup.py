# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup: snapshot, decide, write, verify, publish, and only then retention."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Optional

from ..archive.codecs import DEFAULT_LEVELS, check_level
from ..archive.keys import KeyRing, load_ring
from ..archive.manifest import Manifest
from ..archive.reader import read_manifest
from ..catalog.catalog import Catalog, Entry
from ..catalog.lock import catalog_lock, require_safe
from ..catalog.names import KINDS
from ..catalog.sidecar import Sidecar, sidecar_of, write_sidecar
from ..catalog.status import StatusRecord, read_status, update_status
from ..config import Settings
from ..errors import ArchiveError, MaintenanceError, UsageError, from_oserror
from ..files import SCRATCH_PREFIX, TEMPORARY_SUFFIX, remove_leftovers, scratch_directory, temporary_name
from ..units import Progress, iso, utc_now
from .check import check_archive
from .collect import FileSource, check_sources
from .gather import Content, describe, gather
from .increment import STRATEGIES, Increment, NotIncremental, make_increment
from .prune import apply_retention
from .references import FileReference, check_references
from .unchanged import newer_and_other
from .write import WriteOptions, build_manifest, write_archive

_UNVERIFIED = "the archive of this run was not verified"


@dataclass(frozen=True)
class BackupRequest:
    """What to back up and where to. ``kind`` is one of database, config, logs, full; paths are absolute;
    ``key_file`` None writes an unencrypted archive; ``compression`` and ``level`` (None: the method's default) as
    ``archive.codecs`` has them; ``strategy`` is full, differential or incremental (other kinds than database are
    always full); ``chain_limit`` is the number of archives from one full one to the next; ``retention_days`` 0 keeps
    for ever."""

    application: str
    kind: str
    destination: str
    databases: tuple[str, ...] = ()
    files: tuple[FileSource, ...] = ()
    key_file: Optional[str] = None
    compression: str = "gzip"
    level: Optional[int] = None
    strategy: str = "full"
    chain_limit: int = 7
    workers: Optional[int] = None
    retention_days: int = 30
    keep_last: int = 7
    force: bool = False
    prune: bool = True
    verify: bool = True
    lock_timeout_seconds: float = 0.0
    deadline_seconds: float = 3600.0
    references: tuple[FileReference, ...] = ()


def request_from_settings(settings: Settings, kind: str, **overrides: Any) -> BackupRequest:
    """The request that the configuration of this host means; ``overrides`` are fields of BackupRequest.

    Uploads and logs are optional by nature. Raises UsageError when no directory of archives is configured.
    """
    if settings.directory is None:
        raise UsageError("directory", "no directory of archives is configured", "Name one with --directory")
    sources = [FileSource(path, "config") for path in settings.config_paths]
    sources += [FileSource(path, "config", required=False) for path in settings.optional_config_paths]
    sources += [FileSource(path, "uploads", required=False) for path in settings.uploads_paths]
    sources += [FileSource(path, "logs", required=False) for path in settings.logs_paths]
    request = BackupRequest(
        application=settings.application, kind=kind, destination=settings.directory, databases=settings.databases,
        files=tuple(sources), key_file=settings.key_file, compression=settings.compression,
        level=settings.compression_level, strategy=settings.strategy, chain_limit=settings.chain_limit,
        workers=settings.workers,
        retention_days=settings.retention_days, keep_last=settings.keep_last,
        lock_timeout_seconds=settings.lock_timeout_seconds, deadline_seconds=settings.deadline_seconds,
        references=tuple(FileReference(*reference) for reference in settings.file_references))
    return replace(request, **overrides)


@dataclass(frozen=True)
class BackupResult:
    """What was done, or in check mode would be.

    ``outcome`` is created, unchanged or nothing (there was nothing to back up) and ``reason`` says why;
    ``archive`` is the full path of the newest archive of this kind afterwards; ``base`` the archive that it was made
    on (None: it is full, and ``full_because`` tells why where the strategy asks for increments); ``size_bytes`` counts
    the content before compression, ``archive_bytes`` the archive; ``before`` and ``after`` are the facts of a diff.
    """

    changed: bool
    outcome: str
    reason: str
    kind: str
    archive: Optional[str]
    sequence: Optional[int]
    content_id: str
    snapshots: tuple[dict[str, Any], ...]
    files: int
    size_bytes: int
    archive_bytes: Optional[int] = None
    base: Optional[str] = None
    full_because: Optional[str] = None
    sha256: Optional[str] = None
    encrypted: bool = False
    key_id: Optional[str] = None
    verified: bool = False
    pruned: tuple[str, ...] = ()
    prune_refused: Optional[str] = None
    absent: tuple[str, ...] = ()
    missing_files: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    current_as_of: Optional[str] = None
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: the fields by their names."""
        return asdict(self)


@dataclass(frozen=True)
class _Run:
    """What the steps of one locked run share."""

    request: BackupRequest
    check: bool
    progress: Optional[Progress]
    began: float
    started_at: datetime
    ring: Optional[KeyRing]
    catalog: Catalog
    entries: tuple[Entry, ...]
    status: Optional[StatusRecord]

    @property
    def newest(self) -> Optional[Entry]:
        return self.entries[-1] if self.entries else None


@dataclass(frozen=True)
class _Newest:
    """The newest archive of the kind; ``manifest`` is there where it could be read, ``sha256`` where all of it was."""

    entry: Optional[Entry]
    sha256: Optional[str] = None
    manifest: Optional[Manifest] = None

    @property
    def content_id(self) -> Optional[str]:
        return self.manifest.content_id if self.manifest else None

    @property
    def key_id(self) -> Optional[str]:
        return self.manifest.key_id if self.manifest else None

    @property
    def base(self) -> Optional[str]:
        return self.manifest.base.name if self.manifest and self.manifest.base else None


def run_backup(request: BackupRequest, *, check: bool = False, progress: Optional[Progress] = None) -> BackupResult:
    """Makes an archive, unless the newest one already holds the same content and still verifies in full.

    With ``check`` the same snapshots are taken and the same decision is made, and no archive, record or status is
    written. Raises a MaintenanceError; the failure is recorded in the status file where that can be written.
    """
    _validate(request)
    began = time.monotonic()
    with catalog_lock(request.destination, timeout_seconds=request.lock_timeout_seconds):
        try:
            return _locked(request, check, progress, began)
        except BaseException as error:
            failure = _as_maintenance_error(error, request)
            if not check:
                _record_failure(request, failure or error)
            if failure is None or failure is error:
                raise
            raise failure from error


def _as_maintenance_error(error: BaseException, request: BackupRequest) -> Optional[MaintenanceError]:
    """The error to report: one about a temporary file, which is gone when somebody reads of it, is about the
    directory of the archives."""
    if isinstance(error, OSError):
        error = from_oserror(error, str(error.filename or request.destination), "making the backup")
    if not isinstance(error, MaintenanceError):
        return None
    inside = error.subject.startswith(os.path.join(request.destination, ""))
    if inside and (SCRATCH_PREFIX in error.subject or error.subject.endswith(TEMPORARY_SUFFIX)):
        return type(error)(request.destination, error.cause, error.next_step)
    return error


def _record_failure(request: BackupRequest, error: BaseException) -> None:
    # A full disk cannot take the record either: the exit code and the age of the freshness record tell.
    with suppress(MaintenanceError, OSError):
        update_status(request.destination, request.application, request.kind, last_attempt_at=utc_now(),
                      last_outcome="failed", last_error=str(error) or type(error).__name__)


def _level(request: BackupRequest) -> int:
    return DEFAULT_LEVELS.get(request.compression, 0) if request.level is None else request.level


def _validate(request: BackupRequest) -> None:
    if request.kind not in KINDS:
        raise UsageError(f"kind {request.kind!r}", "this kind of backup is unknown", f"Use one of {', '.join(KINDS)}")
    check_level(request.compression, _level(request))
    if request.strategy not in STRATEGIES:
        raise UsageError(f"strategy {request.strategy!r}", "this strategy is unknown",
                         f"Use one of {', '.join(STRATEGIES)}")
    if request.chain_limit < 1:
        raise UsageError("chain_limit", "a chain has at least its full archive", "Use 1 or more; 7 is the default")
    for path in (request.destination, *request.databases):
        if not os.path.isabs(path):
            raise UsageError(path or "(empty path)", "the path is not absolute", "Write the full path")
    check_sources(request.files)
    check_references(request.references, request.databases)
    if request.kind in ("database", "full") and not request.databases:
        raise UsageError(f"kind {request.kind}", "no database is named", "Name at least one database")
    if request.keep_last < 1:
        raise UsageError("keep_last", "at least one archive must stay, whatever its age",
                         "Use 1 or more; 7 is the default")
    if request.retention_days < 0:
        raise UsageError("retention_days", "days cannot be negative", "Use 0 to keep for ever; 30 is the default")


def _locked(request: BackupRequest, check: bool, progress: Optional[Progress], began: float) -> BackupResult:
    require_safe(request.destination)
    if not check:
        remove_leftovers(request.destination)
    ring = load_ring(request.key_file) if request.key_file else None
    catalog = Catalog(request.destination, request.application)
    entries = catalog.entries(request.kind, ring)
    run = _Run(request, check, progress, began, utc_now(), ring, catalog, entries,
               read_status(request.destination, request.application, request.kind))
    with scratch_directory(request.destination) as scratch:
        content = gather(
            request.databases if request.kind in ("database", "full") else (), _files(request), scratch=scratch,
            excluded=[request.destination, *_key_paths(request, ring)], every_database=request.databases,
            references=request.references if request.kind == "full" else (),
            deadline_seconds=request.deadline_seconds,
            # An increment tells nothing of the room that a full archive takes, which the next one may have to be.
            previous_bytes=next((entry.size for entry in reversed(entries) if entry.base is None), None),
            progress=progress)
        outcome, reason, newest = _decide(run, content)
        if outcome == "created":
            return _create(run, content, newest, reason, scratch)
    pruned, refused = _prune(run)
    if not check:
        _record_unchanged(run, content, newest, outcome)
    return _result(run, content, newest, newest, outcome=outcome, reason=reason, pruned=pruned, refused=refused,
                   verified=outcome == "unchanged")


def _record_unchanged(run: _Run, content: Content, newest: _Newest, outcome: str) -> None:
    """Moves the freshness record; the newest archive has just been verified in full, which is recorded as well."""
    request, now = run.request, utc_now()
    verified: dict[str, Any] = {}
    if outcome == "unchanged" and newest.entry and newest.manifest and newest.sha256:
        write_sidecar(newest.entry.path, sidecar_of(newest.manifest, size=newest.entry.size, sha256=newest.sha256,
                                                    verified_at=now, level="checksums"))
        verified = {"last_verified_at": now, "last_verified_archive": newest.entry.name, "last_verification": "passed"}
    update_status(request.destination, request.application, request.kind, last_attempt_at=now, last_outcome=outcome,
                  last_error=None, last_success_at=now, current_as_of=run.started_at,
                  newest_archive=newest.entry.name if newest.entry else None, content_id=content.content_id, **verified)


def _files(request: BackupRequest) -> Sequence[FileSource]:
    if request.kind == "database":
        return ()
    return [source for source in request.files if request.kind in ("full", source.part)]


def _key_paths(request: BackupRequest, ring: Optional[KeyRing]) -> Sequence[str]:
    """The key and the older ones beside it: no archive holds the key that opens it."""
    if not request.key_file or ring is None:
        return ()
    return [request.key_file, *(f"{request.key_file}.{key.id}" for key in ring.keys)]


def _decide(run: _Run, content: Content) -> tuple[str, str, _Newest]:
    """Outcome, reason, and what is known of the newest archive: which is verified in full before it may stand
    for today's content."""
    head = _head(run)
    newest = _Newest(run.newest, manifest=head)
    if content.empty:
        return "nothing", "there is nothing of this kind to back up", newest
    if run.request.force:
        return "created", "it was asked for by force", newest
    if run.newest is None:
        return "created", "there is no archive of this kind yet", newest
    if head is not None and head.content_id != content.content_id:
        return "created", "the content differs from the newest archive", newest
    if head is not None and head.key_id != (run.ring.current.id if run.ring else None):
        return "created", "the key differs from the newest archive's", newest
    others = (entry for entry in run.catalog.entries(None, run.ring) if entry.kind != run.request.kind)
    other = newer_and_other(run.newest, head, others, run.ring) if head is not None else None
    if other is not None:
        return "created", f"{other} is newer and holds another content", newest
    verdict = check_archive(run.newest.path, run.ring, level="checksums", progress=run.progress,
                            workers=run.request.workers)
    if verdict.verdict != "passed" or verdict.manifest is None:
        problem = "; ".join(verdict.problems[:1])
        return "created", f"the newest archive does not verify ({problem})", _Newest(run.newest)
    return ("unchanged", "the newest archive holds this content and verifies",
            _Newest(run.newest, verdict.sha256, verdict.manifest))


def _head(run: _Run) -> Optional[Manifest]:
    """The manifest of the newest archive, of which only the head is read; None where it cannot be read."""
    if run.newest is None:
        return None
    try:
        return read_manifest(run.newest.path, run.ring)
    except MaintenanceError:
        return None


def _increment(run: _Run, content: Content, scratch: str) -> tuple[Optional[Increment], Optional[str]]:
    """The increment to be made, or why there is none although the strategy asks for one."""
    request = run.request
    if request.strategy == "full" or request.kind != "database":
        return None, None
    try:
        return make_increment(run.entries, content.snapshots, run.ring, strategy=request.strategy,
                              chain_limit=request.chain_limit, scratch=scratch), None
    except NotIncremental as reason:
        return None, str(reason)


def _create(run: _Run, content: Content, newest: _Newest, reason: str, scratch: str) -> BackupResult:
    request, key = run.request, run.ring.current if run.ring else None
    sequence = run.catalog.next_sequence(request.kind, run.ring)
    name = run.catalog.free_name(request.kind, run.started_at, encrypted=key is not None,
                                 method=request.compression)
    increment, full_because = _increment(run, content, scratch)
    manifest = build_manifest(content, application=request.application, kind=request.kind, name=name,
                              key_id=key.id if key else None, created_at=run.started_at, sequence=sequence,
                              previous=run.newest.name if run.newest else None, compression=request.compression,
                              level=_level(request), increment=increment, full_because=full_because)
    if run.check:
        predicted = sidecar_of(manifest, size=1, sha256="0" * 64, verified_at=run.started_at, level="checksums")
        pruned, refused = _prune(run, predicted) if request.verify else ((), _UNVERIFIED)
        after = _Newest(None, manifest=manifest)
        return _result(run, content, newest, after, outcome="created", reason=reason, pruned=pruned, refused=refused,
                       verified=request.verify, sequence=sequence)
    temporary = temporary_name(os.path.join(request.destination, name))
    try:
        written = write_archive(temporary, manifest, content, scratch=scratch, increment=increment,
                                progress=run.progress,
                                options=WriteOptions(key, request.compression, _level(request), request.workers))
        verified_at = _verify(run, temporary, written.sha256) if request.verify else None
        entry = run.catalog.publish(temporary, name, sidecar_of(
            manifest, size=written.size, sha256=written.sha256, verified_at=verified_at,
            level="checksums" if verified_at else None))
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)
    now = utc_now()
    update_status(request.destination, request.application, request.kind, last_attempt_at=now,
                  last_outcome="created", last_error=None, last_success_at=now, current_as_of=run.started_at,
                  newest_archive=name, content_id=content.content_id,
                  **({"last_verified_at": verified_at, "last_verified_archive": name,
                      "last_verification": "passed"} if verified_at else {}))
    pruned, refused = _prune(run) if verified_at else ((), _UNVERIFIED)
    return _result(run, content, newest, _Newest(entry, written.sha256, manifest),
                   outcome="created", reason=reason, pruned=pruned, refused=refused, verified=verified_at is not None,
                   sequence=sequence, archive_bytes=written.size,
                   warnings=tuple(f"{member} changed while it was archived" for member in written.changed))


def _verify(run: _Run, temporary: str, sha256: str) -> datetime:
    verdict = check_archive(temporary, run.ring, level="checksums", progress=run.progress, check_name=False, own=True,
                            workers=run.request.workers)
    problems = verdict.problems
    if verdict.verdict == "passed" and verdict.sha256 != sha256:
        problems = ("what was read back differs from what was written",)
    if problems or verdict.verdict != "passed":
        raise ArchiveError(temporary, f"the archive was written and does not verify: {'; '.join(problems)}",
                           "It was removed and the older ones were kept: check the memory and the disk of this host")
    return utc_now()


def _prune(run: _Run, predicted: Optional[Sidecar] = None) -> tuple[tuple[str, ...], Optional[str]]:
    """Retention; in check mode as if the archive that ``predicted`` describes were there already."""
    if not run.request.prune:
        return (), None
    entries = run.catalog.entries(run.request.kind, run.ring)
    if predicted is not None:
        entries += (Entry(predicted.name, os.path.join(run.request.destination, predicted.name),
                          predicted.application, predicted.kind, run.started_at, predicted.sequence, predicted.size,
                          predicted.encrypted, predicted, predicted.base),)
    plan = apply_retention(run.catalog, entries, now=run.started_at, retention_days=run.request.retention_days,
                           keep_last=run.request.keep_last,
                           last_run_at=run.status.last_success_at if run.status else None, check=run.check)
    return tuple(entry.name for entry in plan.remove), plan.refused


def _facts(newest: _Newest) -> dict[str, Any]:
    return {"archive": newest.entry.name if newest.entry else None, "base": newest.base,
            "content_id": newest.content_id, "key_id": newest.key_id}


def _result(run: _Run, content: Content, before: _Newest, after: _Newest, *, outcome: str, reason: str,
            pruned: tuple[str, ...], refused: Optional[str], verified: bool, sequence: Optional[int] = None,
            archive_bytes: Optional[int] = None, warnings: tuple[str, ...] = ()) -> BackupResult:
    entry = after.entry
    snapshot_warnings = tuple(w for s in content.snapshots for w in s.warnings)
    skipped = tuple(f"{path} was left out: {why}" for path, why in content.collection.skipped)
    return BackupResult(
        changed=outcome == "created" or bool(pruned), outcome=outcome, reason=reason, kind=run.request.kind,
        archive=entry.path if entry else None, sequence=sequence if sequence is not None else
        (entry.sequence if entry else None), content_id=content.content_id,
        snapshots=tuple(describe(s) for s in content.snapshots),
        files=sum(1 for f in content.collection.files if f.type == "file"), size_bytes=content.size_bytes,
        archive_bytes=archive_bytes if archive_bytes is not None else (entry.size if entry else None),
        base=after.base,
        full_because=after.manifest.full_because if after.manifest else None, sha256=after.sha256,
        encrypted=run.ring is not None, key_id=after.key_id, verified=verified, pruned=pruned,
        prune_refused=refused, absent=content.collection.absent, missing_files=content.missing,
        skipped=content.collection.skipped,
        warnings=snapshot_warnings + content.warnings + skipped + warnings,
        before=_facts(before), after=_facts(after) if outcome != "created" or not run.check else
        {**_facts(after), "archive": "(a new archive)"},
        current_as_of=iso(run.started_at) if outcome != "nothing" else None,
        seconds=round(time.monotonic() - run.began, 3))
