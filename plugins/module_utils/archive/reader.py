# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading an archive: streaming, bounded, and strict. What it says is good was looked at to the last bit."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import IO, Callable, Optional, Union

from ..errors import ArchiveError, InternalError, KeyFileError
from ..units import format_bytes
from .aead import HEADER_BYTES, DecryptingReader, damaged
from .blocks import BlockReader
from .codecs import FRAMINGS, SUFFIXES
from .digests import (
    DIGESTS_LIMIT_BYTES,
    DIGESTS_MEMBER,
    LINE_LIMIT_BYTES,
    MemberDigest,
    digest_of,
    from_lines,
)
from .fields import Invalid
from .keys import KeyRing
from .manifest import MANIFEST_LIMIT_BYTES, MANIFEST_MEMBER, DatabaseEntry, FileEntry, Listed, Manifest
from .staging import GROWTH_LIMIT_BYTES
from .streams import Readable
from .tarstream import TarHeader, TarReader
from .workers import thread_pool, worker_count

_READ_BYTES = 1 << 18
_ENCRYPTED_START = bytes([HEADER_BYTES])
_PLAIN_STARTS = tuple(framing.block_start[:2] for framing in FRAMINGS)
_GONE = frozenset((errno.ENOENT, errno.EISDIR, errno.ENXIO, errno.ELOOP))
"""Nothing is there, or no file (ENXIO: a socket)."""

_BROKEN = frozenset((errno.EIO, errno.EUCLEAN, errno.EBADMSG))
"""The medium, or the file system on it, has lost what was there."""


class UnreadableArchiveError(ArchiveError):
    """An archive that this process cannot read now (rights, limits, memory, a network): nothing is known against it."""


@dataclass(frozen=True)
class MemberInfo:
    """One member: ``type`` "file" or "directory", ``size`` in bytes, ``mtime`` in seconds since the epoch, and what
    the manifest lists about it (for page digests: the entry of their database)."""

    name: str
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    mtime: int
    entry: Union[DatabaseEntry, FileEntry]


class MemberStream:
    """The content of one member, until the next one is asked for; every byte read is hashed."""

    def __init__(self, reader: ArchiveReader, index: int) -> None:
        self._reader = reader
        self._index = index

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes (all that remain when negative), none at the end. Raises ArchiveError."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_READ_BYTES), b""))
        return self._reader.read_member(self._index, size)


class ArchiveReader:
    """An open archive. ``manifest`` was read from its head; ``key_id`` is that of the key that opened it, or None.

    Nothing that ``members`` gives is proven before ``finish`` has returned: it reads what is left, and compares
    everything with the digests, the manifest and the seal. After any error ``finish`` cannot succeed any more.
    Made by ``open_archive``; a context manager. Raises ArchiveError (UnreadableArchiveError, where that tells nothing
    of the archive) and KeyFileError only.
    """

    def __init__(self, path: str, stream: IO[bytes], ring: Optional[KeyRing], check_name: bool,
                 workers: Optional[int] = None, pinned: bool = False) -> None:
        self.path = path
        self._pinned = pinned
        self._stream = stream
        self._workers = worker_count(workers)
        self._executor = thread_pool(self._workers)
        self._broken = True
        self._complete = False
        self._index = 0
        self._current: Optional[tuple[TarHeader, Listed]] = None
        self._hash = hashlib.sha256()
        self._seen: list[MemberDigest] = []
        self._digests: tuple[MemberDigest, ...] = ()
        self._source = _Source(stream, path)
        self._layers: list[Callable[[], None]] = []
        try:
            self._begin(ring, check_name)
        except BaseException:
            self.close()
            raise

    def _begin(self, ring: Optional[KeyRing], check_name: bool) -> None:
        self.key_id, raw = _decrypted(self.path, self._source, ring, check_name, self._executor, self._workers)
        self._blocks = BlockReader(raw, subject=self.path, executor=self._executor, workers=self._workers)
        self._layers += [self._blocks.close, *([raw.close] if isinstance(raw, DecryptingReader) else [])]
        self._tar = TarReader(self._blocks, self.path)
        self.manifest = self._read_manifest()
        self._listed = self.manifest.members()
        self._missing = dict.fromkeys(self._listed)
        self._check_manifest(check_name)
        self._broken = False

    def __enter__(self) -> ArchiveReader:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file, and ends the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        while self._layers:
            self._layers.pop()()
        self._stream.close()

    @property
    def encrypted(self) -> bool:
        """Whether the file is encrypted (and therefore authentic, not only whole)."""
        return self.key_id is not None

    @property
    def sha256(self) -> str:
        """SHA-256 of the file as stored, hexadecimal; of all of it once ``finish`` has returned."""
        return self._source.digest.hexdigest()

    def members(self) -> Iterator[tuple[MemberInfo, MemberStream]]:
        """The members between manifest and digests, in order. What the caller does not read of one is skipped."""
        while not self._complete:
            self._check_usable()
            self._broken = True
            self._current = self._advance()
            self._broken = False
            if self._current is not None:
                header, listed = self._current
                yield MemberInfo(entry=listed.entry, **vars(header)), MemberStream(self, self._index)

    def finish(self) -> tuple[MemberDigest, ...]:
        """Reads the rest, and returns the proven digests of all members (see MemberDigest for changed and vanished
        files) when, and only when, the archive is whole and everything in it is as it was written."""
        for _member in self.members():
            pass
        self._check_usable()
        return self._digests

    def read_member(self, index: int, size: int) -> bytes:
        """For MemberStream: at most ``size`` bytes of member number ``index``, which must be the current one."""
        self._check_usable()
        if index != self._index:
            raise InternalError(self.path, "a member was read after the next one was asked for",
                                "Report this as a defect")
        self._broken = True
        data = self._read(size)
        self._broken = False
        return data

    def _damaged(self, cause: str) -> ArchiveError:
        return damaged(self.path, cause)

    def _check_usable(self) -> None:
        if self._broken:
            raise self._damaged("an error was found in it before")

    def _read(self, size: int) -> bytes:
        data = self._tar.read(size)
        if not self._pinned:
            self._hash.update(data)
        return data

    def _next_header(self) -> Optional[TarHeader]:
        self._hash = hashlib.sha256()
        self._index += 1
        return self._tar.next()

    def _own(self, header: Optional[TarHeader], name: str, limit: int) -> TarHeader:
        """The header again, if it is that of ``name``, one of the archive's own members, of at most ``limit`` bytes."""
        if header is None or header.name != name or header.type != "file":
            raise ArchiveError(self.path, f"the member {name} is not where it must be: this is no archive of this "
                               "collection, or a damaged one", "Correct the name of the archive, or take another one")
        if header.size > limit:
            raise self._damaged(f"its member {name} is larger than {format_bytes(limit)}")
        return header

    def _read_rest(self) -> bytes:
        return b"".join(iter(lambda: self._read(_READ_BYTES), b""))

    def _read_manifest(self) -> Manifest:
        header = self._own(self._next_header(), MANIFEST_MEMBER, MANIFEST_LIMIT_BYTES)
        data = self._read_rest()
        self._end_member(header)
        return Manifest.from_bytes(data, self.path)

    def _check_manifest(self, check_name: bool) -> None:
        manifest = self.manifest
        if manifest.compression["method"] != self._blocks.method:
            raise self._damaged(f"its manifest says that it is compressed by {manifest.compression['method']}, and it "
                                f"is by {self._blocks.method}")
        if manifest.key_id != self.key_id:
            raise self._damaged(f"its manifest says that it is encrypted by key {manifest.key_id or 'none'}, and it "
                                f"is by key {self.key_id or 'none'}")
        if check_name and manifest.name != os.path.basename(self.path):
            raise ArchiveError(self.path, f"it was renamed: its manifest says that it is {manifest.name}",
                               "Give it its name back if you know that it is the archive you want")

    def _advance(self) -> Optional[tuple[TarHeader, Listed]]:
        """Goes to the next member, of which the header is read; None after the last one, when all was compared."""
        if self._current is not None:
            while self._read(_READ_BYTES):
                pass
            self._end_member(*self._current)
        header = self._next_header()
        if header is None:
            raise self._damaged(f"the member {DIGESTS_MEMBER} is missing")
        if header.name == DIGESTS_MEMBER:
            self._finish_members(header)
            return None
        listed = self._listed.get(header.name)
        if listed is None or header.name not in self._missing:
            fault = "a member that its manifest does not list" if listed is None else "a member twice"
            raise self._damaged(f"it contains {fault}: {header.name[:200]}")
        del self._missing[header.name]
        most = listed.size + (GROWTH_LIMIT_BYTES if listed.may_change else 0)
        least = 0 if listed.may_change else listed.size
        if header.type != listed.type or not least <= header.size <= most:
            raise self._damaged(f"its member {header.name[:200]} has another type or size than its manifest lists")
        return header, listed

    def _end_member(self, header: TarHeader, listed: Optional[Listed] = None) -> None:
        sha256 = self._hash.hexdigest() if header.type == "file" and not self._pinned else None
        if listed is not None and not listed.may_change and listed.sha256 not in (None, sha256) and not self._pinned:
            raise self._damaged(f"the content of its member {header.name[:200]} is not what its manifest lists")
        self._seen.append(digest_of(header, sha256))

    def _finish_members(self, header: TarHeader) -> None:
        """Reads ``digests`` and the end, and compares everything."""
        members = len(self._seen) + len(self._missing)
        # Of few members there are few lines, and no need to take in what could be those of very many.
        self._own(header, DIGESTS_MEMBER, min(DIGESTS_LIMIT_BYTES, 2 * members * LINE_LIMIT_BYTES))
        data = self._read_rest()
        if self._tar.next() is not None:
            raise self._damaged(f"a member follows {DIGESTS_MEMBER}, which must be the last")
        try:
            digests = from_lines(data, members)
        except Invalid as error:
            raise self._damaged(f"its member {DIGESTS_MEMBER} is not valid: {error}") from error
        self._compare(digests)
        self._digests = digests
        self._complete = True

    def _compare(self, digests: tuple[MemberDigest, ...]) -> None:
        """Every member has its line, every line its member, and only files marked so differ from the manifest."""
        present = []
        for digest in digests:
            about = self._listed.get(digest.name)
            may_change = about is not None and about.may_change
            if digest.changed and not may_change:
                raise self._damaged(f"its digests call {digest.name[:200]} changed, which cannot change")
            if digest.vanished:
                if digest.name not in self._missing:
                    raise self._damaged(f"its digests call {digest.name[:200]} vanished, and it is there")
                del self._missing[digest.name]
                continue
            if about is not None and may_change and not digest.changed \
                    and (digest.sha256, digest.size) != (about.sha256, about.size):
                raise self._damaged(f"its digests and its manifest disagree about {digest.name[:200]}")
            present.append(replace(digest, changed=False))
        for written, read in zip(present, self._seen):
            if (replace(written, sha256=None) if self._pinned else written) != read:
                raise self._damaged(f"its member {read.name[:200]} is not what its digests say")
        if len(present) != len(self._seen):
            raise self._damaged("its digests list other members than it has")
        if self._missing:
            raise self._damaged(f"the listed member {next(iter(self._missing))[:200]} is missing")


def open_archive(path: str, ring: Optional[KeyRing], *, check_name: bool = True, workers: Optional[int] = None,
                 pinned: bool = False) -> ArchiveReader:
    """Opens an archive and reads its manifest. ``ring``: the keys to try, in order; None when there is none.

    ``check_name`` False allows another file name than the manifest's. ``workers``: threads that decrypt and unpack, by
    default one for each processor. ``pinned``: the caller compares ``sha256`` with one that he trusts before he
    believes anything, so that the content of members is not hashed as well. Raises ArchiveError (missing, empty,
    foreign, damaged, renamed, of a newer version; UnreadableArchiveError) and KeyFileError (encrypted, and no key that
    fits).
    """
    path = os.path.abspath(path)
    return ArchiveReader(path, _open(path), ring, check_name, workers, pinned)


def read_manifest(path: str, ring: Optional[KeyRing], *, check_name: bool = True) -> Manifest:
    """The manifest alone: reads and decrypts only the head of the archive. Errors as ``open_archive``."""
    with open_archive(path, ring, check_name=check_name) as archive:
        return archive.manifest


class _Source:
    """The archive's file, hashed as it is read: an error of the disk is damage, not a traceback."""

    def __init__(self, stream: IO[bytes], path: str) -> None:
        self._stream = stream
        self._path = path
        self._ahead = b""
        self.digest = hashlib.sha256()

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, which ``read`` will give; fewer at the end."""
        while len(self._ahead) < size:
            more = _read_raw(self._stream, self._path, size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead

    def read(self, size: int = -1) -> bytes:
        if self._ahead:
            result, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            result = _read_raw(self._stream, self._path, size)
        self.digest.update(result)
        return result


def _read_raw(stream: IO[bytes], path: str, size: int) -> bytes:
    try:
        return stream.read(size)
    except OSError as error:
        cause = f"it cannot be read: {error.strerror or error}"
        raise (damaged(path, cause) if error.errno in _BROKEN else _unreadable(path, cause)) from error


def _unreadable(path: str, cause: str) -> UnreadableArchiveError:
    return UnreadableArchiveError(path, cause, "This tells nothing of the archive: run again when it has passed, or as "
                                  "a user who may read it")


def _open(path: str) -> IO[bytes]:
    try:
        # O_NONBLOCK: a FIFO must not hang the run.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        cause = f"the archive cannot be opened: {error.strerror}"
        if error.errno in _BROKEN:
            raise damaged(path, cause) from error
        if error.errno in _GONE:
            raise ArchiveError(path, cause, "Correct its path, or take another archive") from error
        raise _unreadable(path, cause) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ArchiveError(path, "it is not a regular file", "Name the file of one archive")
    return os.fdopen(handle, "rb", buffering=0)


def _decrypted(path: str, source: _Source, ring: Optional[KeyRing], check_name: bool, executor: Executor,
               workers: int) -> tuple[Optional[str], Readable]:
    """The key id (None: not encrypted) and the compressed stream."""
    start = source.peek(2)
    if not start:
        raise damaged(path, "the file is empty")
    if start[:1] == _ENCRYPTED_START:
        # One byte is soon met by chance: without this, such damage would pass for a key that does not fit.
        if check_name and path.endswith(tuple(SUFFIXES.values())):
            raise ArchiveError(path, "its beginning is that of an encrypted archive, and its name that of one that is "
                               "not: it was renamed, or is damaged", "Give it its name back, or take another archive")
        if ring is None:
            raise KeyFileError(path, "the archive is encrypted, and no key was given", "Name the key file")
        reader = DecryptingReader(source, ring, subject=path, executor=executor, workers=workers)
        return reader.key.id, reader
    if not any(plain.startswith(start) for plain in _PLAIN_STARTS):
        raise ArchiveError(path, "this is not an archive of this collection, or its beginning is damaged",
                           "Correct the name of the archive, or take another one")
    return None, source
