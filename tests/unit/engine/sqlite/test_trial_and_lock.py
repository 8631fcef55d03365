# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The write trial on a scratch copy, and SQLite's lock taken from outside SQLite."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import BusyError, RestoreError
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.exclusive import lock_database
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.trial import write_trial


def make(path, mode="wal"):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("CREATE TABLE t(a)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    return str(path)


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("name", ["a.db", "a 100%?#'\".db"])
def test_a_good_copy_takes_a_write_and_keeps_its_content(tmp_path, mode, name) -> None:
    path = make(tmp_path / name, mode)
    assert write_trial(path, journal_mode=mode) == ()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
    assert connection.execute("PRAGMA user_version").fetchall() == [(7,)]
    connection.close()


def test_what_cannot_be_written_is_a_problem(tmp_path) -> None:
    path = make(tmp_path / "a.db")
    assert "journal mode" in write_trial(path, journal_mode="delete")[0]
    with open(path, "r+b") as stream:
        stream.write(b"\0" * 100)
    assert "failed" in write_trial(path, journal_mode="wal")[0]
    assert "failed" in write_trial(str(tmp_path / "none.db"), journal_mode="wal")[0]
    assert not os.path.exists(tmp_path / "none.db")


def connects(path) -> bool:
    """Whether another process can read the database at this moment."""
    program = ("import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], timeout=0)\n"
               "print(c.execute('SELECT count(*) FROM t').fetchall())")
    return subprocess.run([sys.executable, "-c", program, path], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_nobody_begins_to_use_a_locked_database_and_the_lock_follows_a_rename(tmp_path, mode) -> None:
    path = make(tmp_path / "a.db", mode)
    assert connects(path)
    with lock_database(path):
        assert not connects(path)
        os.rename(path, path + ".aside")
        assert not connects(path + ".aside")
    assert connects(path + ".aside")


def test_a_live_connection_refuses_the_lock_pitfall_7(tmp_path) -> None:
    path = make(tmp_path / "a.db")
    program = ("import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.execute('SELECT * FROM t').fetchall()\n"
               "print('open', flush=True)\nsys.stdin.read()")
    process = subprocess.Popen([sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(BusyError, match="a.db"), lock_database(path):
            raise AssertionError("not reached")
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()
    with lock_database(path):
        assert not connects(path)


def test_what_cannot_be_opened_cannot_be_locked(tmp_path) -> None:
    os.symlink(make(tmp_path / "a.db"), tmp_path / "link")
    for name in ("none", "link"):
        with pytest.raises(RestoreError, match="locked"), lock_database(str(tmp_path / name)):
            raise AssertionError("not reached")
