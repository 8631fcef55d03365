# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time in a directory of archives: flock(2), which the kernel releases when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Optional

from ..archive import fields
from ..errors import BusyError, DestinationError, MaintenanceError, from_oserror, printable
from ..files import filesystem_type, is_shared
from ..owners import owner_names
from ..units import format_seconds, iso, utc_now
from .records import dump, load

CATALOG_LOCK = ".maintenance.lock"
STATUS_LOCK = ".maintenance-status.lock"
STATUS_TIMEOUT_SECONDS = 10.0

_POLL_SECONDS = 0.05
_COMMAND_CHARACTERS = 200


@contextmanager
def catalog_lock(directory: str, *, timeout_seconds: float = 0.0) -> Iterator[None]:
    """Holds ``<directory>/.maintenance.lock``, waiting for it up to ``timeout_seconds``.

    Raises BusyError, which names the holder's process, command and start; DestinationError where the directory
    is missing, not a directory, or cannot be written. The lock file stays: removing it would split the lock.
    """
    with _held(directory, CATALOG_LOCK, timeout_seconds):
        yield


@contextmanager
def status_lock(directory: str) -> Iterator[None]:
    """Guards the milliseconds in which a status record is read, changed and written; errors as above."""
    with _held(directory, STATUS_LOCK, STATUS_TIMEOUT_SECONDS):
        yield


def require_directory(directory: str) -> None:
    """Raises DestinationError unless ``directory`` is an existing directory (or a link to one)."""
    try:
        mode = os.stat(directory).st_mode
    except FileNotFoundError:
        raise DestinationError(directory, "the directory of the archives does not exist",
                               "Create it, mount what belongs there, or correct the path") from None
    except NotADirectoryError:
        mode = 0
    except OSError as error:
        raise from_oserror(error, directory, "looking for the directory of the archives") from error
    if not stat.S_ISDIR(mode):
        raise DestinationError(directory, "this is not a directory", "Correct the path of the archives' directory")


def require_safe(directory: str) -> None:
    """Raises DestinationError where users other than root and this one may exchange what lies in ``directory``: they
    could put another file in the place of one that is about to be written, and remove every archive."""
    status = os.stat(directory)
    mode, user = stat.S_IMODE(status.st_mode), owner_names(status.st_uid, status.st_gid)[0]
    if status.st_uid not in (0, os.geteuid()) and not is_shared(filesystem_type(directory)):
        raise DestinationError(directory, f"it belongs to {user}, who may exchange and remove what lies in it",
                               f"Run 'chown {owner_names(os.geteuid(), 0)[0]}' on it, then run again")
    if mode & stat.S_ISVTX:
        return
    if mode & stat.S_IWOTH:
        who = "every user of this host"
    elif mode & stat.S_IWGRP and not _is_private_group(status):
        who = f"the group {owner_names(status.st_uid, status.st_gid)[1]}"
    else:
        return
    raise DestinationError(directory, f"{who} may exchange and remove what lies in this directory (mode {mode:04o})",
                           "Run 'chmod go-w' on it, then run again")


def _is_private_group(status: os.stat_result) -> bool:
    """Whether the group has the name of the directory's owner and no further member, as Debian makes one for each."""
    user, group = owner_names(status.st_uid, status.st_gid)
    try:
        members = grp.getgrgid(status.st_gid).gr_mem
    except KeyError:
        return False
    return user == group and set(members) <= {user}


@contextmanager
def _held(directory: str, base: str, timeout_seconds: float) -> Iterator[None]:
    directory = os.path.abspath(directory)
    require_directory(directory)
    _require_writable(directory)
    path = os.path.join(directory, base)
    handle = _acquire(path, timeout_seconds)
    try:
        _describe_holder(handle)
        yield
    finally:
        _write_quietly(handle, b"")
        os.close(handle)


def _require_writable(directory: str) -> None:
    # An old lock file of ours could be opened even where nothing new may be made.
    if os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
        return
    read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
    error = OSError(errno.EROFS if read_only else errno.EACCES, "")
    raise from_oserror(error, directory, "taking the lock")


def _acquire(path: str, timeout_seconds: float) -> int:
    """An open descriptor that holds the lock."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, handle):
                return handle
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(handle)
                raise _busy(path, timeout_seconds) from None
            time.sleep(_POLL_SECONDS)
        except OSError as error:
            os.close(handle)
            raise from_oserror(error, path, "taking the lock") from error
        os.close(handle)


def _open(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise _not_ours(path) from None
        raise from_oserror(error, path, "taking the lock") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        # The holder writes its name into it: not into a file of somebody else's that was given this name as well.
        os.close(handle)
        raise _not_ours(path)
    return handle


def _is_still(path: str, handle: int) -> bool:
    """Whether ``path`` names the file that was locked: somebody may have removed it between open and flock."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(handle))


def _not_ours(path: str) -> MaintenanceError:
    return DestinationError(path, "what lies in the place of the lock file is not a regular file of that name alone",
                            "Find out who put it there, remove it, then run again")


def _describe_holder(handle: int) -> None:
    command = " ".join([os.path.basename(sys.argv[0]) or "python", *sys.argv[1:]])
    command = printable(command)[:_COMMAND_CHARACTERS]
    _write_quietly(handle, dump({"pid": os.getpid(), "command": command, "started_at": iso(utc_now())}))


def _write_quietly(handle: int, data: bytes) -> None:
    # Only a service to whoever waits: on a full disk the run must still be able to prune.
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, data, 0)
    except OSError:
        pass


def _busy(path: str, timeout_seconds: float) -> BusyError:
    waited = f" (waited {format_seconds(timeout_seconds)})" if timeout_seconds > 0 else ""
    holder = _holder(path) or "another run"
    return BusyError(path, f"{holder} holds the lock of this directory{waited}",
                     "Wait until it has finished, or find out why it hangs and stop it, then run again")


def _holder(path: str) -> Optional[str]:
    """Process, command and start of the holder; None where the file does not tell, or tells of a dead one."""
    try:
        record = load(path)
        pid, command = record.take("pid", fields.integer(1, 2**31 - 1)), record.take("command", fields.text)
        started = record.take("started_at", fields.instant)
    except ValueError:
        return None
    if not os.path.isdir(f"/proc/{pid}"):
        return None
    return f"process {pid} ({printable(command)}), started {started},"
