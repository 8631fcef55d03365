# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sqlite_restore: disasters, and what comes back."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3

import pytest
from module_support import rows, task, tree, write


@pytest.fixture
def options(ansible, database, archives, key_file):
    """Options of a restore from a catalog with one archive of the database."""
    options = {"directory": archives, "key_file": key_file}
    ansible.module("sqlite_backup", {**options, "databases": [str(database)]})
    return options


@pytest.fixture
def original(options, database):
    """The rows that were backed up."""
    return rows(database)


def test_four_states_after_a_disaster_with_a_stale_log(ansible, options, original, database, tmp_path):
    shutil.copy(database, tmp_path / "scapegoat.db")
    writer = sqlite3.connect(database)
    writer.execute("DELETE FROM drafts WHERE id > 100")
    writer.commit()
    stale = (database.parent / "feedforward.db-wal").read_bytes()
    writer.close()
    database.write_bytes(b"\0" * 4096)
    database.with_name("feedforward.db-wal").write_bytes(stale)

    states = ansible.four_states("sqlite_restore", options)
    checked, ran, again, checked_again = states
    assert [state["changed"] for state in states] == [True, True, False, False]
    assert [state["action"] for state in states] == ["planned", "restored", "restored", "planned"]
    assert checked["steps"] == ran["steps"]
    assert checked["diff"] == ran["diff"]
    assert list(ran["diff"]["before"]) == [str(database)]
    assert again["diff"] == checked_again["diff"] == {"before": {}, "after": {}}
    assert ran["rows"] == {"feedforward.db": {"drafts": 500, "empty": 0}}
    assert rows(database) == original
    assert database.stat().st_mode & 0o7777 == 0o600
    assert os.path.isdir(ran["safety_copy"])
    assert checked["safety_copy"] is None
    assert again["safety_copy"] is None
    kept = {content for _mode, content in tree(ran["safety_copy"]).values()}
    assert stale in kept


def test_check_mode_writes_nothing(ansible, options, database):
    database.unlink()
    for sidecar in ("-wal", "-shm"):
        database.with_name(database.name + sidecar).unlink(missing_ok=True)
    before = tree(database.parent)
    planned = ansible.module("sqlite_restore", options, check=True)
    assert planned["changed"] is True
    assert [step["action"] for step in planned["steps"]] == ["create"]
    assert planned["needs"][0]["needed_bytes"] > 0
    assert tree(database.parent) == before


def test_undone_four_states(ansible, options, original, database):
    write(database, "DELETE FROM drafts WHERE id > 100")
    safety_copy = ansible.module("sqlite_restore", options)["safety_copy"]
    assert rows(database) == original
    states = ansible.four_states("sqlite_restore", {"state": "undone", "safety_copy": safety_copy})
    assert [state["changed"] for state in states] == [True, True, False, False]
    assert str(database) in states[0]["diff"]["after"]
    assert states[0]["diff"] == states[1]["diff"]
    assert len(rows(database)) == 100


def test_a_running_application_is_refused_and_check_mode_warns(ansible, options, database):
    writer = sqlite3.connect(database)
    writer.execute("DELETE FROM drafts WHERE id > 100")
    writer.commit()
    try:
        run = ansible.play([task("sqlite_restore", options, check=True), task("sqlite_restore", options)])
    finally:
        writer.close()
    checked, refused = run.results
    assert checked["changed"] is True
    assert any(holder["held"] for holder in checked["holders"])
    assert f"{database} is held open" in run.output
    assert refused["error"]["type"] == "BusyError"
    assert str(os.getpid()) in refused["msg"]
    assert len(rows(database)) == 100


def test_another_path_owner_and_mode(ansible, options, original, tmp_path):
    target = tmp_path / "elsewhere" / "copy.db"
    target.parent.mkdir()
    wanted = {**options, "databases": ["feedforward.db"], "target": target, "mode": "0640"}
    created, again, adjusted = ansible.play([task("sqlite_restore", wanted), task("sqlite_restore", wanted),
                                             task("sqlite_restore", {**wanted, "mode": "0600"})]).results
    assert [state["changed"] for state in (created, again, adjusted)] == [True, False, True]
    assert [state["steps"][0]["action"] for state in (created, again, adjusted)] == ["create", "unchanged", "adjust"]
    assert rows(target) == original
    assert target.stat().st_mode & 0o7777 == 0o600


def test_newest_before_a_time(ansible, options, original, database, archives, key_file):
    info = ansible.module("sqlite_backup_info", {"directory": archives})
    write(database, "DELETE FROM drafts")
    ansible.module("sqlite_backup", {**options, "databases": [str(database)]})
    restored = ansible.module("sqlite_restore", {**options, "before": info["archives"][0]["stamp"]})
    assert restored["archive"] == info["archives"][0]["path"]
    assert rows(database) == original


def test_everything_on_a_bare_host(ansible, database, archives, key_file, tmp_path):
    home = database.parent
    (home / "uploads").mkdir()
    (home / "uploads" / "essay.txt").write_text("essay")
    odd = os.fsencode(home / "uploads") + b"/essay-\xff\xfe.txt"
    with open(odd, "wb") as stream:
        stream.write(b"of any name")
    (home / ".env").write_text("SECRET_KEY=not-for-the-log\n")
    (home / ".env").chmod(0o600)
    catalog = {"directory": archives, "key_file": key_file}
    ansible.module("sqlite_backup", {**catalog, "kind": "full", "databases": [str(database)],
                                     "files": [str(home / ".env")], "uploads": [str(home / "uploads")]})
    wanted = rows(database)
    shutil.rmtree(home)
    home.mkdir()
    run = ansible.play([task("sqlite_restore", {**catalog, "parts": ["databases", "config", "uploads", "logs"]},
                             check=check) for check in (True, False, False, True)])
    assert run.changed == [True, True, False, False]
    assert rows(database) == wanted
    assert (home / "uploads" / "essay.txt").read_text() == "essay"
    with open(odd, "rb") as stream:
        assert stream.read() == b"of any name"
    assert (home / ".env").read_text() == "SECRET_KEY=not-for-the-log\n"
    assert (home / ".env").stat().st_mode & 0o7777 == 0o600
    assert "not-for-the-log" not in run.output + json.dumps(run.results)


def test_bad_input_is_one_line_with_the_next_step(ansible, options, original, database, archives, tmp_path):
    plain, other_key = tmp_path / "plain", tmp_path / "other.key"
    plain.mkdir()
    made, _key = ansible.play([
        task("sqlite_backup", {"directory": plain, "encryption": False, "databases": [str(database)]}),
        task("backup_key", {"key_file": other_key})]).results
    damaged = made["archive"]
    os.truncate(damaged, made["archive_bytes"] - 1)
    ansible.refused("sqlite_restore", [({**options, **change}, kind, words) for change, kind, words in [
        ({"archive": damaged}, "ArchiveError", [damaged]),
        ({"archive": "feedforward-database-20200101T000000Z.tar.gz.enc"}, "ArchiveError", ["20200101T000000Z"]),
        ({"before": "2000-01-01"}, "ArchiveError", [str(archives)]),
        ({"key_file": other_key}, "WrongKeyError", ["feedforward-database"]),
        ({"key_file": "/nonexistent/key"}, "KeyFileError", ["/nonexistent/key"]),
        ({"databases": ["other.db"]}, "ArchiveError", ["other.db", "feedforward.db"]),
        ({"target": tmp_path}, "RestoreError", [str(tmp_path), "directory"]),
        ({"target": "relative.db"}, "UsageError", ["relative.db"]),
        ({"mode": "rw-------"}, "UsageError", ["rw-------"]),
        ({"state": "undone", "safety_copy": tmp_path}, "RestoreError", [str(tmp_path)]),
    ]])
    assert rows(database) == original
