# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite's own exclusive lock, taken from outside SQLite, so that nobody begins to use a file that is about to move."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import BusyError, RestoreError
from .locks import PENDING_BYTE, SHARED_BYTES

_FLOCK = "@hhqqi0q"


@contextmanager
def lock_database(path: str) -> Iterator[None]:
    """Holds the pending, reserved and shared bytes of the database file at ``path``, as a writer in exclusive mode
    would (https://www.sqlite.org/lockingv3.html). The lock belongs to the open file description: it follows the
    file when it is renamed, and no other close in this process drops it.

    Raises BusyError when a connection is there (a connection in WAL mode always holds a shared lock), RestoreError
    when the file cannot be opened for writing.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise RestoreError(path, f"the database cannot be locked: {error.strerror}",
                           "Run as root or as its owner; nothing was changed") from error
    try:
        request = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, PENDING_BYTE, 2 + SHARED_BYTES, 0)
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, request)
        except (BlockingIOError, PermissionError):
            raise BusyError(path, "a connection to the database holds a lock on it",
                            "Stop the application, then run again; nothing was changed") from None
        yield
    finally:
        os.close(handle)
