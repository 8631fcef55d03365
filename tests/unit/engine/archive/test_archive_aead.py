# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The encryption: Tink's format in both directions, and every way in which a stream can be wrong."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc

import pytest
import tink
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.aead import (
    ASSOCIATED_DATA,
    HEADER_BYTES,
    SEGMENT_BYTES,
    TAG_BYTES,
    DecryptingReader,
    EncryptingWriter,
    WrongKeyError,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import KeyRing
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import ArchiveError, KeyFileError
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import KEY, OTHER_KEY, noise

FIRST = SEGMENT_BYTES - HEADER_BYTES - TAG_BYTES
NEXT = SEGMENT_BYTES - TAG_BYTES
BORDERS = sorted(
    {max(0, border + delta) for border in (0, FIRST, FIRST + NEXT, FIRST + 2 * NEXT) for delta in (-1, 0, 1)}
)


def encrypt(data: bytes, key=KEY, *, chunk: int = 1 << 30, workers=2) -> bytes:
    raw = io.BytesIO()
    writer = EncryptingWriter(raw, key, workers=workers)
    for start in range(0, len(data), chunk):
        assert writer.write(data[start : start + chunk]) == len(data[start : start + chunk])
    writer.close()
    return raw.getvalue()


def decrypt(stored: bytes, keys=KEY, *, chunk: int = -1) -> bytes:
    reader = DecryptingReader(io.BytesIO(stored), keys, subject="/backups/x")
    if chunk < 0:
        return reader.read()
    return b"".join(iter(lambda: reader.read(chunk), b""))


@pytest.fixture(scope="module")
def tink_primitive():
    streaming_aead.register()
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    parameters = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKeyFormat.FromString(template.value).params
    assert parameters.ciphertext_segment_size == SEGMENT_BYTES
    assert parameters.derived_key_size == 32
    assert parameters.hkdf_hash_type == common_pb2.SHA256
    key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(version=0, params=parameters, key_value=KEY.material)
    keyset = tink_pb2.Keyset(primary_key_id=1)
    entry = keyset.key.add(key_id=1, status=tink_pb2.ENABLED, output_prefix_type=tink_pb2.RAW)
    entry.key_data.type_url = template.type_url
    entry.key_data.value = key.SerializeToString()
    entry.key_data.key_material_type = tink_pb2.KeyData.SYMMETRIC
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


class Kept(io.BytesIO):
    """Keeps its content when Tink closes it."""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


def tink_encrypt(primitive, data: bytes) -> bytes:
    raw = Kept()
    with primitive.new_encrypting_stream(raw, ASSOCIATED_DATA) as stream:
        stream.write(data)
    return raw.kept


@pytest.mark.parametrize("size", BORDERS)
def test_tink_reads_what_we_write(tink_primitive, size):
    data = noise(size)
    with tink_primitive.new_decrypting_stream(io.BytesIO(encrypt(data)), ASSOCIATED_DATA) as stream:
        assert stream.read() == data


@pytest.mark.parametrize("size", BORDERS)
def test_we_read_what_tink_writes(tink_primitive, size):
    data = noise(size)
    stored = tink_encrypt(tink_primitive, data)
    assert decrypt(stored) == data
    assert len(stored) == len(encrypt(data))


def test_tink_refuses_other_associated_data(tink_primitive):
    with (
        tink_primitive.new_decrypting_stream(io.BytesIO(encrypt(b"x")), b"another") as stream,
        pytest.raises(tink.TinkError),
    ):
        stream.read()


def test_tink_and_we_find_the_same_damage(tink_primitive):
    stored = bytearray(tink_encrypt(tink_primitive, noise(FIRST + 5)))
    stored[-1] ^= 1
    with pytest.raises(ArchiveError, match="segment 1"):
        decrypt(bytes(stored))
    with (
        tink_primitive.new_decrypting_stream(io.BytesIO(bytes(stored)), ASSOCIATED_DATA) as stream,
        pytest.raises(tink.TinkError),
    ):
        stream.read()


@settings(max_examples=30, deadline=None)
@given(
    border=st.sampled_from([0, FIRST, FIRST + NEXT]),
    delta=st.integers(-3, 3),
    chunk=st.integers(1, 1 << 21),
    read=st.one_of(st.just(-1), st.integers(1000, 1 << 21)),
    workers=st.integers(1, 3),
)
@example(border=FIRST, delta=0, chunk=1, read=-1, workers=2).via("every byte a write of its own, at a border")
def test_round_trip(border, delta, chunk, read, workers):
    data = noise(max(0, border + delta))
    stored = encrypt(data, chunk=max(chunk, len(data) // 5000 + 1), workers=workers)
    assert decrypt(stored, chunk=read) == data
    assert len(stored) == HEADER_BYTES + len(data) + TAG_BYTES * max(1, -(-(len(stored)) // SEGMENT_BYTES))


def test_layout():
    stored = encrypt(noise(FIRST + NEXT + 1))
    assert stored[0] == 40
    assert len(stored) == 2 * SEGMENT_BYTES + 1 + TAG_BYTES
    assert len(encrypt(b"")) == HEADER_BYTES + TAG_BYTES
    assert encrypt(b"")[:40] != encrypt(b"")[:40]
    assert decrypt(encrypt(b"")) == b""


def test_reading_goes_on_from_any_position():
    data = noise(FIRST + NEXT + 100)
    reader = DecryptingReader(io.BytesIO(encrypt(data)), KEY)
    assert reader.read(10) + reader.read(FIRST) + reader.read(0) + reader.read() == data
    assert reader.read(1) == reader.read() == b""
    assert reader.key == KEY


class Dribble(io.BytesIO):
    """Gives less than it is asked for, as a pipe does, and cannot seek."""

    def read(self, size: int = -1) -> bytes:
        return super().read(min(size, 65537) if size >= 0 else size)

    def seek(self, *_arguments) -> int:
        raise io.UnsupportedOperation("seek")


def test_a_pipe_is_enough():
    data = noise(2 * SEGMENT_BYTES)
    assert DecryptingReader(Dribble(encrypt(data)), KEY).read() == data


def test_the_ring_is_tried_in_order():
    stored = encrypt(b"secret")
    reader = DecryptingReader(io.BytesIO(stored), KeyRing(OTHER_KEY, (OTHER_KEY, KEY)))
    assert reader.key == KEY
    assert reader.read() == b"secret"


def test_another_key():
    with pytest.raises(
        WrongKeyError, match=rf"^/backups/x: no key of the key ring \({OTHER_KEY.id}\) opens it"
    ) as caught:
        decrypt(encrypt(b"secret"), OTHER_KEY)
    assert isinstance(caught.value, KeyFileError)


def test_no_cryptography_on_the_host():
    code = (
        "import io\n"
        "from ansible_collections.feedforward.maintenance.plugins.module_utils.archive import aead, keys\n"
        "from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import KeyFileError\n"
        "key = keys.Key(bytes(32))\n"
        "for use in (aead.EncryptingWriter, aead.DecryptingReader):\n"
        "    try:\n"
        "        use(io.BytesIO(), key)\n"
        "    except KeyFileError as error:\n"
        "        print(error)\n"
    )
    # -S: no site-packages, as on a host that has nothing but Python.
    done = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, encoding="utf-8")
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("No module named 'cryptography'" in line and "Install python3-cryptography" in line for line in lines)


def segments_of(stored: bytes) -> list:
    return [stored[start : start + SEGMENT_BYTES] for start in range(0, len(stored), SEGMENT_BYTES)]


FOUR = encrypt(noise(FIRST + 2 * NEXT + 1000))


@pytest.mark.parametrize(
    "order",
    [
        [0, 2, 1, 3],
        [0, 1, 1, 2, 3],
        [0, 2, 3],
        [0, 1, 3],
        [1, 0, 2, 3],
        [0, 1, 2, 3, 3],
        [0, 1, 2],
        [0, 3],
        [0, 1, 3, 2],
        [1, 2, 3],
        [0, 1, 2, 3, 1],
        [0, 0, 1, 2, 3],
    ],
    ids=str,
)
def test_segments_out_of_place(order):
    parts = segments_of(FOUR)
    assert len(parts) == 4
    with pytest.raises((ArchiveError, WrongKeyError)):
        decrypt(b"".join(parts[index] for index in order))


def test_a_segment_of_another_archive_of_the_same_key():
    other = segments_of(encrypt(noise(FIRST + 2 * NEXT + 1000)))
    for index in range(4):
        parts = segments_of(FOUR)
        parts[index] = other[index]
        with pytest.raises((ArchiveError, WrongKeyError)):
            decrypt(b"".join(parts))


@pytest.mark.parametrize(
    "cut",
    sorted(
        {
            *range(60),
            *(
                border + delta
                for border in (SEGMENT_BYTES, 2 * SEGMENT_BYTES, 3 * SEGMENT_BYTES)
                for delta in (-17, -16, -1, 0, 1, 15, 16, 17)
            ),
            len(FOUR) - 1,
            len(FOUR) - 16,
            len(FOUR) - 17,
        }
    ),
)
def test_truncation(cut):
    with pytest.raises((ArchiveError, WrongKeyError)):
        decrypt(FOUR[:cut])


@pytest.mark.parametrize(
    ("cut", "cause"),
    [
        (0, "empty"),
        (20, "truncated: it ends within its first bytes"),
        (SEGMENT_BYTES, "ends with segment 0, which is not the last"),
        (2 * SEGMENT_BYTES, "ends with segment 1, which is not the last"),
        (2 * SEGMENT_BYTES + 9, "segment 2 .from byte 2097152. is damaged"),
    ],
)
def test_truncation_is_named(cut, cause):
    with pytest.raises(ArchiveError, match=rf"^/backups/x: .*{cause}"):
        decrypt(FOUR[:cut])


@pytest.mark.parametrize("size", [0, 5, FIRST, FIRST + 5, FIRST + NEXT])
@pytest.mark.parametrize("extra", [b"\0", b"x" * 16, bytes(SEGMENT_BYTES)], ids=[1, 16, "a segment"])
def test_trailing_bytes(size, extra):
    with pytest.raises((ArchiveError, WrongKeyError)):
        decrypt(encrypt(noise(size)) + extra)


def test_bytes_after_a_full_last_segment_are_named():
    with pytest.raises(ArchiveError, match="bytes follow its end, which is segment 0"):
        decrypt(encrypt(noise(FIRST)) + b"x")
    with pytest.raises(ArchiveError, match="bytes follow its end, which is segment 1"):
        decrypt(encrypt(noise(FIRST + NEXT)) + b"x")


def test_an_empty_segment_after_the_first_is_refused():
    """Tink never writes one; whoever holds the key could, and then one content had two encodings."""
    raw = io.BytesIO()
    writer = EncryptingWriter(raw, KEY)
    writer.write(noise(FIRST))
    writer._send(last=False)
    writer.close()
    with pytest.raises(ArchiveError, match="segment 1"):
        decrypt(raw.getvalue())


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"hello", b"\x1f\x8b\x08", b"\x00" * 100])
def test_foreign_streams(start):
    with pytest.raises(ArchiveError, match="not an encrypted archive"):
        decrypt(start)


def test_memory_is_bounded():
    piece = noise(SEGMENT_BYTES // 2)

    class Nowhere:
        size = 0

        def write(self, data: bytes) -> None:
            self.size += len(data)

    stored = encrypt(piece * 64)
    tracemalloc.start()
    writer = EncryptingWriter(Nowhere(), KEY, workers=2)
    for _count in range(128):
        writer.write(piece)
    writer.close()
    _now, peak = tracemalloc.get_traced_memory()
    assert peak < 16 * SEGMENT_BYTES
    tracemalloc.reset_peak()
    before, _peak = tracemalloc.get_traced_memory()
    reader = DecryptingReader(io.BytesIO(stored), KEY)
    while reader.read(1 << 16):
        pass
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - before < 8 * SEGMENT_BYTES
