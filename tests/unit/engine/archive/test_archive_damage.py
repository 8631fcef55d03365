# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage: every truncation, every flipped bit, every exchanged part. No archive that was touched is called good."""

from __future__ import annotations

import errno
import gzip
import io
import os
import random
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.codecs import GZIP
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import Key, KeyRing
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import (
    ArchiveReader,
    UnreadableArchiveError,
    open_archive,
    read_manifest,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import (
    ArchiveError,
    InternalError,
    KeyFileError,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.owners import acting_as
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive import samples
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import KEY, OTHER_KEY, noise, prose

MIB = 1 << 20
BOTH = pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small archive of either kind, and the file that is damaged."""
    return {key: samples.write_sample(tmp_path_factory.mktemp("small"), key=key) for key in (None, KEY)}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """An archive of five segments and as many compressed blocks."""
    return {
        key: samples.write_sample(tmp_path_factory.mktemp("large"), key=key, databases={"app.db": noise(4 * MIB + 512)})
        for key in (None, KEY)
    }


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Reads bytes under an archive's name in every way and wants each to fail, with nothing but the two errors."""
    directory = tmp_path_factory.mktemp("damaged")

    def wanted(stored: bytes, name: str, ring) -> str:
        path = directory / name
        path.write_bytes(stored)
        with pytest.raises((ArchiveError, KeyFileError)) as caught:
            samples.read_all(path, ring)
        assert str(caught.value).startswith(f"{path}: ")
        with pytest.raises((ArchiveError, KeyFileError)), open_archive(str(path), ring) as archive:
            archive.finish()
        return str(caught.value)

    return wanted


@BOTH
def test_flipped_bits_of_a_small_archive(small, judge, key):
    stored, name, ring = small[key].stored, small[key].path.name, small[key].ring
    rng = random.Random(20261124)
    edges = [(position, bit) for position in (*range(60), *range(len(stored) - 60, len(stored))) for bit in range(8)]
    inside = [(rng.randrange(len(stored)), rng.randrange(8)) for _count in range(600)]
    for position, bit in edges + inside:
        changed = bytearray(stored)
        changed[position] ^= 1 << bit
        judge(bytes(changed), name, ring)


@BOTH
def test_flipped_bits_of_every_segment(large, judge, key):
    stored, name, ring = large[key].stored, large[key].path.name, large[key].ring
    rng = random.Random(1)
    for start in range(0, len(stored), MIB // 2):
        changed = bytearray(stored)
        changed[min(len(stored) - 1, start + rng.randrange(MIB // 2))] ^= 1 << rng.randrange(8)
        judge(bytes(changed), name, ring)


@BOTH
def test_every_truncation_of_a_small_archive(small, judge, key):
    stored, name, ring = small[key].stored, small[key].path.name, small[key].ring
    for cut in range(len(stored)):
        judge(stored[:cut], name, ring)


@BOTH
def test_truncation_at_borders_and_anywhere(large, judge, key):
    stored, name, ring = large[key].stored, large[key].path.name, large[key].ring
    borders = set(range(0, len(stored), MIB))
    position = stored.find(GZIP.block_start)
    while position >= 0:
        borders.add(position)
        position = stored.find(GZIP.block_start, position + 1)
    rng = random.Random(2)
    cuts = {border + delta for border in borders for delta in (-1, 0, 1)} | {
        rng.randrange(len(stored)) for _count in range(10)
    }
    for cut in sorted(cut for cut in cuts if 0 <= cut < len(stored)):
        judge(stored[:cut], name, ring)


@BOTH
def test_appended_bytes(small, large, judge, key):
    for sample in (small[key], large[key]):
        for extra in (b"\0", b"\n", bytes(512), noise(100), sample.stored):
            judge(sample.stored + extra, sample.path.name, sample.ring)


@pytest.mark.parametrize(
    "order",
    [
        [0, 2, 1, 3, 4],
        [0, 1, 1, 2, 3, 4],
        [0, 1, 3, 4],
        [1, 2, 3, 4],
        [0, 1, 2, 3, 4, 4],
        [4],
        [0, 4],
        [0, 1, 2, 3],
        [3, 1, 2, 0, 4],
    ],
    ids=str,
)
@BOTH
def test_exchanged_repeated_and_missing_parts(large, judge, key, order):
    stored, name, ring = large[key].stored, large[key].path.name, large[key].ring
    if key:
        parts = [stored[start : start + MIB] for start in range(0, len(stored), MIB)]
    else:
        starts = [0]
        while len(starts) < 5:
            starts.append(stored.index(GZIP.block_start, starts[-1] + 1))
        parts = [stored[start:end] for start, end in zip(starts, [*starts[1:], len(stored)])]
    assert len(parts) == 5
    assert b"".join(parts) == stored
    judge(b"".join(parts[index] for index in order), name, ring)


@BOTH
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**40))
def test_random_damage(small, judge, key, seed):
    stored, name, ring = small[key].stored, small[key].path.name, small[key].ring
    rng = random.Random(seed)
    changed = bytearray(stored)
    for _count in range(rng.randrange(1, 4)):
        start, length = rng.randrange(len(changed)), rng.randrange(1, 200)
        changed[start : start + length] = rng.randbytes(rng.choice((0, length, rng.randrange(300))))
    if bytes(changed) != stored:
        judge(bytes(changed), name, ring)


@given(data=st.binary(max_size=400), start=st.sampled_from([b"", b"\x28", b"\x1f\x8b", GZIP.block_start]))
def test_any_bytes(judge, data, start):
    judge(start + data, "app-full-20261124T054710Z.tar.gz.enc", KeyRing.of(KEY))


def test_a_plain_archive_that_begins_as_an_encrypted_one_does(small, tmp_path):
    """In a swap of two pieces by chance: no key fits it, but that is not what is wrong."""
    copy = tmp_path / small[None].path.name
    copy.write_bytes(b"\x28" + small[None].stored[1:])
    for ring in (None, KeyRing.of(KEY)):
        with pytest.raises(ArchiveError, match="its beginning is that of an encrypted archive"):
            open_archive(str(copy), ring)
        # Whoever gave it another name has said that its name tells nothing.
        with pytest.raises(KeyFileError):
            open_archive(str(copy), ring, check_name=False)


@BOTH
def test_an_empty_file(judge, small, key):
    assert "the file is empty" in judge(b"", small[key].path.name, small[key].ring)


def foreign_files(directory: Path):
    with tarfile.open(directory / "a.tar.gz", "w:gz") as tar:
        tar.add(__file__, "manifest.json")
    with zipfile.ZipFile(directory / "a.zip", "w") as packed:
        packed.write(__file__, "manifest.json")
    (directory / "a.txt").write_text("Dear administrator,\n")
    (directory / "b.txt").write_text("(in brackets)\n" * 20)
    (directory / "a.gz").write_bytes(gzip.compress(b"SQLite format 3\0"))
    (directory / "a.tar").write_bytes(samples.tar_member("manifest.json", b"{}") + bytes(1024))
    subprocess.run(
        [
            "openssl",
            "enc",
            "-aes-256-cbc",
            "-pbkdf2",
            "-pass",
            "pass:x",
            "-in",
            __file__,
            "-out",
            str(directory / "a.enc"),
        ],
        check=True,
    )
    return sorted(directory.iterdir())


def test_foreign_files(tmp_path):
    for path in foreign_files(tmp_path):
        for ring in (None, KeyRing.of(KEY)):
            with pytest.raises((ArchiveError, KeyFileError)) as caught:
                open_archive(str(path), ring, check_name=False)
            if path.name == "b.txt":
                # It begins with the byte of an encrypted archive, so that more cannot be said.
                assert isinstance(caught.value, KeyFileError)
            else:
                assert "not an archive of this collection" in str(caught.value)


def test_a_tar_of_somebody_else_in_our_compression(tmp_path):
    for tar in (
        samples.tar_member("etc/passwd", b"root"),
        samples.tar_member("manifest.json", kind=tarfile.DIRTYPE),
        bytes(1024),
    ):
        path = samples.forge(tmp_path / "a.tar.gz", tar + bytes(1024))
        with pytest.raises(ArchiveError, match=r"manifest\.json is not where it must be|something follows"):
            open_archive(str(path), None)
    with pytest.raises(ArchiveError, match=r"manifest\.json is not where it must be"):
        open_archive(str(samples.forge(tmp_path / "a.tar.gz", bytes(1024))), None)
    path = samples.forge(
        tmp_path / "a.tar.gz", samples.tar_member("manifest.json", b'{"format": "another"}') + bytes(1024)
    )
    with pytest.raises(ArchiveError, match="its manifest is not that of an archive of this collection"):
        open_archive(str(path), None)


def test_another_key(small):
    with pytest.raises(KeyFileError, match=rf"{small[KEY].path}: no key of the key ring \({OTHER_KEY.id}\) opens it"):
        open_archive(str(small[KEY].path), KeyRing.of(OTHER_KEY))


def test_no_key(small):
    with pytest.raises(
        KeyFileError, match=rf"{small[KEY].path}: the archive is encrypted, and no key was given\. Name the key file"
    ):
        open_archive(str(small[KEY].path), None)


@BOTH
def test_a_renamed_archive(small, tmp_path, key):
    sample = small[key]
    other = tmp_path / sample.path.name.replace("20261124", "20261125")
    other.write_bytes(sample.stored)
    with pytest.raises(ArchiveError, match=f"it was renamed: its manifest says that it is {sample.path.name}"):
        read_manifest(str(other), sample.ring)
    assert samples.read_all(other, sample.ring, check_name=False) == sample.contents


def test_a_plain_archive_cannot_take_the_name_of_an_encrypted_one(small, tmp_path):
    path = tmp_path / small[KEY].path.name
    path.write_bytes(small[None].stored)
    with pytest.raises(ArchiveError, match="it was renamed"):
        open_archive(str(path), KeyRing.of(KEY))
    claims_to_be_encrypted = samples.manifest_of({}, {}, KEY)
    path = samples.forge_archive(tmp_path, claims_to_be_encrypted, b"")
    with pytest.raises(ArchiveError, match=f"says that it is encrypted by key {KEY.id}, and it is by key none"):
        open_archive(str(path), KeyRing.of(KEY))


def test_an_encrypted_archive_whose_manifest_names_another_key(tmp_path):
    for manifest in (samples.manifest_of({}, {}, OTHER_KEY), samples.manifest_of({}, {}, None)):
        path = samples.forge_archive(tmp_path, manifest, b"", key=KEY)
        with pytest.raises(ArchiveError, match=rf"and it is by key {KEY.id}"):
            open_archive(str(path), KeyRing.of(KEY), check_name=False)


def test_a_newer_version(tmp_path):
    manifest = replace(
        samples.manifest_of({}, {}), schema_version=2, software={"collection": "7.0.0", "python": "", "sqlite": ""}
    )
    with pytest.raises(
        ArchiveError, match=r"format version 2, made by version 7\.0\.0 of the collection.*Upgrade the collection"
    ):
        open_archive(str(samples.forge_archive(tmp_path, manifest, b"")), None)


def test_paths_that_are_no_archive(tmp_path):
    with pytest.raises(ArchiveError, match=rf"^{tmp_path}/none: the archive cannot be opened: No such file") as caught:
        open_archive(str(tmp_path / "none"), None)
    assert not isinstance(caught.value, UnreadableArchiveError)
    os.symlink("loop", tmp_path / "loop")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.close()
    for name in ("loop", "socket"):
        with pytest.raises(ArchiveError, match="the archive cannot be opened") as caught:
            open_archive(str(tmp_path / name), None)
        assert not isinstance(caught.value, UnreadableArchiveError)
    os.mkfifo(tmp_path / "fifo")
    for name in ("", "fifo"):
        with pytest.raises(ArchiveError, match="not a regular file"):
            open_archive(str(tmp_path / name), None)


def test_an_archive_that_may_not_be_read(small):
    path = Path(tempfile.gettempdir()) / f"unreadable-{os.getpid()}.tar.gz"
    path.write_bytes(small[None].stored)
    path.chmod(0)
    try:
        with acting_as(65534, 65534), pytest.raises(UnreadableArchiveError, match="be opened: Permission denied"):
            open_archive(str(path), None)
    finally:
        path.unlink()


def test_a_disk_that_does_not_read():
    # /proc/self/mem is a regular file whose first page cannot be read: EIO, as from a broken disk.
    with pytest.raises(ArchiveError, match=r"^/proc/self/mem: it cannot be read: Input/output error") as caught:
        open_archive("/proc/self/mem", None)
    assert not isinstance(caught.value, UnreadableArchiveError)


class Failing(io.FileIO):
    """After 1.5 MiB reading ends with the error of this number."""

    left = 3 * MIB // 2

    def __init__(self, path: str, number: int) -> None:
        super().__init__(path)
        self.number = number

    def read(self, size=-1):
        if not self.left:
            raise OSError(self.number, os.strerror(self.number))
        data = super().read(min(size, self.left))
        self.left -= len(data)
        return data


def read_failing(sample, number: int) -> ArchiveError:
    """The error of whoever reads an archive, where reading ends with this error of the system."""
    path, ring = str(sample.path), sample.ring
    with pytest.raises(ArchiveError) as caught, ArchiveReader(path, Failing(path, number), ring, True) as archive:
        archive.finish()
    assert str(caught.value).startswith(f"{path}: it cannot be read: {os.strerror(number)}. ")
    return caught.value


@BOTH
@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EACCES, errno.ENOMEM])
def test_what_hinders_reading_for_now_is_no_damage(large, key, number):
    error = read_failing(large[key], number)
    assert isinstance(error, UnreadableArchiveError)
    assert error.exit_code == ArchiveError.exit_code


@BOTH
@pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN, errno.EBADMSG])
def test_what_the_medium_has_lost_is_damage(large, key, number):
    assert not isinstance(read_failing(large[key], number), UnreadableArchiveError)


def test_after_an_error_nothing_is_good_any_more(large, tmp_path):
    changed = bytearray(large[None].stored)
    changed[3 * MIB] ^= 1
    path = tmp_path / large[None].path.name
    path.write_bytes(bytes(changed))
    with open_archive(str(path), None) as archive:
        with pytest.raises(ArchiveError, match="compressed block"):
            for _info, stream in archive.members():
                stream.read()
        for _count in range(2):
            with pytest.raises(ArchiveError, match="an error was found in it before"):
                archive.finish()
        with pytest.raises(ArchiveError, match="an error was found in it before"):
            list(archive.members())
        with pytest.raises(ArchiveError, match="an error was found in it before"):
            stream.read()


def test_a_stream_ends_with_its_member(small):
    with open_archive(str(small[None].path), None) as archive:
        members = archive.members()
        _info, first = next(members)
        next(members)
        with pytest.raises(InternalError, match="after the next one was asked for"):
            first.read()


def test_no_file_stays_open(small, judge):
    before = len(os.listdir("/proc/self/fd"))
    for key in (None, KEY):
        samples.read_all(small[key].path, small[key].ring)
        judge(small[key].stored[:-1], small[key].path.name, small[key].ring)
    assert len(os.listdir("/proc/self/fd")) == before


def test_reading_needs_no_seeking_and_little_memory(tmp_path):
    sample = samples.write_sample(tmp_path, key=KEY, databases={"app.db": prose(MIB) * 64}, level=1)
    code = (
        "import sys, resource, io\n"
        "from ansible_collections.feedforward.maintenance.plugins.module_utils.archive import reader, keys\n"
        "class Once(io.FileIO):\n"
        "    def seek(self, *arguments): raise io.UnsupportedOperation('seek')\n"
        "stream = Once(sys.argv[1])\n"
        "ring = keys.KeyRing.of(keys.Key(bytes(range(32))))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "archive = reader.ArchiveReader(sys.argv[1], stream, ring, True)\n"
        "print(len(archive.finish()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
        "archive.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sample.path)], check=True, capture_output=True, encoding="utf-8"
    )
    members, grown_kib = map(int, done.stdout.split())
    assert members == 1 + len(sample.contents)
    assert grown_kib < 24 * 1024


def test_errors_never_show_the_key(small, tmp_path):
    ring = KeyRing(OTHER_KEY, (OTHER_KEY, Key(bytes(range(2, 34)))))
    with pytest.raises(KeyFileError) as caught:
        open_archive(str(small[KEY].path), ring)
    for key in ring.keys:
        assert key.material.hex() not in repr(caught.value) + str(caught.value)
        assert struct.pack("32s", key.material) not in str(caught.value).encode()
