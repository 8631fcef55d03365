# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one backup holds: snapshots of databases first, then the files, and the digest of it all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..errors import DestinationError, SourceError
from ..files import free_bytes
from ..sqlite import snapshot
from ..sqlite.snapshot import Snapshot
from ..sqlite.source import examine
from ..units import Progress, format_bytes, iso
from .collect import Collection, FileSource, collect
from .references import FileReference, missing_files

UNKNOWN_RATIO = 0.5
"""Expected share of the raw size that an archive takes, while no earlier archive tells."""


@dataclass(frozen=True)
class Content:
    """Snapshots (in scratch) and files of one backup; ``content_id`` names them, whatever the time is."""

    snapshots: tuple[Snapshot, ...]
    collection: Collection
    content_id: str
    missing: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.snapshots and not self.collection.files

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said in manifest and result: of files that changed, and of files that rows name in vain."""
        if not self.missing:
            return self.collection.warnings
        shown = ", ".join(self.missing[:3]) + (", ..." if len(self.missing) > 3 else "")
        return (*self.collection.warnings, f"{len(self.missing)} files that the database names are missing: {shown}")

    @property
    def size_bytes(self) -> int:
        return sum(s.digests.size for s in self.snapshots) + self.collection.size_bytes


def gather(databases: Sequence[str], files: Sequence[FileSource], *, scratch: str, excluded: Sequence[str],
           every_database: Sequence[str], references: Sequence[FileReference], deadline_seconds: float,
           previous_bytes: Optional[int], progress: Optional[Progress]) -> Content:
    """Takes the snapshots, then walks the files: a file that a row names is there when the row is in the snapshot.

    ``previous_bytes`` is the size of the newest archive of this kind, by which the room for the next is
    estimated. Raises SourceError for a damaged database, DestinationError when the room will not do.
    """
    raw = sum(_size(path) for path in databases)
    _preflight(scratch, raw, previous_bytes)
    names = database_names(databases)
    snapshots = []
    for path in databases:
        taken = snapshot.take(path, scratch, names[path], progress=progress, deadline_seconds=deadline_seconds)
        if taken.problems:
            raise SourceError(taken.source.path, f"the database is damaged: {'; '.join(taken.problems[:3])}",
                              "No archive was made and none was removed: restore the newest good archive, or repair it")
        snapshots.append(taken)
    collection = collect(files, databases=every_database, excluded=excluded, progress=progress)
    _preflight_archive(scratch, sum(s.digests.size for s in snapshots) + collection.size_bytes, previous_bytes)
    return Content(tuple(snapshots), collection, content_id(snapshots, collection),
                   missing_files(references, snapshots, collection))


def database_names(databases: Sequence[str]) -> dict[str, str]:
    """The name that each database has in an archive: its base name, numbered where two are alike."""
    names: dict[str, str] = {}
    for path in databases:
        base = os.path.basename(os.path.realpath(path))
        name, number = base, 2
        while name in names.values():
            name, number = f"{base}-{number}", number + 1
        names[path] = name
    return names


def content_id(snapshots: Sequence[Snapshot], collection: Collection) -> str:
    """SHA-256 (hexadecimal) over what is backed up: content digests of databases; type, digest, mode and owner
    of files. Times do not count."""
    databases = [[s.name, s.source.path, s.digests.content_sha256] for s in snapshots]
    files = [[f.path, f.part, f.type, f.sha256, f.mode, f.user, f.group] for f in collection.files]
    text = json.dumps({"databases": databases, "files": files}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def describe(taken: Snapshot) -> dict[str, Any]:
    """A snapshot as data for results: times in seconds, sizes in bytes."""
    return {
        "name": taken.name, "source": taken.source.path, "taken_at": iso(taken.taken_at),
        "size": taken.digests.size, "page_size": taken.digests.page_size, "page_count": taken.digests.page_count,
        "content_sha256": taken.digests.content_sha256, "journal_mode": taken.journal_mode,
        "rows_total": sum(taken.contents.rows.values()), "seconds": round(taken.seconds, 3),
        "check_seconds": round(taken.check_seconds, 3), "stall_seconds": round(taken.stall_seconds, 3),
        "restarts": taken.restarts, "wal_bytes_before": taken.wal_bytes_before,
        "wal_bytes_peak": taken.wal_bytes_peak, "wal_bytes_after": taken.wal_bytes_after,
        "sqlite_version": taken.sqlite_version,
    }


def _size(path: str) -> int:
    source = examine(path)
    return source.size + source.wal_bytes


def _preflight(scratch: str, raw: int, previous_bytes: Optional[int]) -> None:
    expected = previous_bytes if previous_bytes is not None else int(raw * UNKNOWN_RATIO)
    _demand(scratch, raw + expected, "the snapshot and the archive")


def _preflight_archive(scratch: str, raw: int, previous_bytes: Optional[int]) -> None:
    expected = int(raw * UNKNOWN_RATIO) if previous_bytes is None else min(int(previous_bytes * 1.1), raw)
    _demand(scratch, expected, "the archive")


def _demand(scratch: str, needed: int, what: str) -> None:
    free = free_bytes(scratch)
    if free < needed:
        raise DestinationError(os.path.dirname(scratch),
                               f"{what} will need about {format_bytes(needed)} and only {format_bytes(free)} are free",
                               "Free some space there or choose another directory, then run again; nothing was changed")
