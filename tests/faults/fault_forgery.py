# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that were made to do harm by somebody who has the key: well compressed, sealed and encrypted."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from pathlib import Path

from fault_world import World
from forgery import Members, change_manifest, member, unwrapped

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.aead import EncryptingWriter
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.codecs import compress_block, framing_of
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.digests import DIGESTS_LIMIT_BYTES
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.manifest import MANIFEST_LIMIT_BYTES

MARK = "owned-by-an-archive"
MEBIBYTE = 1 << 20
BOMB_BYTES = 4 << 30
PAGE_BYTES = 65536

Blocks = Iterable[bytes]
Forge = Callable[[World, Members, str], Blocks]
"""The blocks of an archive, made of the members of a good one by a method of compression."""


@dataclass(frozen=True)
class Hostile:
    """``says``: what the command must say of it; ``codes``: how it may end."""

    name: str
    says: str
    forge: Forge
    codes: tuple[int, ...] = (6,)


def written(world: World, path: Path, method: str, forge: Forge) -> None:
    """Replaces the good archive ``path``. Nothing of a bomb is ever in memory but the block that is repeated."""
    framing, digest = framing_of(method), hashlib.sha256()
    blocks = forge(world, unwrapped(world, path), method)
    with path.open("wb") as raw:
        encryption = EncryptingWriter(raw, load_ring(str(world.key_file)).current)
        for block in blocks:
            digest.update(block)
            encryption.write(block)
        encryption.write(framing.seal_start + digest.digest() + framing.seal_end)
        encryption.close()


def packed(content: bytes, method: str) -> Iterator[bytes]:
    """The blocks of some content."""
    for place in range(0, len(content), MEBIBYTE):
        yield compress_block([memoryview(content)[place:place + MEBIBYTE]], method, 1)


def zeros(count: int, method: str) -> Iterator[bytes]:
    """The blocks of so many zeros."""
    (block,) = packed(bytes(MEBIBYTE), method)
    yield from repeat(block, count // MEBIBYTE)
    yield from packed(bytes(count % MEBIBYTE), method)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """That of a member, whatever follows."""
    info, _content = member(name, kind, size=size)
    return info.tobuf(tarfile.PAX_FORMAT)


def tar(members: Members) -> bytes:
    """Members as they are, without the end."""
    pieces = []
    for info, content in members:
        info.size = len(content)
        pieces += [info.tobuf(tarfile.PAX_FORMAT), content, bytes(-len(content) % 512)]
    return b"".join(pieces)


def harmless(_world: World, members: Members, method: str) -> Blocks:
    """The good archive once more, by the forger: were it refused, the others would prove nothing."""
    return packed(tar(members) + bytes(1024), method)


def _inserted(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: int) -> Forge:
    """One more member behind the manifest, where it would be unpacked first."""

    def forge(world: World, members: Members, method: str) -> Blocks:
        told = {field: text.format(root=world.root) for field, text in (("name", name), ("linkname", link))}
        content = b"owned" if kind == tarfile.REGTYPE else b""
        members.insert(1, member(told["name"], kind, content, linkname=told["linkname"], **fields))
        return harmless(world, members, method)

    return forge


def _twice(world: World, members: Members, method: str) -> Blocks:
    """The database."""
    members.insert(-1, members[-2])
    return harmless(world, members, method)


def _longer(world: World, members: Members, method: str) -> Blocks:
    """The database has a page more than is listed."""
    info, content = members[-2]
    members[-2] = (info, content + bytes(4096))
    return harmless(world, members, method)


def _huge_manifest(size: int) -> Forge:
    return lambda _world, _members, method: chain(packed(header("manifest.json", size), method), zeros(size, method))


def _dense_manifest(world: World, members: Members, method: str, *, piece: bytes) -> Blocks:
    """The good one, with as many small values as there is room for."""
    start, end = members[0][1].rsplit(b'"warnings": []', 1)
    room = MANIFEST_LIMIT_BYTES - len(start) - len(end) - 20
    values = piece * (room // len(piece))
    members[0] = (members[0][0], start + b'"warnings": [' + values.rstrip(b",") + b"]" + end)
    return harmless(world, members, method)


def _dense_digests(world: World, members: Members, method: str, *, piece: bytes) -> Blocks:
    """One line of small values, or as many lines as there is room for."""
    room = DIGESTS_LIMIT_BYTES // len(piece) - 1
    members[-1] = (members[-1][0], piece * room + b"\n")
    return harmless(world, members, method)


def _huge_header(_world: World, members: Members, method: str) -> Blocks:
    start = tar(members[:1]) + header("extended", BOMB_BYTES, tarfile.XHDTYPE)
    return chain(packed(start, method), zeros(BOMB_BYTES, method))


def _huge_member(_world: World, members: Members, method: str) -> Blocks:
    start = tar(members[:-2]) + header(members[-2][0].name, BOMB_BYTES)
    return chain(packed(start, method), zeros(BOMB_BYTES, method))


def _huge_end(_world: World, members: Members, method: str) -> Blocks:
    return chain(packed(tar(members), method), zeros(BOMB_BYTES, method))


def _huge_block(_world: World, _members: Members, method: str) -> Blocks:
    """One block of a gigabyte and more, as small as a block may be."""
    if method == "zstd":
        return [_zstd_block(BOMB_BYTES, told=BOMB_BYTES)]
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    # After a full flush the same bytes give the same bytes, so that they are compressed once.
    piece = deflate.compress(bytes(MEBIBYTE)) + deflate.flush(zlib.Z_FULL_FLUSH)
    stream = piece * (MEBIBYTE // len(piece)) + b"\3\0"
    return [framing_of(method).block_start + struct.pack("<I", len(stream)) + stream + bytes(8)]


def _lying_block(_world: World, _members: Members, method: str) -> Blocks:
    """It calls itself as large as a block may be."""
    return [_zstd_block(BOMB_BYTES, told=MEBIBYTE)]


def _zstd_block(size: int, told: int) -> bytes:
    """Zeros in runs of 128 KiB (RFC 8878: single segment, content size of 8 bytes; a block of type RLE is its header
    and one byte)."""
    run, last = ((131072 << 3 | 1 << 1 | end).to_bytes(3, "little") + b"\0" for end in (0, 1))
    frame = struct.pack("<IBQ", 0xFD2FB528, 0xE0, told) + run * (size // 131072 - 1) + last
    return framing_of("zstd").block_start + struct.pack("<I", len(frame)) + frame


def _huge_database(world: World, members: Members, method: str) -> Blocks:
    """Listed without a contradiction, with its table, and larger than the disk; the first gigabytes of it are there."""
    pages = max(300 << 30, 4 * shutil.disk_usage(world.root).total) // PAGE_BYTES
    (database,) = json.loads(members[0][1])["databases"]
    database.update(page_size=PAGE_BYTES, page_count=pages, pages=pages, size=pages * PAGE_BYTES)
    change_manifest(members, databases=[database])
    table = pages * 16
    return chain(packed(tar(members[:1]) + header(database["page_digests"], table), method), zeros(table, method),
                 packed(bytes(-table % 512) + header(database["member"], database["size"]), method),
                 zeros(BOMB_BYTES, method))  # fmt: skip


HOSTILE = (
    Hostile("a name with ..", "leads elsewhere", _inserted(f"../../{MARK}")),
    Hostile("a name with .. inside", "leads elsewhere", _inserted(f"databases/../../{MARK}")),
    Hostile("an absolute name", "leads elsewhere", _inserted(f"{{root}}/{MARK}")),
    Hostile("a symbolic link", "a symbolic link", _inserted("databases/link", tarfile.SYMTYPE, "{root}")),
    Hostile("a hard link", "a hard link", _inserted("databases/link", tarfile.LNKTYPE, "{root}/live/data/app.db")),
    Hostile("a character device", "a character device", _inserted("databases/null", tarfile.CHRTYPE, devmajor=1)),
    Hostile("a block device", "a block device", _inserted("databases/disk", tarfile.BLKTYPE, devmajor=8)),
    Hostile("a FIFO", "a FIFO", _inserted("databases/fifo", tarfile.FIFOTYPE)),
    Hostile("a member twice", "a member twice", _twice),
    Hostile("a member that is not listed", "does not list", _inserted(f"files/{MARK}")),
    Hostile("a member that is longer than listed", "another type or size", _longer),
)
BOMBS = (
    Hostile("a manifest of gigabytes", "larger than", _huge_manifest(BOMB_BYTES)),
    Hostile("a manifest of as many zeros as it may have", "not valid", _huge_manifest(MANIFEST_LIMIT_BYTES)),
    *(Hostile(f"a manifest of nothing but {piece.decode()}", "than its size explains",
              partial(_dense_manifest, piece=piece)) for piece in (b"[],", b"{},", b'"",', b"1000,", b'{"a":1},')),
    *(Hostile(f"digests of nothing but {piece!r}", "larger than", partial(_dense_digests, piece=piece))
      for piece in (b"{},", b"\n", b"{}\n")),
    Hostile("an extended header of gigabytes", "extended header of", _huge_header),
    Hostile("a member of gigabytes", "another type or size", _huge_member),
    Hostile("gigabytes behind the last member", "follows the end", _huge_end),
    Hostile("a block of gigabytes", "holds more than", _huge_block),
    Hostile("a database that is larger than the disk", "are free", _huge_database, codes=(4,)),
)
LYING = Hostile("a block of gigabytes that calls itself small", "is damaged", _lying_block)
