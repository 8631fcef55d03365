# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a database: processes with it open, and locks on it. What cannot be seen is counted, not ignored.

The kernel itself is asked as well: it grants a write lease (fcntl(2), F_SETLEASE) only on a file that nobody has open,
in whatever container, so that a lease proves what a look into /proc cannot where some processes are out of bounds.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Optional

from ..owners import owner_names
from .locks import PENDING_BYTE, RESERVED_BYTE, SHARED_BYTES, SHARED_FIRST, WAL_CONNECTION_BYTE, lock_of_others
from .source import SIDECARS

_PROC = "/proc"
_KERNEL_THREAD = 0x00200000
"""PF_KTHREAD of linux/sched.h, in the flags of /proc/PID/stat (proc(5))."""
_DATABASE_LOCKS = (("the pending lock", PENDING_BYTE, 1), ("the reserved lock", RESERVED_BYTE, 1),
                   ("a lock", SHARED_FIRST, SHARED_BYTES))
_WAL_LOCKS = (("the lock of a live connection", WAL_CONNECTION_BYTE, 1),)


@dataclass(frozen=True)
class Holder:
    """A process that has ``path`` (the database or a file beside it, as the kernel names it) open."""

    pid: int
    command: str
    user: str
    path: str


@dataclass(frozen=True)
class Holders:
    """``uninspected`` counts the processes, and the files, that this user may not look into; it is 0 where the kernel
    vouches that nobody has any of the files open."""

    processes: tuple[Holder, ...]
    locks: tuple[str, ...]
    uninspected: int

    @property
    def held(self) -> bool:
        """Somebody certainly holds it."""
        return bool(self.processes or self.locks)

    @property
    def unknown(self) -> bool:
        """Nobody may be seen because not everything could be seen."""
        return self.uninspected > 0


@dataclass(frozen=True)
class _Target:
    """``files``: device and inode of what exists; ``names``: the paths of all four, with their rank."""

    files: frozenset[tuple[int, int]]
    names: dict[str, int]


def find_holders(path: str) -> Holders:
    """Every other process that holds the database at ``path``, its -wal, -shm or -journal; missing files are held by
    nobody unless a process still has the deleted one. This process must have no connection to it (see ``source``).

    Descriptors come from /proc (device and inode; the name for deleted files), locks from the kernel: those are
    seen whoever holds them, in another container too. A process that is out of bounds may hold a deleted file unseen.
    Raises nothing.
    """
    real = os.path.realpath(path)
    target, hidden = _target(real)
    locks: list[str] = []
    for name, wanted in ((real, _DATABASE_LOCKS), (real + "-shm", _WAL_LOCKS)):
        found = _locks(name, wanted)
        if found is None:
            hidden += 1
        else:
            locks += found
    processes: list[Holder] = []
    for pid in _other_processes():
        seen = _held_path(pid, target)
        if seen is None:
            hidden += 1
        elif seen:
            processes.append(Holder(pid, _command(pid), _user(pid), seen))
    return Holders(tuple(processes), tuple(locks), _unseen(target, hidden + _hidden_processes(), processes or locks))


def _target(real: str) -> tuple[_Target, int]:
    names = [real, *(real + suffix for suffix in SIDECARS)]
    files, hidden = set(), 0
    for name in names:
        try:
            status = os.stat(name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            hidden += 1
            continue
        files.add((status.st_dev, status.st_ino))
    return _Target(frozenset(files), {name: rank for rank, name in enumerate(names)}), hidden


def _locks(path: str, wanted: tuple[tuple[str, int, int], ...]) -> Optional[list[str]]:
    """The locks of others on ``path`` in words; None when they cannot be asked for."""
    found = []
    try:
        with _opened(path) as handle:
            for words, start, length in wanted if stat.S_ISREG(os.fstat(handle).st_mode) else ():
                lock = lock_of_others(handle, start, length)
                if lock is not None:
                    who = f"process {lock.pid} ({_command(lock.pid)})" if lock.pid else "a process invisible here"
                    found.append(f"{words} on {path} by {who}")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        return None
    return found


@contextmanager
def _opened(path: str) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield handle
    finally:
        os.close(handle)


def _unseen(target: _Target, hidden: int, explained: object) -> int:
    """What stays unknown after the kernel was asked."""
    if _held_path(os.getpid(), target):
        # Descriptors of this very process keep the kernel from granting a lease.
        return hidden
    answers = {_free(name) for name in target.names}
    if answers <= {True}:
        return 0
    return max(1, hidden) if False in answers and not explained else hidden


def _free(path: str) -> Optional[bool]:
    """Whether nobody has the file open; True when there is none; None when the kernel does not tell this user."""
    try:
        with _opened(path) as handle:
            # Whoever opens the file meanwhile waits for some microseconds, and this process gets a signal: not SIGIO,
            # which would end it, but one that is ignored unless somebody wants it.
            fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return False
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return None
    return True


def _other_processes() -> Iterator[int]:
    for name in os.listdir(_PROC):
        if name.isdigit() and int(name) != os.getpid():
            yield int(name)


def _hidden_processes() -> int:
    """1 when other users' processes are not even listed (hidepid): process 1 always exists."""
    return 0 if os.path.exists(f"{_PROC}/1/stat") else 1


def _held_path(pid: int, target: _Target) -> Optional[str]:
    """The file of the target that the process has open, "" for none, None when it may not be looked at."""
    directory = f"{_PROC}/{pid}/fd"
    found: list[str] = []
    try:
        for name in os.listdir(directory):
            held = _held_file(f"{directory}/{name}", target)
            if held is not None:
                found.append(held)
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except PermissionError:
        return "" if _has_no_files(pid) else None
    return min(found, key=lambda held: target.names.get(held, len(target.names)), default="")


def _held_file(link: str, target: _Target) -> Optional[str]:
    try:
        name = os.readlink(link)
        if not name.startswith("/"):
            return None
        bare = name[:-len(" (deleted)")] if name.endswith(" (deleted)") else name
        if name in target.names or bare in target.names:
            return name
        status = os.stat(link)
    except PermissionError:
        raise
    except OSError:
        # The descriptor was closed meanwhile, or its file is gone from a server.
        return None
    return name if (status.st_dev, status.st_ino) in target.files else None


def _has_no_files(pid: int) -> bool:
    """Kernel threads and processes that have ended hold no file, whoever asks."""
    fields = _proc(pid, "stat").rpartition(")")[2].split()
    return not fields or fields[0] in ("Z", "X") or bool(int(fields[6]) & _KERNEL_THREAD)


def _command(pid: int) -> str:
    return _proc(pid, "comm").strip() or "?"


def _user(pid: int) -> str:
    """The real user: the owner of /proc/PID is root for a process that changed its ids."""
    uids = [line.split()[1] for line in _proc(pid, "status").splitlines() if line.startswith("Uid:")]
    return owner_names(int(uids[0]), 0)[0] if uids else "?"


def _proc(pid: int, name: str) -> str:
    """A file of /proc/PID that every user may read; "" once the process is gone."""
    try:
        with open(f"{_PROC}/{pid}/{name}", encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
