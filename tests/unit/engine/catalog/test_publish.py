# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing: what has a final name is whole, nothing is replaced, and everything is made durable in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.catalog import Catalog
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.names import archive_name
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.publish import move_without_replacing
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import read_sidecar
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import (
    DestinationError,
    InternalError,
    UsageError,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.files import remove_leftovers, temporary_name

DATA = b"a whole archive" * 1000

# Publishes again and again, in a process that is killed just before its first, second, ... call that changes a file.
KILLER = """
import hashlib, json, os, shutil, signal, sys
from datetime import datetime, timezone
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.catalog import Catalog
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import Sidecar

directory, name, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
temporary = os.path.join(directory, "." + name + ".1a2b.maintenance-tmp")
sidecar = Sidecar(name, "feedforward", "full", 1, datetime(2026, 11, 24, tzinfo=timezone.utc), size, "0" * 64, "0" * 64,
                  False, None, (), ())
changing = {"open", "write", "flush", "fchmod", "fsync", "link", "unlink", "rename", "replace", "close", "__exit__"}
limit = 0
while True:
    limit += 1
    for base in os.listdir(directory):
        os.unlink(os.path.join(directory, base))
    with open(temporary, "wb") as stream:
        stream.write(b"a whole archive" * 1000)
    child = os.fork()
    if child == 0:
        calls = 0
        def count(frame, event, called):
            global calls
            if event == "c_call" and called.__name__ in changing:
                calls += 1
                if calls == limit:
                    os.kill(os.getpid(), signal.SIGKILL)
        catalog = Catalog(directory, "feedforward")
        sys.setprofile(count)
        catalog.publish(temporary, name, sidecar)
        sys.setprofile(None)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    state = {}
    for base in os.listdir(directory):
        with open(os.path.join(directory, base), "rb") as stream:
            state[base] = hashlib.sha256(stream.read()).hexdigest()
    print(json.dumps([os.WIFSIGNALED(status), state]))
    if not os.WIFSIGNALED(status):
        sys.exit(os.WEXITSTATUS(status))
"""


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "archives"
    path.mkdir()
    return str(path)


@pytest.fixture
def catalog(directory):
    return Catalog(directory, "feedforward")


@pytest.fixture
def name(instant):
    return archive_name("feedforward", "full", instant(2026, 11, 24), False)


@pytest.fixture
def temporary(directory, name):
    path = temporary_name(os.path.join(directory, name))
    with open(path, "wb") as stream:
        stream.write(DATA)
    return path


def read(path) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def test_the_archive_has_its_name_and_its_sidecar(catalog, directory, temporary, name, describe):
    sidecar = describe(name, DATA, sequence=3)
    entry = catalog.publish(temporary, name, sidecar)
    assert sorted(os.listdir(directory)) == [name, name + ".json"]
    assert read(entry.path) == DATA
    assert os.stat(entry.path).st_nlink == 1
    assert read_sidecar(entry.path) == sidecar
    assert catalog.entries() == (entry,)


def test_a_sidecar_may_come_later(catalog, directory, temporary, name):
    entry = catalog.publish(temporary, name)
    assert os.listdir(directory) == [name]
    assert (entry.sidecar, entry.sequence, entry.size) == (None, None, len(DATA))


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "directory"])
def test_an_existing_name_is_never_replaced(catalog, directory, temporary, name, describe, tmp_path, tree, kind):
    path = os.path.join(directory, name)
    (tmp_path / "precious").write_bytes(b"precious")
    if kind == "file":
        os.link(tmp_path / "precious", path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        os.symlink(tmp_path / "precious" if kind == "link" else "nowhere", path)
    before = tree(tmp_path)
    with pytest.raises(DestinationError, match="exists already and is not replaced"):
        catalog.publish(temporary, name, describe(name, DATA))
    assert tree(tmp_path) == before


def test_what_cannot_be_linked_is_renamed_and_still_never_replaces(directory):
    """link(2) refuses a directory with EPERM, as a file system without hard links refuses a file."""
    source, target = os.path.join(directory, "source"), os.path.join(directory, "target")
    os.mkdir(source)
    os.mkdir(target)
    with pytest.raises(DestinationError, match="exists already"):
        move_without_replacing(source, target)
    assert sorted(os.listdir(directory)) == ["source", "target"]
    os.rmdir(target)
    move_without_replacing(source, target)
    assert os.listdir(directory) == ["target"]


def test_everything_is_durable_in_order(catalog, directory, temporary, name, describe):
    """The calls are watched, not replaced: bytes before the name, the name before the temporary name goes."""
    seen = []

    def watch(frame, event, called):
        if event == "c_call" and called in (os.fsync, os.link, os.unlink, os.rename):
            seen.append((called.__name__, frame.f_code.co_name))

    sys.setprofile(watch)
    try:
        catalog.publish(temporary, name, describe(name, DATA))
    finally:
        sys.setprofile(None)
    move = "move_without_replacing"
    assert seen == [
        ("fsync", "fsync_file"), ("link", move), ("fsync", "fsync_directory"), ("unlink", move),
        ("fsync", "fsync_directory"), ("fsync", "atomic_write"), ("rename", "rename"),
        ("fsync", "fsync_directory"),
    ]


def test_a_kill_at_any_point_leaves_a_temporary_or_a_whole_archive(directory, name):
    run = subprocess.run([sys.executable, "-c", KILLER, directory, name, str(len(DATA))], stdout=subprocess.PIPE,
                         text=True, timeout=300, check=True)
    states = [json.loads(line) for line in run.stdout.splitlines()]
    whole = {digest for _killed, state in states for base, digest in state.items() if base == name}
    assert len(whole) == 1
    digest, = whole
    assert [killed for killed, _state in states] == [True] * (len(states) - 1) + [False]
    for _killed, state in states:
        names = {base for base in state if not base.endswith(".maintenance-tmp")}
        temporaries = {base for base in state if base.startswith(f".{name}.1a2b")}
        assert names <= {name, name + ".json"}
        assert names or temporaries
        for base in temporaries | names & {name}:
            assert state[base] == digest
        assert name in names or name + ".json" not in names
    seen = {frozenset(base.endswith(".maintenance-tmp") for base in state) for _killed, state in states}
    assert seen == {frozenset([True]), frozenset([True, False]), frozenset([False])}
    final = states[-1][1]
    assert sorted(final) == [name, name + ".json"]
    assert {state[name + ".json"] for _killed, state in states if name + ".json" in state} == {final[name + ".json"]}


def test_what_a_killed_run_left_is_found_and_removed(catalog, directory, temporary, name):
    os.link(temporary, os.path.join(directory, name))
    assert [entry.name for entry in catalog.entries()] == [name]
    assert remove_leftovers(directory) == (temporary,)
    assert read(os.path.join(directory, name)) == DATA


def test_only_names_of_this_catalog(catalog, temporary, instant, tree, directory):
    before = tree(directory)
    for wrong in ("final.tar.gz", archive_name("other", "full", instant(2026, 11, 24), False), "../x", ""):
        with pytest.raises(UsageError, match="not the name of an archive of feedforward"):
            catalog.publish(temporary, wrong)
    assert tree(directory) == before


def test_only_regular_files_of_the_same_directory(catalog, directory, name, tmp_path, tree):
    (tmp_path / "elsewhere").write_bytes(DATA)
    os.symlink(tmp_path / "elsewhere", os.path.join(directory, ".link"))
    os.mkfifo(os.path.join(directory, ".pipe"))
    os.mkdir(os.path.join(directory, ".directory"))
    with pytest.raises(UsageError, match="elsewhere cannot be published"):
        catalog.publish(str(tmp_path / "elsewhere"), name)
    for base in (".link", ".pipe", ".directory"):
        with pytest.raises(UsageError, match="not a regular file"):
            catalog.publish(os.path.join(directory, base), name)
    with pytest.raises(DestinationError, match="does not exist"):
        catalog.publish(os.path.join(directory, ".gone"), name)
    assert sorted(os.listdir(directory)) == [".directory", ".link", ".pipe"]


def test_a_sidecar_that_contradicts_itself_leaves_the_archive_whole(catalog, directory, temporary, name, describe):
    with pytest.raises(InternalError):
        catalog.publish(temporary, name, describe(name, DATA, sequence=-1))
    assert os.listdir(directory) == [name]
    assert read(os.path.join(directory, name)) == DATA


def test_a_directory_that_cannot_be_written(public_directory, ordinary_user, name, tree):
    temporary = os.path.join(public_directory, ".temporary")
    with open(temporary, "wb") as stream:
        stream.write(DATA)
    os.chmod(temporary, 0o666)
    os.chmod(public_directory, 0o555)
    before = tree(public_directory)
    with pytest.raises(DestinationError, match="permission denied"), ordinary_user():
        Catalog(public_directory, "feedforward").publish(temporary, name)
    assert tree(public_directory) == before
