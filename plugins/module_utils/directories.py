# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in directories that belong to somebody else, whom it must not obey.

Root backs up and restores below directories that the application's user may change at any moment. What is done here is
done by a handle of the directory. A symbolic link on the way is followed where it belongs to root or to the user who
runs this, or leads to something of its own owner; a directory that was exchanged for a link to somebody else's is an
error, and never leads there. All functions raise OSError; ForeignLinkError is one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Optional

from .owners import owner_names

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_READABLE = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ANYTHING = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40


class ForeignLinkError(OSError):
    """A symbolic link of another user, which leads to something that is not his."""

    def __init__(self, link: str, uid: int) -> None:
        super().__init__(errno.ELOOP, f"the way leads through the symbolic link {link}, which belongs to another user"
                                      f" ({owner_names(uid, 0)[0]})", link)


def resolve(path: str) -> str:
    """The real path of what is at ``path`` (absolute), which has to exist."""
    handle = _walk(path)
    try:
        return os.readlink(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def open_directory(path: str) -> int:
    """A handle (O_PATH) of the directory ``path``, which is absolute."""
    handle = os.open(path, _DIRECTORY)
    if os.readlink(f"/proc/self/fd/{handle}") == path:
        # No link was on the way.
        return handle
    os.close(handle)
    handle = _walk(path)
    if not stat.S_ISDIR(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return handle


def _walk(path: str) -> int:
    """A handle of ``path``, every link on the way judged."""
    try:
        return _follow(os.open("/", _DIRECTORY), path, "/", _MOST_LINKS)
    except OSError as error:
        if not isinstance(error, ForeignLinkError):
            error.filename = path
        raise


def _follow(handle: int, path: str, way: str, links: int) -> int:
    """What ``path`` means in the directory ``handle`` (which is closed), whose own path is ``way``."""
    try:
        for name in path.split("/"):
            found = os.open(name or ".", _ANYTHING, dir_fd=handle)
            status = os.fstat(found)
            if stat.S_ISLNK(status.st_mode):
                found = _behind(found, status, handle, os.path.join(way, name), links)
            os.close(handle)
            handle, way = found, os.path.join(way, name)
        return handle
    except BaseException:
        os.close(handle)
        raise


def _behind(link: int, status: os.stat_result, directory: int, path: str, links: int) -> int:
    """What the link at ``path`` in ``directory`` leads to; the handle ``link`` is closed."""
    try:
        if links == 0:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink("", dir_fd=link)
    finally:
        os.close(link)
    absolute = target.startswith("/")
    start = os.open("/" if absolute else ".", _DIRECTORY, dir_fd=directory)
    found = _follow(start, target, "/" if absolute else os.path.dirname(path), links - 1)
    if status.st_uid not in (0, os.geteuid(), os.fstat(found).st_uid):
        os.close(found)
        raise ForeignLinkError(path, status.st_uid)
    return found


@contextmanager
def parent_of(path: str) -> Iterator[tuple[int, str]]:
    """A handle of the directory that ``path`` lies in, and its name there."""
    directory, name = os.path.split(path if os.path.isabs(path) else os.path.abspath(path))
    handle = open_directory(directory)
    try:
        yield handle, name
    except OSError as error:
        if error.filename == name:
            # The system was given the name only; a person wants the path.
            error.filename = path
        raise
    finally:
        os.close(handle)


def open_file(path: str) -> BinaryIO:
    """The regular file at ``path``, to be read: never a link, and a pipe does not make it wait."""
    with parent_of(path) as (directory, name):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        handle = os.open(name, flags, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return os.fdopen(handle, "rb", buffering=0)


def create_file(path: str, mode: int = 0o600, buffering: int = -1) -> BinaryIO:
    """A new file of that mode, open for writing; it is an error when something lies there."""
    with parent_of(path) as (directory, name):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(name, flags, mode, dir_fd=directory), "wb", buffering)


def make_private(path: str) -> None:
    """A new directory of mode 0700 or less, not durable: for what is thrown away."""
    with parent_of(path) as (parent, name):
        os.mkdir(name, 0o700, dir_fd=parent)


def make_directory(path: str, mode: int, owner: Optional[tuple[int, int]] = None) -> None:
    """A new directory of that mode and owner (uid and gid), durable."""
    with parent_of(path) as (parent, name):
        os.mkdir(name, 0o700, dir_fd=parent)
        made = os.open(name, _READABLE | os.O_NOFOLLOW, dir_fd=parent)
        try:
            if owner is not None:
                os.fchown(made, *owner)
            os.fchmod(made, mode)
        finally:
            os.close(made)
        _sync(parent)


def rename(source: str, target: str) -> None:
    """rename(2), not durable yet."""
    with parent_of(source) as (old, old_name), parent_of(target) as (new, new_name):
        os.rename(old_name, new_name, src_dir_fd=old, dst_dir_fd=new)


def link(source: str, target: str) -> bool:
    """A second name for the file ``source``, not durable yet; FileExistsError where something has that name. False: a
    file has only one name in this file system, and was renamed, with nothing at ``target`` a moment before."""
    with parent_of(source) as (old, old_name), parent_of(target) as (new, new_name):
        try:
            os.link(old_name, new_name, src_dir_fd=old, dst_dir_fd=new, follow_symlinks=False)
            return True
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        os.rename(old_name, new_name, src_dir_fd=old, dst_dir_fd=new)
        return False


def unlink(path: str) -> None:
    """unlink(2), not durable yet."""
    with parent_of(path) as (directory, name):
        os.unlink(name, dir_fd=directory)


def mount_of(path: str) -> tuple[int, int]:
    """The device of the directory ``path`` and, where /proc tells it, its mount point's number: rename(2) and link(2)
    do not cross mount points, bind mounts of one file system included."""
    handle = open_directory(path)
    try:
        device, mount = os.fstat(handle).st_dev, 0
        with suppress(OSError), open(f"/proc/self/fdinfo/{handle}", encoding="ascii") as lines:
            mount = next((int(line.split()[1]) for line in lines if line.startswith("mnt_id:")), 0)
        return device, mount
    finally:
        os.close(handle)


def change_rights(path: str, owner: tuple[int, int], mode: int) -> None:
    """Owner (uid and gid) and mode of a directory, or of a file that has no second name."""
    with parent_of(path) as (parent, name):
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            handle = os.open(name, _READABLE | os.O_NOFOLLOW, dir_fd=parent)
            try:
                os.fchown(handle, *owner)
                os.fchmod(handle, mode)
            finally:
                os.close(handle)
            return
    with open_file(path) as stream:
        if os.fstat(stream.fileno()).st_nlink != 1:
            raise OSError(errno.EMLINK, "it has a second name", path)
        os.fchown(stream.fileno(), *owner)
        os.fchmod(stream.fileno(), mode)


def list_directory(path: str) -> list[tuple[str, Optional[os.stat_result], str]]:
    """Everything in the directory ``path``: name, status (None: it vanished meanwhile), and where a link leads."""
    handle = open_directory(path)
    try:
        readable = os.open(".", _READABLE, dir_fd=handle)
    finally:
        os.close(handle)
    try:
        return [(name, *_look_at(readable, name)) for name in os.listdir(readable)]
    except OSError as error:
        if error.filename is not None and "/" not in str(error.filename):
            error.filename = os.path.join(path, error.filename)
        raise
    finally:
        os.close(readable)


def _look_at(directory: int, name: str) -> tuple[Optional[os.stat_result], str]:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return status, os.readlink(name, dir_fd=directory) if stat.S_ISLNK(status.st_mode) else ""
    except FileNotFoundError:
        return None, ""


def _sync(directory: int) -> None:
    readable = os.open(".", _READABLE, dir_fd=directory)
    try:
        os.fsync(readable)
    finally:
        os.close(readable)
