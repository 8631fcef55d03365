# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a database, and what cannot be known."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.owners import acting_as
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite import holders
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.holders import Holders, find_holders

STRANGER = 54321
HOLDERS_AS_JSON = """
found = holders.find_holders(sys.argv[1])
print(json.dumps({"pids": [one.pid for one in found.processes], "locks": found.locks,
                  "uninspected": found.uninspected, "held": found.held, "unknown": found.unknown}))
"""


@pytest.fixture
def keeper():
    """Starts a process that opens a file and no database, and does nothing."""
    started = []

    def start(path, setup=""):
        program = (f"import os, sys\nhandle = os.open(sys.argv[1], os.O_RDONLY)\n{setup}\n"
                   "print('ready', flush=True)\nsys.stdin.read()")
        process = subprocess.Popen([sys.executable, "-c", program, os.fspath(path)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.communicate(timeout=30)


def test_nobody(tmp_path, databases):
    found = find_holders(str(databases.make(tmp_path / "a.db")))
    assert (found.processes, found.locks, found.held) == ((), (), False)
    assert found.unknown is (found.uninspected > 0)


def test_missing_files_are_held_by_nobody(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "a.db", tmp_path / "no" / "a.db", tmp_path / "file" / "a.db"):
        assert not find_holders(str(path)).held
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_pitfall_07_an_idle_connection_is_found_by_its_descriptor(tmp_path, databases, peer, journal):
    path = databases.make(tmp_path / "a.db", journal=journal)
    writer = peer(path)
    writer.sql("SELECT count(*) FROM drafts")
    [holder] = find_holders(str(path)).processes
    assert (holder.pid, holder.path) == (writer.pid, str(path))
    assert holder.command and holder.user


def test_pitfall_07_symlinked_paths_and_moved_files(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db")
    (tmp_path / "link.db").symlink_to(path)
    writer = peer(tmp_path / "link.db")
    writer.sql("SELECT count(*) FROM drafts")
    assert [holder.pid for holder in find_holders(str(tmp_path / "link.db")).processes] == [writer.pid]
    os.rename(path, tmp_path / "moved.db")
    assert [holder.pid for holder in find_holders(str(tmp_path / "moved.db")).processes] == [writer.pid]


def test_pitfall_07_a_deleted_database_that_is_still_open(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db")
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (1)")
    for name in os.listdir(tmp_path):
        os.unlink(tmp_path / name)
    found = find_holders(str(path))
    assert [(holder.pid, holder.path) for holder in found.processes] == [(writer.pid, f"{path} (deleted)")]
    databases.make(path)
    assert find_holders(str(path)).held


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_pitfall_07_any_of_the_four_files(tmp_path, databases, keeper, suffix):
    path = databases.make(tmp_path / "a.db")
    held = tmp_path / f"a.db{suffix}"
    held.touch()
    process = keeper(held)
    assert [(one.pid, one.path) for one in find_holders(str(path)).processes] == [(process.pid, str(held))]


def test_pitfall_07_a_second_hard_link_is_the_same_file(tmp_path, databases, keeper):
    path = databases.make(tmp_path / "a.db")
    os.link(path, tmp_path / "other.db")
    process = keeper(tmp_path / "other.db")
    assert [(one.pid, one.path) for one in find_holders(str(path)).processes] == [
        (process.pid, str(tmp_path / "other.db"))]


def test_neighbours_are_not_holders(tmp_path, databases, keeper):
    path = databases.make(tmp_path / "a.db")
    for name in ("b.db", "a.db.bak", "xa.db"):
        (tmp_path / name).touch()
        keeper(tmp_path / name, setup="r, w = os.pipe()")
    assert not find_holders(str(path)).held


def test_the_kernel_knows_of_a_holder_that_cannot_be_seen(tmp_path, open_directory, databases, keeper, engine):
    """The owner of the file, who may not look into the processes of root, is told that somebody has it open."""
    path = databases.make(open_directory / "a.db", journal="delete")
    if engine.root:
        os.chown(path, STRANGER, STRANGER)
    free = engine.run(HOLDERS_AS_JSON, path, uid=STRANGER).result
    assert (free["pids"], free["locks"], free["unknown"]) == ([], [], False)
    process = keeper(path)
    found = engine.run(HOLDERS_AS_JSON, path, uid=STRANGER).result
    assert found["unknown"]
    assert found["pids"] == ([] if engine.root else [process.pid])


def test_this_process_does_not_count(tmp_path, databases):
    path = databases.make(tmp_path / "a.db")
    with open(path, "rb"):
        assert not find_holders(str(path)).held


@pytest.mark.parametrize(("statements", "words"), [
    (["BEGIN", "SELECT * FROM drafts"], "a lock on"),
    (["BEGIN IMMEDIATE"], "the reserved lock"),
    (["BEGIN EXCLUSIVE"], "the pending lock")])
def test_locks_of_rollback_mode(tmp_path, databases, peer, statements, words):
    path = databases.make(tmp_path / "a.db", journal="delete")
    writer = peer(path)
    for statement in statements:
        writer.sql(statement)
    found = find_holders(str(path))
    assert any(lock.startswith(words) and f"process {writer.pid} (" in lock for lock in found.locks)
    assert found.held


def test_the_lock_of_an_idle_wal_connection(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db")
    writer = peer(path)
    writer.sql("SELECT count(*) FROM drafts")
    found = find_holders(str(path))
    assert any("live connection" in lock and f"{path}-shm by process {writer.pid}" in lock for lock in found.locks)
    writer.end()
    assert not find_holders(str(path)).held


def test_pitfall_07_what_may_not_be_seen_is_unknown(open_directory, databases, peer, engine):
    """A user without rights sees the lock of the WAL connection, and counts the processes that he cannot look into."""
    path = databases.make(open_directory / "a.db")
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (1)")
    found = engine.run(HOLDERS_AS_JSON, path, uid=STRANGER).result
    assert any("live connection" in lock for lock in found["locks"])
    assert found["held"]
    assert found["uninspected"] >= 1
    assert found["unknown"]
    if engine.root:
        assert found["pids"] == []
    else:
        assert found["pids"] == [writer.pid]


def test_pitfall_07_nobody_seen_and_not_everything_seen(open_directory, databases, keeper, engine):
    """In rollback-journal mode an idle holder has no lock: to a stranger the answer is unknown, not "nobody"."""
    path = databases.make(open_directory / "a.db", journal="delete")
    process = keeper(path)
    found = engine.run(HOLDERS_AS_JSON, path, uid=STRANGER).result
    assert found["locks"] == []
    assert found["unknown"]
    assert found["held"] is (not engine.root)
    assert found["pids"] == ([] if engine.root else [process.pid])


def test_files_that_may_not_be_asked_about_are_unknown(open_directory, databases):
    directory = open_directory / "closed"
    directory.mkdir()
    path = databases.make(directory / "a.db")
    path.chmod(0)
    with acting_as(STRANGER, STRANGER):
        nothing = find_holders(str(open_directory / "nothing.db"))
        unreadable = find_holders(str(path))
    directory.chmod(0)
    with acting_as(STRANGER, STRANGER):
        unreachable = find_holders(str(path))
    directory.chmod(0o700)
    assert (nothing.held, nothing.unknown) == (False, False)
    assert 0 < unreadable.uninspected < unreachable.uninspected


def test_a_process_that_is_gone_has_neither_name_nor_files(databases, tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    path = str(databases.make(tmp_path / "a.db"))
    assert holders._held_path(ended.pid, holders._target(path)[0]) == ""
    assert (holders._command(ended.pid), holders._user(ended.pid)) == ("?", "?")
    assert holders._has_no_files(ended.pid)


def test_kernel_threads_and_ended_processes_do_not_hide_anything(tmp_path, databases, engine):
    """Nobody holds it, and the kernel vouches for that to its owner; a stranger has to count what he cannot see."""
    path = databases.make(tmp_path / "a.db")
    ended = subprocess.Popen(["true"])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    stranger = engine.run(HOLDERS_AS_JSON, path, uid=STRANGER).result
    here = find_holders(str(path))
    ended.wait()
    user_processes = [pid for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists(f"/proc/{pid}/exe")]
    assert (here.held, here.unknown) == (False, False)
    assert stranger["uninspected"] <= len(user_processes) + 10
    assert stranger["unknown"] is engine.root


def test_a_directory_in_the_place_of_a_file_has_no_locks(tmp_path):
    (tmp_path / "a.db").mkdir()
    assert find_holders(str(tmp_path / "a.db")).locks == ()


def test_the_two_answers():
    assert (Holders((), (), 0).held, Holders((), (), 0).unknown) == (False, False)
    assert (Holders((), ("a lock",), 2).held, Holders((), ("a lock",), 2).unknown) == (True, True)
