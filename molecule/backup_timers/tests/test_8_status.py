# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What monitoring reads: the status after good runs, and what the monthly verification records."""

from __future__ import annotations

import json

from support import ask, start_unit, writes_again


def test_the_status_is_ok_after_good_runs(host):
    for job in ("backup-database", "backup-config", "backup-logs", "backup-full"):
        start_unit(host, f"feedforward-{job}.service")
    status = ask(host, "status")
    assert status["state"] == "OK"
    assert {kind: found["level"] for kind, found in status["kinds"].items()} == {
        "database": 0, "config": 0, "logs": 0, "full": 0,
    }  # fmt: skip


def test_the_status_is_unknown_where_nothing_is_configured(host):
    assert host.run("feedforward-maintenance status --config /nonexistent").rc == 3


def test_the_monthly_job_verifies_all_archives_by_restoring_them(host):
    start_unit(host, "feedforward-verify.service")
    for archive in ask(host, "list")["archives"]:
        assert archive["verified"] is True, archive["name"]


def looked_at(host):
    """What ``health`` finds, by the name of the check, and its exit status."""
    done = host.run("feedforward-maintenance health --json")
    return {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}, done.rc


def test_health_sees_that_the_service_has_the_right_database_open(host):
    found, _status = looked_at(host)
    wanted = ("service", "database /opt/feedforward/data/feedforward.db", "open /opt/feedforward/data/feedforward.db",
              "backup database", "backup full")  # fmt: skip
    assert {check: found[check]["state"] for check in wanted} == dict.fromkeys(wanted, "OK"), found


def test_health_is_critical_while_the_service_is_down(host):
    host.check_output("systemctl stop feedforward.service")
    try:
        found, status = looked_at(host)
    finally:
        host.check_output("systemctl start feedforward.service")
    assert status == 2 and found["service"]["state"] == "CRITICAL", found
    assert found["service"]["text"].startswith("it is inactive")
    writes_again(host)
