# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a backup can be an increment, on which archive, and which pages it holds."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Optional

from ..archive.keys import KeyRing
from ..archive.manifest import PAGE_DIGEST_BYTES, PAGE_NUMBER_BYTES, Base
from ..catalog.catalog import Entry
from ..errors import ArchiveError, KeyFileError, from_oserror
from ..files import CHUNK_BYTES, sha256_file
from ..sqlite.snapshot import Snapshot
from .chain import Link, extract_tables, read_chain

STRATEGIES = ("full", "differential", "incremental")
MOST_CHANGED = 0.5
"""Where a larger share of the pages changed, an increment saves too little for what a longer chain costs."""
_PAGES_AT_ONCE = CHUNK_BYTES // PAGE_DIGEST_BYTES


@dataclass(frozen=True)
class ChangedPages:
    """The pages of one database that differ from the base: paths of their numbers and of their content."""

    count: int
    numbers_path: str
    pages_path: str


@dataclass(frozen=True)
class Increment:
    """What an increment is made on, and the changed pages by database name."""

    base: Base
    changed: dict[str, ChangedPages]


class NotIncremental(Exception):
    """Why a full archive is made instead; the text goes into its manifest."""


def make_increment(entries: Sequence[Entry], snapshots: Sequence[Snapshot], ring: Optional[KeyRing], *, strategy: str,
                   chain_limit: int, scratch: str) -> Increment:
    """The increment on the newest of ``entries`` (incremental) or on its full archive (differential).

    ``chain_limit`` is the number of archives from one full archive to the next, the full one included. Every archive
    of the chain is compared with its SHA-256 as it was when it was verified; tables of page digests are compared with
    those of ``snapshots``, and the changed pages are copied into ``scratch``. Raises NotIncremental; DestinationError
    where scratch is full.
    """
    if not entries:
        raise NotIncremental("there is no archive that it could be based on")
    try:
        links = read_chain(entries[-1].path, ring)
        _demand_sound(links, entries, ring)
        _demand_fit(links[0], snapshots)
        base = links[0] if strategy == "incremental" else links[-1]
        position = links[0].manifest.base.position + 1 if links[0].manifest.base else 1
        if position >= chain_limit:
            raise NotIncremental(f"the chain of {links[-1].manifest.name} has reached its {chain_limit} archives")
        extract_tables(base, ring, os.path.join(scratch, "base"))
    except (ArchiveError, KeyFileError) as error:
        raise NotIncremental(f"{entries[-1].name} cannot be a base: {error.cause}") from error
    changed = {}
    for taken in snapshots:
        table = os.path.join(scratch, "base", "page-digests", taken.name)
        try:
            changed[taken.name] = _changed_pages(taken, table, scratch)
        except OSError as error:
            raise from_oserror(error, scratch, "collecting the changed pages") from error
    digest = sha256_of(base, links, entries)
    return Increment(Base(base.manifest.name, base.manifest.sequence, digest, position), changed)


def sha256_of(link: Link, links: Sequence[Link], entries: Sequence[Entry]) -> str:
    """The SHA-256 of an archive of the chain as it was when it was verified: the manifest of the next one names it,
    for the newest its sidecar. Raises NotIncremental when there is none."""
    place = links.index(link)
    above = links[place - 1].manifest.base if place else None
    if above is not None:
        return above.sha256
    newest = entries[-1]
    if newest.sidecar is None or not newest.verified:
        raise NotIncremental(f"{newest.name} was not verified")
    return newest.sidecar.sha256


def _demand_sound(links: Sequence[Link], entries: Sequence[Entry], ring: Optional[KeyRing]) -> None:
    damaged = {entry.name for entry in entries if entry.damaged}
    key_id = ring.current.id if ring else None
    for link in links:
        if link.manifest.name in damaged:
            raise NotIncremental(f"{link.manifest.name} did not pass its last verification")
        if link.manifest.key_id != key_id:
            raise NotIncremental(f"the key of {link.manifest.name} is not the current one")
        if sha256_file(link.path) != sha256_of(link, links, entries):
            raise NotIncremental(f"{link.manifest.name} is not as it was when it was verified")


def _demand_fit(newest: Link, snapshots: Sequence[Snapshot]) -> None:
    before = [(d.name, d.source) for d in newest.manifest.databases]
    if before != [(taken.name, taken.source.path) for taken in snapshots]:
        raise NotIncremental(f"{newest.manifest.name} holds other databases")
    for database, taken in zip(newest.manifest.databases, snapshots):
        if database.page_size != taken.digests.page_size:
            raise NotIncremental(f"the page size of {taken.source.path} changed from {database.page_size} to "
                                 f"{taken.digests.page_size} bytes")


def _changed_pages(taken: Snapshot, base_table: str, scratch: str) -> ChangedPages:
    paths = [os.path.join(scratch, part, taken.name) for part in ("page-numbers", "pages")]
    for path in paths:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    size, count = taken.digests.page_size, 0
    most = int(taken.digests.page_count * MOST_CHANGED)
    with open(paths[0], "xb") as numbers, open(paths[1], "xb") as pages, open(taken.path, "rb") as source, \
            open(base_table, "rb") as old, open(taken.page_digests_path, "rb") as new:
        for first, run in _runs(_differences(old, new)):
            count += run
            if count > most:
                raise NotIncremental(f"more than {MOST_CHANGED:.0%} of the pages of {taken.source.path} changed")
            numbers.write(b"".join(number.to_bytes(PAGE_NUMBER_BYTES, "big") for number in range(first, first + run)))
            source.seek((first - 1) * size)
            _copy(source, pages, run * size)
    return ChangedPages(count, paths[0], paths[1])


def _differences(old: IO[bytes], new: IO[bytes]) -> Iterator[int]:
    """Numbers of the pages whose digests differ, those that only ``new`` has included."""
    first = 1
    for wanted in iter(lambda: new.read(CHUNK_BYTES), b""):
        found = old.read(len(wanted))
        if found != wanted:
            for at in range(0, len(wanted), PAGE_DIGEST_BYTES):
                if found[at:at + PAGE_DIGEST_BYTES] != wanted[at:at + PAGE_DIGEST_BYTES]:
                    yield first + at // PAGE_DIGEST_BYTES
        first += _PAGES_AT_ONCE


def _runs(numbers: Iterator[int]) -> Iterator[tuple[int, int]]:
    """First number and length of each run of numbers that follow each other."""
    first = length = 0
    for number in numbers:
        if length and number == first + length:
            length += 1
            continue
        if length:
            yield first, length
        first, length = number, 1
    if length:
        yield first, length


def _copy(source: IO[bytes], target: IO[bytes], count: int) -> None:
    while count:
        piece = source.read(min(CHUNK_BYTES, count))
        if not piece:
            raise OSError(errno.EIO, "the snapshot is shorter than its table of page digests")
        target.write(piece)
        count -= len(piece)
