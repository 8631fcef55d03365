# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sqlite_backup with real databases and archives."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

import pytest
from module_support import task, tree, write


@pytest.fixture
def options(database, archives, key_file):
    """Options of an encrypted backup of the database."""
    return {"databases": [str(database)], "destination": archives, "key_file": key_file}


def archive_names(directory):
    """Names of the archives in a directory."""
    return sorted(p.name for p in directory.iterdir() if ".tar." in p.name and p.suffix != ".json")


def test_four_states(ansible, options, archives):
    states = ansible.four_states("sqlite_backup", options)

    checked, ran, again, _checked_again = states
    assert [state["changed"] for state in states] == [True, True, False, False]
    assert [state["outcome"] for state in states] == ["created", "created", "unchanged", "unchanged"]
    assert checked["archive"] is None
    assert checked["sequence"] == ran["sequence"] == 1
    assert len({state["content_id"] for state in states}) == 1
    assert checked["snapshots"][0]["content_sha256"] == ran["snapshots"][0]["content_sha256"]
    assert archive_names(archives) == [os.path.basename(ran["archive"])]
    assert hashlib.sha256(Path(ran["archive"]).read_bytes()).hexdigest() == ran["sha256"] == again["sha256"]
    nothing = dict.fromkeys(("archive", "base", "content_id", "key_id"))
    assert checked["diff"]["before"] == ran["diff"]["before"] == nothing
    assert ran["diff"]["after"]["archive"] == os.path.basename(ran["archive"])
    assert checked["diff"]["after"]["content_id"] == ran["diff"]["after"]["content_id"]
    assert again["diff"]["before"] == again["diff"]["after"]


def test_an_increment_by_zstd_in_four_states(ansible, options, database, archives):
    options = {**options, "strategy": "incremental", "compression": "zstd"}
    write(database, "INSERT INTO drafts (content) SELECT hex(randomblob(2000)) FROM drafts")
    full = ansible.module("sqlite_backup", options)
    assert full["base"] is None
    assert "no archive that it could be based on" in full["full_because"]
    write(database, "UPDATE drafts SET content = 'changed' WHERE id = 700")
    states = ansible.four_states("sqlite_backup", options)
    checked, ran, again, _checked_again = states
    assert [state["changed"] for state in states] == [True, True, False, False]
    assert {state["base"] for state in states} == {os.path.basename(full["archive"])}
    assert checked["content_id"] == ran["content_id"]
    assert ran["archive_bytes"] * 10 < full["archive_bytes"]
    assert again["archive"] == ran["archive"]
    assert [name.endswith(".tar.zst.enc") for name in archive_names(archives)] == [True, True]


def test_check_mode_leaves_the_directory_as_it_was(ansible, options, archives, database):
    before = database.read_bytes()
    ansible.module("sqlite_backup", options, check=True)
    # The lock file stays: removing it would split the lock.
    assert set(tree(archives)) <= {".maintenance.lock"}
    assert database.read_bytes() == before


def test_second_run_moves_only_the_freshness_records(ansible, options, archives):
    first = ansible.module("sqlite_backup", options)
    status, sidecar = archives / "feedforward-database.status.json", Path(first["archive"] + ".json")
    before, before_status, before_sidecar = tree(archives), *(json.loads(p.read_text()) for p in (status, sidecar))
    second = ansible.module("sqlite_backup", options)
    after, after_status, after_sidecar = tree(archives), *(json.loads(p.read_text()) for p in (status, sidecar))
    assert {name for name in after if after[name] != before.get(name)} <= {status.name, sidecar.name}
    assert {**after_sidecar, "verified_at": None} == {**before_sidecar, "verified_at": None}
    assert after_status["newest_archive"] == before_status["newest_archive"] == os.path.basename(first["archive"])
    assert after_status["last_outcome"] == "unchanged"
    assert second["current_as_of"] >= first["current_as_of"]


def test_changed_content_makes_the_next_archive_and_the_prediction_says_so(ansible, options, database, archives):
    first = ansible.module("sqlite_backup", options)
    write(database, "INSERT INTO drafts (content) VALUES ('one more')")
    tasks = [task("sqlite_backup", options, check=True), task("sqlite_backup", options)]
    predicted, second = ansible.play(tasks).results
    assert predicted["changed"] is second["changed"] is True
    assert predicted["content_id"] == second["content_id"] != first["content_id"]
    assert second["snapshots"][0]["rows_total"] == 501
    assert second["sequence"] == predicted["sequence"] == 2
    assert len(archive_names(archives)) == 2


def test_force_makes_an_archive_of_the_same_content(ansible, options, archives):
    ansible.module("sqlite_backup", options)
    checked, ran = ansible.play([task("sqlite_backup", {**options, "force": True}, check=True),
                                 task("sqlite_backup", {**options, "force": True})]).results
    assert checked["changed"] is ran["changed"] is True
    assert checked["reason"] == ran["reason"] == "it was asked for by force"
    assert len(archive_names(archives)) == 2


def test_full_backup_with_files_that_may_be_missing(ansible, options, tmp_path):
    home = tmp_path / "home"
    (home / "uploads" / "essays").mkdir(parents=True)
    (home / ".env").write_text("SECRET_KEY=not-for-the-log\n")
    (home / "uploads" / "essays" / "one.txt").write_text("essay")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "uploads" / "socket"))
        ran = ansible.play([task("sqlite_backup", {
            **options, "kind": "full", "files": [str(home / ".env")], "optional_files": [str(home / "config")],
            "uploads": [str(home / "uploads")], "logs": [str(home / "logs")]})])
    result, = ran.results
    assert result["changed"] is True
    assert result["files"] == 2
    assert sorted(result["absent"]) == [str(home / "config"), str(home / "logs")]
    assert [left["path"] for left in result["left_out"]] == [str(home / "uploads" / "socket")]
    assert "skipped" not in result
    assert "not-for-the-log" not in ran.output + json.dumps(result)


def test_plain_archive(ansible, options, archives):
    del options["key_file"]
    states = ansible.four_states("sqlite_backup", {**options, "encryption": False, "application": "wiki"})
    assert [r["changed"] for r in states] == [True, True, False, False]
    name, = archive_names(archives)
    assert name.startswith("wiki-database-")
    assert name.endswith(".tar.gz")
    assert states[1]["encrypted"] is False
    assert states[1]["key_id"] is None


def test_no_key_in_any_result_or_output(ansible, options, key_file):
    run = ansible.play([task("sqlite_backup", options)], arguments=["-vvv"])
    assert key_file.read_text().strip() not in run.output + json.dumps(run.results)
    assert str(key_file) in run.output


def test_bad_input_is_one_line_with_the_next_step(ansible, options, archives, database, tmp_path):
    text, empty, linked = tmp_path / "text.db", tmp_path / "empty.db", tmp_path / "linked.db"
    text.write_bytes(b"no database at all " * 100)
    empty.touch()
    os.link(text, linked)
    ansible.refused("sqlite_backup", [({**options, **change}, kind, words) for change, kind, words in [
        ({"databases": ["/nonexistent/x.db"]}, "SourceError", ["/nonexistent/x.db"]),
        ({"databases": [str(text)]}, "SourceError", [str(text)]),
        ({"databases": [str(empty)]}, "SourceError", [str(empty)]),
        ({"databases": [str(tmp_path)]}, "SourceError", [str(tmp_path)]),
        ({"databases": []}, "UsageError", ["no database is named"]),
        ({"databases": ["relative.db"]}, "UsageError", ["relative.db", "not absolute"]),
        ({"destination": "/nonexistent/archives"}, "DestinationError", ["/nonexistent/archives", "does not exist"]),
        ({"destination": str(database)}, "DestinationError", [str(database), "not a directory"]),
        ({"key_file": "/nonexistent/key"}, "KeyFileError", ["/nonexistent/key", "does not exist"]),
        ({"keep_last": 0}, "UsageError", ["keep_last"]),
        ({"compression_level": 10}, "UsageError", ["compression level 10"]),
        ({"application": "No Such/Name"}, "UsageError", ["No Such/Name"]),
        ({"kind": "config", "files": ["/nonexistent/.env"]}, "SourceError", ["/nonexistent/.env"]),
    ]])
    assert archive_names(archives) == []
    assert not os.path.exists("/nonexistent")


def test_wrong_options_are_refused_before_anything_runs(ansible, options, archives):
    del options["key_file"]
    assert "key_file" in ansible.module("sqlite_backup", options)["msg"]
    assert "kind" in ansible.module("sqlite_backup", {**options, "encryption": False, "kind": "hourly"})["msg"]
    assert tree(archives) == {}


def test_two_runs_at_once(ansible, options, archives):
    import fcntl

    with open(archives / ".maintenance.lock", "w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        result = ansible.module("sqlite_backup", options)
    assert result["error"]["type"] == "BusyError"
    assert archive_names(archives) == []
    assert ansible.module("sqlite_backup", options)["changed"] is True


def test_a_key_that_others_can_read_is_refused(ansible, options, key_file):
    key_file.chmod(0o444)
    result = ansible.module("sqlite_backup", options)
    assert result["error"]["type"] == "KeyFileError"
    assert "0444" in result["msg"]
    assert key_file.read_text().strip() not in json.dumps(result)
