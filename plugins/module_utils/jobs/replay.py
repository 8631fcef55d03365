# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases put together from a chain: each page is taken once, from the newest archive that holds it.

The table of page digests of the newest archive says what each page must be. A page of any archive that is not that is
damage, and so is a page that no archive holds.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO, BinaryIO, Optional

from ..archive.digests import MemberDigest
from ..archive.keys import KeyRing
from ..archive.manifest import PAGE_DIGEST_BYTES, PAGE_NUMBER_BYTES, DatabaseEntry
from ..archive.reader import MemberStream, open_archive
from ..archive.streams import read_fully
from ..errors import ArchiveError, from_oserror
from ..files import CHUNK_BYTES
from ..sqlite.digest import content_digest_of_page_1
from ..units import Progress
from .chain import Link, wrong_base

_TABLE_MEMORY_BYTES = 8 << 20


class _Assembler:
    """One database. ``table`` is read at any place; ``sink`` (None: only proven) is written at any place."""

    def __init__(self, archive: str, entry: DatabaseEntry, table: IO[bytes], sink: Optional[BinaryIO]) -> None:
        self._archive = archive
        self._entry = entry
        self._table = table
        self._sink = sink
        self._taken = bytearray(entry.page_count // 8 + 1)
        self._missing = entry.page_count
        self._page_1 = b""

    def take(self, first: int, data: bytes) -> None:
        """Pages from number ``first`` on, as an archive holds them; those that a newer one held are passed over."""
        size, view = self._entry.page_size, memoryview(data)
        count = min(len(data) // size, self._entry.page_count - first + 1)
        self._table.seek((first - 1) * PAGE_DIGEST_BYTES)
        table = self._table.read(count * PAGE_DIGEST_BYTES)
        for begin, end in self._not_taken(first, count):
            digests = [hashlib.sha256(view[at:at + size]).digest()[:PAGE_DIGEST_BYTES]
                       for at in range(begin * size, end * size, size)]
            if b"".join(digests) != table[begin * PAGE_DIGEST_BYTES:end * PAGE_DIGEST_BYTES]:
                raise self._differs(first + begin, digests, table[begin * PAGE_DIGEST_BYTES:])
            self._note(first + begin, first + end)
            if first + begin == 1:
                self._page_1 = content_digest_of_page_1(view[:size])
            self._write(first + begin, view[begin * size:end * size])

    def _not_taken(self, first: int, count: int) -> Iterator[tuple[int, int]]:
        """Runs of pages that no newer archive held, as half-open ranges counted from page ``first``."""
        taken, begun = self._taken, None
        for index in range(count):
            number = first + index
            if not taken[number >> 3] >> (number & 7) & 1:
                begun = index if begun is None else begun
            elif begun is not None:
                yield begun, index
                begun = None
        if begun is not None:
            yield begun, count

    def _note(self, begin: int, end: int) -> None:
        for number in range(begin, end):
            self._taken[number >> 3] |= 1 << (number & 7)
        self._missing -= end - begin

    def _differs(self, first: int, digests: Sequence[bytes], table: bytes) -> ArchiveError:
        number = next(first + index for index, digest in enumerate(digests)
                      if table[index * PAGE_DIGEST_BYTES:(index + 1) * PAGE_DIGEST_BYTES] != digest)
        return ArchiveError(self._archive, f"page {number} of {self._entry.name} is not the one that its table of "
                            "page digests names", "Use another archive")

    def _write(self, number: int, pages: memoryview) -> None:
        if self._sink is not None:
            self._sink.seek((number - 1) * self._entry.page_size)
            while pages:
                # An unbuffered file may take less than it was given.
                pages = pages[self._sink.write(pages):]

    def finish(self) -> None:
        """Raises ArchiveError unless every page was there and the content is what the manifest names."""
        if self._missing:
            raise ArchiveError(self._archive, f"{self._missing} pages of {self._entry.name} are in no archive of its "
                               "chain", "Use another archive")
        content = hashlib.sha256(self._page_1)
        self._table.seek(PAGE_DIGEST_BYTES)
        for piece in iter(lambda: self._table.read(CHUNK_BYTES), b""):
            content.update(piece)
        if content.hexdigest() != self._entry.content_sha256:
            raise ArchiveError(self._archive, f"the content_sha256 of {self._entry.name} is not the one that the "
                               "manifest names", "Use another archive")


def replay(links: Sequence[Link], ring: Optional[KeyRing], sinks: Mapping[str, BinaryIO], *,
           progress: Optional[Progress] = None, check_name: bool = True,
           workers: Optional[int] = None) -> tuple[tuple[MemberDigest, ...], str]:
    """Reads a chain from its newest archive to the full one, all of each, and writes databases to ``sinks`` (by name).

    Returns the proven digests of the newest archive's members, and the SHA-256 of its file. Raises ArchiveError; what
    a sink raises goes through.
    """
    newest = links[0]
    total, done = sum(link.manifest.total_bytes for link in links), 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress("verify", min(done, total), total)

    with ExitStack() as stack:
        tables: dict[str, IO[bytes]] = {}
        assemblers: dict[str, _Assembler] = {}
        for entry in newest.manifest.databases:
            table = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_TABLE_MEMORY_BYTES))
            tables[entry.page_digests] = table
            assemblers[entry.name] = _Assembler(newest.path, entry, table, sinks.get(entry.name))
        proven: list[tuple[tuple[MemberDigest, ...], str]] = []
        for number, link in enumerate(links):
            # The archive above names the SHA-256 of this one's file, which is compared below.
            with open_archive(link.path, ring, check_name=check_name or number > 0, workers=workers,
                              pinned=number > 0) as reader:
                if reader.manifest != link.manifest:
                    raise ArchiveError(link.path, "it was changed while it was read", "Run again")
                numbers: dict[str, IO[bytes]] = {}
                for info, stream in reader.members():
                    about = info.entry
                    if not isinstance(about, DatabaseEntry):
                        continue
                    if info.name == about.page_digests:
                        if number == 0:
                            _copy(stream, tables[info.name])
                    elif info.name == about.page_numbers:
                        numbers[about.name] = stack.enter_context(
                            tempfile.SpooledTemporaryFile(max_size=_TABLE_MEMORY_BYTES))
                        _copy(stream, numbers[about.name])
                    else:
                        for first, pages in _runs(link, about, stream, numbers.get(about.name)):
                            assemblers[about.name].take(first, pages)
                            told(len(pages))
                proven.append((reader.finish(), reader.sha256))
            base = links[number - 1].manifest.base if number else None
            if base is not None and proven[-1][1] != base.sha256:
                raise wrong_base(links[number - 1].path, base)
        for assembler in assemblers.values():
            assembler.finish()
        return proven[0]


def _copy(stream: MemberStream, target: IO[bytes]) -> None:
    """Into a temporary file: no room for it is no damage of the archive."""
    for piece in iter(lambda: stream.read(CHUNK_BYTES), b""):
        try:
            target.write(piece)
        except OSError as error:
            raise from_oserror(error, tempfile.gettempdir(), "keeping a table of pages") from error


def _runs(link: Link, entry: DatabaseEntry, stream: MemberStream,
          numbers: Optional[IO[bytes]]) -> Iterator[tuple[int, bytes]]:
    """The pages of one member: the number of the first, and one or several that follow each other."""
    size = entry.page_size
    at_once = max(1, CHUNK_BYTES // size)
    if link.manifest.base is None:
        first = 1
        for pages in iter(lambda: read_fully(stream, at_once * size), b""):
            yield first, pages
            first += len(pages) // size
        return
    if numbers is None:
        raise ArchiveError(link.path, f"the pages of {entry.name} come before their numbers", "Use another archive")
    numbers.seek(0)
    last = 0
    for data in iter(lambda: numbers.read(at_once * PAGE_NUMBER_BYTES), b""):
        wanted = [int.from_bytes(data[at:at + PAGE_NUMBER_BYTES], "big") for at in range(0, len(data), 4)]
        begun = 0
        for index, number in enumerate(wanted):
            if not last < number <= entry.page_count:
                raise ArchiveError(link.path, f"the page numbers of {entry.name} are not in order",
                                   "Use another archive")
            if index > begun and number != last + 1:
                yield wanted[begun], read_fully(stream, (index - begun) * size)
                begun = index
            last = number
        yield wanted[begun], read_fully(stream, (len(wanted) - begun) * size)


def sized(stream: BinaryIO, size: int) -> BinaryIO:
    """The new file ``stream`` with its final size, so that pages can be written in any order."""
    os.truncate(stream.fileno(), size)
    return stream
