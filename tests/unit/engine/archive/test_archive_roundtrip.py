# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips through writer and reader, and what other programs make of an archive."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import KeyRing
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import open_archive, read_manifest
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive import samples
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import KEY, OTHER_KEY, noise, prose

MIB = 1 << 20


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
def test_what_was_written_comes_back(tmp_path, key):
    sample = samples.write_sample(tmp_path, key=key)
    with open_archive(str(sample.path), sample.ring) as archive:
        assert archive.manifest == sample.manifest
        assert archive.key_id == (key.id if key else None)
        assert archive.encrypted is bool(key)
        seen = {}
        for info, stream in archive.members():
            seen[info.name] = stream.read() if info.type == "file" else None
            assert (info.uid, info.gid, info.user, info.group, info.mtime) == (1000, 1001, "app", "web", samples.MTIME)
            assert info.size == len(seen[info.name] or b"")
            assert info.entry in (*sample.manifest.databases, *sample.manifest.files)
        digests = archive.finish()
        assert archive.finish() == digests
    assert seen == sample.contents
    assert list(seen) == list(sample.contents)
    assert digests == sample.written.members
    assert [digest.name for digest in digests] == ["manifest.json", *sample.contents]
    assert sample.written.sha256 == samples.sha(sample.stored)
    assert sample.written.size == len(sample.stored)
    assert sample.written.changed == ()
    assert stat.S_IMODE(sample.path.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == [sample.path.name, "source"]


sizes = st.builds(lambda mib, rest: max(0, mib * MIB + rest), st.integers(0, 2), st.integers(-700, 700))


@settings(max_examples=40, deadline=None)
@given(
    size=sizes, compressible=st.booleans(), encrypted=st.booleans(), level=st.integers(0, 9), workers=st.integers(1, 4)
)
@example(size=MIB - 40 - 16, compressible=False, encrypted=True, level=0, workers=1)
@example(size=0, compressible=False, encrypted=True, level=6, workers=2)
def test_round_trip_of_any_size(size, compressible, encrypted, level, workers):
    data = (prose if compressible else noise)(size)
    with tempfile.TemporaryDirectory() as directory:
        sample = samples.write_sample(
            Path(directory),
            key=KEY if encrypted else None,
            databases={},
            files={"/data": data},
            level=level,
            workers=workers,
        )
        assert samples.read_all(sample.path, sample.ring) == {"files/data": data}


names = st.text(
    st.characters(blacklist_characters="\0/", blacklist_categories=("Cs",)), min_size=1, max_size=60
).filter(lambda name: name not in (".", ".."))


@settings(max_examples=60, deadline=None)
@given(parts=st.lists(names, min_size=1, max_size=4), raw=st.binary(max_size=4))
def test_round_trip_of_any_file_name(parts, raw):
    tail = raw.replace(b"\0", b"").replace(b"/", b"").decode("utf-8", "surrogateescape")
    path = "/" + "/".join(parts) + "/f" + tail
    with tempfile.TemporaryDirectory() as directory:
        sample = samples.write_sample(Path(directory), databases={}, files={path: b"x"})
        assert samples.read_all(sample.path) == {"files" + path: b"x"}


def test_sizes_and_owners_beyond_what_ustar_holds(tmp_path):
    manifest = samples.manifest_of({}, {"/f": b"1"})
    line = samples.digest_line("files/f", b"1", uid=3_000_000, gid=4_294_967_295, user="ü" * 40, group="g" * 40)
    member = samples.tar_member(
        "files/f", b"1", uid=3_000_000, gid=4_294_967_295, uname="ü" * 40, gname="g" * 40, mtime=-5
    )
    path = samples.forge_archive(tmp_path, manifest, member, [line])
    with open_archive(str(path), None) as archive:
        for member_info, stream in archive.members():
            info = member_info
            assert stream.read() == b"1"
        archive.finish()
    assert (info.uid, info.gid, info.user, info.group, info.mtime) == (3_000_000, 4_294_967_295, "ü" * 40, "g" * 40, -5)


def test_equal_content_gives_equal_bytes_whatever_the_number_of_workers(tmp_path):
    stored = set()
    for workers in (1, 2, 5, None):
        directory = tmp_path / str(workers)
        directory.mkdir()
        stored.add(samples.write_sample(directory, databases={"a.db": prose(5 * MIB)}, workers=workers).stored)
    assert len(stored) == 1


def test_tar_and_gunzip_read_a_plain_archive(tmp_path):
    sample = samples.write_sample(tmp_path, databases={"app.db": prose(3 * MIB + 512)})
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["gunzip", "--test", str(sample.path)], check=True)
    subprocess.run(["tar", "xzf", str(sample.path), "-C", str(out), "--no-same-owner"], check=True, capture_output=True)
    for member, data in sample.contents.items():
        assert (out / member).is_dir() if data is None else (out / member).read_bytes() == data
    assert json.loads((out / "manifest.json").read_bytes())["name"] == sample.manifest.name
    assert stat.S_IMODE((out / "databases/app.db").stat().st_mode) == 0o640
    assert int((out / "databases/app.db").stat().st_mtime) == samples.MTIME
    listed = subprocess.run(["tar", "tzf", str(sample.path)], check=True, capture_output=True, encoding="utf-8")
    assert listed.stdout.splitlines()[0] == "manifest.json"
    assert listed.stdout.splitlines()[-1] == "digests"
    assert listed.stderr == ""
    lines = [json.loads(line) for line in (out / "digests").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["manifest.json", *sample.contents]
    assert set(lines[0]) == {"name", "size", "sha256", "mode", "uid", "gid", "user", "group", "changed"}
    assert lines[0]["sha256"] == samples.sha((out / "manifest.json").read_bytes())


def test_any_key_of_the_ring_opens(tmp_path):
    sample = samples.write_sample(tmp_path, key=KEY)
    ring = KeyRing(OTHER_KEY, (OTHER_KEY, KEY))
    assert samples.read_all(sample.path, ring) == sample.contents
    assert read_manifest(str(sample.path), ring) == sample.manifest


def test_a_plain_archive_needs_no_ring_and_takes_one(tmp_path):
    sample = samples.write_sample(tmp_path)
    assert samples.read_all(sample.path, KeyRing.of(KEY)) == sample.contents


def test_the_manifest_is_read_from_the_head_alone(tmp_path):
    sample = samples.write_sample(tmp_path, key=KEY, databases={"a.db": noise(5 * MIB)})
    cut = tmp_path / "cut" / sample.path.name
    cut.parent.mkdir()
    cut.write_bytes(sample.stored[: 2 * MIB])
    assert read_manifest(str(cut), sample.ring) == sample.manifest


def test_a_reader_need_not_take_everything(tmp_path):
    sample = samples.write_sample(tmp_path, databases={"a.db": prose(3 * MIB)})
    with open_archive(str(sample.path), None) as archive:
        for info, stream in archive.members():
            assert stream.read(10) == sample.contents[info.name][:10]
            assert stream.read(7) == sample.contents[info.name][10:17]
            break
        assert archive.finish() == sample.written.members
        assert list(archive.members()) == []


def test_another_name_is_allowed_on_demand(tmp_path):
    sample = samples.write_sample(tmp_path, name=".app.maintenance-tmp")
    assert samples.read_all(sample.path, check_name=False) == sample.contents
