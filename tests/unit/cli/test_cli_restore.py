# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``restore`` on real files: plan, question, refusal, what is there afterwards, and the way back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Host, Terminal

HOLDER = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM users").fetchone()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture()
def saved(host: Host) -> Host:
    """Three users are backed up; two more were written since; the application is stopped."""
    host.backup()
    host.add_users(2)
    host.stop()
    return host


def safety_copies(host: Host) -> list[Path]:
    return sorted(host.database.parent.glob("users.db.before-restore-*"))


def test_the_plan_names_everything_and_a_dry_run_stops_there(saved: Host) -> None:
    done = saved.restore("--dry-run")
    [archive] = saved.archives()
    lines = done.out.splitlines()
    assert (done.code, done.err, saved.users()) == (0, "", 5)
    assert lines[0] == f"\u2713 Archive: {archive}, verified"
    assert lines[1].startswith("  of application feedforward on ") and " s ago), encrypted with key " in lines[1]
    assert lines[2].split() == ["ACTION", "KIND", "SIZE", "TARGET", "REASON"]
    assert lines[3].startswith("  replace  database  ") and f"  {saved.database}  its content differs" in lines[3]
    assert any(line.startswith("\u2713 Space: ") and f" free in {saved.database.parent}" in line for line in lines)
    assert f"Safety copy: {saved.database}.before-restore-<time>, kept for 7 days" in lines
    plan = saved.restore("--dry-run", "--json").json()
    assert (plan["archive"], plan["changed"], plan["steps"][0]["action"]) == (str(archive), True, "replace")
    assert safety_copies(saved) == []


def test_without_a_terminal_and_without_yes_it_refuses(saved: Host) -> None:
    done = saved.restore()
    assert done.code == 2 and done.out.startswith("\u2713 Archive: ") and saved.users() == 5
    assert done.err == (f"feedforward-maintenance: {saved.database}: replacing what is live wants a confirmation, and "
                        "no terminal is there to ask; nothing was changed. Look at the plan with --dry-run, then run "
                        "again with --yes.\n")
    assert saved.restore("--json").json()["error"]["exit_code"] == 2
    assert safety_copies(saved) == []


def test_yes_restores_reports_and_can_be_undone(saved: Host) -> None:
    done = saved.restore("--yes", "--verbose")
    [copy] = safety_copies(saved)
    assert done.code == 0 and saved.users() == 3
    for text in (f"\u2713 Restored from {saved.archives()[0]} in ", "  preflight 0.", "    users: 3 rows\n",
                 "\u2713 users.db: 3 rows in 2 tables\n", f"\u2713 Safety copy: {copy}, kept for 7 days\n",
                 f"  To undo: feedforward-maintenance restore --undo {copy}\n"):
        assert text in done.out
    dry = saved.restore("--undo", str(copy), "--dry-run")
    assert dry.code == 0 and dry.out.startswith(f"Safety copy: {copy}, made when ") and "  replace  database" in dry.out
    assert saved.restore("--undo", str(copy)).code == 2 and saved.users() == 3
    undone = saved.restore("--undo", str(copy), "--yes")
    assert undone.code == 0 and "\u2713 Undone in " in undone.out and saved.users() == 5
    again = saved.restore("--undo", str(copy))
    assert again.code == 0 and "It was put back before" in again.out and "\u2713 Unchanged: " in again.out


def test_json_is_the_result_alone_and_a_second_restore_changes_nothing(saved: Host) -> None:
    first = saved.restore("--yes", "--json").json()
    assert (first["changed"], first["rows"]) == (True, {"users.db": {"users": 3, "drafts": 0}})
    assert first["safety_copy"] == str(safety_copies(saved)[0])
    second = saved.restore()
    assert second.code == 0 and "\u2713 Unchanged: everything is as the archive has it\n" in second.out
    assert len(safety_copies(saved)) == 1


def test_a_person_at_the_terminal_types_the_name(saved: Host, terminal: Terminal,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", terminal.stdin)
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    terminal.type("yes\n")
    assert saved.restore().code == 2 and saved.users() == 5
    assert "Type users.db to go on: " in terminal.shown()
    terminal.type("users.db\n")
    assert saved.restore().code == 0 and saved.users() == 3


def test_on_a_bare_host_the_directory_and_the_key_are_enough(saved: Host) -> None:
    shutil.rmtree(saved.config)
    shutil.rmtree(saved.database.parent)
    saved.database.parent.mkdir()
    words = ("restore", "--accept-unknown-holders", "--directory", str(saved.backups))
    assert saved.bare(*words).code == 5
    done = saved.bare(*words, "--key-file", str(saved.key))
    assert done.code == 0 and "  create  database" in done.out and saved.users() == 3
    assert "To undo" not in done.out or safety_copies(saved)
    nothing = saved.bare("restore", "--application", "feedforward")
    assert nothing.code == 2 and "full path" in nothing.err
    by_path = saved.bare("verify", str(saved.archives()[0]), "--key-file", str(saved.key), "--json")
    assert by_path.code == 0 and by_path.json()["passed"] is True


def test_without_configuration_the_way_is_told(saved: Host) -> None:
    done = saved.bare("list")
    assert done.code == 2
    assert done.err.startswith("feedforward-maintenance: /etc/feedforward-maintenance: there is no configuration here.")
    assert all(option in done.err for option in ("--directory", "--key-file", "--application"))
    assert saved.bare("list", "--application", "feedforward").code == 2
    assert saved.bare("list", "--directory", os.path.relpath(saved.backups)).out.endswith(f", in {saved.backups}\n")


def test_another_path_owner_and_mode(saved: Host) -> None:
    target = saved.root / "data" / "copy.db"
    done = saved.restore("--database", "users.db", "--to", os.path.relpath(target), "--mode", "0640")
    assert done.code == 0 and target.stat().st_mode & 0o777 == 0o640 and saved.users() == 5
    connection = sqlite3.connect(target)
    assert connection.execute("SELECT count(*) FROM users").fetchone() == (3,)
    connection.close()
    assert saved.restore("--mode", "999").code == 2
    unknown = saved.restore("--database", "nothing.db")
    assert unknown.code == 6 and "users.db" in unknown.err


def test_everything_puts_files_back_too(host: Host) -> None:
    host.backup("--kind", "full")
    host.stop()
    host.env.write_text("SECRET_KEY=lost\n")
    done = host.restore("--everything", "--yes")
    assert done.code == 0 and host.env.read_text() == "SECRET_KEY=quiet\n"
    assert "  replace    file" in done.out and "  unchanged  database" in done.out
    host.database.unlink()
    again = host.restore("--everything")
    assert again.code == 0 and "  1 of the files and directories are as they should be\n" in again.out
    assert host.users() == 3
    assert host.restore("--part", "config", "--everything").code == 2


def test_files_alone_ask_for_the_name_of_the_application(host: Host) -> None:
    host.backup("--kind", "config")
    host.env.write_text("SECRET_KEY=lost\n")
    done = host.restore("--part", "config")
    assert done.code == 2 and done.err.startswith("feedforward-maintenance: feedforward: replacing what is live")


def test_before_chooses_the_archive(saved: Host) -> None:
    old = saved.age(saved.archives()[0], days=10)
    assert saved.restore("--before", "2001-01-01", "--dry-run").code == 6
    assert saved.restore("--before", "nonsense").code == 2
    assert old.exists()


def test_a_held_database_is_refused_with_pid_and_command(saved: Host) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(saved.database)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.stdout.readline() == "open\n"
        done = saved.restore("--yes")
        told = saved.restore("--yes", "--json")
        dry = saved.restore("--dry-run")
    finally:
        process.communicate()
    assert done.code == 7 and f"process {process.pid} (python" in done.err and "Stop the application" in done.err
    assert f"\u2717 {saved.database} is held open by process {process.pid} (python" in done.out
    assert told.json()["error"]["type"] == "BusyError" and dry.code == 0
    assert saved.users() == 5 and safety_copies(saved) == []


def test_undo_goes_alone_and_wants_a_safety_copy(saved: Host) -> None:
    mixed = saved.restore("latest", "--undo", "x")
    assert mixed.code == 2 and "'archive'" in mixed.err
    nothing = saved.restore("--undo", str(saved.root / "nowhere"))
    assert nothing.code == 8 and str(saved.root / "nowhere") in nothing.err


def test_an_expired_safety_copy_goes_with_the_next_restore(saved: Host) -> None:
    saved.restore("--yes")
    [old] = safety_copies(saved)
    connection = sqlite3.connect(saved.database)
    with connection:
        connection.execute("DELETE FROM users")
    connection.close()
    record = old / "record.json"
    record.write_text(record.read_text().replace('"created_at": "20', '"created_at": "19'))
    done = saved.restore("--yes", "--verbose", "--safety-days", "1")
    assert done.code == 0 and f"Old safety copy removed: {old}\n" in done.out and "kept for 1 day\n" in done.out
    assert old not in safety_copies(saved) and len(safety_copies(saved)) == 1


def test_an_older_schema_wants_to_be_allowed(host: Host) -> None:
    host.backup()
    host.write("PRAGMA user_version=4", "CREATE TABLE more(id)")
    host.stop()
    refused = host.restore("--yes")
    assert refused.code == 8 and "version 4" in refused.err
    done = host.restore("--yes", "--allow-older-schema")
    assert done.code == 0 and f"! the schema in the archive differs from that of {host.database}\n" in done.out
