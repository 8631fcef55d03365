# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that survive a crash: atomic writes, fsync, scratch directories."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Optional

from . import directories
from .errors import from_oserror

SCRATCH_PREFIX = ".maintenance-scratch-"
TEMPORARY_SUFFIX = ".maintenance-tmp"
RESTORE_JOURNAL_SUFFIX = ".restore-journal"
CHUNK_BYTES = 1 << 20
_KEPT_NAME_BYTES = 150
_SHARED_FILESYSTEMS = frozenset((
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "vboxsf", "prl_fs", "drvfs", "ceph", "glusterfs", "afs",
    "lustre", "gpfs", "beegfs", "ocfs2", "gfs2", "coda", "ncpfs"))


def temporary_name(path: str) -> str:
    """A name beside ``path``, of at most 255 bytes, for a file in the making; ``remove_leftovers`` finds it after a
    crash."""
    directory, base = os.path.split(path)
    base = base[:_KEPT_NAME_BYTES]
    while len(os.fsencode(base)) > _KEPT_NAME_BYTES:
        base = base[:-1]
    return os.path.join(directory, f".{base}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def journal_path(path: str) -> str:
    """Where the journal of a restore of the database ``path`` lies while its files are exchanged."""
    directory, base = os.path.split(path)
    return os.path.join(directory, f".{base}{RESTORE_JOURNAL_SUFFIX}")


def fsync_directory(path: str) -> None:
    """Makes the entries of directory ``path`` durable (fsync(2): a rename alone is not)."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def file_beside(path: str, mode: int = 0o600) -> Iterator[tuple[str, BinaryIO]]:
    """The name and the stream of a new file beside ``path``, which is gone at the end unless it was renamed. Raises
    OSError."""
    temporary = temporary_name(path)
    try:
        # Inside the try: a signal may arrive as soon as the file exists.
        with directories.create_file(temporary, mode) as stream:
            _lock(stream.fileno(), fcntl.LOCK_SH)
            yield temporary, stream
    finally:
        if os.path.lexists(temporary):
            directories.unlink(temporary)


def atomic_write(path: str, data: bytes, *, mode: int = 0o600, uid: Optional[int] = None,
                 gid: Optional[int] = None) -> None:
    """Replaces ``path`` by ``data`` wholly or not at all. Raises DestinationError."""
    try:
        with file_beside(path) as (temporary, stream):
            stream.write(data)
            stream.flush()
            if uid is not None or gid is not None:
                os.fchown(stream.fileno(), -1 if uid is None else uid, -1 if gid is None else gid)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
            directories.rename(temporary, path)
        fsync_directory(os.path.dirname(path) or ".")
    except OSError as error:
        raise from_oserror(error, path, "writing the file") from error


def free_bytes(path: str) -> int:
    """Bytes that this user may still write on the file system of ``path`` (which exists)."""
    usage = os.statvfs(path)
    return usage.f_frsize * (usage.f_bfree if os.geteuid() == 0 else usage.f_bavail)


def filesystem_type(path: str) -> str:
    """The type of the file system that holds ``path``, as /proc/self/mountinfo names it (proc(5)); "" if unknown."""
    try:
        device = os.stat(path).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            rows = [line.split() for line in lines]
    except OSError:
        return ""
    real = os.path.realpath(path)
    wanted = f"{os.major(device)}:{os.minor(device)}"
    best, kind = -1, ""
    for row in rows:
        where = row[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        inside = where == "/" or real == where or real.startswith(where + "/")
        if inside and (row[2] == wanted or best < 0) and len(where) >= best:
            best, kind = len(where), row[row.index("-") + 1]
    return kind


def is_shared(kind: str) -> bool:
    """Whether a file system of this type (as mountinfo names it) is a network's, or of another machine."""
    return kind in _SHARED_FILESYSTEMS or kind.startswith("fuse.")


def sha256_file(path: str) -> str:
    """SHA-256 of the file's bytes, hexadecimal. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while True:
            chunk = stream.read(CHUNK_BYTES)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)


@contextmanager
def scratch_directory(parent: str) -> Iterator[str]:
    """A directory of mode 0700 in ``parent``, removed at the end; locked, so that another run does not take it for what
    a killed one left. Raises DestinationError."""
    path, handle = "", None
    try:
        try:
            while handle is None:
                # Inside the try: a signal may arrive as soon as the directory exists.
                path = os.path.join(parent, SCRATCH_PREFIX + secrets.token_hex(8))
                os.mkdir(path, 0o700)
                handle = _locked_directory(path)
        except OSError as error:
            raise from_oserror(error, parent, "creating a scratch directory") from error
        yield path
    finally:
        if path:
            _remove_tree(path)
        if handle is not None:
            os.close(handle)


def _locked_directory(path: str) -> Optional[int]:
    """A handle that holds the lock; None where another run removed the directory before it was locked."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    _lock(handle, fcntl.LOCK_SH)
    if os.path.lexists(path):
        return handle
    os.close(handle)
    return None


def _lock(handle: int, how: int) -> bool:
    """Whether the lock was taken. Where a file system knows none, nobody has one."""
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _remove_tree(path: str) -> None:
    try:
        shutil.rmtree(path, ignore_errors=True)
    except BaseException:
        # A signal came in the middle of it; what lies there is plain data and must not stay.
        shutil.rmtree(path, ignore_errors=True)
        raise


def remove_leftovers(parent: str) -> tuple[str, ...]:
    """Removes scratch directories and temporary files that killed runs left in ``parent``; those of living runs are
    locked.

    Returns the paths that were removed. Raises DestinationError.
    """
    removed = []
    try:
        for entry in sorted(os.scandir(parent), key=lambda e: e.name):
            scratch = entry.name.startswith(SCRATCH_PREFIX) and entry.is_dir(follow_symlinks=False)
            temporary = (entry.name.startswith(".") and entry.name.endswith(TEMPORARY_SUFFIX)
                         and entry.is_file(follow_symlinks=False))
            if (scratch or temporary) and _removed(entry.path, scratch):
                removed.append(entry.path)
    except OSError as error:
        raise from_oserror(error, parent, "removing what a killed run left") from error
    return tuple(removed)


def _removed(path: str, scratch: bool) -> bool:
    """Removes what no living run has locked."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        if not _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
        if scratch:
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        # Its own run has removed it.
        return False
    finally:
        os.close(handle)
    return True
