# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two ways to compress a block of 1 MiB, and how blocks lie one behind the other.

Both are streams that their stock tools read as they are: ``gunzip`` members (RFC 1952) and ``zstd -d`` frames
(RFC 8878). Before each block stands the size of what follows, in a field that those tools pass over, so that blocks
are read ahead and unpacked in parallel. The seal at the end holds the SHA-256 of everything before it: no checksum of
the formats covers headers, padding bits and redundant codes.

The libraries: zlib, or ``isal`` and ``zlib_ng`` where they are installed, which are faster and write the same format;
for zstd ``compression.zstd`` (Python 3.14) or ``zstandard``.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from . import libraries

SUFFIXES = {"gzip": ".tar.gz", "zstd": ".tar.zst"}
"""What the names of archives end in, before ``.enc`` where they are encrypted."""
BLOCK_BYTES = 1 << 20
METHODS = ("gzip", "zstd")
DEFAULT_LEVELS = {"gzip": 6, "zstd": 2}
"""zstd's level 2 takes two thirds of the time of its own default, 3, and makes texts as small within 5 %."""
LEVELS = {"gzip": (0, 9), "zstd": (1, 19)}
ROOM_BYTES = 1 << 16
"""No library makes a block larger than its content by more than this."""


class BlockError(ValueError):
    """What is wrong with one block."""


@dataclass(frozen=True)
class Framing:
    """A block is ``block_start``, the size of its body without ``trailer_bytes`` (4 bytes, little-endian), and the
    body. The seal is ``seal_start``, 32 bytes of SHA-256, and ``seal_end``. Both starts have the same length."""

    method: str
    block_start: bytes
    trailer_bytes: int
    seal_start: bytes
    seal_end: bytes

    @property
    def start_bytes(self) -> int:
        """The length of either start."""
        return len(self.block_start)


GZIP = Framing(
    "gzip",
    block_start=bytes.fromhex("1f8b08040000000000ff") + struct.pack("<H2sH", 8, b"fb", 4),
    trailer_bytes=8,
    seal_start=bytes.fromhex("1f8b08040000000000ff") + struct.pack("<H2sH", 36, b"fm", 32),
    seal_end=bytes.fromhex("0300") + bytes(8),
)
ZSTD = Framing(
    "zstd",
    block_start=struct.pack("<II", 0x184D2A50, 4),
    trailer_bytes=0,
    seal_start=struct.pack("<II", 0x184D2A50, 32),
    seal_end=b"",
)
FRAMINGS = (GZIP, ZSTD)


def framing_of(method: str) -> Framing:
    """The framing of a method of ``METHODS``."""
    return next(framing for framing in FRAMINGS if framing.method == method)


def check_level(method: str, level: int) -> None:
    """Raises UsageError for an unknown method, a level that it has not, and a library that is missing."""
    if method not in METHODS:
        raise UsageError(f"compression {method!r}", "this method is unknown", f"Use one of {', '.join(METHODS)}")
    least, most = LEVELS[method]
    if not least <= level <= most:
        raise UsageError(f"compression level {level}", f"{method}'s levels are {least} to {most}",
                         f"Use {DEFAULT_LEVELS[method]}, the default")
    if method == "zstd":
        require_zstd(f"compression {method!r}")


def require_zstd(subject: str) -> None:
    """Raises UsageError when no library for zstd can be imported."""
    if _zstd() is None:
        raise UsageError(subject, "Python has no library for zstd here",
                         "Install python3-zstandard (Debian), or zstandard from PyPI")


_ISAL_LEVELS = (None, 1, 2, 2, 3, 3, 3)
"""isal's own levels for zlib's 1 to 6, which compress as well; it has nothing for 0 and for those above."""


def library(method: str, level: int) -> str:
    """The name of the Python module that compresses: for the manifest, and for people who wonder about speed."""
    module: Any = _zlib_for(level)[0] if method == "gzip" else _zstd()
    return str(module.__name__)


def _zstd() -> Any:
    return libraries.STDLIB_ZSTD or libraries.ZSTANDARD


def _fastest_zlib() -> Any:
    return libraries.ISAL or libraries.ZLIB_NG or zlib


def _zlib_for(level: int) -> tuple[Any, int]:
    """The library for a level of zlib's, and the level that it calls so."""
    own = _ISAL_LEVELS[level] if libraries.ISAL is not None and level < len(_ISAL_LEVELS) else None
    if own is not None:
        return libraries.ISAL, own
    return (libraries.ZLIB_NG or zlib) if level else zlib, level


def compress_block(pieces: list[memoryview], method: str, level: int) -> bytes:
    """One block, size field included, that holds the joined pieces. Lets other threads work meanwhile."""
    content = b"".join(pieces)
    if method == "zstd":
        frame = _compress_zstd(content, level)
        return b"".join((ZSTD.block_start, struct.pack("<I", len(frame)), frame))
    module, own_level = _zlib_for(level)
    deflate = module.compressobj(own_level, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = deflate.compress(content) + deflate.flush()
    return b"".join((GZIP.block_start, struct.pack("<I", len(packed)), packed,
                     struct.pack("<II", _fastest_zlib().crc32(content), len(content))))


def decompress_block(body: bytes, method: str) -> bytes:
    """The content of a block's body: 1 byte to 1 MiB. Raises BlockError."""
    content = (_decompress_zstd if method == "zstd" else _inflate)(body)
    if not content:
        raise BlockError("is empty")
    if len(content) > BLOCK_BYTES:
        raise BlockError(f"holds more than {BLOCK_BYTES} bytes")
    return content


def _inflate(body: bytes) -> bytes:
    module = _fastest_zlib()
    stream, trailer = memoryview(body)[:-GZIP.trailer_bytes], body[-GZIP.trailer_bytes:]
    inflate = module.decompressobj(-zlib.MAX_WBITS)
    try:
        content = bytes(inflate.decompress(stream, BLOCK_BYTES + 1))
    except (zlib.error, module.error) as error:
        raise BlockError(f"is damaged ({error})") from error
    if len(content) > BLOCK_BYTES:
        return content
    if not inflate.eof or inflate.unused_data:
        raise BlockError("is damaged (its size is not that of its content)")
    if trailer != struct.pack("<II", module.crc32(content), len(content)):
        raise BlockError("is damaged (checksum or length)")
    return content


def _compress_zstd(content: bytes, level: int) -> bytes:
    own, zstandard = libraries.STDLIB_ZSTD, libraries.ZSTANDARD
    if own is not None:
        options = {own.CompressionParameter.compression_level: level, own.CompressionParameter.checksum_flag: 1}
        return bytes(own.compress(content, options=options))
    return bytes(zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True).compress(content))


def _decompress_zstd(body: bytes) -> bytes:
    own, zstandard = libraries.STDLIB_ZSTD, libraries.ZSTANDARD
    try:
        if own is None:
            # The size that a frame claims is allocated before anything is unpacked.
            if zstandard.get_frame_parameters(body).content_size > BLOCK_BYTES:
                raise BlockError(f"holds more than {BLOCK_BYTES} bytes, or does not tell how many")
            return bytes(zstandard.ZstdDecompressor().decompress(body, max_output_size=BLOCK_BYTES))
        unpack = own.ZstdDecompressor()
        content = bytes(unpack.decompress(body, BLOCK_BYTES + 1))
    except _zstd().ZstdError as error:
        raise BlockError(f"is damaged ({error})") from error
    if len(content) <= BLOCK_BYTES and (not unpack.eof or unpack.unused_data):
        raise BlockError("is damaged (its size is not that of its content)")
    return content
