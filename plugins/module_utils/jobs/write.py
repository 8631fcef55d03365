# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From gathered content to an archive on disk: manifest, members, sidecar."""

from __future__ import annotations

import os
import platform
import socket
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from ..archive.codecs import library
from ..archive.keys import Key
from ..archive.manifest import DatabaseEntry, FileEntry, Manifest, SkippedEntry
from ..archive.writer import ArchiveWriter, WrittenArchive
from ..sqlite.snapshot import Snapshot
from ..units import Progress, iso
from ..version import VERSION
from .collect import CollectedFile
from .gather import Content
from .increment import Increment


@dataclass(frozen=True)
class WriteOptions:
    """How to write: with which key (None: unencrypted), compression and level, workers (None: one a core)."""

    key: Optional[Key]
    method: str = "gzip"
    level: int = 6
    workers: Optional[int] = None


def build_manifest(content: Content, *, application: str, kind: str, name: str, key_id: Optional[str],
                   created_at: datetime, sequence: int, previous: Optional[str], compression: str,
                   level: int, increment: Optional[Increment] = None, full_because: Optional[str] = None) -> Manifest:
    """The manifest of an archive that is about to be written. ``full_because``: why it is no increment, where one was
    asked for."""
    return Manifest(
        name=name, application=application, kind=kind, sequence=sequence, host=socket.gethostname(),
        created_at=iso(created_at), previous=previous, content_id=content.content_id, encrypted=key_id is not None,
        key_id=key_id, compression={"method": compression, "level": level, "library": library(compression, level)},
        software={"collection": VERSION, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
        databases=tuple(_database_entry(taken, increment) for taken in content.snapshots),
        base=increment.base if increment else None, full_because=full_because,
        files=tuple(_file_entry(file) for file in content.collection.files),
        absent=content.collection.absent,
        skipped=tuple(SkippedEntry(path, why) for path, why in content.collection.skipped),
        warnings=content.warnings)


def _database_entry(taken: Snapshot, increment: Optional[Increment]) -> DatabaseEntry:
    changed = increment.changed[taken.name] if increment else None
    source, digests, contents = taken.source, taken.digests, taken.contents
    return DatabaseEntry(
        name=taken.name, member=f"{'pages' if changed else 'databases'}/{taken.name}",
        source=source.path, taken_at=iso(taken.taken_at),
        size=digests.size, page_size=digests.page_size, page_count=digests.page_count, sha256=digests.sha256,
        content_sha256=digests.content_sha256, schema_sha256=contents.schema_sha256, rows=contents.rows,
        journal_mode=taken.journal_mode, user_version=contents.user_version, application_id=contents.application_id,
        page_digests=f"page-digests/{taken.name}",
        page_numbers=f"page-numbers/{taken.name}" if changed else None,
        pages=changed.count if changed else digests.page_count, integrity="ok",
        uid=source.uid, gid=source.gid, mode=source.mode, user=source.user, group=source.group)


def _file_entry(file: CollectedFile) -> FileEntry:
    return FileEntry(member="files/" + file.path.lstrip("/"), path=file.path, part=file.part, type=file.type,
                     size=file.size, sha256=file.sha256, uid=file.uid, gid=file.gid, mode=file.mode, user=file.user,
                     group=file.group)


def write_archive(path: str, manifest: Manifest, content: Content, *, options: WriteOptions, scratch: str,
                  increment: Optional[Increment] = None, progress: Optional[Progress] = None) -> WrittenArchive:
    """Writes the archive to ``path`` (which must not exist) and makes it durable; nothing is left after an error."""
    with ArchiveWriter(path, key=options.key, method=options.method, level=options.level, workers=options.workers,
                       scratch=scratch) as writer:
        writer.add_manifest(manifest)
        for taken, entry in zip(content.snapshots, manifest.databases):
            tables = {entry.page_digests: taken.page_digests_path}
            if increment is not None and entry.page_numbers is not None:
                tables[entry.page_numbers] = increment.changed[taken.name].numbers_path
            for member, table in tables.items():
                writer.add_file(member, table, mode=0o600, uid=0, gid=0, user="root", group="root",
                                mtime=taken.taken_at.timestamp(), progress=progress)
        for taken, entry in zip(content.snapshots, manifest.databases):
            source = increment.changed[taken.name].pages_path if increment else taken.path
            writer.add_file(entry.member, source, mode=entry.mode, uid=entry.uid, gid=entry.gid, user=entry.user,
                            group=entry.group, mtime=taken.taken_at.timestamp(), progress=progress)
        for file, item in zip(content.collection.files, manifest.files):
            if file.type == "directory":
                writer.add_directory(item.member, mode=file.mode, uid=file.uid, gid=file.gid, user=file.user,
                                     group=file.group, mtime=file.mtime)
            elif os.path.lexists(file.real):
                writer.add_file(item.member, file.real, mode=file.mode, uid=file.uid, gid=file.gid, user=file.user,
                                group=file.group, mtime=file.mtime, progress=progress)
            else:
                writer.mark_vanished(item.member)
        return writer.finish()
