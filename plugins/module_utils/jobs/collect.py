# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a backup holds: a walk that hashes, and that says what it left out and why."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Optional

from ..directories import ForeignLinkError, list_directory, open_file, resolve
from ..errors import SourceError, UsageError
from ..files import CHUNK_BYTES, RESTORE_JOURNAL_SUFFIX, SCRATCH_PREFIX, TEMPORARY_SUFFIX
from ..owners import owner_names
from ..units import Progress

PARTS = ("config", "uploads", "logs")
SAFETY_NAME = re.compile(r".\.before-restore-\d{8}T\d{6}Z(-\d+)?\Z", re.DOTALL)
SIDECARS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True)
class FileSource:
    """A file or a directory tree to be backed up. ``part`` is one of config, uploads, logs; a ``required`` one
    that is missing is an error, any other is recorded as absent."""

    path: str
    part: str
    required: bool = True


@dataclass(frozen=True)
class CollectedFile:
    """One file or directory as the walk found it; ``sha256`` is None for a directory, ``mtime`` seconds; ``real`` is
    where it lies, should ``path`` be a symbolic link that was named as a source."""

    path: str
    real: str
    part: str
    type: str
    size: int
    sha256: Optional[str]
    uid: int
    gid: int
    mode: int
    user: str
    group: str
    mtime: float


@dataclass(frozen=True)
class Collection:
    """Everything that the walk found, in a stable order, and what it did not take."""

    files: tuple[CollectedFile, ...] = ()
    absent: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files)


@dataclass
class _Walk:
    excluded: set[str]
    progress: Optional[Progress]
    files: list[CollectedFile] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    pending: list[tuple[str, str, os.stat_result, str]] = field(default_factory=list)
    hashed_bytes: int = 0


def check_sources(sources: Sequence[FileSource]) -> None:
    """Raises UsageError for a path that is not absolute and plain, or an unknown part."""
    for source in sources:
        if source.part not in PARTS:
            raise UsageError(source.path, f"the part {source.part!r} is unknown", f"Use one of {', '.join(PARTS)}")
        if not os.path.isabs(source.path) or os.path.normpath(source.path) != source.path.rstrip("/"):
            raise UsageError(source.path or "(empty path)", "the path is not absolute and plain",
                             "Write the full path without '.', '..' or doubled slashes")


def collect(sources: Sequence[FileSource], *, databases: Sequence[str] = (), excluded: Sequence[str] = (),
            progress: Optional[Progress] = None) -> Collection:
    """Walks ``sources`` and hashes every file.

    Databases with their sidecars, ``excluded`` trees (the archive directory, the key), safety copies and scratch
    are never taken as files. Symbolic links inside a tree are not followed: they are listed in ``skipped``, as
    are sockets, pipes and devices; a source that is itself a link is followed. Raises SourceError for a required
    source that is missing and for anything that cannot be read.
    """
    check_sources(sources)
    walk = _Walk(excluded={os.path.realpath(path) for path in excluded}, progress=progress)
    for database in databases:
        real = os.path.realpath(database)
        walk.excluded.update({real}, {real + suffix for suffix in SIDECARS})
    for source in sources:
        path = source.path.rstrip("/") or "/"
        try:
            real = resolve(path)
            status = os.stat(real)
        except FileNotFoundError:
            if source.required:
                raise SourceError(path, "this file is to be backed up and does not exist",
                                  "Correct the path, or list it among the optional paths") from None
            walk.absent.append(path)
            continue
        except OSError as error:
            raise _unreadable(path, error) from error
        walk.pending.append((path, source.part, status, real))
        while walk.pending:
            _take(walk, *walk.pending.pop())
    walk.files.sort(key=lambda file: file.path)
    return Collection(tuple(walk.files), tuple(sorted(set(walk.absent))), tuple(sorted(set(walk.skipped))),
                      tuple(walk.warnings))


def _unreadable(path: str, error: OSError) -> SourceError:
    if isinstance(error, ForeignLinkError):
        return SourceError(path, str(error.strerror), "Name what the link means, or let it belong to root")
    return SourceError(path, f"it cannot be read: {error.strerror or error}",
                       "Correct the owner and the mode, or run as a user who may read it")


def _take(walk: _Walk, path: str, part: str, status: os.stat_result, real: str) -> None:
    if path in walk.seen:
        return
    walk.seen.add(path)
    if real in walk.excluded or _is_ours(os.path.basename(path)):
        return
    if stat.S_ISDIR(status.st_mode):
        walk.files.append(_entry(path, real, part, "directory", 0, None, status))
        for name, found, link in _children(path, real):
            _take_child(walk, os.path.join(path, name), found, link, part, os.path.join(real, name))
    elif stat.S_ISREG(status.st_mode):
        hashed = _hash(walk, path, real)
        if hashed is None:
            walk.skipped.append((path, "it vanished while the backup ran"))
            return
        size, digest, status = hashed
        walk.files.append(_entry(path, real, part, "file", size, digest, status))
    else:
        walk.skipped.append((path, "it is a socket, a pipe or a device"))


def _take_child(walk: _Walk, path: str, status: Optional[os.stat_result], link: str, part: str, real: str) -> None:
    if status is None:
        walk.skipped.append((path, "it vanished while the backup ran"))
    elif stat.S_ISLNK(status.st_mode):
        walk.skipped.append((path, f"it is a symbolic link to {link}"))
    else:
        walk.pending.append((path, part, status, real))


def _children(path: str, real: str) -> list[tuple[str, Optional[os.stat_result], str]]:
    try:
        return list_directory(real)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(path, error) from error


def _is_ours(base: str) -> bool:
    return bool(SAFETY_NAME.search(base)) or base.startswith(SCRATCH_PREFIX) or (
        base.startswith(".") and base.endswith((TEMPORARY_SUFFIX, RESTORE_JOURNAL_SUFFIX)))


def _hash(walk: _Walk, path: str, real: str) -> Optional[tuple[int, str, os.stat_result]]:
    """Size, SHA-256 and status of a file that held still while it was read; after a second change, of the last
    reading, with a warning. None when the file is gone."""
    try:
        for _attempt in (1, 2):
            with open_file(real) as stream:
                before = os.fstat(stream.fileno())
                digest, size = hashlib.sha256(), 0
                # Never beyond the size that it had: a file that grows as fast as it is read would have no end.
                while size < before.st_size:
                    chunk = stream.read(min(CHUNK_BYTES, before.st_size - size))
                    if not chunk:
                        break
                    digest.update(chunk)
                    size += len(chunk)
                    walk.hashed_bytes += len(chunk)
                    if walk.progress is not None:
                        walk.progress("files", walk.hashed_bytes, 0)
                after = os.fstat(stream.fileno())
            if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns) and size == after.st_size:
                return size, digest.hexdigest(), after
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error
    walk.warnings.append(f"{path} changed while it was read, twice")
    return size, digest.hexdigest(), after


def _entry(path: str, real: str, part: str, kind: str, size: int, digest: Optional[str],
           status: os.stat_result) -> CollectedFile:
    user, group = owner_names(status.st_uid, status.st_gid)
    return CollectedFile(path, real, part, kind, size, digest, status.st_uid, status.st_gid,
                         stat.S_IMODE(status.st_mode), user, group, status.st_mtime)
