# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key files and key rings.

A key file holds 32 random bytes as base64 and a newline, mode 0400. The key id is the first 8 hexadecimal
digits of the SHA-256 of the 32 bytes. Older keys lie beside the key file as ``<key file>.<key id>``: the key
file and they are a key ring. A symbolic link is followed; the mode of what it leads to counts, and rotation
happens there.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import fcntl
import hashlib
import hmac
import os
import re
import resource
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO, NoReturn, Optional

from ..errors import KeyFileError, from_oserror
from ..files import TEMPORARY_SUFFIX, file_beside, fsync_directory

KEY_BYTES = 32
KEY_FILE_MODE = 0o400
_READ_LIMIT_BYTES = 4096
_PR_SET_DUMPABLE = 4


class Key:
    """One key: ``material`` (32 bytes) and ``id`` (8 hexadecimal digits). Immutable.

    The material is in no ``repr``, and a key can be neither pickled nor copied. It is no dataclass because
    ``dataclasses.asdict`` would hand out the material.
    """

    __slots__ = ("_material", "id")
    id: str

    def __init__(self, material: bytes) -> None:
        if len(material) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        _forbid_core_dumps()
        object.__setattr__(self, "_material", bytes(material))
        object.__setattr__(self, "id", hashlib.sha256(material).hexdigest()[:8])

    @property
    def material(self) -> bytes:
        """The 32 secret bytes."""
        value: bytes = object.__getattribute__(self, "_material")
        return value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a key is immutable: {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a key is immutable: {name}")

    def __repr__(self) -> str:
        return f"Key(id={self.id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self.material, other.material)

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a key is not to be pickled or copied")


@cache
def _forbid_core_dumps() -> None:
    """A process that holds a key leaves no image of its memory. The limit alone does not keep a handler that the kernel
    pipes the image to from getting it: core(5), prctl(2)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@dataclass(frozen=True)
class KeyRing:
    """``current`` encrypts new archives; ``keys`` (``current`` first, then the newest) open them."""

    current: Key
    keys: tuple[Key, ...]

    @classmethod
    def of(cls, key: Key) -> KeyRing:
        """A ring of one key."""
        return cls(key, (key,))

    def find(self, key_id: str) -> Optional[Key]:
        """The key with that id, or None."""
        return next((key for key in self.keys if key.id == key_id), None)

    def ordered(self) -> tuple[Key, ...]:
        """The keys in the order in which they are to be tried."""
        return self.keys


def load_ring(key_file: str) -> KeyRing:
    """The key file and the older keys beside it.

    Raises KeyFileError: missing, unreadable, readable by group or others, not a regular file, not base64 of
    32 bytes, or an older key whose name is not its id.
    """
    path = os.path.abspath(key_file)
    current, _modified = _read_key(path)
    found: dict[str, tuple[float, Key]] = {}
    for older_path, key_id in _older_key_files(path):
        key, modified = _read_key(older_path)
        if key.id != key_id:
            raise KeyFileError(older_path, f"it holds the key {key.id}, not the key that its name tells",
                               f"Rename it to end in .{key.id}, or put the right key back")
        if key.id != current.id:
            found[key.id] = (modified, key)
    older = sorted(found.values(), key=lambda pair: (-pair[0], pair[1].id))
    return KeyRing(current, (current, *(key for _modified, key in older)))


def create_key(key_file: str) -> Key:
    """Makes a new key file (0400; missing directories 0700) that appears whole or not at all.

    Raises KeyFileError when something has that name already, which is never replaced, and DestinationError
    when the place cannot be written.
    """
    path = os.path.abspath(key_file)
    directory = os.path.dirname(path)
    try:
        _make_directories(directory)
        with _locked(directory):
            _remove_unfinished(path)
            key = Key(secrets.token_bytes(KEY_BYTES))
            with file_beside(path, KEY_FILE_MODE) as (temporary, stream):
                _write(stream, key)
                os.link(temporary, path)
            fsync_directory(directory)
    except FileExistsError as error:
        raise KeyFileError(path, "something with this name exists already, and a key is never overwritten",
                           "Use the key that is there, rotate it, or choose another name") from error
    except NotADirectoryError as error:
        raise KeyFileError(path, "its directory is not a directory", "Correct the path of the key file") from error
    except OSError as error:
        raise from_oserror(error, path, "creating the key file") from error
    return key


def rotate_key(key_file: str) -> tuple[Key, Key]:
    """Replaces the key by a new one and keeps the old one beside it. Returns (new, old).

    First the old key gets its second name ``<key file>.<key id>``, then the new one is renamed into place: a
    crash at any point leaves a ring that opens every archive. Raises KeyFileError and DestinationError.
    """
    path = os.path.realpath(key_file)
    directory = os.path.dirname(path)
    try:
        with _locked(directory):
            old = load_ring(path).current
            _remove_unfinished(path)
            kept = f"{path}.{old.id}"
            if not os.path.lexists(kept):
                os.link(path, kept)
                fsync_directory(directory)
            new = Key(secrets.token_bytes(KEY_BYTES))
            with file_beside(path, KEY_FILE_MODE) as (temporary, stream):
                _write(stream, new)
                os.replace(temporary, path)
            fsync_directory(directory)
    except FileNotFoundError as error:
        raise KeyFileError(path, "there is no key to rotate", "Create one first") from error
    except OSError as error:
        raise from_oserror(error, path, "rotating the key") from error
    return new, old


def _read_key(path: str) -> tuple[Key, float]:
    """The key in ``path`` and the time of its last modification (seconds since the epoch)."""
    try:
        # O_NONBLOCK: a FIFO in the key's place must not hang the run.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            status = os.fstat(handle)
            _check_status(path, status)
            content = os.read(handle, _READ_LIMIT_BYTES)
        finally:
            os.close(handle)
    except FileNotFoundError as error:
        raise KeyFileError(path, "the key file does not exist",
                           "Put the key back from its escrow, or create one if there never was one") from error
    except OSError as error:
        raise KeyFileError(path, f"the key file cannot be read: {error.strerror}",
                           "Run as the user who owns it, or correct the path") from error
    return _parse_key(path, content), status.st_mtime


def _check_status(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(path, "the key file is not a regular file", "Name the file that holds the key")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFileError(path, f"its mode {mode:04o} lets others than its owner use the key",
                           "Set its mode to 0400, and rotate the key if others may have read it")


def _parse_key(path: str, content: bytes) -> Key:
    text = content.strip()
    try:
        material = base64.b64decode(text, validate=True)
    except binascii.Error:
        material = b""
    if len(material) != KEY_BYTES or base64.b64encode(material) != text:
        raise KeyFileError(path, f"it does not hold {KEY_BYTES} bytes as base64",
                           "Put the key back from its escrow; a key file is one line of 44 characters")
    return Key(material)


def _older_key_files(path: str) -> list[tuple[str, str]]:
    """(path, key id by its name) of the older keys beside the key file, and beside what a link leads to."""
    result = []
    for place in sorted({path, os.path.realpath(path)}):
        directory, base = os.path.split(place)
        pattern = re.compile(re.escape(base) + r"\.([0-9a-f]{8})", re.ASCII)
        try:
            names = sorted(os.listdir(directory))
        except OSError as error:
            raise KeyFileError(place, f"its directory cannot be listed for older keys: {error.strerror}",
                               "Run as the user who owns the directory") from error
        for name in names:
            match = pattern.fullmatch(name)
            if match:
                result.append((os.path.join(directory, name), match.group(1)))
    return result


def _make_directories(directory: str) -> None:
    """Makes the missing directories, each of mode 0700 and durable."""
    missing = []
    while not os.path.lexists(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for path in reversed(missing):
        os.mkdir(path, 0o700)
        fsync_directory(os.path.dirname(path))


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    """Holds the directory against other creators and rotators, so that unfinished files found in it are dead."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_unfinished(path: str) -> None:
    directory, base = os.path.split(path)
    for name in os.listdir(directory):
        if name.startswith(f".{base}.") and name.endswith(TEMPORARY_SUFFIX):
            os.unlink(os.path.join(directory, name))


def _write(stream: BinaryIO, key: Key) -> None:
    """Makes the key durable in a new file."""
    stream.write(base64.b64encode(key.material) + b"\n")
    stream.flush()
    os.fchmod(stream.fileno(), KEY_FILE_MODE)
    os.fsync(stream.fileno())
