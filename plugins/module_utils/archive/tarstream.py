# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tar layer: headers as POSIX.1-2001 (pax) has them, and a reader of exactly what the writer makes.

Python's ``tarfile`` makes the headers. It does not read them: it accepts every dialect, links, devices and
sparse files, and takes extended headers of any size into memory. This reader knows regular files and
directories, refuses the rest, and never holds more than 64 KiB of headers.
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from typing import Optional

from ..errors import ArchiveError
from . import fields
from .aead import damaged
from .streams import Readable, read_fully

BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
PAX_LIMIT_BYTES = 1 << 16
_NUMBER = re.compile(rb" *([0-7]*)[ \0]*")
_DECIMAL = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,5}) ")
_PAX_KEYS = frozenset(("path", "size", "uid", "gid", "mtime", "uname", "gname", "hdrcharset"))
_REFUSED_TYPES = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a character device", b"4": "a block device", b"6": "a FIFO",
    b"g": "a global extended header", b"S": "a sparse file",
}


@dataclass(frozen=True)
class TarHeader:
    """One member: ``name`` without a directory's trailing slash, ``type`` "file" or "directory", ``size`` in bytes,
    ``mtime`` in seconds since the epoch."""

    name: str
    type: str
    size: int
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    mtime: int


def header_bytes(header: TarHeader) -> bytes:
    """The header blocks of a member, an extended header first where ustar has no room."""
    info = tarfile.TarInfo(header.name)
    info.type = tarfile.DIRTYPE if header.type == "directory" else tarfile.REGTYPE
    info.size, info.mode, info.mtime = header.size, header.mode, header.mtime
    info.uid, info.gid, info.uname, info.gname = header.uid, header.gid, header.user, header.group
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def padding_bytes(size: int) -> bytes:
    """The zeros that fill up the last block of ``size`` bytes of content."""
    return bytes(-size % BLOCK_BYTES)


class TarReader:
    """Reads members one after the other; ``read`` gives the content of the one that ``next`` returned.

    Raises ArchiveError for everything that the writer would not have made.
    """

    def __init__(self, stream: Readable, subject: str) -> None:
        self._stream = stream
        self._subject = subject
        self._left = 0
        self._padding = 0

    def next(self) -> Optional[TarHeader]:
        """Skips what is left of the current member and returns the next header, None at the proper end."""
        while self.read(BLOCK_BYTES * 1024):
            pass
        if any(self._exactly(self._padding)):
            raise damaged(self._subject, "the padding after a member is not empty")
        self._padding = 0
        block = self._exactly(BLOCK_BYTES)
        if not any(block):
            self._check_end()
            return None
        pax: dict[str, str] = {}
        if block[156:157] == b"x":
            pax = self._extended(block)
            block = self._exactly(BLOCK_BYTES)
        header = self._header(block, pax)
        self._left, self._padding = header.size, -header.size % BLOCK_BYTES
        return header

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes of the current member, none at its end."""
        count = min(size, self._left)
        if not count:
            return b""
        data = self._stream.read(count)
        if not data:
            raise damaged(self._subject, "it is truncated: it ends within a member")
        self._left -= len(data)
        return data

    def _exactly(self, count: int) -> bytes:
        data = read_fully(self._stream, count) if count else b""
        if len(data) < count:
            raise damaged(self._subject, "it is truncated: it ends without its last members")
        return data

    def _check_end(self) -> None:
        if any(self._exactly(BLOCK_BYTES)) or self._stream.read(1):
            raise damaged(self._subject, "something follows the end of its members")

    def _header(self, block: bytes, pax: dict[str, str]) -> TarHeader:
        self._check_block(block)
        kind = block[156:157]
        if kind not in (b"0", b"5"):
            what = _REFUSED_TYPES.get(kind, f"a member of type {kind!r}")
            raise self._hostile(f"it contains {what}")
        if any(block[157:257]):
            raise self._hostile("it contains a member with a link name")
        directory = kind == b"5"
        header = TarHeader(
            name=self._name(pax.get("path", self._ustar_path(block)), directory),
            type="directory" if directory else "file",
            size=self._value("size", pax, block[124:136]),
            mode=self._number(block[100:108]),
            uid=self._value("uid", pax, block[108:116]),
            gid=self._value("gid", pax, block[116:124]),
            user=pax.get("uname", _text(block[265:297])),
            group=pax.get("gname", _text(block[297:329])),
            mtime=self._value("mtime", pax, block[136:148], least=-2**62),
        )
        if directory and header.size:
            raise self._hostile("it contains a directory with content")
        if header.mode > 0o7777 or max(header.uid, header.gid) >= 2**32:
            raise self._hostile("it contains a member with an impossible mode or owner")
        return header

    def _check_block(self, block: bytes) -> None:
        if block[257:265] != b"ustar\x0000":
            raise damaged(self._subject, "it contains something that is not a tar header")
        checksum = sum(block) - sum(block[148:156]) + 8 * 0x20
        if self._number(block[148:156]) != checksum:
            raise damaged(self._subject, "the checksum of a tar header is wrong")

    def _ustar_path(self, block: bytes) -> str:
        prefix, name = _text(block[345:500]), _text(block[:100])
        return f"{prefix}/{name}" if prefix else name

    def _name(self, path: str, directory: bool) -> str:
        name = path[:-1] if directory and path.endswith("/") else path
        if not fields.is_clean_relative(name):
            raise self._hostile(f"it contains a member that leads elsewhere or has no proper name: {path[:200]}")
        return name

    def _value(self, key: str, pax: dict[str, str], field: bytes, least: int = 0) -> int:
        if key not in pax:
            return self._number(field)
        if not _DECIMAL.fullmatch(pax[key]) or not least <= int(pax[key]) < 2**62:
            raise self._hostile(f"it contains an extended header with an impossible {key}")
        return int(pax[key])

    def _number(self, field: bytes) -> int:
        match = _NUMBER.fullmatch(field)
        if not match:
            raise self._hostile("it contains a tar header with an impossible number")
        return int(match.group(1) or b"0", 8)

    def _extended(self, block: bytes) -> dict[str, str]:
        """The records of an extended header: ``length key=value\\n`` each (POSIX.1-2001, pax)."""
        self._check_block(block)
        size = self._number(block[124:136])
        if size > PAX_LIMIT_BYTES:
            raise self._hostile(f"it contains an extended header of {size} bytes")
        data = self._exactly(size + -size % BLOCK_BYTES)[:size]
        records: dict[str, str] = {}
        while data:
            match = _PAX_LENGTH.match(data)
            length = int(match.group(1)) if match else 0
            record = data[match.end():length] if match else b""
            key, equals, value = record[:-1].partition(b"=")
            if length > len(data) or not equals or not record.endswith(b"\n"):
                raise self._hostile("it contains an extended header that cannot be read")
            name = key.decode("ascii", "replace")
            if name not in _PAX_KEYS or name in records:
                raise self._hostile(f"it contains an extended header with {name[:60]}, which no archive of ours has")
            records[name] = value.decode("utf-8", "surrogateescape")
            data = data[length:]
        return records

    def _hostile(self, cause: str) -> ArchiveError:
        return ArchiveError(self._subject, cause, "Do not unpack it: it is damaged, or somebody made it to do harm")


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
