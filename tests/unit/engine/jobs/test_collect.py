# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a backup takes, and what it says of those that it does not."""

from __future__ import annotations

import hashlib
import os
import socket

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import SourceError, UsageError
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.collect import FileSource, collect


def put(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_a_tree_is_taken_in_order_with_digests_and_modes(tmp_path) -> None:
    put(tmp_path / "b" / "two.txt", "two")
    put(tmp_path / "a.txt", "one")
    os.chmod(tmp_path / "a.txt", 0o640)
    found = collect([FileSource(str(tmp_path), "uploads")])
    assert [(os.path.relpath(f.path, tmp_path), f.type, f.size) for f in found.files] == [
        (".", "directory", 0), ("a.txt", "file", 3), ("b", "directory", 0), ("b/two.txt", "file", 3)]
    assert found.files[1].sha256 == hashlib.sha256(b"one").hexdigest() and found.files[1].mode == 0o640
    assert found.size_bytes == 6 and found.absent == found.skipped == found.warnings == ()


def test_links_sockets_and_pipes_are_told_and_not_followed(tmp_path) -> None:
    outside = put(tmp_path / "outside" / "secret.txt")
    tree = tmp_path / "tree"
    put(tree / "plain.txt")
    os.symlink(outside, tree / "link")
    os.symlink(tmp_path / "outside", tree / "linked-directory")
    os.mkfifo(tree / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tree / "socket"))
    found = collect([FileSource(str(tree), "uploads")])
    listener.close()
    assert [os.path.basename(f.path) for f in found.files] == ["tree", "plain.txt"]
    reasons = {os.path.basename(path): why for path, why in found.skipped}
    assert set(reasons) == {"link", "linked-directory", "pipe", "socket"}
    assert outside in reasons["link"] and "pipe" in reasons["pipe"]


def test_a_source_that_is_a_link_is_followed(tmp_path) -> None:
    put(tmp_path / "real.env", "A=1")
    os.symlink(tmp_path / "real.env", tmp_path / ".env")
    found = collect([FileSource(str(tmp_path / ".env"), "config")])
    assert [(os.path.basename(f.path), f.size) for f in found.files] == [(".env", 3)]


def test_absent_sources(tmp_path) -> None:
    missing = str(tmp_path / "config")
    assert collect([FileSource(missing, "config", required=False)]).absent == (missing,)
    with pytest.raises(SourceError, match=missing):
        collect([FileSource(missing, "config")])


def test_what_cannot_be_read_is_an_error_and_not_an_omission(tmp_path) -> None:
    loop = tmp_path / "loop"
    os.symlink(loop, loop)
    with pytest.raises(SourceError, match="cannot be read"):
        collect([FileSource(str(loop), "config", required=False)])


def test_databases_sidecars_scratch_and_safety_copies_are_left_to_others(tmp_path) -> None:
    database = put(tmp_path / "app.db")
    for name in ("app.db-wal", "app.db-shm", "app.db-journal", ".app.db.restore-journal", ".x.maintenance-tmp",
                 "app.db.before-restore-20260101T000000Z/app.db", ".maintenance-scratch-1/app.db", "archives/a.tar.gz"):
        put(tmp_path / name)
    kept = put(tmp_path / "notes.before-restore.txt")
    found = collect([FileSource(str(tmp_path), "config")], databases=[database], excluded=[str(tmp_path / "archives")])
    assert [f.path for f in found.files] == [str(tmp_path), kept]


def test_a_path_named_twice_is_taken_once(tmp_path) -> None:
    path = put(tmp_path / "a" / ".env")
    found = collect([FileSource(path, "config"), FileSource(str(tmp_path / "a"), "uploads")])
    assert [(f.path, f.part) for f in found.files] == [(str(tmp_path / "a"), "uploads"), (path, "config")]


def test_a_deep_tree_is_walked(tmp_path) -> None:
    path = str(tmp_path)
    for _turn in range(700):
        path += "/d"
        os.mkdir(path)
    with open(path + "/leaf", "w", encoding="utf-8") as stream:
        stream.write("deep")
    found = collect([FileSource(str(tmp_path), "uploads")])
    assert sum(f.type == "directory" for f in found.files) == 701 and found.size_bytes == 4


def test_a_file_that_changes_while_it_is_read_is_read_again_then_told(tmp_path) -> None:
    path = put(tmp_path / "log.txt", "x" * 100)
    readings = []

    def grow(phase, done, total):
        readings.append(done)
        with open(path, "a", encoding="utf-8") as stream:
            stream.write("more")

    found = collect([FileSource(path, "logs")], progress=grow)
    assert len(readings) >= 2
    assert found.warnings == (f"{path} changed while it was read, twice",)
    assert len(found.files) == 1


def test_a_file_that_vanishes_while_the_tree_is_walked_is_told(tmp_path) -> None:
    first, second = put(tmp_path / "1"), put(tmp_path / "2")

    def remove(phase, done, total):
        for path in (first, second):
            if os.path.exists(path):
                os.unlink(path)

    found = collect([FileSource(str(tmp_path), "logs")], progress=remove)
    assert [why for _path, why in found.skipped] == ["it vanished while the backup ran"]


@pytest.mark.parametrize("source", [FileSource("relative", "config"), FileSource("/a/../b", "config"),
                                    FileSource("/a//b", "config"), FileSource("/a", "stuff"), FileSource("", "logs")])
def test_bad_sources(source) -> None:
    with pytest.raises(UsageError):
        collect([source])


def test_a_name_that_is_not_utf8_is_taken_as_its_bytes(tmp_path) -> None:
    below = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    os.mkdir(below)
    with open(os.path.join(below, b"essay-\xff\xfe.txt"), "wb") as stream:
        stream.write(b"an essay")
    os.symlink("elsewhere", os.path.join(below, b"link-\xff"))
    found = collect([FileSource(str(tmp_path), "uploads")])
    assert [(os.fsencode(f.path), f.type, f.size) for f in found.files] == [
        (os.fsencode(tmp_path), "directory", 0), (below, "directory", 0), (below + b"/essay-\xff\xfe.txt", "file", 8)]
    assert found.files[2].sha256 == hashlib.sha256(b"an essay").hexdigest() and found.warnings == ()
    assert [os.fsencode(path) for path, _why in found.skipped] == [below + b"/link-\xff"]


def test_a_source_whose_name_is_not_utf8_is_taken(tmp_path) -> None:
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"settings-\xe9.env"))
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("A=1")
    assert [(f.path, f.size) for f in collect([FileSource(path, "config")]).files] == [(path, 3)]


def test_a_name_of_another_script_is_taken(tmp_path) -> None:
    path = put(tmp_path / "Aufsätze" / "论文 1.txt")
    assert path in [f.path for f in collect([FileSource(str(tmp_path), "uploads")]).files]
