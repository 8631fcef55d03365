# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing an archive: tar, parallel compression, encryption and a hash of the file, in one pass."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType
from typing import IO, Optional, Union

from ..errors import ArchiveError, InternalError, SourceError, from_oserror
from ..units import Progress
from .aead import EncryptingWriter
from .blocks import BlockWriter
from .digests import DIGESTS_MEMBER, MemberDigest, digest_of, to_lines
from .keys import Key
from .manifest import MANIFEST_LIMIT_BYTES, MANIFEST_MEMBER, FileEntry, Listed, Manifest
from .staging import CHUNK_BYTES, opened, read_chunk, staged
from .tarstream import END, TarHeader, header_bytes, padding_bytes
from .workers import thread_pool, worker_count


@dataclass(frozen=True)
class WrittenArchive:
    """A finished archive: ``size`` in bytes and ``sha256`` of the file as stored, its members, and the names of
    those that are not as the manifest lists them."""

    size: int
    sha256: str
    members: tuple[MemberDigest, ...]
    changed: tuple[str, ...]


class Sink:
    """A file that is written once from the beginning: counts and hashes. Raises DestinationError."""

    def __init__(self, stream: IO[bytes], path: str) -> None:
        self._stream = stream
        self._path = path
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Writes all of ``data``."""
        view = memoryview(data)
        try:
            while view:
                # An unbuffered file may take less than it was given.
                view = view[self._stream.write(view):]
        except OSError as error:
            raise from_oserror(error, self._path, "writing the archive") from error
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def finish(self) -> str:
        """Makes the file durable and returns its SHA-256, hexadecimal."""
        try:
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise from_oserror(error, self._path, "writing the archive") from error
        return self._digest.hexdigest()


class ArchiveWriter:
    """Makes an archive at ``path``, which must not exist (mode 0600), and removes it unless ``finish`` succeeded.

    Databases that the manifest lists with their SHA-256 are not hashed once more: reading the archive back proves what
    is in it.

    ``key`` None: not encrypted. ``method`` and ``level``: as ``codecs`` has them. ``workers``: threads, by default one
    for each processor. ``scratch``: a private directory for files above 4 MiB that may change (by default that of
    ``path``).
    ``add_manifest`` comes first, then every member that it lists, in any order. ``progress`` gets the phase
    "archive", the bytes of all members so far, and the bytes that the manifest lists.

    Raises DestinationError (exists, full, read-only), SourceError (a file that cannot be read, or a snapshot
    that is not as listed), KeyFileError (no ``cryptography``), and InternalError for calls out of order.
    """

    def __init__(self, path: str, *, key: Optional[Key], method: str = "gzip", level: int = 6,
                 workers: Optional[int] = None, scratch: Optional[str] = None) -> None:
        self._path = path
        self._key = key
        self._method = method
        self._level = level
        self._workers = worker_count(workers)
        self._scratch = scratch if scratch is not None else os.path.dirname(os.path.abspath(path))
        self._manifest: Optional[Manifest] = None
        self._listed: dict[str, Listed] = {}
        self._digests: list[MemberDigest] = []
        self._done_bytes = self._total_bytes = 0
        self._finished = False

    def __enter__(self) -> ArchiveWriter:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            handle = os.open(self._path, flags, 0o600)
        except OSError as error:
            raise from_oserror(error, self._path, "creating the archive") from error
        self._stream = os.fdopen(handle, "wb", buffering=0)
        self._executor = thread_pool(self._workers)
        try:
            self._sink = Sink(self._stream, self._path)
            self._encryption = None if self._key is None else EncryptingWriter(
                self._sink, self._key, workers=self._workers, executor=self._executor)
            below: Union[Sink, EncryptingWriter] = self._encryption or self._sink
            self._blocks = BlockWriter(below, self._method, self._level, self._workers, executor=self._executor)
        except BaseException:
            self._close(keep=False)
            raise
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self._close(keep=self._finished and kind is None)
        if kind is None and not self._finished:
            raise InternalError(self._path, "an archive was left unfinished", "Report this as a defect")

    def _close(self, keep: bool) -> None:
        self._executor.shutdown(wait=True)
        self._stream.close()
        if not keep:
            with suppress(FileNotFoundError):
                os.unlink(self._path)

    def add_manifest(self, manifest: Manifest) -> MemberDigest:
        """Writes the first member. The manifest must be valid and say the same of key and level as the writer."""
        if self._manifest is not None:
            raise self._misuse("a second manifest was added")
        data = manifest.to_bytes()
        if len(data) > MANIFEST_LIMIT_BYTES:
            raise SourceError(self._path, f"the list of {len(manifest.files)} files is too long for one archive",
                              "Back up fewer files, or divide them among several applications")
        try:
            valid = Manifest.from_bytes(data, self._path) == manifest
        except ArchiveError as error:
            raise self._misuse(error.cause) from error
        if not valid:
            raise self._misuse("the manifest has fields of other types than it must have")
        key_id = None if self._key is None else self._key.id
        named = (manifest.key_id, manifest.compression["method"], manifest.compression["level"])
        if named != (key_id, self._method, self._level):
            raise self._misuse("the manifest names another key or compression than the writer was given")
        self._manifest, self._listed, self._total_bytes = manifest, manifest.members(), manifest.total_bytes
        return self._add_own(manifest, MANIFEST_MEMBER, data)

    def add_file(self, member: str, source_path: str, *, mode: int, uid: int, gid: int, user: str, group: str,
                 mtime: float, progress: Optional[Progress] = None) -> MemberDigest:
        """Writes a listed file. Databases and their page digests are private and go through as they are; another
        file is staged first, and marked as changed when it is not as listed."""
        listed = self._expect(member, "file")
        header = TarHeader(member, "file", listed.size, mode, uid, gid, user, group, int(mtime))
        if not listed.may_change:
            with opened(source_path) as source:
                if os.fstat(source.fileno()).st_size != listed.size:
                    raise _not_as_listed(source_path)
                return self._copy(header, source, source_path, progress, sha256=listed.sha256)
        with staged(source_path, listed.size, listed.sha256, self._scratch) as content:
            header = TarHeader(member, "file", content.size, mode, uid, gid, user, group, int(mtime))
            return self._copy(header, content.stream, source_path, progress, changed=content.sha256 != listed.sha256)

    def add_directory(self, member: str, *, mode: int, uid: int, gid: int, user: str, group: str,
                      mtime: float) -> MemberDigest:
        """Writes a listed directory."""
        self._expect(member, "directory")
        header = TarHeader(member, "directory", 0, mode, uid, gid, user, group, int(mtime))
        self._blocks.write(header_bytes(header))
        return self._note(digest_of(header, None))

    def mark_vanished(self, member: str) -> MemberDigest:
        """Notes that a listed file of the ``files/`` tree was gone when it was to be added."""
        entry = self._expect(member, "file").entry
        if not isinstance(entry, FileEntry):
            raise self._misuse(f"{member} cannot vanish")
        header = TarHeader(member, "file", 0, entry.mode, entry.uid, entry.gid, entry.user, entry.group, 0)
        return self._note(digest_of(header, None, True))

    def finish(self) -> WrittenArchive:
        """Writes ``digests`` and the ends of all layers, and makes the file durable (fsync)."""
        if self._manifest is None or self._finished:
            raise self._misuse("finish was called without a manifest, or twice")
        if self._listed:
            raise self._misuse(f"the listed member {next(iter(self._listed))} was not added")
        members = tuple(self._digests)
        self._add_own(self._manifest, DIGESTS_MEMBER, to_lines(members))
        self._blocks.write(END)
        self._blocks.close()
        if self._encryption is not None:
            self._encryption.close()
        sha256 = self._sink.finish()
        self._finished = True
        return WrittenArchive(self._sink.size, sha256, members, tuple(m.name for m in members if m.changed))

    def _expect(self, member: str, kind: str) -> Listed:
        listed = self._listed.get(member)
        if listed is None or listed.type != kind:
            raise self._misuse(f"{member} is no {kind} of the manifest, or was added before")
        del self._listed[member]
        return listed

    def _add_own(self, manifest: Manifest, name: str, data: bytes) -> MemberDigest:
        """Writes a member of the archive's own; its time is the manifest's, so that equal content gives equal bytes."""
        created = datetime.strptime(manifest.created_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        header = TarHeader(name, "file", len(data), 0o600, 0, 0, "root", "root", int(created.timestamp()))
        self._blocks.write(header_bytes(header))
        self._blocks.write(data)
        self._blocks.write(padding_bytes(len(data)))
        return self._note(digest_of(header, hashlib.sha256(data).hexdigest()))

    def _copy(self, header: TarHeader, source: IO[bytes], source_path: str, progress: Optional[Progress],
              *, sha256: Optional[str] = None, changed: bool = False) -> MemberDigest:
        """Writes one member; ``sha256`` is that of its content where it is known."""
        self._blocks.write(header_bytes(header))
        digest, left = None if sha256 else hashlib.sha256(), header.size
        while left:
            chunk = read_chunk(source, source_path, min(CHUNK_BYTES, left))
            if not chunk:
                raise _not_as_listed(source_path)
            if digest is not None:
                digest.update(chunk)
            self._blocks.write(chunk)
            left -= len(chunk)
            self._done_bytes += len(chunk)
            if progress is not None:
                progress("archive", self._done_bytes, max(self._total_bytes, self._done_bytes))
        self._blocks.write(padding_bytes(header.size))
        return self._note(digest_of(header, digest.hexdigest() if digest is not None else sha256, changed))

    def _note(self, digest: MemberDigest) -> MemberDigest:
        self._digests.append(digest)
        return digest

    def _misuse(self, cause: str) -> InternalError:
        return InternalError(self._path, cause, "Report this as a defect")


def _not_as_listed(path: str) -> SourceError:
    return SourceError(path, "the snapshot is not what was listed a moment ago",
                       "See that nothing else writes to the scratch directory, then run again")
