# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the restore everything is as it was when it was backed up, and the application goes on from there."""

from __future__ import annotations

import json
import os
from pathlib import Path

from support import HOME, application, ask, commits, writes_again

DATABASE = f"{HOME}/data/users.db"
NOTES = "/var/lib/feedforward-disaster"


def noted(host, name):
    return json.loads(host.check_output(f"cat {NOTES}/{name}.json"))


def test_the_application_found_all_rows_when_it_started(host):
    backed_up, found = noted(host, "backed-up"), json.loads(host.check_output(f"cat {HOME}/data/at-start.json"))
    assert found["rows"] == backed_up["rows"]
    assert found["content_sha256"] == backed_up["content_sha256"]
    assert found == backed_up


def test_it_was_put_together_from_an_increment_and_its_base(host):
    found = {entry["name"]: entry for entry in ask(host, "list")["archives"] if entry["kind"] == "database"}
    (newest,) = [name for name, entry in found.items() if entry["base"]]
    assert newest == max(found)
    assert found[found[newest]["base"]]["base"] is None


def test_the_application_runs_and_writes(host):
    writes_again(host)
    now = application(host, "check --database=users.db")
    assert now["problems"] == []
    assert now["ledger"]["commits"] > noted(host, "backed-up")["ledger"]["commits"]


def test_the_history_goes_on_from_the_backup(host):
    at = noted(host, "backed-up")["ledger"]
    now = application(host, f"check --database=users.db --commit={at['commits']}")
    assert now["ledger"]["chain_at"] == at["head"]


def test_the_database_answers_over_http(host):
    probe = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:5001/landing').status)"
    assert host.check_output(f'python3 -c "{probe}"') == "200"


def test_owner_and_mode_are_as_they_were(host):
    listing = host.check_output(f"find {HOME}/data -maxdepth 1 -name 'users.db*' -type f -printf '%f %u:%g %m\\n'")
    assert {line.split(" ", 1)[1] for line in listing.splitlines()} == {"feedforward:feedforward 600"}
    assert commits(host)


def test_what_was_there_lies_in_the_safety_copy(host):
    (copy,) = host.check_output(f"ls -d {DATABASE}.before-restore-*").splitlines()
    assert host.file(copy).mode == 0o700
    kept = host.check_output(f"find {copy} -type f -printf '%f\\n'").splitlines()
    assert {"users.db", "users.db-wal", "users.db-shm", "record.json"} <= set(kept)
    # The ruins: garbage of exactly this size.
    assert host.file(f"{copy}/users.db").size == 1_000_000


def test_no_journal_of_the_restore_is_left(host):
    assert host.run(f"ls {HOME}/data/.users.db.restore-journal").rc != 0
    assert host.run(f"ls -d {HOME}/data/.maintenance-scratch-* {HOME}/data/.*.maintenance-tmp").stdout == ""


def test_the_report_says_what_was_done_with_times(host):
    reports = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports"
    (report,) = reports.glob(f"restore-{host.backend.hostname}-*.md")
    text = report.read_text(encoding="utf-8")
    archive = max(entry["name"] for entry in ask(host, "list")["archives"] if entry["kind"] == "database")
    for part in (archive, DATABASE, "health probe", "before-restore-", host.backend.hostname):
        assert part in text
    assert host.check_output("cat /var/lib/feedforward-maintenance/reports/*.md") == text.rstrip("\n")


def test_the_application_does_not_start_in_the_middle_of_a_restore(host):
    journal = f"{HOME}/data/.users.db.restore-journal"
    host.check_output(f"systemctl stop feedforward && touch {journal} && systemctl start feedforward")
    try:
        assert not host.service("feedforward").is_running
        assert host.check_output("systemctl show --property=ConditionResult --value feedforward") == "no"
        assert ask(host, "status", status=2)["state"] == "CRITICAL"
    finally:
        host.check_output(f"rm {journal} && systemctl start feedforward")
    writes_again(host)
