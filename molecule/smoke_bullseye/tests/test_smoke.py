# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On Debian 11 the jobs run, shut in as elsewhere; what they made restores; the restored application goes on."""

from __future__ import annotations

import json
import re

import pytest
from support import HOME, application, archives, ask, start_unit, until, writes_again

JOBS = ("backup-database", "backup-config", "backup-logs", "backup-full", "verify")


def test_the_application_found_all_rows_when_it_started(host):
    noted = json.loads(host.check_output("cat /var/lib/smoke.json"))
    assert json.loads(host.check_output(f"cat {HOME}/data/at-start.json")) == noted


def test_the_application_runs_and_writes(host):
    writes_again(host)
    assert application(host, "check")["problems"] == []


@pytest.mark.parametrize("job", JOBS)
def test_each_job_runs_and_its_timer_waits(host, job):
    assert host.service(f"feedforward-{job}.timer").is_running
    start_unit(host, f"feedforward-{job}.service")
    judged = host.check_output(f"systemd-analyze security --no-pager feedforward-{job}.service")
    assert float(re.search(r"Overall exposure level for \S+: ([\d.]+)", judged)[1]) < 3.0


def test_the_monitor_runs_and_writes_its_page(host):
    start_unit(host, "feedforward-monitor.service")
    found = json.loads(host.check_output("cat /var/lib/feedforward-monitor/public/summary.json"))
    assert found["checks"]["backup database"]["state"] == "OK" and found["checks"]["service"]["state"] == "OK", found
    assert "<h1>" in host.check_output("cat /var/lib/feedforward-monitor/public/index.html")


def test_all_archives_restore(host):
    found = ask(host, "verify all --level restore")["archives"]
    assert {verdict["verdict"] for verdict in found} == {"passed"}
    assert {verdict["kind"] for verdict in found} == {"database", "config", "logs", "full"}


def test_a_change_of_the_configuration_is_backed_up(host):
    before = archives(host, "config")
    host.check_output(f"runuser --user=feedforward -- sh -c 'echo CHANGED=once >>{HOME}/.env'")
    until(lambda: len(archives(host, "config")) > len(before), 60, "an archive")


def test_nothing_failed(host):
    assert host.run("systemctl --failed --no-legend --plain").stdout == ""
