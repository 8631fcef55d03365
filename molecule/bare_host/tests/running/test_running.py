# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application starts on what was restored, finds all of it, and goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path

from support import HOME, application, writes_again

NOTES = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


def test_it_found_all_rows_of_the_lost_host(host):
    noted = json.loads((NOTES / "content.json").read_text(encoding="utf-8"))
    assert json.loads(host.check_output(f"cat {HOME}/data/at-start.json")) == noted
    assert sum(noted["rows"].values()) > 100


def test_an_increment_was_put_together_with_its_base(host):
    noted = json.loads((NOTES / "content.json").read_text(encoding="utf-8"))
    found = application(host, "check --database=from-chain.db")
    assert {**found, "database": noted["database"]} == noted


def test_it_runs_and_writes(host):
    writes_again(host)
    assert application(host, "check")["problems"] == []


def test_its_history_goes_on(host):
    noted = json.loads((NOTES / "content.json").read_text(encoding="utf-8"))
    now = application(host, f"check --commit={noted['ledger']['commits']}")
    assert now["ledger"]["commits"] > noted["ledger"]["commits"]
    assert now["ledger"]["chain_at"] == noted["ledger"]["head"]
