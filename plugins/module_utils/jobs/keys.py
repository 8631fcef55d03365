# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as a job: create, rotate, show ids. No result ever holds a key."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Optional

from ..archive.keys import create_key, load_ring, rotate_key
from ..units import iso


@dataclass(frozen=True)
class KeyResult:
    """``key_id`` is the current key's, ``key_ids`` those of the ring, current first; None and () where there is no
    key yet (check mode predicts no id); ``created_at`` is the time of the key file."""

    changed: bool
    action: str
    key_file: str
    key_id: Optional[str]
    key_ids: tuple[str, ...]
    created_at: Optional[str] = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def show(key_file: str) -> KeyResult:
    """The ids of the ring. Raises KeyFileError."""
    ring = load_ring(key_file)
    made = datetime.fromtimestamp(os.stat(key_file).st_mtime, timezone.utc)
    ids = tuple(key.id for key in ring.ordered())
    return KeyResult(False, "none", key_file, ring.current.id, ids, iso(made))


def create(key_file: str, *, check: bool = False) -> KeyResult:
    """Makes a key where there is none; an existing one is read and stays. Raises KeyFileError, DestinationError."""
    if os.path.lexists(key_file):
        return show(key_file)
    if check:
        return KeyResult(True, "created", key_file, None, ())
    create_key(key_file)
    return _changed(show(key_file), "created")


def rotate(key_file: str, *, check: bool = False) -> KeyResult:
    """A new current key; the old one stays in the ring, so that its archives can be read. Raises KeyFileError."""
    before = show(key_file)
    if check:
        return _changed(before, "rotated")
    rotate_key(key_file)
    return _changed(show(key_file), "rotated")


def _changed(result: KeyResult, action: str) -> KeyResult:
    return KeyResult(True, action, result.key_file, result.key_id, result.key_ids, result.created_at)
