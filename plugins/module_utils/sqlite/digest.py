# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of a database: of the file, of each page, and of the content whatever the change counters say."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import IO, Optional, Union

from ..directories import create_file
from ..errors import SourceError, from_oserror
from ..units import Progress
from .header import HEADER_BYTES, parse_header

PAGE_DIGEST_BYTES = 16
_VOLATILE = ((24, 28), (40, 44), (92, 100))
"""Bytes of page 1 that differ between snapshots of equal content: change counter, schema cookie,
version-valid-for number and the version that wrote last (https://www.sqlite.org/fileformat2.html, section 1.3)."""
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class DatabaseDigests:
    """``size`` and ``page_size`` in bytes; digests hexadecimal. ``sha256`` is of the file, empty where only pages were
    digested; ``content_sha256`` is SHA-256 over the 16-byte page digests in page order, page 1 taken with its change
    counters zeroed."""

    size: int
    page_size: int
    page_count: int
    sha256: str
    content_sha256: str


class DatabaseDigester:
    """Digests a database that passes by in pieces of any size.

    ``subject`` is named in errors; ``page_table`` receives the raw table: for each page, in order, the first 16 bytes
    of its SHA-256 (page 1 as it is). The digest of the file is left out.
    """

    def __init__(self, subject: str = "the database", page_table: Optional[IO[bytes]] = None) -> None:
        self._subject = subject
        self._page_table = page_table
        self._content = hashlib.sha256()
        self._size = 0
        self._page_size = 0
        self._rest = bytearray()
        self._error: Optional[SourceError] = None
        self._begun = False

    def update(self, data: Union[bytes, bytearray, memoryview]) -> None:
        """Takes the next bytes. Never raises about them: ``finish`` does. The page table may raise OSError."""
        self._size += len(data)
        if self._error is not None:
            return
        if self._rest or not self._page_size:
            self._rest += data
            data = self._rest
            if not self._page_size and not self._begin(data):
                return
        with memoryview(data) as view:
            end = len(view) - len(view) % self._page_size
            if end:
                self._take_pages(view[:end])
            rest = bytearray(view[end:]) if end or data is not self._rest else self._rest
        self._rest = rest

    def finish(self) -> DatabaseDigests:
        """The digests. Raises SourceError when what passed by was not a database of whole pages."""
        if not self._page_size and self._error is None:
            parse_header(bytes(self._rest), self._subject)
        if self._error is not None:
            raise self._error
        if self._rest:
            raise SourceError(self._subject, f"it ends within a page: {self._size} bytes are not a multiple of the page"
                              f" size, {self._page_size}", "Restore another archive, or take a new snapshot")
        return DatabaseDigests(self._size, self._page_size, self._size // self._page_size, "",
                               self._content.hexdigest())

    def _begin(self, data: Union[bytes, bytearray, memoryview]) -> bool:
        if len(data) < HEADER_BYTES:
            return False
        try:
            self._page_size = parse_header(bytes(data[:HEADER_BYTES]), self._subject).page_size
        except SourceError as error:
            self._error = error
            self._rest = bytearray()
        return self._error is None

    def _take_pages(self, view: memoryview) -> None:
        size, sha256 = self._page_size, hashlib.sha256
        table = b"".join([sha256(view[at:at + size]).digest()[:PAGE_DIGEST_BYTES] for at in range(0, len(view), size)])
        if self._page_table is not None:
            self._page_table.write(table)
        if not self._begun:
            self._begun = True
            table = content_digest_of_page_1(view[:size]) + table[PAGE_DIGEST_BYTES:]
        self._content.update(table)


def digest_database(path: str, page_digests_path: Optional[str] = None,
                    progress: Optional[Progress] = None) -> DatabaseDigests:
    """Digests the file at ``path``, which nobody writes to; calls ``progress("digest", bytes, bytes)``.

    ``page_digests_path`` is created (0600, never overwritten) and receives the page table. Raises SourceError, and
    DestinationError for the table.
    """
    if page_digests_path is None:
        return _digest_file(path, None, progress)
    try:
        with create_file(page_digests_path, buffering=_READ_BYTES) as table:
            return _digest_file(path, table, progress)
    except OSError as error:
        raise from_oserror(error, page_digests_path, "writing the table of page digests") from error


def _digest_file(path: str, table: Optional[IO[bytes]], progress: Optional[Progress]) -> DatabaseDigests:
    digester, whole, done = DatabaseDigester(path, table), hashlib.sha256(), 0
    with ThreadPoolExecutor(max_workers=1) as other:
        hashed: Optional[Future[None]] = None
        for total, piece in _pieces(path):
            if hashed is not None:
                hashed.result()
            hashed = other.submit(whole.update, piece)
            digester.update(piece)
            done += len(piece)
            if progress is not None:
                progress("digest", done, total)
    return replace(digester.finish(), sha256=whole.hexdigest())


def _pieces(path: str) -> Iterator[tuple[int, memoryview]]:
    """The size of the file and its next bytes: two buffers in turn, so that a piece stands until the next but one."""
    try:
        with open(path, "rb", buffering=0) as stream:
            buffers = [memoryview(bytearray(_READ_BYTES)) for _turn in range(2)]
            total, turn = os.fstat(stream.fileno()).st_size, 0
            count = stream.readinto(buffers[turn])
            while count:
                yield total, buffers[turn][:count]
                turn = 1 - turn
                count = stream.readinto(buffers[turn])
    except OSError as error:
        raise SourceError(path, f"it cannot be read: {error.strerror}", "Look at the path and the disk") from error


def content_digest_of_page_1(page: memoryview) -> bytes:
    """The page digest of page 1 with its change counters zeroed."""
    content = bytearray(page)
    for begin, end in _VOLATILE:
        content[begin:end] = bytes(end - begin)
    return hashlib.sha256(content).digest()[:PAGE_DIGEST_BYTES]
