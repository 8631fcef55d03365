# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live database: what it is, and how it is opened without harm to it or to its application.

No function here may be called while this process itself has a connection to the same database, unless the
function made it: closing any descriptor of a file drops all POSIX locks that the process holds on it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Optional

from ..directories import ForeignLinkError, resolve
from ..errors import BusyError, MaintenanceError, SourceError
from ..files import filesystem_type, is_shared, journal_path
from ..owners import acting_as, owner_names
from .connect import connect, translate, uri
from .header import HEADER_BYTES, Header, parse_header
from .locks import RESERVED_BYTE, lock_of_others

__all__ = ["SIDECARS", "SourceFile", "examine", "file_size", "filesystem_warning", "open_private", "open_reader"]

SIDECARS = ("-wal", "-shm", "-journal")
_RESTORE_SECONDS = 5.0
_LOOKS = 3
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class SourceFile:
    """A database file as it lies on disk. Sizes in bytes; ``path`` is real (no symlink), ``requested`` as it was given.

    ``header_pages`` is the page count of the header (of the file's size where the header has none); ``mode`` holds the
    permission bits; ``wal_bytes`` is 0 without a write-ahead log; ``identity`` is its device and inode.
    """

    path: str
    requested: str
    size: int
    page_size: int
    header_pages: int
    wal: bool
    wal_bytes: int
    uid: int
    gid: int
    mode: int
    user: str
    group: str
    filesystem: str
    identity: tuple[int, int]
    warnings: tuple[str, ...] = ()


def examine(path: str) -> SourceFile:
    """What is at ``path``, without opening it as a database; nothing is ever created.

    Raises SourceError for whatever cannot be backed up as it lies there: missing, not a regular file, unreadable,
    empty, encrypted or foreign, cut off, with a second hard link, or with an interrupted transaction beside it.
    BusyError where a restore is at work, or was interrupted and has not been ended.
    """
    if not path or "\0" in path:
        raise SourceError(repr(path), "this cannot be the path of a file", "Correct the path")
    until = time.monotonic() + _RESTORE_SECONDS
    again = True
    while True:
        _await_restore(path, until)
        try:
            return _examine(path)
        except SourceError:
            # The renames of a restore may have begun after the look for it, and have ended before this one.
            if not again and not os.path.lexists(journal_path(os.path.realpath(path))):
                raise
            again = False


def _await_restore(path: str, until: float) -> None:
    journal = journal_path(os.path.realpath(path))
    while os.path.lexists(journal):
        if time.monotonic() >= until:
            raise _restored_meanwhile(path)
        time.sleep(_LOOK_SECONDS)


def _restored_meanwhile(path: str) -> BusyError:
    return BusyError(path, "a restore exchanges its files, or was interrupted in doing so",
                     "Wait until it has ended, or run the same restore again to end it, then run again")


def _examine(path: str) -> SourceFile:
    real = _real_path(path)
    status = _status(real, path)
    if status.st_nlink > 1:
        raise SourceError(real, f"the file has {status.st_nlink} hard links, and SQLite finds the write-ahead log by"
                          " name: rows may be in a log beside another one",
                          "Leave it a single name (find the others with 'find -samefile'), then run again")
    handle = _open(real, status)
    try:
        header = parse_header(os.pread(handle, HEADER_BYTES, 0), real)
        _look_again(lambda: _shortfall(handle, real))
        _look_again(lambda: _hot_journal(handle, real))
    except OSError as error:
        raise SourceError(real, f"it cannot be read: {error.strerror}", "Look at the disk, then run again") from error
    finally:
        os.close(handle)
    user, group = owner_names(status.st_uid, status.st_gid)
    filesystem = filesystem_type(real)
    warning = filesystem_warning(filesystem)
    return SourceFile(
        path=real, requested=path, size=status.st_size, page_size=header.page_size,
        header_pages=_pages(header, status.st_size), wal=header.wal, wal_bytes=file_size(real + "-wal"),
        uid=status.st_uid, gid=status.st_gid, mode=stat.S_IMODE(status.st_mode), user=user, group=group,
        filesystem=filesystem, identity=(status.st_dev, status.st_ino),
        warnings=(f"{real}: {warning}",) if warning else ())


@contextmanager
def open_reader(source: SourceFile, *, busy_timeout_seconds: float = 5.0) -> Iterator[sqlite3.Connection]:
    """A read-only connection to the live database, in autocommit mode, whose first read has succeeded.

    Opened as the owner of the database where this process is root, so that ``-wal`` and ``-shm``, which even a reader
    of a WAL database creates, belong to the owner (https://www.sqlite.org/wal.html#read_only_databases). Errors of
    SQLite, also those raised within the ``with`` block, become BusyError (locked for ``busy_timeout_seconds``) or
    SourceError.
    """
    missing = [name for name in (source.path + "-wal", source.path + "-shm") if not os.path.lexists(name)]
    if source.wal and missing and os.geteuid() not in (0, source.uid):
        raise SourceError(source.path, f"nobody has the database open, and reading it would make {missing[0]}, which"
                          f" would belong to {owner_names(os.geteuid(), os.getegid())[0]} and lock {source.user} out",
                          f"Run as root or as {source.user}")
    connection = _open_as_owner(source, busy_timeout_seconds)
    try:
        _demand_unchanged(source)
        _demand_owner(source, missing)
        yield connection
    except sqlite3.Error as error:
        raise translate(error, source.path, busy_timeout_seconds) from error
    finally:
        connection.close()


@contextmanager
def open_private(path: str) -> Iterator[sqlite3.Connection]:
    """A connection to a private copy that nobody else has open: no sidecars are made or read (``immutable=1``).

    Raises SourceError when the file cannot be opened; reading a damaged one raises sqlite3.DatabaseError.
    """
    try:
        connection = connect(uri(path, "mode=ro&immutable=1"), 0.0)
    except sqlite3.Error as error:
        raise translate(error, path, 0.0) from error
    try:
        yield connection
    finally:
        connection.close()


def file_size(path: str) -> int:
    """The size of ``path`` in bytes, 0 when it does not exist or is not a regular file."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def filesystem_warning(kind: str) -> Optional[str]:
    """Why a database should not live on a file system of this type (as mountinfo names it); None: nothing is known."""
    if is_shared(kind):
        return (f"it lies on {kind}, a network or shared file system: SQLite's locks and shared memory are not reliable"
                " there, databases have been corrupted; move it to a local disk")
    return None


def _real_path(path: str) -> str:
    try:
        return resolve(os.path.abspath(path))
    except ForeignLinkError as error:
        raise SourceError(path, str(error.strerror), "Name what the link means, or let it belong to root") from error
    except OSError:
        # Missing, or out of reach: the next look finds the words.
        return os.path.realpath(path)


def _status(real: str, path: str) -> os.stat_result:
    try:
        status = os.stat(real)
    except (FileNotFoundError, NotADirectoryError):
        where = real if real == os.path.abspath(path) else f"{real}, to which {path} leads,"
        raise SourceError(path, f"the database is missing: {where} does not exist",
                          "Correct the path, or restore the newest archive; no empty database was made") from None
    except OSError as error:
        raise SourceError(path, f"it cannot be reached: {error.strerror}", "Run as root or as its owner") from error
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "not a regular file")
        raise SourceError(real, f"this is {kind}, not a database file", "Give the path of the database file itself")
    return status


_KINDS = ((stat.S_ISDIR, "a directory"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"),
          (stat.S_ISCHR, "a character device"), (stat.S_ISBLK, "a block device"))


def _open(real: str, status: os.stat_result) -> int:
    try:
        handle = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise SourceError(real, f"it cannot be read: {error.strerror}",
                          f"Run as root or as its owner, {owner_names(status.st_uid, status.st_gid)[0]}") from error
    if not os.path.samestat(os.fstat(handle), status):
        os.close(handle)
        raise SourceError(real, "another file took its place meanwhile", "Run again when nothing replaces the database")
    return handle


def _pages(header: Header, size: int) -> int:
    return header.pages if header.pages is not None else size // header.page_size


def _look_again(look: Callable[[], Optional[tuple[object, SourceError]]]) -> None:
    """Raises the error of ``look`` only when several looks find the very same evidence: a writer at work leaves
    such traces for an instant, too, and other ones each time."""
    evidence = None
    for attempt in range(_LOOKS):
        if attempt:
            time.sleep(_LOOK_SECONDS)
        found = look()
        if found is None or (evidence is not None and found[0] != evidence):
            return
        evidence, error = found
    raise error


def _shortfall(handle: int, real: str) -> Optional[tuple[object, SourceError]]:
    """The file is shorter than its header says, and no log or writer explains it (the writer writes page 1 first)."""
    status = os.fstat(handle)
    header = parse_header(os.pread(handle, HEADER_BYTES, 0), real)
    expected = _pages(header, status.st_size) * header.page_size
    if status.st_size >= max(expected, header.page_size) or file_size(real + "-wal") or _writer_at_work(handle):
        return None
    return (status.st_size, status.st_mtime_ns, expected), SourceError(
        real, f"the file is cut off: {status.st_size} bytes are there and its header counts"
        f" {_pages(header, status.st_size)} pages, {max(expected, header.page_size)} bytes",
        "Restore the newest good archive")


def _hot_journal(handle: int, real: str) -> Optional[tuple[object, SourceError]]:
    """A rollback journal that is not of a writer at work (https://www.sqlite.org/lockingv3.html#hot_journals)."""
    journal = real + "-journal"
    if not file_size(journal) or _writer_at_work(handle):
        return None
    try:
        with open(journal, "rb") as stream:
            status = os.fstat(stream.fileno())
            if stream.read(1) in (b"", b"\0"):
                return None
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns), SourceError(
        real, f"a transaction was interrupted, and {journal} must be rolled back before anything can be read",
        "Start the application once, or open the database as its owner with the sqlite3 command, then run again")


def _writer_at_work(handle: int) -> bool:
    return lock_of_others(handle, RESERVED_BYTE, 1) is not None


def _demand_unchanged(source: SourceFile) -> None:
    """Raises BusyError unless the file and its log, which SQLite has open now, belong together: a restore writes its
    journal before it moves the first of them, and removes it after the last."""
    try:
        status = os.stat(source.path)
        unchanged = (status.st_dev, status.st_ino) == source.identity
    except FileNotFoundError:
        unchanged = False
    if not unchanged or os.path.lexists(journal_path(source.path)):
        raise _restored_meanwhile(source.path)


def _open_as_owner(source: SourceFile, busy_timeout_seconds: float) -> sqlite3.Connection:
    """The owner may be unable to reach his own file (a volume below a directory of root's), and a sandbox may keep
    root from taking his identity: then root opens it, and SQLite itself hands new sidecars to the owner."""
    try:
        with acting_as(source.uid, source.gid):
            return _connect_and_read(source, busy_timeout_seconds)
    except BusyError:
        raise
    except MaintenanceError:
        if os.geteuid() != 0 or source.uid == 0:
            raise
    # He failed because it is no longer his: root must not open for him what took its place.
    _demand_unchanged(source)
    return _connect_and_read(source, busy_timeout_seconds)


def _connect_and_read(source: SourceFile, busy_timeout_seconds: float) -> sqlite3.Connection:
    try:
        connection = connect(uri(source.path, "mode=ro"), busy_timeout_seconds)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translate(error, source.path, busy_timeout_seconds) from error
    return connection


def _demand_owner(source: SourceFile, made: list[str]) -> None:
    for name in made:
        try:
            uid = os.lstat(name).st_uid
        except FileNotFoundError:
            continue
        if uid != source.uid:
            raise SourceError(name, f"it belongs to {owner_names(uid, 0)[0]}, so that {source.user} can no longer open"
                              " the database", f"Run 'chown {source.user}:{source.group}' on it, and give this job"
                              " CAP_CHOWN or CAP_SETUID and CAP_SETGID")
