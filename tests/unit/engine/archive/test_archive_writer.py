# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The writer: what it stores of files that change, what it refuses, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive import manifest as manifest_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import open_archive
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.staging import (
    GROWTH_LIMIT_BYTES,
    MEMORY_BYTES,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.writer import ArchiveWriter, Sink
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import (
    ArchiveError,
    DestinationError,
    InternalError,
    SourceError,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.owners import acting_as
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive import samples
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import KEY, OWNER, noise, sha

MIB = 1 << 20
PLACE = {"mode": 0o600, "mtime": samples.MTIME, **OWNER}


def start(directory: Path, databases=None, files=None, key=None, **more):
    """A writer of an archive of the given contents, and its manifest."""
    manifest = samples.manifest_of(databases or {}, files or {}, key)
    return ArchiveWriter(str(directory / manifest.name), key=key, scratch=str(directory), workers=2, **more), manifest


def until(condition) -> None:
    """Waits for something that another thread is about to do."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


def stored(directory: Path, manifest):
    """What the reader proves of the archive: content and digest by name."""
    with open_archive(str(directory / manifest.name), None) as archive:
        contents = {info.name: stream.read() for info, stream in archive.members()}
        return contents, {digest.name: digest for digest in archive.finish()}


def take(directory: Path, listed: bytes, now: bytes):
    """Archives a file that was ``listed`` and holds ``now`` when it is added."""
    source = directory / "log"
    source.write_bytes(now)
    writer, manifest = start(directory, files={"/log": listed})
    with writer:
        writer.add_manifest(manifest)
        digest = writer.add_file("files/log", str(source), **PLACE)
        written = writer.finish()
    contents, digests = stored(directory, manifest)
    assert digests["files/log"] == digest
    assert written.changed == (("files/log",) if digest.changed else ())
    os.unlink(directory / manifest.name)
    return contents["files/log"], digest.changed


@pytest.mark.parametrize("size", [0, 1, 1000, MEMORY_BYTES - 1, MEMORY_BYTES, MEMORY_BYTES + 1, MEMORY_BYTES + 3 * MIB])
def test_files_that_change_between_list_and_archive(tmp_path, size):
    listed = noise(size)
    assert take(tmp_path, listed, listed) == (listed, False)
    assert take(tmp_path, listed, listed + b"one more line\n") == (listed, False)
    other = noise(size + 1, seed=9)
    assert take(tmp_path, listed + b"!", other) == (other, True)
    assert take(tmp_path, listed + b"!", b"") == (b"", True)
    assert take(tmp_path, listed + b"!", b"longer " + listed) == (b"longer " + listed, True)


def test_a_file_that_is_written_to_while_it_is_read(tmp_path):
    """A writer rewrites the file without a pause: what is stored is hashed as stored, and marked."""
    source = tmp_path / "busy"
    listed = b"\0" * (2 * MIB)
    source.write_bytes(listed)
    stop = threading.Event()

    def scribble() -> None:
        count = 0
        with open(source, "r+b", buffering=0) as stream:
            while not stop.is_set():
                count += 1
                stream.seek(count * 4096 % (2 * MIB))
                stream.write(count.to_bytes(8, "big"))

    thread = threading.Thread(target=scribble)
    writer, manifest = start(tmp_path, files={"/busy": listed})
    thread.start()
    try:
        until(lambda: source.read_bytes() != listed)
        with writer:
            writer.add_manifest(manifest)
            digest = writer.add_file("files/busy", str(source), **PLACE)
            writer.finish()
    finally:
        stop.set()
        thread.join()
    contents, digests = stored(tmp_path, manifest)
    assert digest.changed
    assert digests["files/busy"].sha256 == sha(contents["files/busy"]) == digest.sha256


def test_a_log_that_grows_while_it_is_read_is_stored_as_listed(tmp_path):
    source = tmp_path / "log"
    listed = noise(6 * MIB)
    source.write_bytes(listed)
    stop = threading.Event()

    def append() -> None:
        with open(source, "ab", buffering=0) as stream:
            while not stop.is_set():
                stream.write(b"one more line\n")

    thread = threading.Thread(target=append)
    writer, manifest = start(tmp_path, files={"/log": listed})
    thread.start()
    try:
        until(lambda: source.stat().st_size > len(listed))
        with writer:
            writer.add_manifest(manifest)
            assert not writer.add_file("files/log", str(source), **PLACE).changed
            writer.finish()
    finally:
        stop.set()
        thread.join()
    assert stored(tmp_path, manifest)[0] == {"files/log": listed}


def test_a_file_that_grew_out_of_all_bounds(tmp_path):
    source = tmp_path / "log"
    source.write_bytes(b"x")
    os.truncate(source, 2 + GROWTH_LIMIT_BYTES)
    writer, manifest = start(tmp_path, files={"/log": b"x"})
    with pytest.raises(SourceError, match=rf"{source}: it grew by more than 268\.4 MB while the backup ran"), writer:
        writer.add_manifest(manifest)
        writer.add_file("files/log", str(source), **PLACE)
    assert os.listdir(tmp_path) == ["log"]


def test_a_file_that_vanished(tmp_path):
    writer, manifest = start(tmp_path, files={"/a": b"x", "/log.1": b"gone"})
    (tmp_path / "a").write_bytes(b"x")
    with writer:
        writer.add_manifest(manifest)
        writer.add_file("files/a", str(tmp_path / "a"), **PLACE)
        assert writer.mark_vanished("files/log.1").vanished
        assert writer.finish().changed == ("files/log.1",)
    contents, digests = stored(tmp_path, manifest)
    assert contents == {"files/a": b"x"}
    assert digests["files/log.1"].vanished


@pytest.mark.parametrize(
    "now", [bytes(1023), bytes(1025), b""], ids=["shorter", "longer", "empty"]
)
def test_a_snapshot_that_is_not_as_listed(tmp_path, now):
    source = tmp_path / "snapshot"
    source.write_bytes(now)
    for member in ("databases/a.db", "page-digests/a.db"):
        writer, manifest = start(tmp_path, databases={"a.db": bytes(1024)})
        with pytest.raises(SourceError, match=rf"{source}: the snapshot is not what was listed"), writer:
            writer.add_manifest(manifest)
            writer.add_file(member, str(source), **PLACE)
        assert os.listdir(tmp_path) == ["snapshot"]


def test_a_snapshot_of_other_content_than_listed_is_seen_when_the_archive_is_read_back(tmp_path):
    source, table = tmp_path / "snapshot", tmp_path / "table"
    source.write_bytes(b"\1" + bytes(1023))
    table.write_bytes(samples.page_digests(bytes(1024)))
    writer, manifest = start(tmp_path, databases={"a.db": bytes(1024)})
    with writer:
        writer.add_manifest(manifest)
        writer.add_file("page-digests/a.db", str(table), **PLACE)
        writer.add_file("databases/a.db", str(source), **PLACE)
        writer.finish()
    with open_archive(str(tmp_path / manifest.name), None) as reader, pytest.raises(
        ArchiveError, match="the content of its member databases/a.db is not what its manifest lists"
    ):
        reader.finish()


def test_a_snapshot_that_shrinks_while_it_is_read(tmp_path):
    source = tmp_path / "snapshot"
    data = noise(8 * MIB)
    source.write_bytes(data)

    def shrink(_phase, done, _total) -> None:
        if done == MIB:
            os.truncate(source, 2 * MIB)

    writer, manifest = start(tmp_path, databases={"a.db": data})
    with pytest.raises(SourceError, match="the snapshot is not what was listed"), writer:
        writer.add_manifest(manifest)
        writer.add_file("databases/a.db", str(source), progress=shrink, **PLACE)


def test_sources_that_cannot_be_taken(tmp_path):
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for name, cause in (
        ("none", "No such file"),
        ("directory", "not a regular file"),
        ("fifo", "not a regular file"),
        ("link", "Too many levels of symbolic links"),
    ):
        writer, manifest = start(tmp_path, files={"/f": b"x"})
        with pytest.raises(SourceError, match=rf"^{tmp_path}/{name}: .*{cause}"), writer:
            writer.add_manifest(manifest)
            writer.add_file("files/f", str(tmp_path / name), **PLACE)
        assert not (tmp_path / manifest.name).exists()


def test_a_source_that_the_disk_does_not_give(tmp_path):
    writer, manifest = start(tmp_path, files={"/f": b"x"})
    # /proc/self/mem is a regular file whose first page cannot be read: EIO, as from a broken disk.
    with pytest.raises(SourceError, match=r"^/proc/self/mem: it cannot be read: Input/output error"), writer:
        writer.add_manifest(manifest)
        writer.add_file("files/f", "/proc/self/mem", **PLACE)


def test_progress_counts_all_bytes(tmp_path):
    data = noise(3 * MIB)
    (tmp_path / "a").write_bytes(data)
    (tmp_path / "p").write_bytes(samples.page_digests(data))
    seen = []
    writer, manifest = start(tmp_path, databases={"a.db": data})
    with writer:
        writer.add_manifest(manifest)
        for member, source in (("databases/a.db", "a"), ("page-digests/a.db", "p")):
            writer.add_file(member, str(tmp_path / source), progress=lambda *call: seen.append(call), **PLACE)
        writer.finish()
    assert seen[0] == ("archive", MIB, manifest.total_bytes)
    assert seen[-1] == ("archive", manifest.total_bytes, manifest.total_bytes)
    assert [call[1] for call in seen] == sorted(call[1] for call in seen)


class Stop(Exception):
    pass


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("after", range(5))
def test_whatever_goes_wrong_no_file_is_left(tmp_path, after, key):
    (tmp_path / "a").write_bytes(noise(3 * MIB))
    writer, manifest = start(tmp_path, files={"/a": noise(3 * MIB)}, key=key)
    before = threading.active_count()

    def stop(_phase, done, _total) -> None:
        if after == 2 and done >= 2 * MIB:
            raise Stop

    with pytest.raises(Stop), writer:
        if after == 0:
            raise Stop
        writer.add_manifest(manifest)
        if after == 1:
            raise Stop
        writer.add_file("files/a", str(tmp_path / "a"), progress=stop, **PLACE)
        if after == 3:
            raise Stop
        writer.finish()
        raise Stop
    assert os.listdir(tmp_path) == ["a"]
    assert threading.active_count() == before


def test_an_unfinished_archive_is_a_defect_and_is_removed(tmp_path):
    writer, manifest = start(tmp_path)
    with pytest.raises(InternalError, match="left unfinished"), writer:
        writer.add_manifest(manifest)
    assert os.listdir(tmp_path) == []


def test_an_archive_that_somebody_removed_meanwhile(tmp_path):
    writer, manifest = start(tmp_path)
    with pytest.raises(Stop), writer:
        os.unlink(tmp_path / manifest.name)
        raise Stop


def test_an_existing_file_is_not_touched(tmp_path):
    writer, manifest = start(tmp_path)
    path = tmp_path / manifest.name
    path.write_bytes(b"an older archive")
    with pytest.raises(DestinationError, match=rf"^{path}: File exists while creating the archive"), writer:
        pass
    assert path.read_bytes() == b"an older archive"
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DestinationError, match="File exists"), writer:
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_directory(tmp_path):
    writer, _manifest = start(tmp_path / "none")
    with pytest.raises(DestinationError, match="none/app-full-.*it does not exist"), writer:
        pass


def test_a_directory_that_may_not_be_written(tmp_path):
    writer, _manifest = start(Path("/proc"))
    with acting_as(65534, 65534), pytest.raises(DestinationError, match="/proc/app-full-"), writer:
        pass


def test_a_full_disk():
    with open("/dev/full", "wb", buffering=0) as stream:
        sink = Sink(stream, "/backups/x")
        with pytest.raises(
            DestinationError, match=r"^/backups/x: no space is left on the device while writing the archive"
        ):
            sink.write(b"x")


def test_a_file_that_cannot_be_made_durable():
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as stream:
        sink = Sink(stream, "/backups/x")
        with pytest.raises(DestinationError, match=r"^/backups/x: Invalid argument while writing the archive"):
            sink.finish()


LIMITED = """
import resource, sys
from pathlib import Path
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive import samples
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import DestinationError
directory, limit, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.writer import ArchiveWriter
data = samples.noise(size)
(directory / "f").write_bytes(data)
manifest = samples.manifest_of({}, {"/f": data})
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
try:
    with ArchiveWriter(str(directory / manifest.name), key=None, scratch=str(directory)) as writer:
        writer.add_manifest(manifest)
        writer.add_file("files/f", str(directory / "f"), mode=0o600, mtime=0, **samples.OWNER)
        writer.finish()
except DestinationError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
"""


@pytest.mark.parametrize(
    ("limit", "size", "cause"),
    [
        (MIB, 3 * MIB, r"app-full-\S+: File too large while writing the archive"),
        (5 * MIB, 8 * MIB, r": File too large while staging \S+/f"),
    ],
)
def test_a_limit_in_the_middle_of_writing(tmp_path, limit, size, cause):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(limit), str(size)],
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert len(done.stdout.splitlines()) == 1
    assert re.search(cause, done.stdout)
    assert os.listdir(tmp_path) == ["f"]


def test_no_file_is_left_where_encryption_is_not_installed(tmp_path):
    code = (
        "import sys\n"
        "from ansible_collections.feedforward.maintenance.plugins.module_utils.archive import keys, writer\n"
        "from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import KeyFileError\n"
        "try:\n"
        "    with writer.ArchiveWriter(sys.argv[1], key=keys.Key(bytes(32))):\n"
        "        pass\n"
        "except KeyFileError as error:\n"
        "    print(error)\n"
    )
    # -S: no site-packages, as on a host that has nothing but Python.
    command = [sys.executable, "-S", "-c", code, str(tmp_path / "a.tar.gz.enc")]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    assert "Install python3-cryptography" in done.stdout
    assert os.listdir(tmp_path) == []


def test_calls_out_of_order(tmp_path):
    writer, manifest = start(tmp_path, databases={"a.db": bytes(512)}, files={"/d": None, "/f": b"x"})
    (tmp_path / "f").write_bytes(b"x")

    def misuse(cause, call, *arguments, **more):
        with pytest.raises(InternalError, match=cause):
            call(*arguments, **more)

    with pytest.raises(Stop), writer:
        misuse("no file of the manifest", writer.add_file, "files/f", str(tmp_path / "f"), **PLACE)
        misuse("without a manifest", writer.finish)
        writer.add_manifest(manifest)
        misuse("a second manifest", writer.add_manifest, manifest)
        misuse("files/other is no file", writer.add_file, "files/other", str(tmp_path / "f"), **PLACE)
        misuse("files/d is no file", writer.add_file, "files/d", str(tmp_path / "f"), **PLACE)
        misuse("files/f is no directory", writer.add_directory, "files/f", **PLACE)
        misuse("files/d is no file", writer.mark_vanished, "files/d")
        misuse("page-digests/a.db cannot vanish", writer.mark_vanished, "page-digests/a.db")
        writer.add_file("files/f", str(tmp_path / "f"), **PLACE)
        misuse("or was added before", writer.add_file, "files/f", str(tmp_path / "f"), **PLACE)
        misuse("the listed member databases/a.db was not added", writer.finish)
        raise Stop
    writer, manifest = start(tmp_path)
    with writer:
        writer.add_manifest(manifest)
        writer.finish()
        misuse("or twice", writer.finish)
    assert stored(tmp_path, manifest)[0] == {}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        (
            {"key_id": "01234567", "encrypted": True, "name": "app-full-20261124T054710Z.tar.gz.enc"},
            "another key or compression",
        ),
        ({"compression": {"method": "gzip", "level": 9, "library": "zlib"}}, "another key or compression"),
        ({"kind": "weekly"}, "kind must be one of"),
        ({"warnings": ["a list"]}, "fields of other types"),
        ({"schema_version": 2}, "format version 2"),
    ],
)
def test_a_manifest_that_is_not_for_this_archive(tmp_path, changes, cause):
    writer, manifest = start(tmp_path)
    with pytest.raises(InternalError, match=cause), writer:
        writer.add_manifest(replace(manifest, **changes))
    assert os.listdir(tmp_path) == []


def test_a_list_of_files_that_is_too_long(tmp_path):
    warnings = ("w" * 60_000,) * (manifest_module.MANIFEST_LIMIT_BYTES // 60_000 + 1)
    writer, manifest = start(tmp_path)
    with pytest.raises(SourceError, match="too long for one archive"), writer:
        writer.add_manifest(replace(manifest, warnings=warnings))


def test_memory_is_bounded(tmp_path):
    data = noise(MIB)
    with open(tmp_path / "a", "wb") as stream:
        for _count in range(48):
            stream.write(data)
    whole = data * 48
    manifest = samples.manifest_of({"a.db": whole}, {"/f": whole}, KEY)
    (tmp_path / "p").write_bytes(samples.page_digests(whole))
    del whole
    tracemalloc.start()
    with ArchiveWriter(str(tmp_path / manifest.name), key=KEY, scratch=str(tmp_path), workers=2) as writer:
        writer.add_manifest(manifest)
        writer.add_file("databases/a.db", str(tmp_path / "a"), **PLACE)
        writer.add_file("page-digests/a.db", str(tmp_path / "p"), **PLACE)
        writer.add_file("files/f", str(tmp_path / "a"), **PLACE)
        writer.finish()
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 28 * MIB
    assert sorted(os.listdir(tmp_path)) == ["a", manifest.name, "p"]


def test_staging_leaves_nothing_when_it_is_killed(tmp_path):
    """The staged content lies in a file without a name: a killed run cannot leave it."""
    (tmp_path / "f").write_bytes(noise(MEMORY_BYTES + MIB))
    names = []
    writer, manifest = start(tmp_path, files={"/f": noise(MEMORY_BYTES + MIB)})
    with writer:
        writer.add_manifest(manifest)
        writer.add_file(
            "files/f", str(tmp_path / "f"), progress=lambda *_call: names.append(sorted(os.listdir(tmp_path))), **PLACE
        )
        writer.finish()
    assert names
    assert all(seen == [manifest.name, "f"] for seen in names)


def test_the_default_scratch_is_the_directory_of_the_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = noise(MEMORY_BYTES + 5)
    (tmp_path / "f").write_bytes(data)
    manifest = samples.manifest_of({}, {"/f": data})
    with ArchiveWriter(manifest.name, key=None) as writer:
        writer.add_manifest(manifest)
        writer.add_file("files/f", "f", **PLACE)
        writer.finish()
    assert samples.read_all(manifest.name) == {"files/f": data}
