# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a restore that was refused and one that was taken back, the application is where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

from support import HOME, application, writes_again

NOTES = "/var/lib/feedforward-disaster"


def test_the_application_found_what_it_had_before(host):
    kept = json.loads(host.check_output(f"cat {NOTES}/kept.json"))
    found = json.loads(host.check_output(f"cat {HOME}/data/at-start.json"))
    assert found == kept


def test_the_application_runs_and_writes(host):
    writes_again(host)
    assert application(host, "check --database=users.db")["problems"] == []


def test_the_report_says_that_it_was_taken_back(host):
    reports = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports"
    newest = sorted(reports.glob(f"restore-{host.backend.hostname}-*.md"))[-1]
    assert "rolled back" in newest.read_text(encoding="utf-8")


def test_no_journal_of_the_restore_is_left(host):
    assert host.run(f"ls {HOME}/data/.users.db.restore-journal").rc != 0
