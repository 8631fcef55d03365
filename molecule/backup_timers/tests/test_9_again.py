# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A further run of site.yml: it costs little where nothing differs, and puts right what somebody changed."""

from __future__ import annotations

import re

import pytest
from support import MOST_EXECUTIONS, ROOT, properties, run_again

SITE = ROOT / "molecule" / "backup_timers" / "converge.yml"
UNITS = "/etc/systemd/system"
SERVICE = f"{UNITS}/feedforward-backup-logs.service"
TIMER = "feedforward-backup-logs.timer"


@pytest.fixture(scope="module", autouse=True)
def _as_the_tests_before_left_it(host):
    run_again(host, SITE)


def changed_tasks(output: str) -> int:
    """How many tasks of a run changed something."""
    found = re.search(r"changed=(\d+)", output)
    assert found, output
    return int(found[1])


def test_a_run_that_finds_nothing_to_do_sends_few_modules(host):
    output, executions = run_again(host, SITE)
    assert changed_tasks(output) == 0, output
    listing = "\n".join(f"{sent['module']}: {sent['task']}" for sent in executions)
    assert 0 < len(executions) <= MOST_EXECUTIONS, listing
    assert {sent["host"] for sent in executions} == {host.backend.hostname}


@pytest.mark.parametrize("edit", [
    f"echo '# by hand' >>{SERVICE}",
    f"chmod 0600 {SERVICE}",
    f"chown feedforward {SERVICE}",
    f"rm {SERVICE}",
    f"mv {SERVICE} {UNITS}/elsewhere-backup-logs.service && ln -s elsewhere-backup-logs.service {SERVICE}",
    "chmod 0755 /etc/feedforward-maintenance",
    "rm /usr/local/libexec/feedforward-maintenance-on-failure",
    "echo '{}' >/etc/feedforward-maintenance/backup.json",
    "echo broken >/usr/local/bin/feedforward-maintenance",
    "touch /etc/cron.d/feedforward-verify",
])  # fmt: skip
def test_a_file_that_was_changed_by_hand_is_put_right(host, edit):
    places = f"{UNITS}/feedforward-* /etc/feedforward-maintenance /etc/cron.d /usr/local/libexec /usr/local/bin"
    listing = f"find {places} -printf '%y %m %u:%g %l %p\\n' | sort; find {places} -type f -exec sha256sum {{}} + | sort"
    before = host.check_output(listing)
    host.check_output(edit)
    assert host.check_output(listing) != before
    output, _executions = run_again(host, SITE)
    host.run(f"rm -f {UNITS}/elsewhere-backup-logs.service")
    assert changed_tasks(output) > 0, output
    assert host.check_output(listing) == before
    assert properties(host, TIMER, "NeedDaemonReload") == {"NeedDaemonReload": "no"}


@pytest.mark.parametrize("edit", [
    f"systemctl stop {TIMER}",
    f"systemctl disable {TIMER}",
    f"systemctl disable --now {TIMER}",
    f"rm {UNITS}/timers.target.wants/{TIMER}",
])  # fmt: skip
def test_a_timer_that_was_switched_off_by_hand_waits_again(host, edit):
    host.check_output(edit)
    output, _executions = run_again(host, SITE)
    assert changed_tasks(output) == 1, output
    assert properties(host, TIMER, "ActiveState") == {"ActiveState": "active"}
    assert host.check_output(f"systemctl is-enabled {TIMER}") == "enabled"


def test_after_all_that_there_is_nothing_to_do(host):
    output, executions = run_again(host, SITE)
    assert changed_tasks(output) == 0, output
    assert len(executions) <= MOST_EXECUTIONS
