# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compression: any gunzip reads it, workers do not show in it, and no changed bit passes."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import subprocess
import threading
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.pgzip import (
    BLOCK_BYTES,
    MEMBER_HEADER,
    SEAL_BODY,
    SEAL_EXTRA,
    SEAL_HEADER,
    GzipReader,
    GzipWriter,
    compress_block,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.workers import OrderedQueue, worker_count
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import ArchiveError
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import noise, prose

SEAL_BYTES = len(SEAL_HEADER + SEAL_EXTRA + SEAL_BODY) + 32


def pack(data: bytes, level: int = 6, workers=2, chunk: int = 1 << 30) -> bytes:
    raw = io.BytesIO()
    writer = GzipWriter(raw, level, workers)
    for start in range(0, len(data), chunk):
        assert writer.write(data[start : start + chunk]) == len(data[start : start + chunk])
    writer.close()
    return raw.getvalue()


def unpack(stored: bytes, chunk: int = -1) -> bytes:
    reader = GzipReader(io.BytesIO(stored), subject="/backups/x")
    if chunk < 0:
        return reader.read()
    return b"".join(iter(lambda: reader.read(chunk), b""))


def sealed(members: bytes) -> bytes:
    return members + SEAL_HEADER + SEAL_EXTRA + hashlib.sha256(members).digest() + SEAL_BODY


def member(data: bytes, level: int = 6) -> bytes:
    return compress_block([memoryview(data)], level)


@settings(max_examples=60, deadline=None)
@given(
    blocks=st.integers(0, 3),
    delta=st.integers(-2, 2),
    compressible=st.booleans(),
    level=st.integers(0, 9),
    chunk=st.integers(3000, 1 << 21),
    read=st.one_of(st.just(-1), st.integers(1, 1 << 21)),
)
@example(blocks=1, delta=0, compressible=False, level=0, chunk=BLOCK_BYTES, read=BLOCK_BYTES)
def test_round_trip(blocks, delta, compressible, level, chunk, read):
    data = (prose if compressible else noise)(max(0, blocks * BLOCK_BYTES + delta))
    stored = pack(data, level, chunk=chunk)
    assert unpack(stored, max(read, len(data) // 3000 + 1) if read > 0 else read) == data
    assert gzip.decompress(stored) == data


@given(data=st.binary(max_size=3000), chunk=st.integers(1, 50))
def test_round_trip_of_anything_small(data, chunk):
    stored = pack(data, chunk=chunk)
    assert unpack(stored, chunk) == data
    assert stored == pack(data)


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5])
def test_gunzip_reads_it(size):
    data = prose(size)
    done = subprocess.run(["gunzip", "--stdout"], input=pack(data), capture_output=True, check=True)
    assert done.stdout == data
    assert done.stderr == b""


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_workers_and_pieces_do_not_show(level):
    data = prose(4 * BLOCK_BYTES + 77)
    assert len({pack(data, level, workers, chunk) for workers in (1, 2, 3, 8) for chunk in (777_777, 1 << 30)}) == 1


def test_layout():
    data = prose(BLOCK_BYTES + 10)
    first, second = member(data[:BLOCK_BYTES]), member(data[BLOCK_BYTES:])
    assert pack(data) == sealed(first + second)
    assert first[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255])
    assert len(pack(b"")) == SEAL_BYTES == 58


def test_changing_a_buffer_after_writing_changes_nothing():
    buffer = bytearray(b"before")
    raw = io.BytesIO()
    writer = GzipWriter(raw, 6, 1)
    writer.write(buffer)
    buffer[:] = b"after!"
    writer.close()
    assert unpack(raw.getvalue()) == b"before"


def test_the_queue_is_bounded():
    raw = io.BytesIO()
    writer = GzipWriter(raw, 6, 2)
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


def test_memory_is_bounded():
    piece = prose(BLOCK_BYTES)

    class Nowhere:
        def write(self, data: bytes) -> None:
            pass

    stored = pack(piece * 40)
    tracemalloc.start()
    writer = GzipWriter(Nowhere(), 1, 2)
    for _count in range(60):
        writer.write(bytes(bytearray(piece)))
    writer.close()
    _now, peak = tracemalloc.get_traced_memory()
    assert peak < 16 * BLOCK_BYTES
    before, _peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    reader = GzipReader(io.BytesIO(stored))
    while reader.read(1 << 16):
        pass
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 6 * BLOCK_BYTES


SMALL = pack(b"A small stream, " * 40 + noise(100))
TWO = pack(prose(BLOCK_BYTES) + b"the rest")
TWO_BORDER = len(member(prose(BLOCK_BYTES)))


@pytest.mark.parametrize("bit", range(8))
def test_every_bit_counts(bit):
    for position in range(len(SMALL)):
        changed = bytearray(SMALL)
        changed[position] ^= 1 << bit
        with pytest.raises(ArchiveError, match="/backups/x"):
            unpack(bytes(changed))


def test_every_truncation_is_seen():
    for cut in range(len(SMALL)):
        with pytest.raises(ArchiveError, match="truncated|empty"):
            unpack(SMALL[:cut])


@pytest.mark.parametrize(
    "cut",
    [TWO_BORDER + delta for delta in (-9, -8, -1, 0, 1, 9, 10, 11)]
    + [len(TWO) - SEAL_BYTES + delta for delta in (-1, 0, 1, 10, 11)],
)
def test_truncation_around_members(cut):
    with pytest.raises(ArchiveError, match="truncated|block 1 is damaged|block 0 is damaged"):
        unpack(TWO[:cut])


def test_redundant_codes_of_deflate_count():
    """A match in a run of zeros may have any distance: the same content from other bytes, which no CRC sees."""
    stored = pack(bytes(100_000))
    passed = 0
    for position in range(10, len(stored) - SEAL_BYTES - 8):
        for bit in range(8):
            changed = bytearray(stored)
            changed[position] ^= 1 << bit
            with suppress(OSError, EOFError, zlib.error):
                passed += gzip.decompress(bytes(changed)) == bytes(100_000)
            with pytest.raises(ArchiveError):
                unpack(bytes(changed))
    assert passed > 0


@pytest.mark.parametrize("extra", [b"\0", b"\0" * 512, b"\x1f\x8b", MEMBER_HEADER, SMALL])
def test_trailing_bytes(extra):
    with pytest.raises(ArchiveError, match="bytes follow its end"):
        unpack(SMALL + extra)


@pytest.mark.parametrize(
    ("stored", "cause"),
    [
        (b"", "empty"),
        (b"\x1f", "truncated: it ends within its first bytes"),
        (b"\x1f\x8b\x08\x00", "truncated: it ends within its first bytes"),
        (b"hello world, hello", "not an archive of this collection"),
        (b"hello", "not an archive of this collection"),
        (gzip.compress(b"somebody else's"), "not an archive of this collection"),
        (gzip.compress(b"somebody else's", mtime=0), "not an archive of this collection"),
        (member(b"x"), "truncated: its end is missing"),
        (member(b"x") + b"\0" * 20, "bytes after compressed block 1 are not a block"),
        (member(b"x") + gzip.compress(b"y"), "bytes after compressed block 1 are not a block"),
        (sealed(MEMBER_HEADER + SEAL_BODY[:2] + bytes(8)), "block 0 is damaged .checksum or length."),
        (sealed(member(b"x")[:-8] + bytes(8)), "block 0 is damaged .checksum or length."),
        (sealed(MEMBER_HEADER + b"\x07" + bytes(20)), "block 0 is damaged .*invalid block type"),
        (sealed(member(b"x"))[:-1], "truncated within its last bytes"),
        (SEAL_HEADER + SEAL_EXTRA + bytes(32) + SEAL_BODY, "the seal differs"),
        (sealed(member(bytes(BLOCK_BYTES + 1))), "holds more than 1048576 bytes"),
        (sealed(member(bytes(200 << 20), 9)), "holds more than 1048576 bytes"),
    ],
)
def test_what_is_refused(stored, cause):
    with pytest.raises(ArchiveError, match=f"^/backups/x: .*{cause}"):
        unpack(stored)


def test_a_bomb_takes_no_memory():
    bomb = sealed(member(bytes(300 << 20), 9))
    tracemalloc.start()
    with pytest.raises(ArchiveError):
        unpack(bomb)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * BLOCK_BYTES


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 0, 1, 2], [0, 2], [0, 1, 1, 2], [0, 2, 1]], ids=str)
def test_members_out_of_place(order):
    members = [member(noise(2000, seed)) for seed in range(3)]
    stored = sealed(b"".join(members))
    seal = stored[-SEAL_BYTES:]
    with pytest.raises(ArchiveError, match="seal differs"):
        unpack(b"".join(members[index] for index in order) + seal)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_damage_is_an_archive_error_and_nothing_else(seed):
    rng = random.Random(seed)
    changed = bytearray(TWO if seed % 4 == 0 else SMALL)
    start, length = rng.randrange(len(changed)), rng.randrange(1, 40)
    changed[start : start + length] = rng.randbytes(rng.choice((0, length, length + 3)))
    if bytes(changed) not in (TWO, SMALL):
        with pytest.raises(ArchiveError):
            unpack(bytes(changed))


def test_reading_goes_on_from_any_position():
    data = prose(BLOCK_BYTES + 10)
    reader = GzipReader(io.BytesIO(pack(data)))
    assert reader.read(5) + reader.read(0) + reader.read(BLOCK_BYTES) + reader.read(BLOCK_BYTES) + reader.read() == data
    assert reader.read() == reader.read(1) == b""
