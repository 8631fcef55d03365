# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the newest archive of a kind may stand for today's content. What it holds may have changed and come back, as
it does by a restore: then an archive of another kind that was made in between is newer, and holds something else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

from ..archive.keys import KeyRing
from ..archive.manifest import Manifest
from ..archive.reader import read_manifest
from ..catalog.entries import Entry
from ..errors import MaintenanceError


def newer_and_other(newest: Entry, manifest: Manifest, others: Iterable[Entry], ring: Optional[KeyRing]
                    ) -> Optional[str]:
    """The name of one of ``others`` that is newer than ``newest``, by its number or its time, and does not hold the
    same of what both hold; None: there is none. One that cannot be read counts as such. Raises nothing."""
    mine = _contents(manifest)
    for entry in others:
        if entry.stamp <= newest.stamp and (entry.sequence or 0) <= (newest.sequence or 0):
            continue
        try:
            theirs = _contents(read_manifest(entry.path, ring))
        except MaintenanceError:
            return entry.name
        if any(mine[part] != theirs[part] for part in mine.keys() & theirs.keys()):
            return entry.name
    return None


def _contents(manifest: Manifest) -> dict[str, Any]:
    """By part, what an archive holds of it, in a form that can be compared."""
    found: dict[str, Any] = {}
    for database in manifest.databases:
        found.setdefault("databases", set()).add((database.name, database.source, database.content_sha256))
    for file in manifest.files:
        found.setdefault(file.part, set()).add((file.path, file.type, file.sha256, file.mode, file.user, file.group))
    return found
