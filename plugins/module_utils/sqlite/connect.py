# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that trust nothing of what is in the database, and SQLite's errors in our words."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import IO, Optional
from urllib.parse import quote

from ..errors import BusyError, DestinationError, MaintenanceError, SourceError
from ..units import format_seconds

_PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "mmap_size = 0", "temp_store = MEMORY")
_ENABLE_LOAD_EXTENSION, _DEFENSIVE = 1005, 1010
"""Options of sqlite3_db_config (https://www.sqlite.org/c3ref/c_dbconfig_defensive.html)."""


def uri(path: str, parameters: str) -> str:
    """``path`` as a URI of SQLite (https://www.sqlite.org/uri.html), whatever characters are in it."""
    return f"file:{quote(os.fsencode(os.path.abspath(path)))}?{parameters}"


def connect(address: str, busy_timeout_seconds: float, *, defensive: bool = True) -> sqlite3.Connection:
    """A hardened connection in autocommit mode (https://www.sqlite.org/security.html). Raises sqlite3.Error.

    Views and triggers of the database are never run: they are code of whoever wrote the file. Text that is not
    UTF-8 comes with surrogate escapes. Without ``defensive`` the journal may be switched off.
    """
    connection = sqlite3.connect(address, timeout=busy_timeout_seconds, isolation_level=None, uri=True)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    set_config = getattr(connection, "setconfig", None)
    if set_config is not None:
        # Python 3.12 and later.
        set_config(_ENABLE_LOAD_EXTENSION, False)
        set_config(_DEFENSIVE, defensive)
    connection.text_factory = _text
    connection.set_authorizer(_refuse_foreign_code)
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _refuse_foreign_code(_action: int, _first: Optional[str], _second: Optional[str], _database: Optional[str],
                         view_or_trigger: Optional[str]) -> int:
    return sqlite3.SQLITE_OK if view_or_trigger is None else sqlite3.SQLITE_DENY


def connect_to(stream: IO[bytes], path: str) -> sqlite3.Connection:
    """A connection that may write to the file of ``stream``, which was just made at ``path``. SQLite takes paths only,
    and who may rename a directory on the way could have put another file there: then DestinationError is raised. Raises
    sqlite3.Error as well."""
    connection = connect(uri(path, "mode=rw"), 0.0, defensive=False)
    if _is_open_twice(stream):
        return connection
    connection.close()
    raise DestinationError(path, "another file took the place of the one that was just made",
                           "Find out who may rename directories there, then run again")


def _is_open_twice(stream: IO[bytes]) -> bool:
    wanted, own = os.fstat(stream.fileno()), str(stream.fileno())
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if name != own and os.path.samestat(os.fstat(int(name)), wanted):
                return True
    return False


def translate(error: sqlite3.Error, path: str, busy_timeout_seconds: float) -> MaintenanceError:
    """The error that names ``path``, cause and next step. By message: Python tells SQLite's codes from 3.11 on only."""
    text = str(error)
    if "locked" in text or "locking protocol" in text:
        return BusyError(path, f"another process kept the database locked for {format_seconds(busy_timeout_seconds)}",
                         "Find it with 'fuser' or 'lsof', let it finish, then run again")
    if "readonly" in text and os.path.lexists(path + "-journal"):
        return SourceError(path, "an interrupted transaction must be rolled back before it can be read, which a reader"
                           " may not do", "Start the application once, then run again")
    if "unable to open" in text or "readonly" in text:
        return SourceError(path, "it cannot be opened: a reader of a database in WAL mode must be able to use or create"
                           " -wal and -shm beside it, and the directory or file system does not allow that",
                           "Run as its owner or as root, and mount the file system read-write")
    if "not a database" in text or "malformed" in text or "unsupported file format" in text:
        return SourceError(path, f"the database is damaged or encrypted ({text})",
                           "Restore the newest good archive, or repair it with the '.recover' command of sqlite3")
    return SourceError(path, f"SQLite reports: {text}", "Look at the kernel log and the disk, then run again")
