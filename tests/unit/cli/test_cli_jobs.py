# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each command on real files: what it leaves on the disk, what it prints, how it ends."""

from __future__ import annotations

import fcntl
import json
import os
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Host


def test_backup_makes_a_verified_archive_with_the_rows_of_the_wal(host: Host) -> None:
    done = host.run("backup")
    [archive] = host.archives()
    key_id = json.loads(host.run("key", "show", "--json").out)["key_id"]
    first, second, *rest = done.out.splitlines()
    assert (done.code, done.err, rest) == (0, "", [])
    assert first.startswith(f"\u2713 Archive: {archive} (")
    assert first.endswith(f"kB, encrypted with key {key_id}, verified)")
    assert second.startswith("\u2713 Database users.db: ") and ", 3 rows, as of 20" in second
    assert archive.stat().st_mode & 0o777 == 0o600


def test_backup_verbose_tells_every_figure_and_each_phase(host: Host) -> None:
    done = host.run("backup", "--verbose", "--kind", "full")
    assert done.code == 0
    for text in ("  from ", "journal mode wal", "writers waited at most 0.00 s, 0 restarts", "Files: 1\n",
                 "Content: ", "SHA-256 of the archive: ", f"Absent, which is allowed: {host.root}/logs\n"):
        assert text in done.out
    assert all(line.startswith("\u2713 ") for line in done.err.splitlines()) and "in 0." in done.err


def test_backup_of_the_same_content_writes_nothing(host: Host) -> None:
    made = host.backup()
    assert (made["changed"], made["outcome"], made["verified"]) == (True, "created", True)
    again = host.run("backup")
    assert again.code == 0 and again.out.startswith(f"\u2713 Unchanged: {made['archive']} (")
    assert len(host.archives()) == 1
    host.backup("--force")
    assert len(host.archives()) == 2


def test_backup_compresses_as_it_is_told(host: Host) -> None:
    made = host.backup("--compression", "zstd")
    assert made["archive"].endswith(".tar.zst.enc") and made["verified"]
    assert host.backup("--compression", "gzip", "--level", "1", "--force")["archive"].endswith(".tar.gz.enc")
    refused = host.run("backup", "--compression", "gzip", "--level", "12")
    assert (refused.code, refused.out) == (2, "") and "gzip's levels are 0 to 9" in refused.err
    assert "'xz' is none of gzip, zstd" in host.run("backup", "--compression", "xz").err


def test_backup_makes_increments_where_it_is_told_to(host: Host) -> None:
    host.write("CREATE TABLE essays(id INTEGER PRIMARY KEY, content BLOB)",
               *["INSERT INTO essays(content) VALUES (randomblob(3000))"] * 100)
    first = host.backup("--strategy", "incremental")
    assert first["base"] is None and "no archive that it could be based on" in first["full_because"]
    host.write("UPDATE essays SET content = randomblob(3000) WHERE id = 50")
    done = host.run("backup", "--strategy", "incremental")
    full = os.path.basename(first["archive"])
    assert f"\u2713 Increment on {full}, which it needs to be restored\n" in done.out
    assert [line.split()[2] for line in host.run("list").out.splitlines()[1:3]] == ["all", "changes"]
    assert host.run("verify", "latest", "--level", "restore").code == 0
    host.write("UPDATE essays SET content = randomblob(3000) WHERE id = 51")
    limited = host.backup("--strategy", "differential", "--chain-limit", "2")
    assert limited["base"] is None and "reached its 2 archives" in limited["full_because"]


def test_backup_dry_run_predicts_and_writes_no_archive(host: Host) -> None:
    planned = host.run("backup", "--dry-run")
    assert planned.code == 0 and planned.out.startswith("To be made: an archive of the kind database (")
    assert host.archives() == []
    assert host.backup("--dry-run")["content_id"] == host.backup()["content_id"]


def test_backup_of_files_that_do_not_exist_is_nothing(host: Host) -> None:
    done = host.run("backup", "--kind", "logs")
    assert done.code == 0 and done.out.startswith("! Nothing to back up: ") and host.archives() == []


def test_backup_prunes_unless_told_not_to(host: Host) -> None:
    host.backup()
    old = host.age(host.archives()[0], days=40)
    host.backup("--force", "--no-prune")
    assert old in host.archives()
    dry = host.run("backup", "--force", "--dry-run")
    assert "\u2713 To be pruned: 1 old archive\n" in dry.out and old in host.archives()
    done = host.run("backup", "--force", "--verbose")
    assert f"\u2713 Pruned: 1 old archive\n  {old.name}\n" in done.out
    assert len(host.archives()) == 2 and old not in host.archives()


def test_backup_says_why_nothing_was_pruned(host: Host) -> None:
    host.backup()
    host.age(host.archives()[0], days=-3)
    done = host.run("backup", "--force")
    assert done.code == 0 and "! Nothing was pruned: " in done.out and len(host.archives()) == 2


def test_backup_tells_what_was_left_out(host: Host) -> None:
    (host.root / "logs").mkdir()
    (host.root / "logs" / "link").symlink_to("/etc/hostname")
    done = host.run("backup", "--kind", "logs", "--verbose")
    assert f"! {host.root}/logs/link" in done.out and "symbolic link to /etc/hostname" in done.out


def test_bad_input_is_one_line_with_its_exit_code(host: Host) -> None:
    missing = host.root / "nowhere"
    host.backups.chmod(0o700)
    cases = [
        ({"databases": [str(missing)]}, (), 3, str(missing)),
        ({"directory": str(missing)}, (), 4, str(missing)),
        ({"key_file": str(missing)}, (), 5, str(missing)),
        ({"databases": []}, (), 2, "kind database"),
        ({"compression_level": 20}, (), 2, str(host.config / "more.json")),
        ({}, ("--application", "Bad Name"), 2, "Bad Name"),
    ]
    for changes, arguments, code, subject in cases:
        host.configure(**changes)
        done = host.run("backup", *arguments)
        assert done.code == code, done.err
        assert done.out == "" and len(done.err.splitlines()) == 1
        assert done.err.startswith("feedforward-maintenance: ") and subject in done.err and done.err.endswith(".\n")
        told = host.run("backup", *arguments, "--json")
        assert told.json()["error"]["exit_code"] == told.code == code
        assert told.err == done.err
    assert host.archives() == []


def test_a_key_that_others_can_read_is_refused(host: Host) -> None:
    host.key.chmod(0o440)
    done = host.run("backup")
    assert done.code == 5 and done.err.startswith(f"feedforward-maintenance: {host.key}: ")


def test_two_runs_at_once_do_not_meet(host: Host) -> None:
    host.backup()
    with open(host.backups / ".maintenance.lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = host.run("backup", "--json")
    assert (done.code, done.json()["error"]["type"]) == (7, "BusyError")


def test_verify_prints_a_verdict_for_archive_and_database(host: Host) -> None:
    host.backup()
    host.backup("--kind", "full")
    done = host.run("verify", "--level", "restore", "--verbose")
    lines = done.out.splitlines()
    assert done.code == 0
    assert [line for line in lines if "passed by" in line] == [
        line for line in lines if line.startswith("\u2713 feedforward-") and ": passed by restore, " in line]
    assert lines.count("  \u2713 users.db: 3 rows in 2 tables") == 2 and lines.count("    users: 3 rows") == 2
    assert "  \u2713 1 file" in lines and lines[-1] == "2 archives: 2 passed"


def test_verify_of_a_damaged_archive_fails_with_6(host: Host) -> None:
    path = host.backup()["archive"]
    with open(path, "r+b") as archive:
        archive.seek(-20, os.SEEK_END)
        archive.write(b"x" * 4)
    done = host.run("verify", "all")
    assert done.code == 6 and done.out.startswith(f"\u2717 {os.path.basename(path)}: failed by integrity, ")
    told = host.run("verify", path, "--json")
    assert told.code == 6 and told.err.count("\n") <= 1
    assert (told.json()["passed"], [a["verdict"] for a in told.json()["archives"]]) == (False, ["failed"])
    assert re.search(r"  FAILED integrity, \d+ s ago\n", host.run("list").out)
    status = host.run("status")
    assert status.code == 2 and "did not verify" in status.out


def test_verify_without_the_key_is_unknown_which_is_no_success(host: Host) -> None:
    host.backup()
    host.configure(key_file=None)
    done = host.run("verify", "--kind", "database", "--no-record")
    assert done.code == 5 and done.out.startswith("? feedforward-database-") and ": unknown by " in done.out


def test_verify_of_nothing_and_nonsense(host: Host) -> None:
    assert host.run("verify").code == 6
    assert host.run("verify", "--before", "yesterday-ish").code == 2
    scratch = host.run("verify", "--scratch", str(host.root / "nowhere"))
    assert scratch.code == 2 and str(host.root / "nowhere") in scratch.err


def test_list_aligns_and_names_key_and_verification(host: Host) -> None:
    empty = host.run("list")
    assert (empty.code, empty.out) == (0, f"0 archives of feedforward, 0 B, in {host.backups}\n")
    made = host.backup()
    host.configure(key_file=None)
    host.backup("--kind", "config")
    done = host.run("list", "--verbose")
    heading, *rows = done.out.splitlines()
    assert heading.split() == ["ARCHIVE", "KIND", "HOLDS", "AGE", "SIZE", "KEY", "VERIFIED"]
    cells = {row.split()[1]: row for row in rows[:2]}
    assert f"  {made['key_id']}  checksums, " in cells["database"] and "  none " in cells["config"]
    assert {row.index("checksums") for row in rows[:2]} == {heading.index("VERIFIED")}
    assert rows[2].startswith("2 archives of feedforward, ") and rows[2].endswith(f", in {host.backups}")
    assert [row.split(":")[0] for row in rows[3:]] == ["database", "config"]
    assert host.run("list", "--kind", "config", "--json").json()["count"] == 1


def test_list_of_an_archive_without_a_sidecar(host: Host) -> None:
    path = host.backup()["archive"]
    os.unlink(f"{path}.json")
    assert "  unknown  never\n" in host.run("list").out


def test_info_of_every_configured_database(host: Host) -> None:
    done = host.run("info", "--integrity", "full")
    assert done.code == 0 and done.out.startswith(f"\u2713 Database: {host.database} (")
    for text in ("  Journal mode: wal, WAL ", "  \u2713 Integrity: ok\n", "  Tables: 2 tables\n", "    users      3  "):
        assert text in done.out
    assert done.out.splitlines()[-3].split() == ["TABLE", "ROWS", "SIZE"]
    [facts] = host.run("info", "--json", "--no-rows").json()["databases"]
    assert (facts["path"], facts["journal_mode"], facts["integrity"]) == (str(host.database), "wal", "not checked")


def test_info_by_name_and_by_path(host: Host) -> None:
    other = host.root / "data" / "other.db"
    host.write(f"VACUUM INTO '{other}'")
    host.configure(databases=[str(host.database), str(other)])
    assert [d["path"] for d in host.run("info", "other.db", "--json").json()["databases"]] == [str(other)]
    both = host.run("info", "--no-rows").out
    assert both.count("Database: ") == 2 and "\n\n\u2713 Database: " in both and "TABLE" not in both
    wrong = host.run("info", "oter.db")
    assert wrong.code == 2 and "did you mean 'other.db'?" in wrong.err
    bare = host.bare("info", str(other), "--integrity", "full")
    assert bare.code == 0 and "Integrity: ok" in bare.out
    host.configure(databases=[])
    assert host.run("info").code == 2


def test_info_of_a_damaged_database_ends_with_3(host: Host) -> None:
    host.write("INSERT INTO drafts(content) VALUES (NULL)", "PRAGMA writable_schema=ON",
               "UPDATE sqlite_master SET sql = replace(sql, 'content TEXT', 'content TEXT NOT NULL')")
    done = host.run("info", "users.db", "--integrity", "quick", "--no-rows")
    assert done.code == 3 and "  \u2717 Integrity: NULL value in drafts.content\n" in done.out
    damaged = host.run("backup")
    assert damaged.code == 3 and "NULL value in drafts.content" in damaged.err and host.archives() == []


def test_prune_removes_what_retention_lets_go(host: Host) -> None:
    host.backup()
    old = host.age(host.archives()[0], days=40)
    new = host.backup("--force", "--no-prune")["archive"]
    dry = host.run("prune", "--dry-run")
    assert dry.code == 0 and dry.out == f"\u2713 To be removed: 1 archive; 1 stay\n  {old.name}\n"
    kept = host.run("prune", "--retention-days", "60", "--kind", "database", "--verbose")
    assert kept.out.startswith("\u2713 Removed: 0 archives; 2 stay\n") and f"  {old.name} stays: " in kept.out
    assert host.run("prune", "--keep-last", "2", "--json").json()["removed"] == []
    assert host.run("prune", "--json").json()["removed"] == [old.name]
    assert [str(path) for path in host.archives()] == [new]


def test_prune_refuses_when_the_clock_jumped(host: Host) -> None:
    host.backup()
    host.age(host.archives()[0], days=-3)
    done = host.run("prune")
    assert done.code == 0 and done.out.startswith("! database: nothing was removed: ")


def test_key_is_created_rotated_shown_and_never_printed(host: Host) -> None:
    host.key.unlink()
    said = [host.run("key", "create", "--dry-run")]
    assert said[0].out == f"To be created: the key {host.key}\n" and not host.key.exists()
    for arguments in (["create"], ["create"], ["show"], ["show", "--json", "--verbose"], ["rotate", "--json"],
                      ["rotate", "--dry-run"], ["show"]):
        said.append(host.run("key", *arguments))
    rings = [json.loads(done.out) for done in said if done.out.startswith("{")]
    old, new = rings[0]["key_id"], rings[1]["key_id"]
    assert said[1].out.startswith(f"\u2713 Key created: {host.key}, id {old}\n! Keep a copy")
    assert said[2].out.startswith(f"\u2713 Key: {host.key}, id {old}, made 20")
    assert rings[1]["key_ids"] == [new, old] and old != new
    assert said[6].out.startswith("To be rotated: ")
    assert said[7].out.endswith(f"  older key {old}, which still reads its archives\n")
    keys = [path.read_text().strip() for path in host.key.parent.iterdir() if path.name.startswith("backup.key")]
    assert len(keys) == 2 and all(done.code == 0 for done in said)
    assert not any(key in done.out + done.err for key in keys for done in said)


def test_key_wants_a_file_and_a_known_action(host: Host) -> None:
    host.configure(key_file=None)
    assert host.run("key", "show").code == 2
    wrong = host.run("key", "rotat")
    assert wrong.code == 2 and "did you mean 'rotate'?" in wrong.err
    assert host.bare("key", "show", "--key-file", str(host.key)).code == 0


def test_status_is_a_monitoring_plugin(host: Host) -> None:
    none = host.run("status")
    assert none.code == 2 and none.out.startswith("BACKUP CRITICAL: feedforward: database: no backup")
    assert "\n\u2717 full: no backup has been made yet\n" in none.out
    for kind in ("database", "config", "logs", "full"):
        host.backup("--kind", kind)
    good = host.run("status")
    assert good.code == 0 and good.out.splitlines()[0] == "BACKUP OK: feedforward: 4 kinds of backup are current"
    assert [line[:3] for line in good.out.splitlines()[1:]] == ["\u2713 " + kind[0] for kind in ("d", "c", "l", "f")]
    facts = host.run("status", "--json").json()
    assert (facts["level"], facts["state"], len(facts["lines"])) == (0, "OK", 4)


def test_status_of_a_failed_run_and_a_bar_is_no_performance_data(host: Host) -> None:
    strange = host.root / "data" / "a|b.db"
    host.configure(databases=[str(strange)])
    assert host.run("backup").code == 3
    done = host.run("status")
    assert done.code == 2 and "a/b.db" in done.out and "|" not in done.out


def test_status_of_an_error_is_unknown_on_standard_output(host: Host) -> None:
    done = host.bare("--config", str(host.root / "nowhere"), "status")
    assert done.code == 3 and done.out.startswith(f"BACKUP UNKNOWN: {host.root}/nowhere: ")
    told = host.bare("status", "--bogus", "--json")
    assert told.code == 3 and told.json()["error"]["exit_code"] == 3


@pytest.mark.parametrize("words", [["backup"], ["verify"], ["restore"], ["list"], ["prune"], ["info"]])
def test_every_error_with_json_is_one_document(host: Host, words: list[str]) -> None:
    (host.config / "more.json").write_text("{")
    done = host.run(*words, "--json")
    assert (done.code, done.json()["error"]["type"]) == (2, "UsageError")
    assert done.json()["error"]["subject"] == str(host.config / "more.json")
