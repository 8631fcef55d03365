# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the time somebody writes to a live database. The kernel is asked, no lock is taken, and nobody waits."""

from __future__ import annotations

import os
import stat
import time

from .locks import PENDING_BYTE, RESERVED_BYTE, lock_of_others
from .source import SourceFile

WAL_WRITE_BYTE = 120
"""In ``-shm``: whoever writes to a WAL database holds an exclusive lock on it (WAL_WRITE_LOCK of
https://www.sqlite.org/walformat.html#locks)."""


def write_lock_percent(source: SourceFile, samples: int, seconds: float) -> float:
    """The share of ``samples``, spread over ``seconds``, in which another process held SQLite's write lock. Raises
    OSError where the file of the locks cannot be opened; this process must have no connection to the database.

    F_GETLK rather than /proc/locks: that one lists nothing of other containers, and not every file system's device
    numbers there are those of stat(2).
    """
    path, wanted = (source.path + "-shm", (WAL_WRITE_BYTE,)) if source.wal else (
        source.path, (RESERVED_BYTE, PENDING_BYTE))
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        # Nobody has the database open.
        return 0.0
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is not a regular file")
        busy = 0
        for sample in range(samples):
            if sample:
                time.sleep(seconds / samples)
            busy += any(_is_written(handle, byte) for byte in wanted)
    finally:
        os.close(handle)
    return 100.0 * busy / samples


def _is_written(handle: int, byte: int) -> bool:
    lock = lock_of_others(handle, byte, 1)
    return lock is not None and lock.exclusive
