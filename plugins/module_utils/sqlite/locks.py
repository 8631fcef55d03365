# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who locks a byte of a file: POSIX record locks, which is what SQLite uses (https://www.sqlite.org/lockingv3.html)."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from typing import Optional

PENDING_BYTE = 0x40000000
RESERVED_BYTE = PENDING_BYTE + 1
SHARED_FIRST = PENDING_BYTE + 2
SHARED_BYTES = 510
WAL_CONNECTION_BYTE = 128
"""In ``-shm``: every live connection of a WAL database holds a shared lock on it (UNIX_SHM_DMS in os_unix.c)."""

_FLOCK = "@hhqqi0q"


@dataclass(frozen=True)
class Lock:
    """``pid`` is None when the holder is invisible here (another PID namespace, or an open file description lock)."""

    exclusive: bool
    pid: Optional[int]


def lock_of_others(handle: int, start: int, length: int) -> Optional[Lock]:
    """The first lock that another process holds within ``length`` bytes from ``start``; None when there is none.

    F_GETLK and not its open-file-description twin: that one also reports the locks of this very process, and
    only the first lock found, so that an own lock could hide a foreign one. Raises OSError.
    """
    query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _whence, _start, _length, pid = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, query))
    if kind == fcntl.F_UNLCK:
        return None
    return Lock(kind == fcntl.F_WRLCK, pid if pid > 0 else None)
