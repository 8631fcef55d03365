# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compressed stream: blocks of 1 MiB of content each, made and unpacked in parallel, and a seal at the end.

What a block and the seal look like is said in ``codecs``. Every block but the last holds 1 MiB.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Executor
from typing import Optional

from ..errors import ArchiveError
from .aead import damaged
from .codecs import (
    BLOCK_BYTES,
    DEFAULT_LEVELS,
    FRAMINGS,
    ROOM_BYTES,
    BlockError,
    Framing,
    compress_block,
    decompress_block,
    framing_of,
    require_zstd,
)
from .streams import Readable, Writable, read_fully
from .workers import OrderedQueue, ReadAhead


class BlockWriter:
    """Compresses what is written to it into ``raw``, which stays open; ``close`` writes the rest and the seal.

    The output depends on content, ``method``, ``level`` and the library, never on ``workers``.
    """

    def __init__(self, raw: Writable, method: str = "gzip", level: Optional[int] = None,
                 workers: Optional[int] = None, *, executor: Optional[Executor] = None) -> None:
        self._raw = raw
        self._framing = framing_of(method)
        self._level = DEFAULT_LEVELS[method] if level is None else level
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
        self._raw.write(self._framing.seal_start + self._digest.digest() + self._framing.seal_end)

    def _send(self) -> None:
        self._queue.submit(compress_block, self._pieces, self._framing.method, self._level)
        self._pieces, self._size = [], 0

    def _deliver(self, block: bytes) -> None:
        self._digest.update(block)
        self._raw.write(block)


class BlockReader:
    """Reads what ``BlockWriter`` wrote; a block's bytes are returned only after its checksums and length were right.

    Blocks are read ahead and unpacked on ``executor`` (None: one after the other, here). Raises ArchiveError for a
    stream that is empty, foreign, truncated, changed, or followed by anything; UsageError without a library for zstd.
    """

    def __init__(self, raw: Readable, *, subject: str = "compressed stream", executor: Optional[Executor] = None,
                 workers: Optional[int] = None) -> None:
        self._raw = raw
        self._subject = subject
        self._digest = hashlib.sha256()
        self._framing: Optional[Framing] = None
        self._block = b""
        self._position = 0
        self._count = 0
        self._blocks = ReadAhead(self._next_body, self._unpack, executor=executor, workers=workers)

    @property
    def method(self) -> Optional[str]:
        """gzip or zstd, as the stream began; None before anything was read."""
        return self._framing.method if self._framing else None

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes (all that remain when negative), none at the end, which is checked."""
        if size < 0:
            pieces = []
            piece = self.read(BLOCK_BYTES)
            while piece:
                pieces.append(piece)
                piece = self.read(BLOCK_BYTES)
            return b"".join(pieces)
        if self._position == len(self._block):
            self._block, self._position = self._blocks.next() or b"", 0
        result = self._block[self._position:self._position + size]
        self._position += len(result)
        return result

    def close(self) -> None:
        """Frees the blocks; nothing can be read any more."""
        self._blocks.close()

    def _next_body(self) -> Optional[tuple[int, bytes]]:
        """Number and body of the next block; None after the seal, which fits."""
        framing = self._framing
        start = read_fully(self._raw, framing.start_bytes if framing else 1)
        if framing is None:
            framing = self._begin(start)
            start += read_fully(self._raw, framing.start_bytes - 1)
        if start == framing.seal_start:
            self._check_seal(framing)
            return None
        if start != framing.block_start:
            raise self._no_block(start, framing)
        size_field = read_fully(self._raw, 4)
        size = int.from_bytes(size_field, "little") + framing.trailer_bytes
        if size > BLOCK_BYTES + ROOM_BYTES:
            raise damaged(self._subject, f"compressed block {self._count} claims an impossible size")
        body = read_fully(self._raw, size)
        if len(size_field) < 4 or len(body) < size:
            raise damaged(self._subject, f"it is truncated within compressed block {self._count}")
        for piece in (start, size_field, body):
            self._digest.update(piece)
        self._count += 1
        return self._count - 1, body

    def _begin(self, start: bytes) -> Framing:
        if not start:
            raise damaged(self._subject, "the file is empty")
        for framing in FRAMINGS:
            if framing.block_start.startswith(start):
                self._framing = framing
                if framing.method == "zstd":
                    require_zstd(self._subject)
                return framing
        raise self._foreign()

    def _no_block(self, start: bytes, framing: Framing) -> ArchiveError:
        if len(start) < framing.start_bytes:
            at = "within its first bytes" if not self._count else "without its end"
            return damaged(self._subject, f"it is truncated: it ends {at}")
        if not self._count:
            return self._foreign()
        return damaged(self._subject, f"the bytes after compressed block {self._count - 1} are not a block")

    def _foreign(self) -> ArchiveError:
        return ArchiveError(self._subject, "this is not an archive of this collection (it does not begin like one), or "
                            "its beginning is damaged", "Correct the name of the archive, or take another one")

    def _unpack(self, numbered: tuple[int, bytes]) -> bytes:
        number, body = numbered
        try:
            return decompress_block(body, self.method or "")
        except BlockError as error:
            raise damaged(self._subject, f"compressed block {number} {error}") from error

    def _check_seal(self, framing: Framing) -> None:
        rest = 32 + len(framing.seal_end)
        seal = read_fully(self._raw, rest)
        if len(seal) < rest:
            raise damaged(self._subject, "it is truncated within its last bytes")
        if seal != self._digest.digest() + framing.seal_end:
            raise damaged(self._subject, "its compressed bytes are not those that were written (the seal differs)")
        if self._raw.read(1):
            raise damaged(self._subject, "bytes follow its end")
