# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of archives that lie there: a verdict for each, recorded where the next person looks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Optional

from ..archive.keys import KeyRing, load_ring
from ..catalog.catalog import Catalog, Entry
from ..catalog.lock import catalog_lock
from ..catalog.names import KINDS, parse_name
from ..catalog.sidecar import sidecar_of, write_sidecar
from ..catalog.status import update_status
from ..errors import ArchiveError, KeyFileError, MaintenanceError, UsageError
from ..units import Progress, iso, utc_now
from .check import LEVELS, ArchiveCheck, check_archive

RECORD_TIMEOUT_SECONDS = 60.0
_NEXT_STEP = "Keep the archives that passed, and make a new backup"


@dataclass(frozen=True)
class VerifyRequest:
    """Which archives to verify, and how deeply.

    ``archive``: latest or oldest (of each kind), all, a name in ``destination``, or a path; ``kinds`` None means
    every kind; ``level`` is checksums, integrity or restore; ``scratch`` (default: beside the archive) takes what is
    unpacked; with ``record`` the verdict goes into sidecar and status; ``workers`` are threads (None: one
    for each processor).
    """

    application: str
    destination: Optional[str] = None
    archive: str = "latest"
    kinds: Optional[tuple[str, ...]] = None
    level: str = "integrity"
    key_file: Optional[str] = None
    scratch: Optional[str] = None
    record: bool = True
    before: Optional[datetime] = None
    workers: Optional[int] = None


@dataclass(frozen=True)
class ArchiveVerdict:
    """``verdict``: passed, failed, or unknown (could not be told); ``databases``: name, rows by table, problems;
    ``next_step`` and ``exit_code`` (that of the command): what to do unless it passed."""

    name: str
    path: str
    kind: str
    verdict: str
    level: str
    problems: tuple[str, ...]
    created_at: Optional[str]
    key_id: Optional[str]
    sha256: Optional[str]
    size_bytes: int
    databases: tuple[dict[str, Any], ...]
    files: int
    seconds: float
    recorded: bool
    next_step: Optional[str]
    exit_code: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class VerifyResult:
    """``passed`` only when there was at least one archive and every verdict is passed. Never counts as a change."""

    passed: bool
    archives: tuple[ArchiveVerdict, ...]
    changed: bool = False

    def failure(self) -> Optional[MaintenanceError]:
        """The error that says in one sentence what did not pass; None when everything did."""
        bad = [archive for archive in self.archives if archive.verdict != "passed"]
        if not bad:
            return None
        wrong = any(archive.exit_code == ArchiveError.exit_code for archive in bad)
        family = ArchiveError if wrong else KeyFileError
        if len(bad) == 1:
            return family(bad[0].path, "; ".join(bad[0].problems), bad[0].next_step or _NEXT_STEP)
        told = "; ".join(f"{archive.name}: {', '.join(archive.problems)}" for archive in bad)
        return family(os.path.dirname(bad[0].path),
                      f"{len(bad)} of {len(self.archives)} archives did not pass: {told}", _NEXT_STEP)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: the fields by their names, and ``error`` unless everything passed."""
        failure = self.failure()
        return {**asdict(self), **({"error": failure.as_dict()} if failure else {})}


def run_verify(request: VerifyRequest, *, progress: Optional[Progress] = None) -> VerifyResult:
    """Verifies and, where asked, records. Damage is a verdict. Raises MaintenanceError: no such archive, no usable
    key file, no room in scratch."""
    if request.level not in LEVELS:
        raise UsageError(f"level {request.level!r}", "this level is unknown", f"Use one of {', '.join(LEVELS)}")
    if request.scratch is not None and not os.path.isdir(request.scratch):
        raise UsageError(request.scratch, "the scratch directory does not exist", "Create it or name another")
    ring = load_ring(request.key_file) if request.key_file else None
    verdicts = []
    for entry in _entries(request, ring):
        checked = check_archive(entry.path, ring, level=request.level, scratch=request.scratch, progress=progress,
                                workers=request.workers)
        verdicts.append(_record(entry, checked) if request.record else _verdict(entry, checked))
    return VerifyResult(all(v.verdict == "passed" for v in verdicts), tuple(verdicts))


def _entries(request: VerifyRequest, ring: Optional[KeyRing]) -> Sequence[Entry]:
    if request.destination is None and os.sep not in request.archive:
        raise UsageError(request.archive, "without a directory of archives only a path can be verified",
                         "Name the directory, or the full path of the archive")
    path = os.path.abspath(request.archive) if os.sep in request.archive else request.archive
    catalog = Catalog(request.destination or os.path.dirname(path), request.application)
    if request.archive not in ("latest", "oldest", "all"):
        return [catalog.find(path, request.kinds, request.before, ring)]
    found: list[Entry] = []
    for kind in request.kinds or KINDS:
        entries = [e for e in catalog.entries(kind, ring) if request.before is None or e.stamp <= request.before]
        found += {"latest": entries[-1:], "oldest": entries[:1], "all": list(entries)}[request.archive]
    if not found:
        # The catalog knows best how to say what there is instead.
        return [catalog.find("latest", request.kinds, request.before, ring)]
    return found


def _record(entry: Entry, checked: ArchiveCheck) -> ArchiveVerdict:
    if checked.verdict == "unknown":
        return _verdict(entry, checked)
    try:
        with catalog_lock(os.path.dirname(entry.path), timeout_seconds=RECORD_TIMEOUT_SECONDS):
            _write_records(entry, checked)
    except MaintenanceError as error:
        return replace(_verdict(entry, checked), warnings=(f"the verdict was not recorded: {error}",))
    return replace(_verdict(entry, checked), recorded=True)


def _write_records(entry: Entry, checked: ArchiveCheck) -> None:
    if not os.path.lexists(entry.path):
        raise ArchiveError(entry.path, "it was removed meanwhile", "Verify another archive")
    now = utc_now()
    sidecar = entry.sidecar
    if checked.manifest is not None and checked.sha256 is not None and checked.verdict == "passed":
        sidecar = sidecar_of(checked.manifest, size=os.path.getsize(entry.path), sha256=checked.sha256,
                             verified_at=now, level=checked.level)
    elif sidecar is not None:
        sidecar = replace(sidecar, verified_at=now, verified_level=checked.level, verification="failed",
                          damage="; ".join(checked.problems)[:500])
    if sidecar is not None:
        write_sidecar(entry.path, sidecar)
    tested = {"last_restore_test_at": now} if checked.level == "restore" and checked.verdict == "passed" else {}
    update_status(os.path.dirname(entry.path), entry.application, entry.kind, last_verified_at=now,
                  last_verified_archive=entry.name, last_verification=checked.verdict, **tested)


def _verdict(entry: Entry, checked: ArchiveCheck) -> ArchiveVerdict:
    manifest = checked.manifest
    databases = checked.databases or tuple(
        {"name": d.name, "rows": dict(d.rows), "rows_total": sum(d.rows.values()), "problems": ()}
        for d in (manifest.databases if manifest else ()))
    parsed = parse_name(entry.name)
    bad_code = checked.error.exit_code if checked.error else ArchiveError.exit_code
    return ArchiveVerdict(
        name=entry.name, path=entry.path, kind=entry.kind, verdict=checked.verdict, level=checked.level,
        problems=checked.problems,
        created_at=manifest.created_at if manifest else (iso(parsed.stamp) if parsed else None),
        key_id=checked.key_id, sha256=checked.sha256, size_bytes=entry.size, databases=databases,
        files=sum(1 for f in manifest.files if f.type == "file") if manifest else 0,
        seconds=checked.seconds, recorded=False,
        next_step=checked.error.next_step if checked.error else None if checked.verdict == "passed" else _NEXT_STEP,
        exit_code=0 if checked.verdict == "passed" else bad_code, warnings=manifest.warnings if manifest else ())
