# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compression: the stock tools read it, workers do not show in it, and no changed bit passes."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import struct
import subprocess
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive import codecs, libraries
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.blocks import BlockReader, BlockWriter
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.codecs import (
    BLOCK_BYTES,
    GZIP,
    LEVELS,
    ZSTD,
    compress_block,
    framing_of,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.workers import (
    OrderedQueue,
    ReadAhead,
    worker_count,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import ArchiveError, UsageError
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import noise, prose

METHODS = pytest.mark.parametrize("method", codecs.METHODS)


@pytest.fixture(params=["zlib", "zlib_ng", "isal"])
def library(request, monkeypatch):
    """Each library for gzip alone, as if no other were installed."""
    for name in ("ISAL", "ZLIB_NG"):
        if name.lower() != request.param:
            monkeypatch.setattr(libraries, name, None)
    return request.param


def pack(data: bytes, level: int = 6, workers=2, chunk: int = 1 << 30, method: str = "gzip") -> bytes:
    raw = io.BytesIO()
    writer = BlockWriter(raw, method, level, workers)
    for start in range(0, len(data), chunk):
        assert writer.write(data[start : start + chunk]) == len(data[start : start + chunk])
    writer.close()
    return raw.getvalue()


def unpack(stored: bytes, chunk: int = -1, workers: int = 0) -> bytes:
    with ThreadPoolExecutor(max(1, workers)) as executor:
        reader = BlockReader(
            io.BytesIO(stored), subject="/backups/x", executor=executor if workers else None, workers=workers or None)
        if chunk < 0:
            return reader.read()
        return b"".join(iter(lambda: reader.read(chunk), b""))


def stock_tool(method: str, stored: bytes) -> bytes:
    """What gunzip or a zstd that knows nothing of us makes of it."""
    if method == "gzip":
        done = subprocess.run(["gunzip", "--stdout"], input=stored, capture_output=True, check=True)
        assert done.stderr == b""
        return done.stdout
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(stored), read_across_frames=True).read()


def sealed(blocks: bytes, method: str = "gzip") -> bytes:
    framing = framing_of(method)
    return blocks + framing.seal_start + hashlib.sha256(blocks).digest() + framing.seal_end


def seal_bytes(method: str = "gzip") -> int:
    return len(sealed(b"", method))


def block(data: bytes, level: int = 6, method: str = "gzip") -> bytes:
    return compress_block([memoryview(data)], method, level)


def framed(body: bytes, method: str = "gzip", size: int | None = None) -> bytes:
    """A block of any body, with the size that it has or another."""
    framing = framing_of(method)
    size = len(body) - framing.trailer_bytes if size is None else size
    return framing.block_start + struct.pack("<I", size) + body


@METHODS
@settings(max_examples=40, deadline=None)
@given(
    blocks=st.integers(0, 3),
    delta=st.integers(-2, 2),
    compressible=st.booleans(),
    level=st.integers(0, 9),
    chunk=st.integers(3000, 1 << 21),
    read=st.one_of(st.just(-1), st.integers(1, 1 << 21)),
    workers=st.integers(0, 3),
)
@example(blocks=1, delta=0, compressible=False, level=0, chunk=BLOCK_BYTES, read=BLOCK_BYTES, workers=2)
def test_round_trip(method, blocks, delta, compressible, level, chunk, read, workers):
    level = min(max(level, LEVELS[method][0]), LEVELS[method][1])
    data = (prose if compressible else noise)(max(0, blocks * BLOCK_BYTES + delta))
    stored = pack(data, level, chunk=chunk, method=method)
    assert unpack(stored, max(read, len(data) // 3000 + 1) if read > 0 else read, workers) == data
    assert stock_tool(method, stored) == data


@METHODS
@settings(deadline=None)
@given(data=st.binary(max_size=3000), chunk=st.integers(1, 50))
def test_round_trip_of_anything_small(method, data, chunk):
    stored = pack(data, chunk=chunk, method=method)
    assert unpack(stored, chunk) == data
    assert stored == pack(data, method=method)


@METHODS
@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5])
def test_the_stock_tool_reads_it(method, size):
    data = prose(size)
    assert stock_tool(method, pack(data, method=method)) == data


@pytest.mark.parametrize("level", range(10))
def test_each_library_for_gzip(library, level):
    data = prose(BLOCK_BYTES + 100)
    stored = pack(data, level)
    assert gzip.decompress(stored) == data == unpack(stored)
    plain = {"zlib": "zlib", "zlib_ng": "zlib_ng.zlib_ng" if level else "zlib",
             "isal": "isal.isal_zlib" if 1 <= level <= 6 else "zlib"}
    assert codecs.library("gzip", level) == plain[library]


def test_isal_compresses_about_as_well_as_zlib():
    data = prose(BLOCK_BYTES)
    ours = len(block(data)) - GZIP.start_bytes - 12
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    assert codecs.library("gzip", 6) == "isal.isal_zlib"
    assert ours <= 1.1 * len(deflate.compress(data) + deflate.flush())


def test_without_a_library_zstd_is_refused_in_one_sentence(monkeypatch):
    stored = pack(b"content", method="zstd")
    for name in ("STDLIB_ZSTD", "ZSTANDARD"):
        monkeypatch.setattr(libraries, name, None)
    with pytest.raises(UsageError, match="no library for zstd here. Install python3-zstandard"):
        codecs.check_level("zstd", 3)
    with pytest.raises(UsageError, match="^/backups/x: Python has no library for zstd here"):
        unpack(stored)


@pytest.mark.parametrize(("method", "level", "cause"), [
    ("bzip2", 6, "compression 'bzip2': this method is unknown. Use one of gzip, zstd"),
    ("gzip", 10, "gzip's levels are 0 to 9. Use 6"), ("zstd", 0, "zstd's levels are 1 to 19. Use 2"),
    ("zstd", 20, "zstd's levels are 1 to 19"), ("gzip", -1, "gzip's levels"),
])
def test_levels(method, level, cause):
    with pytest.raises(UsageError, match=cause):
        codecs.check_level(method, level)


@METHODS
@pytest.mark.parametrize("level", [1, 6, 9])
def test_workers_and_pieces_do_not_show(method, level):
    data = prose(4 * BLOCK_BYTES + 77)
    assert len({pack(data, level, workers, chunk, method)
                for workers in (1, 2, 3, 8) for chunk in (777_777, 1 << 30)}) == 1


def test_layout_of_gzip():
    data = prose(BLOCK_BYTES + 10)
    first, second = block(data[:BLOCK_BYTES]), block(data[BLOCK_BYTES:])
    assert pack(data) == sealed(first + second)
    assert first[:16] == bytes([0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 255, 8, 0]) + b"fb\4\0"
    assert int.from_bytes(first[16:20], "little") == len(first) - 20 - 8
    assert len(pack(b"")) == 58


def test_layout_of_zstd():
    data = prose(BLOCK_BYTES + 10)
    first, second = (block(part, 3, "zstd") for part in (data[:BLOCK_BYTES], data[BLOCK_BYTES:]))
    assert pack(data, 3, method="zstd") == sealed(first + second, "zstd")
    assert first[:8] == bytes.fromhex("502a4d18 04000000")
    assert int.from_bytes(first[8:12], "little") == len(first) - 12
    assert first[12:16] == bytes.fromhex("28b52ffd")
    frame = zstandard.get_frame_parameters(first[12:])
    assert (frame.content_size, frame.has_checksum) == (BLOCK_BYTES, True)
    assert len(pack(b"", method="zstd")) == 40


def test_changing_a_buffer_after_writing_changes_nothing():
    buffer = bytearray(b"before")
    raw = io.BytesIO()
    writer = BlockWriter(raw, "gzip", 6, 1)
    writer.write(buffer)
    buffer[:] = b"after!"
    writer.close()
    assert unpack(raw.getvalue()) == b"before"


def test_the_queue_is_bounded():
    raw = io.BytesIO()
    writer = BlockWriter(raw, "gzip", 6, 2)
    assert writer.limit == 4
    seen = set()
    for seed in range(12):
        writer.write(noise(BLOCK_BYTES, seed))
        seen.add(writer.in_flight)
    writer.close()
    assert max(seen) <= writer.limit
    assert writer.in_flight == 0


def test_submitting_waits_for_the_oldest_block_when_the_queue_is_full():
    gate, delivered = threading.Event(), []
    queue = OrderedQueue(delivered.append, workers=1)

    def work(value: bytes) -> bytes:
        assert gate.wait(30)
        return value

    for value in (b"0", b"1", b"2"):
        queue.submit(work, value)
    assert (queue.limit, queue.in_flight, delivered) == (3, 3, [])
    threading.Thread(target=gate.set).start()
    queue.submit(work, b"3")
    assert delivered[0] == b"0"
    assert queue.in_flight <= queue.limit
    queue.finish()
    assert delivered == [b"0", b"1", b"2", b"3"]


def test_an_error_of_a_worker_arrives():
    def fail() -> bytes:
        raise MemoryError

    queue = OrderedQueue([].append, workers=1)
    queue.submit(fail)
    with pytest.raises(MemoryError):
        queue.finish()


@pytest.mark.parametrize(("given_count", "used"), [(1, 1), (0, 1), (-3, 1), (5, 5), (1000, 16)])
def test_worker_count(given_count, used):
    assert worker_count(given_count) == used
    assert 1 <= worker_count(None) <= 16


def test_reading_ahead_keeps_the_order_of_results_and_errors():
    items = iter(range(6))

    def work(number: int) -> bytes:
        if number == 3:
            raise ValueError("the fourth")
        return bytes([number])

    with ThreadPoolExecutor(2) as executor:
        ahead = ReadAhead(lambda: next(items, None), work, executor=executor, workers=2)
        assert [ahead.next() for _count in range(3)] == [b"\0", b"\1", b"\2"]
        for _again in (1, 2):
            with pytest.raises(ValueError, match="the fourth"):
                ahead.next()


def test_an_error_of_the_source_comes_after_the_results_before_it():
    def read():
        yield from (b"1", b"2")
        raise OSError("the disk")

    source = read()
    with ThreadPoolExecutor(2) as executor:
        ahead = ReadAhead(lambda: next(source), lambda item: item, executor=executor, workers=8)
        assert [ahead.next(), ahead.next()] == [b"1", b"2"]
        for _again in (1, 2):
            with pytest.raises(OSError, match="the disk"):
                ahead.next()


@METHODS
def test_memory_is_bounded(method):
    piece = prose(BLOCK_BYTES)

    class Nowhere:
        def write(self, data: bytes) -> None:
            pass

    stored = pack(piece * 40, 1, method=method)
    tracemalloc.start()
    writer = BlockWriter(Nowhere(), method, 1, 2)
    for _count in range(60):
        writer.write(bytes(bytearray(piece)))
    writer.close()
    _now, peak = tracemalloc.get_traced_memory()
    assert peak < 16 * BLOCK_BYTES
    before, _peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    with ThreadPoolExecutor(2) as executor:
        reader = BlockReader(io.BytesIO(stored), executor=executor, workers=2)
        while reader.read(1 << 16):
            pass
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 12 * BLOCK_BYTES


CONTENT = b"A small stream, " * 40 + noise(100)
SMALL = {method: pack(CONTENT, method=method) for method in codecs.METHODS}
TWO = {method: pack(prose(BLOCK_BYTES) + b"the rest", method=method) for method in codecs.METHODS}


@METHODS
@pytest.mark.parametrize("bit", range(8))
def test_every_bit_counts(method, bit):
    for position in range(len(SMALL[method])):
        changed = bytearray(SMALL[method])
        changed[position] ^= 1 << bit
        with pytest.raises(ArchiveError, match="/backups/x"):
            unpack(bytes(changed))


@METHODS
def test_every_truncation_is_seen(method):
    for cut in range(len(SMALL[method])):
        with pytest.raises(ArchiveError, match="truncated|empty"):
            unpack(SMALL[method][:cut])


@METHODS
@pytest.mark.parametrize("workers", [0, 2])
def test_truncation_around_blocks(method, workers):
    two = TWO[method]
    border, end = len(block(prose(BLOCK_BYTES), method=method)), len(two) - seal_bytes(method)
    for cut in (*(border + delta for delta in (-9, -8, -1, 0, 1, 9, 10, 11)), *(end + d for d in (-1, 0, 1, 10, 11))):
        with pytest.raises(ArchiveError, match="truncated"):
            unpack(two[:cut], workers=workers)


def test_redundant_codes_of_deflate_count():
    """A match in a run of zeros may have any distance: the same content from other bytes, which no CRC sees."""
    stored = pack(bytes(100_000))
    passed = 0
    for position in range(20, len(stored) - seal_bytes() - 8):
        for bit in range(8):
            changed = bytearray(stored)
            changed[position] ^= 1 << bit
            with suppress(OSError, EOFError, zlib.error):
                passed += gzip.decompress(bytes(changed)) == bytes(100_000)
            with pytest.raises(ArchiveError):
                unpack(bytes(changed))
    assert passed > 0


@METHODS
@pytest.mark.parametrize("extra", [b"\0", b"\0" * 512, b"\x1f\x8b", GZIP.block_start, ZSTD.seal_start, SMALL["gzip"]])
def test_trailing_bytes(method, extra):
    with pytest.raises(ArchiveError, match="bytes follow its end"):
        unpack(SMALL[method] + extra)


RAW = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
DEFLATED = RAW.compress(b"x") + RAW.flush()
CHECKED = struct.pack("<II", zlib.crc32(b"x"), 1)


@pytest.mark.parametrize(
    ("stored", "cause"),
    [
        (b"", "empty"),
        (b"\x1f", "truncated: it ends within its first bytes"),
        (b"\x1f\x8b\x08\x04", "truncated: it ends within its first bytes"),
        (b"\x50\x2a", "truncated: it ends within its first bytes"),
        (b"hello world, hello", "not an archive of this collection"),
        (b"hello", "not an archive of this collection"),
        (gzip.compress(b"somebody else's"), "not an archive of this collection"),
        (gzip.compress(b"somebody else's", mtime=0), "not an archive of this collection"),
        (zstandard.compress(b"somebody else's"), "not an archive of this collection"),
        (block(b"x"), "truncated: it ends without its end"),
        (block(b"x") + b"\0" * 20, "bytes after compressed block 0 are not a block"),
        (block(b"x") + gzip.compress(b"y"), "bytes after compressed block 0 are not a block"),
        (block(b"x") + block(b"y", 3, "zstd"), "bytes after compressed block 0 are not a block"),
        (sealed(framed(b"\3\0" + bytes(8))), "block 0 is empty"),
        (sealed(block(b"x")[:-8] + bytes(8)), "block 0 is damaged .checksum or length."),
        (sealed(framed(b"\x07" + bytes(20))), "block 0 is damaged .*invalid block type|block 0 is damaged"),
        (sealed(framed(DEFLATED + b"\0" + CHECKED)), "block 0 is damaged .its size is not that of its content."),
        (sealed(framed(DEFLATED[:-1] + CHECKED)), "block 0 is damaged .its size is not that of its content."),
        (sealed(block(b"x"))[:-1], "truncated within its last bytes"),
        (GZIP.seal_start + bytes(32) + GZIP.seal_end, "the seal differs"),
        (sealed(block(bytes(BLOCK_BYTES + 1))), "holds more than 1048576 bytes"),
        (sealed(block(bytes(200 << 20), 9)), "holds more than 1048576 bytes"),
        (framed(b"", size=2**32 - 9), "block 0 claims an impossible size"),
        (framed(b"", "zstd", size=2**32 - 1), "block 0 claims an impossible size"),
        (sealed(block(bytes(200 << 20), 9, "zstd"), "zstd"), "holds more than 1048576 bytes"),
        (sealed(framed(zstandard.compress(b""), "zstd"), "zstd"), "block 0 is empty"),
        (sealed(framed(b"no frame at all", "zstd"), "zstd"), "block 0 is damaged"),
        (sealed(framed(zstandard.compress(b"x")[:-1], "zstd"), "zstd"), "block 0 is damaged"),
        (sealed(framed(zstandard.ZstdCompressor(write_content_size=False).compress(b"x"), "zstd"), "zstd"),
         "or does not tell how many"),
    ],
    # gzip writes the time into its header: workers of xdist that collect in different seconds would disagree.
    ids=lambda value: "stored" if isinstance(value, bytes) else None,
)
def test_what_is_refused(stored, cause):
    with pytest.raises(ArchiveError, match=f"^/backups/x: .*({cause})"):
        unpack(stored)


@METHODS
def test_a_bomb_takes_no_memory(method):
    bomb = sealed(block(bytes(300 << 20), 9, method), method)
    tracemalloc.start()
    with pytest.raises(ArchiveError):
        unpack(bomb)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * BLOCK_BYTES


@METHODS
@pytest.mark.parametrize("order", [[1, 0, 2], [0, 0, 1, 2], [0, 2], [0, 1, 1, 2], [0, 2, 1]], ids=str)
def test_blocks_out_of_place(method, order):
    blocks = [block(noise(2000, seed), method=method) for seed in range(3)]
    seal = sealed(b"".join(blocks), method)[-seal_bytes(method):]
    with pytest.raises(ArchiveError, match="seal differs"):
        unpack(b"".join(blocks[index] for index in order) + seal)


@METHODS
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_damage_is_an_archive_error_and_nothing_else(method, seed):
    rng = random.Random(seed)
    changed = bytearray((TWO if seed % 4 == 0 else SMALL)[method])
    start, length = rng.randrange(len(changed)), rng.randrange(1, 40)
    changed[start : start + length] = rng.randbytes(rng.choice((0, length, length + 3)))
    if bytes(changed) not in (TWO[method], SMALL[method]):
        with pytest.raises(ArchiveError):
            unpack(bytes(changed), workers=seed % 3)


def test_reading_goes_on_from_any_position():
    data = prose(BLOCK_BYTES + 10)
    reader = BlockReader(io.BytesIO(pack(data)))
    assert reader.read(5) + reader.read(0) + reader.read(BLOCK_BYTES) + reader.read(BLOCK_BYTES) + reader.read() == data
    assert reader.read() == reader.read(1) == b""
