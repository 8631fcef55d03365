# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``fault_short_writes.py BACKING MOUNTPOINT [SUBTYPE]``: a file system that takes of most writes only a part.

write(2) allows that. Everything is passed on to the directory ``BACKING``. The system's Python runs this, which has
pyfuse3; it ends when it is unmounted.
"""

from __future__ import annotations

import errno
import os
import random
import stat as modes
import sys

import pyfuse3
import trio

Inode = int


class ShortWrites(pyfuse3.Operations):
    """Inodes are numbered as they are looked up; a number belongs to a path until that is renamed or removed."""

    def __init__(self, backing: str) -> None:
        super().__init__()
        self._paths: dict[Inode, str] = {pyfuse3.ROOT_INODE: backing}
        self._numbers: dict[tuple[int, int], Inode] = {}
        self._next = pyfuse3.ROOT_INODE + 1
        self._random = random.Random(5)

    def _child(self, parent: Inode, name: bytes) -> str:
        return os.path.join(self._paths[parent], os.fsdecode(name))

    def _attributes(self, path: str) -> pyfuse3.EntryAttributes:
        try:
            found = os.lstat(path)
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno or errno.EIO) from error
        entry = pyfuse3.EntryAttributes()
        for name in ("st_mode", "st_nlink", "st_uid", "st_gid", "st_rdev", "st_size", "st_atime_ns", "st_mtime_ns",
                     "st_ctime_ns"):
            setattr(entry, name, getattr(found, name))
        entry.st_blksize, entry.st_blocks = 512, (entry.st_size + 511) // 512
        entry.generation = entry.entry_timeout = entry.attr_timeout = 0
        identity = (found.st_dev, found.st_ino)
        if path == self._paths[pyfuse3.ROOT_INODE]:
            entry.st_ino = pyfuse3.ROOT_INODE
        else:
            if identity not in self._numbers:
                self._numbers[identity] = self._next
                self._next += 1
            entry.st_ino = self._numbers[identity]
            self._paths[entry.st_ino] = path
        return entry

    async def lookup(self, parent_inode, name, ctx=None):
        return self._attributes(self._child(parent_inode, name))

    async def getattr(self, inode, ctx=None):
        return self._attributes(self._paths[inode])

    async def setattr(self, inode, attr, fields, fh, ctx):
        path = self._paths[inode]
        try:
            if fields.update_size:
                os.truncate(path if fh is None else fh, attr.st_size)
            if fields.update_mode:
                os.chmod(path, modes.S_IMODE(attr.st_mode))
            if fields.update_uid or fields.update_gid:
                os.chown(path, attr.st_uid if fields.update_uid else -1, attr.st_gid if fields.update_gid else -1)
            if fields.update_atime or fields.update_mtime:
                os.utime(path, ns=(attr.st_atime_ns, attr.st_mtime_ns))
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno or errno.EIO) from error
        return self._attributes(path)

    def _act(self, function, *arguments):
        try:
            return function(*arguments)
        except OSError as error:
            raise pyfuse3.FUSEError(error.errno or errno.EIO) from error

    async def mkdir(self, parent_inode, name, mode, ctx):
        path = self._child(parent_inode, name)
        self._act(os.mkdir, path, mode)
        return self._attributes(path)

    async def unlink(self, parent_inode, name, ctx):
        self._forget(self._child(parent_inode, name), os.unlink)

    async def rmdir(self, parent_inode, name, ctx):
        self._forget(self._child(parent_inode, name), os.rmdir)

    def _forget(self, path, remove):
        found = self._act(os.lstat, path)
        self._act(remove, path)
        if found.st_nlink <= 1 or modes.S_ISDIR(found.st_mode):
            # The kernel may give the number of the backing inode to another file.
            self._numbers.pop((found.st_dev, found.st_ino), None)

    async def rename(self, parent_inode_old, name_old, parent_inode_new, name_new, flags, ctx):
        old, new = self._child(parent_inode_old, name_old), self._child(parent_inode_new, name_new)
        if os.path.lexists(new):
            replaced = os.lstat(new)
            if replaced.st_nlink <= 1:
                self._numbers.pop((replaced.st_dev, replaced.st_ino), None)
        self._act(os.rename, old, new)
        for number, path in self._paths.items():
            if path == old or path.startswith(f"{old}/"):
                self._paths[number] = new + path[len(old):]

    async def link(self, inode, new_parent_inode, new_name, ctx):
        path = self._child(new_parent_inode, new_name)
        self._act(os.link, self._paths[inode], path)
        return self._attributes(path)

    async def open(self, inode, flags, ctx):
        return pyfuse3.FileInfo(fh=self._act(os.open, self._paths[inode], flags & ~os.O_CREAT & ~os.O_EXCL))

    async def create(self, parent_inode, name, mode, flags, ctx):
        path = self._child(parent_inode, name)
        handle = self._act(os.open, path, flags | os.O_CREAT, mode)
        return pyfuse3.FileInfo(fh=handle), self._attributes(path)

    async def read(self, fh, off, size):
        return self._act(os.pread, fh, size, off)

    async def write(self, fh, off, buf):
        size = len(buf)
        if size > 1 and self._random.random() < 0.8:
            size = self._random.randrange(1, size)
        return self._act(os.pwrite, fh, buf[:size], off)

    async def release(self, fh):
        os.close(fh)

    async def fsync(self, fh, datasync):
        self._act(os.fsync, fh)

    async def opendir(self, inode, ctx):
        return inode

    async def fsyncdir(self, fh, datasync):
        return None

    async def readdir(self, fh, start_id, token):
        for number, name in enumerate(sorted(os.listdir(self._paths[fh]))[start_id:], start=start_id + 1):
            entry = self._attributes(os.path.join(self._paths[fh], name))
            if not pyfuse3.readdir_reply(token, os.fsencode(name), entry, number):
                return

    async def statfs(self, ctx):
        found, told = os.statvfs(self._paths[pyfuse3.ROOT_INODE]), pyfuse3.StatvfsData()
        for name in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail"):
            setattr(told, name, getattr(found, name))
        return told


if __name__ == "__main__":
    options = {*pyfuse3.default_options, "fsname=short-writes", *(f"subtype={name}" for name in sys.argv[3:] if name)}
    pyfuse3.init(ShortWrites(sys.argv[1]), sys.argv[2], options)
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=False)
