# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compression: gzip members of 1 MiB of input each (RFC 1952), made in parallel, and a seal at the end.

Every member but the last holds 1 byte to 1 MiB of content and has the same ten header bytes. The last
member, the seal, holds no content: its extra field (subfield id ``fm``) is the SHA-256 of all bytes of the
stream before it. gzip's own CRC does not cover headers, padding bits and redundant codes; the seal does, so
that no changed bit passes. ``gunzip`` reads the whole as it is.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from concurrent.futures import Executor
from typing import Optional

from ..errors import ArchiveError
from .aead import Readable, Writable, damaged
from .workers import OrderedQueue

BLOCK_BYTES = 1 << 20
MEMBER_HEADER = bytes.fromhex("1f8b08000000000000ff")
SEAL_HEADER = bytes.fromhex("1f8b08040000000000ff")
SEAL_EXTRA = struct.pack("<H2sH", 36, b"fm", 32)
SEAL_BODY = bytes.fromhex("0300") + bytes(8)
_READ_BYTES = 1 << 18


def compress_block(pieces: list[memoryview], level: int) -> bytes:
    """One gzip member that holds the joined pieces; its bytes depend on nothing else than content and level."""
    content = b"".join(pieces)
    deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(content)
    return b"".join((MEMBER_HEADER, packed, deflate.flush(), struct.pack("<II", zlib.crc32(content), len(content))))


class GzipWriter:
    """Compresses what is written to it into ``raw``, which stays open; ``close`` writes the rest and the seal.

    ``level`` is zlib's, 0 to 9. The output depends on content and level only, never on ``workers``.
    """

    def __init__(self, raw: Writable, level: int = 6, workers: Optional[int] = None, *,
                 executor: Optional[Executor] = None) -> None:
        self._raw = raw
        self._level = level
        self._digest = hashlib.sha256()
        self._queue = OrderedQueue(self._deliver, workers=workers, executor=executor)
        self._pieces: list[memoryview] = []
        self._size = 0

    @property
    def limit(self) -> int:
        """How many blocks may be in flight at once."""
        return self._queue.limit

    @property
    def in_flight(self) -> int:
        """How many blocks are in flight now."""
        return self._queue.in_flight

    def write(self, data: bytes) -> int:
        """Takes all of ``data`` and returns its length."""
        view = memoryview(data if isinstance(data, bytes) else bytes(data))
        while view:
            piece = view[:BLOCK_BYTES - self._size]
            self._pieces.append(piece)
            self._size += len(piece)
            view = view[len(piece):]
            if self._size == BLOCK_BYTES:
                self._send()
        return len(data)

    def close(self) -> None:
        """Writes what is left, and the seal."""
        if self._size:
            self._send()
        self._queue.finish()
        self._raw.write(SEAL_HEADER + SEAL_EXTRA + self._digest.digest() + SEAL_BODY)

    def _send(self) -> None:
        self._queue.submit(compress_block, self._pieces, self._level)
        self._pieces, self._size = [], 0

    def _deliver(self, member: bytes) -> None:
        self._digest.update(member)
        self._raw.write(member)


class GzipReader:
    """Reads what ``GzipWriter`` wrote; a member's bytes are returned only after its CRC and length were right.

    Holds one member (1 MiB) in memory. Raises ArchiveError for a stream that is empty, foreign, truncated,
    changed, or followed by anything.
    """

    def __init__(self, raw: Readable, *, subject: str = "gzip stream") -> None:
        self._raw = raw
        self._subject = subject
        self._input = b""
        self._digest = hashlib.sha256()
        self._block = b""
        self._position = 0
        self._members = 0
        self._sealed = False

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes (all that remain when negative), none at the end, which is checked."""
        if size < 0:
            pieces = []
            piece = self.read(BLOCK_BYTES)
            while piece:
                pieces.append(piece)
                piece = self.read(BLOCK_BYTES)
            return b"".join(pieces)
        if self._position == len(self._block) and not self._sealed:
            self._next_member()
        result = self._block[self._position:self._position + size]
        self._position += len(result)
        return result

    def _next_member(self) -> None:
        header = self._take(len(MEMBER_HEADER))
        self._block, self._position = b"", 0
        if header == MEMBER_HEADER:
            self._digest.update(header)
            self._block = self._inflate()
            self._members += 1
        elif header == SEAL_HEADER:
            self._check_seal()
        elif not self._members:
            self._refuse_beginning(header)
        elif len(header) < len(MEMBER_HEADER):
            raise damaged(self._subject, "it is truncated: its end is missing")
        else:
            raise damaged(self._subject, f"the bytes after compressed block {self._members} are not a block")

    def _refuse_beginning(self, header: bytes) -> None:
        if not header:
            raise damaged(self._subject, "the file is empty")
        if MEMBER_HEADER.startswith(header):
            raise damaged(self._subject, "it is truncated: it ends within its first bytes")
        raise ArchiveError(self._subject, "this is not an archive of this collection (it does not begin like one), or "
                           "its beginning is damaged", "Correct the name of the archive, or take another one")

    def _inflate(self) -> bytes:
        """The content of the member whose header was just read."""
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        pieces: list[bytes] = []
        room = BLOCK_BYTES + 1
        while not inflate.eof:
            chunk = self._input or self._raw.read(_READ_BYTES)
            if not chunk:
                raise damaged(self._subject, f"it is truncated within compressed block {self._members}")
            try:
                piece = inflate.decompress(chunk, room)
            except zlib.error as error:
                raise damaged(self._subject, f"compressed block {self._members} is damaged ({error})") from error
            pieces.append(piece)
            room -= len(piece)
            if not room:
                raise damaged(self._subject, f"compressed block {self._members} holds more than {BLOCK_BYTES} bytes")
            self._input = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            self._digest.update(memoryview(chunk)[:len(chunk) - len(self._input)])
        return self._checked(b"".join(pieces))

    def _checked(self, content: bytes) -> bytes:
        trailer = self._take(8)
        if len(trailer) < 8:
            raise damaged(self._subject, f"it is truncated within compressed block {self._members}")
        self._digest.update(trailer)
        if trailer != struct.pack("<II", zlib.crc32(content), len(content)) or not content:
            raise damaged(self._subject, f"compressed block {self._members} is damaged (checksum or length)")
        return content

    def _check_seal(self) -> None:
        rest = len(SEAL_EXTRA) + 32 + len(SEAL_BODY)
        seal = self._take(rest)
        if len(seal) < rest:
            raise damaged(self._subject, "it is truncated within its last bytes")
        if seal != SEAL_EXTRA + self._digest.digest() + SEAL_BODY:
            raise damaged(self._subject, "its compressed bytes are not those that were written (the seal differs)")
        if self._take(1):
            raise damaged(self._subject, "bytes follow its end")
        self._sealed = True

    def _take(self, count: int) -> bytes:
        """The next ``count`` bytes of the compressed stream, fewer only at its end."""
        while len(self._input) < count:
            chunk = self._raw.read(_READ_BYTES)
            if not chunk:
                break
            self._input += chunk
        result, self._input = self._input[:count], self._input[count:]
        return result
