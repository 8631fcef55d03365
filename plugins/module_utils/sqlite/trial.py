# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scratch copy opened as the application would open it: locks, sidecars and a write."""

from __future__ import annotations

import os
import sqlite3

from ..errors import DestinationError
from ..files import free_bytes
from .connect import uri

ROOM_BYTES = 128 << 10
"""What one transaction takes beside the copy: 32 KiB of -shm and a few pages of -wal."""


def write_trial(path: str, *, journal_mode: str) -> tuple[str, ...]:
    """Writes one transaction to the scratch copy at ``path``, which is changed by it. Returns the problems: SQLite
    refused, or the journal mode is not ``journal_mode``. Raises DestinationError where the disk is full."""
    try:
        connection = sqlite3.connect(uri(path, "mode=rw"), uri=True, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema=OFF")
            mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
            connection.execute("BEGIN IMMEDIATE")
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            connection.execute(f"PRAGMA user_version = {version ^ 1}")
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.Error as error:
        # Without room for -shm SQLite reports an I/O error, for the log that the disk is full.
        if "full" in str(error) or free_bytes(os.path.dirname(path)) < ROOM_BYTES:
            raise DestinationError(os.path.dirname(path), "no space is left on the device for a write to the copy",
                                   "Free some space there, or name a scratch directory with more room") from error
        return (f"a write to the restored copy failed: {error}",)
    return () if mode == journal_mode else (f"its journal mode is {mode} and was {journal_mode}",)
