# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job that fails calls the failure hook, leaves a record, runs the operator's hooks, and shows in the status."""

from __future__ import annotations

import json

import pytest
from support import FAILURES, KEY_FILE, archives, ask, start_unit, until

SERVICE = "feedforward-backup-database.service"
HOOKS = "/etc/feedforward-maintenance/on-failure.d"
NOTE = "/var/lib/feedforward-maintenance/noted"
HOOK = rf"""#!/bin/sh
echo "$1 $MAINTENANCE_APPLICATION $MAINTENANCE_JOB $MAINTENANCE_RESULT $MAINTENANCE_EXIT_STATUS" >>{NOTE}
"""


@pytest.fixture(scope="module")
def failed(host):
    """One failed run, with its key moved away and an operator's hook installed."""
    host.check_output(f"cat >{HOOKS}/50-note <<'EOF'\n{HOOK}EOF\nchmod 0700 {HOOKS}/50-note; rm -f {NOTE}")
    host.check_output(f"printf '#!/bin/sh\\ntouch {NOTE}-by-anybody\\n' >{HOOKS}/60-loose; chmod 0777 {HOOKS}/60-loose")
    before = archives(host, "database")
    host.check_output(f"mv {KEY_FILE} {KEY_FILE}.away")
    try:
        start_unit(host, SERVICE, fails=True)
        until(lambda: host.file(NOTE).exists, 30, "the operator's hook")
        yield before
    finally:
        host.check_output(f"mv {KEY_FILE}.away {KEY_FILE}; rm -f {HOOKS}/50-note {HOOKS}/60-loose {NOTE}")
        host.check_output("systemctl reset-failed")


def test_the_failure_is_recorded(host, failed):
    record = json.loads(host.check_output(f"cat {FAILURES}/backup-database.json"))
    assert record["unit"] == SERVICE
    assert (record["application"], record["job"]) == ("feedforward", "backup-database")
    assert (record["result"], record["exit_status"]) == ("exit-code", 5)
    assert host.file(f"{FAILURES}/backup-database.json").mode == 0o600


def test_the_operators_hook_ran_once_and_knows_what_failed(host, failed):
    assert host.file(NOTE).content_string.splitlines() == [f"{SERVICE} feedforward backup-database exit-code 5"]


def test_a_hook_that_others_may_write_did_not_run(host, failed):
    assert not host.file(f"{NOTE}-by-anybody").exists
    until(lambda: "60-loose was not run" in host.check_output("journalctl --boot --priority=err --output=cat"), 15,
          "the refusal in the journal")  # fmt: skip


def test_the_journal_says_it_at_priority_err(host, failed):
    errors = host.check_output("journalctl --boot --priority=err --output=cat -t feedforward-maintenance-on-failure")
    assert f"{SERVICE} failed on {host.backend.hostname}: exit-code, exit status 5" in errors


def test_the_run_said_which_file_and_what_to_do_and_made_nothing(host, failed):
    log = host.check_output("journalctl --boot --output=cat -t feedforward-backup-database")
    message = [line for line in log.splitlines() if KEY_FILE in line]
    assert message
    assert "Traceback" not in log
    assert archives(host, "database") == failed


def test_the_status_is_critical(host, failed):
    status = ask(host, "status", status=2)
    assert status["state"] == "CRITICAL"
    assert status["kinds"]["database"]["level"] == 2
    text = host.run("feedforward-maintenance status")
    assert text.rc == 2
    assert "CRITICAL" in text.stdout
