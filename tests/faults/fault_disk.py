# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a run is on the disk after the power failed: a model of a file system, fed by the run's system calls.

Content of a file is safe once fsync(2) on that file has returned. Entries of directories are kept in the order in which
they were made, as journalling file systems do; those of a directory, and all that came before them, are safe once
fsync(2) on that directory has returned. Everything else may be there or not.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fault_world import empty

TRACED = ("openat", "write", "pwrite64", "lseek", "ftruncate", "rename", "renameat", "renameat2", "link", "linkat",
          "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "fsync", "fdatasync", "close")  # fmt: skip
UNKNOWN = ("writev", "pwritev", "truncate", "fallocate", "copy_file_range", "sendfile", "symlink", "symlinkat")
"""Calls that the model does not know, and of which a run may therefore have none."""
SECTOR_BYTES = 512
_CALL = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PATH = re.compile(r'(?:<((?:\\x[0-9a-f]{2})*)>, )?"((?:\\x[0-9a-f]{2})*)"')
_HANDLE = re.compile(r"^(?:AT_FDCWD|(\d+))(?:<((?:\\x[0-9a-f]{2}|[^>\\])*)>)?")
_BYTE = re.compile(r"\\x([0-9a-f]{2})")


def unescape(text: str) -> bytes:
    """What strace -xx wrote."""
    return bytes.fromhex(_BYTE.sub(r"\1", text))


@dataclass
class Inode:
    """A file: its content now, as it is safe, and what was written since then: place and bytes, None for a new size."""

    data: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    unsafe: list[tuple[int, bytes | None]] = field(default_factory=list)

    def write(self, place: int, data: bytes | None) -> None:
        """At ``place``, or the size ``place``."""
        apply(self.data, place, data)
        self.unsafe.append((place, data))

    def sync(self) -> None:
        """Everything is safe."""
        self.safe, self.unsafe = bytes(self.data), []


def apply(content: bytearray, place: int, data: bytes | None) -> None:
    """One write on ``content``."""
    if data is None:
        content[place:] = bytes(max(0, place - len(content)))
        return
    content.extend(bytes(max(0, place - len(content))))
    content[place:place + len(data)] = data


@dataclass(frozen=True)
class Change:
    """Entries that appear (path -> inode, None for a directory) and vanish at once."""

    added: tuple[tuple[str, Inode | None], ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def directories(self) -> set[str]:
        """Where."""
        return {os.path.dirname(path) for path in (*(path for path, _inode in self.added), *self.removed)}


Entries = dict[str, "Inode | None"]


class Disk:
    """All below ``root``, which is safe when this begins."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.entries: Entries = {}
        for path in sorted(root.rglob("*")):
            content = None if path.is_dir() else path.read_bytes()
            self.entries[str(path)] = None if content is None else Inode(bytearray(content), content)
        self._safe: Entries = dict(self.entries)
        self._changes: list[Change] = []
        self._open: dict[int, tuple[Inode | None, int]] = {}

    def change(self, change: Change) -> None:
        """Entries change, safely only later."""
        enter(self.entries, change)
        self._changes.append(change)

    def sync_directory(self, path: str) -> None:
        """The entries of ``path`` are safe, and every change before theirs."""
        last = max((number for number, change in enumerate(self._changes) if path in change.directories), default=-1)
        for change in self._changes[:last + 1]:
            enter(self._safe, change)
        del self._changes[:last + 1]

    def after_power_loss(self, how: str, rng: random.Random) -> dict[str, bytes | None]:
        """What is there: ``how`` is "nothing unsafe", "entries without content", "everything", or "some"."""
        entries = dict(self._safe)
        kept = {"nothing unsafe": 0, "some": rng.randrange(len(self._changes) + 1)}.get(how, len(self._changes))
        for change in self._changes[:kept]:
            enter(entries, change)
        return {path: None if inode is None else _content(inode, how, rng) for path, inode in entries.items()}

    def take(self, name: str, arguments: str, result: str) -> bool:
        """One call of the run. Whether it changed anything here."""
        value = re.match(r"\s*(-?\d+)", result)
        if value is None or int(value[1]) < 0:
            return False
        act = getattr(self, f"_{name}", None)
        return bool(act(arguments, int(value[1]))) if act else False

    def _path(self, arguments: str, which: int = 0) -> str:
        """The path that a call was given, in the directory whose handle stands before it."""
        directory, path = (os.fsdecode(unescape(text)) for text in _PATH.findall(arguments)[which])
        return os.path.normpath(os.path.join(directory, path))

    def _inside(self, *paths: str) -> bool:
        return all(path.startswith(f"{self.root}/") for path in paths)

    def _openat(self, arguments: str, result: int) -> bool:
        path = self._path(arguments)
        if not self._inside(path):
            self._open.pop(result, None)
            return False
        new = path not in self.entries
        if new:
            self.change(Change(added=((path, Inode()),)))
        inode = self.entries[path]
        self._open[result] = (inode, 0)
        if "O_TRUNC" in arguments and inode is not None and inode.data:
            inode.write(0, None)
        return new

    def _close(self, arguments: str, _result: int) -> bool:
        found = _HANDLE.match(arguments)
        if found and found[1]:
            self._open.pop(int(found[1]), None)
        return False

    def _opened(self, arguments: str) -> tuple[int, Inode | None, int]:
        found = _HANDLE.match(arguments)
        handle = int(found[1]) if found and found[1] else -1
        return handle, *self._open.get(handle, (None, 0))

    def _write(self, arguments: str, result: int) -> bool:
        handle, inode, place = self._opened(arguments)
        if inode is None:
            return False
        inode.write(place, unescape(_STRING.findall(arguments)[0])[:result])
        self._open[handle] = (inode, place + result)
        return True

    def _pwrite64(self, arguments: str, result: int) -> bool:
        _handle, inode, _place = self._opened(arguments)
        if inode is None:
            return False
        inode.write(int(arguments.rsplit(",", 1)[1].strip(" )")), unescape(_STRING.findall(arguments)[0])[:result])
        return True

    def _lseek(self, arguments: str, result: int) -> bool:
        handle, inode, _place = self._opened(arguments)
        if inode is not None:
            self._open[handle] = (inode, result)
        return False

    def _ftruncate(self, arguments: str, _result: int) -> bool:
        _handle, inode, _place = self._opened(arguments)
        if inode is None:
            return False
        inode.write(int(arguments.rsplit(",", 1)[1].strip(" )")), None)
        return True

    def _fsync(self, arguments: str, _result: int) -> bool:
        handle, inode, _place = self._opened(arguments)
        if inode is not None:
            inode.sync()
            return True
        found = _HANDLE.match(arguments)
        path = os.fsdecode(unescape(found[2])) if found and found[2] else ""
        if handle in self._open and (path == self.root or self._inside(path)):
            self.sync_directory(path)
            return True
        return False

    _fdatasync = _fsync

    def _rename(self, arguments: str, _result: int) -> bool:
        source, target = self._path(arguments), self._path(arguments, 1)
        if not self._inside(source, target):
            return False
        below = [path for path in self.entries if path.startswith(f"{source}/")]
        moved = [(target + path[len(source):], self.entries[path]) for path in (source, *below)]
        self.change(Change(added=tuple(moved), removed=(source, *below)))
        return True

    _renameat = _renameat2 = _rename

    def _link(self, arguments: str, _result: int) -> bool:
        source, target = self._path(arguments), self._path(arguments, 1)
        if self._inside(source, target):
            self.change(Change(added=((target, self.entries[source]),)))
        return self._inside(source, target)

    _linkat = _link

    def _unlink(self, arguments: str, _result: int) -> bool:
        path = self._path(arguments)
        if self._inside(path):
            self.change(Change(removed=(path,)))
        return self._inside(path)

    _unlinkat = _rmdir = _unlink

    def _mkdir(self, arguments: str, _result: int) -> bool:
        path = self._path(arguments)
        if self._inside(path):
            self.change(Change(added=((path, None),)))
        return self._inside(path)

    _mkdirat = _mkdir


def enter(entries: Entries, change: Change) -> None:
    """Makes a change; what is removed goes first, for a rename over another file."""
    for path in change.removed:
        entries.pop(path, None)
    entries.update(change.added)


def _content(inode: Inode, how: str, rng: random.Random) -> bytes:
    if how == "everything":
        return bytes(inode.data)
    content = bytearray(inode.safe)
    if how == "some":
        for place, data in inode.unsafe:
            if rng.random() < 0.5:
                # A write may be torn between two sectors.
                end = None if data is None or rng.random() < 0.7 else rng.randrange(0, len(data) + 1, SECTOR_BYTES)
                apply(content, place, data if data is None else data[:end])
    return bytes(content)


def calls(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Name, arguments and result of each call of a trace by ``strace -f -y -xx``, when it had ended."""
    begun: dict[str, str] = {}
    for line in lines:
        found = _CALL.match(line)
        if found is None:
            continue
        thread, resumed, name, rest = found.groups()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>")
            continue
        if resumed:
            name, rest = resumed, begun.pop(thread, "") + rest
        arguments, _equals, result = rest.rpartition(" = ")
        assert name not in UNKNOWN, f"the model of the disk does not know {name}: {line[:200]}"
        yield name, arguments, result


def put(root: Path, state: dict[str, bytes | None]) -> None:
    """Makes what is below ``root`` what the disk had."""
    empty(root)
    for path, content in sorted(state.items()):
        place = Path(path)
        if not place.parent.is_dir():
            # A file in a directory whose own entry was lost: nobody can reach it.
            continue
        if content is None:
            place.mkdir(mode=0o700)
        else:
            place.write_bytes(content)
            place.chmod(0o600)
