# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One archive of a directory, and the order of several."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Optional

from ..archive.reader import read_manifest
from ..errors import MaintenanceError
from ..units import iso
from .names import ArchiveName
from .sidecar import Sidecar, read_sidecar

if TYPE_CHECKING:
    from ..archive.keys import KeyRing

_FUTURE_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True)
class Entry:
    """An archive as the directory shows it: ``size`` in bytes, ``stamp`` (aware, UTC) from its name.

    ``sequence`` grows with each archive, whatever its kind; None where neither sidecar nor manifest could be read.
    ``base`` is the name of the archive that an increment needs; with the sequence unknown it is unknown, too.
    """

    name: str
    path: str
    application: str
    kind: str
    stamp: datetime
    sequence: Optional[int]
    size: int
    encrypted: bool
    sidecar: Optional[Sidecar]
    base: Optional[str] = None

    @property
    def verified(self) -> bool:
        """Whether its newest verification passed, and judged a file of this size."""
        return self.sidecar is not None and self.sidecar.verification == "passed" and self.sidecar.size == self.size

    @property
    def damaged(self) -> bool:
        """Whether its newest verification failed. An archive that was never judged is neither."""
        return self.sidecar is not None and self.sidecar.verification == "failed"

    def as_dict(self) -> dict[str, Any]:
        """The fields for people and playbooks; ``sidecar`` is a dictionary or None."""
        return {
            "name": self.name,
            "path": self.path,
            "application": self.application,
            "kind": self.kind,
            "stamp": iso(self.stamp),
            "sequence": self.sequence,
            "size_bytes": self.size,
            "encrypted": self.encrypted,
            "verified": self.verified,
            "base": self.base,
            "sidecar": None if self.sidecar is None else self.sidecar.as_dict(),
        }


def read_entry(path: str, name: ArchiveName, ring: Optional[KeyRing]) -> Optional[Entry]:
    """The archive ``path``, or None where it is no regular file (links, directories) or is just gone.

    Without a sidecar its manifest is read for the sequence, when it is plain or ``ring`` is given.
    """
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    sidecar = read_sidecar(path)
    known = (sidecar.sequence, sidecar.base) if sidecar is not None else _told_inside(path, name, ring)
    return Entry(name.name, path, name.application, name.kind, name.stamp, known[0], status.st_size,
                 name.encrypted, sidecar, known[1])


def _told_inside(path: str, name: ArchiveName, ring: Optional[KeyRing]) -> tuple[Optional[int], Optional[str]]:
    """Sequence and base by the archive's own manifest."""
    if name.encrypted and ring is None:
        return None, None
    try:
        manifest = read_manifest(path, ring)
        return manifest.sequence, manifest.base.name if manifest.base else None
    except (MaintenanceError, OSError):
        return None, None  # one damaged archive does not stop a listing; verification names what is wrong with it


def order_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Oldest to newest.

    Within a kind sequences count, because a clock may have gone backwards; an archive without one goes behind
    the last whose stamp is not later than its own. Kinds are merged by stamp, because each once counted for itself.
    """
    kinds: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        kinds.setdefault((entry.application, entry.kind), []).append(entry)
    ordered = [_order_kind(kinds[key]) for key in sorted(kinds)]
    return tuple(heapq.merge(*ordered, key=lambda entry: entry.stamp))


def newest_of_kinds(ordered: Iterable[Entry]) -> list[Entry]:
    """The last of each kind among archives in order, the one with the latest stamp last."""
    newest = {entry.kind: entry for entry in ordered}
    return sorted(newest.values(), key=lambda entry: (entry.stamp, entry.sequence or 0))


def doubt(ordered: Sequence[Entry], chosen: Entry, before: Optional[datetime], now: datetime) -> Optional[str]:
    """Why ``chosen``, the last up to ``before`` by the stamps of several kinds, need not be the one made last; or None.

    Stamps show when a clock was wrong, sequences when archives of another directory were brought here, or were made
    while each kind counted for itself: the choice is certain only where both agree.
    """
    for entry in newest_of_kinds(ordered):
        if entry.stamp - now > _FUTURE_TOLERANCE:
            return f"{entry.name} is from {iso(entry.stamp)}, and the clock says {iso(now)}"
    if chosen.sequence is None:
        return None
    for other in by_sequence(ordered)[::-1]:
        made_after = (other.sequence or 0) > chosen.sequence
        if other is not chosen and made_after != (before is not None and other.stamp > before):
            later, earlier = (other, chosen) if made_after else (chosen, other)
            return f"by its number {later.name} was made after {earlier.name}, by its time before it"
    return None


def by_sequence(entries: Iterable[Entry]) -> list[Entry]:
    """Those whose sequence is known, in its order."""
    known = [(entry.sequence, entry.stamp, entry.name, entry) for entry in entries if entry.sequence is not None]
    return [row[-1] for row in sorted(known, key=lambda row: row[:-1])]


def by_stamp(entries: Iterable[Entry]) -> list[Entry]:
    """Those whose sequence is not known, in the order of their stamps."""
    return sorted((entry for entry in entries if entry.sequence is None), key=lambda entry: (entry.stamp, entry.name))


def _order_kind(entries: list[Entry]) -> list[Entry]:
    known = by_sequence(entries)
    rest = by_stamp(entries)
    earliest_from_here = list(accumulate((entry.stamp for entry in reversed(known)), min))
    ordered: list[Entry] = []
    placed = 0
    for entry, earliest in zip(known, reversed(earliest_from_here)):
        while placed < len(rest) and rest[placed].stamp < earliest:
            ordered.append(rest[placed])
            placed += 1
        ordered.append(entry)
    return ordered + rest[placed:]
