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
PLACES = f"{UNITS}/feedforward-* /etc/feedforward-maintenance /etc/cron.d /usr/local/libexec /usr/local/bin"
LISTING = f"find {PLACES} \\( -type f -exec sha256sum {{}} + \\) , -printf '%y %m %u:%g %l %p\\n' | sort"
FILE_EDITS = (
    f"echo '# by hand' >>{UNITS}/feedforward-backup-logs.service",
    f"chmod 0600 {UNITS}/feedforward-verify.service",
    f"chown feedforward {UNITS}/feedforward-verify.timer",
    f"rm {UNITS}/feedforward-backup-config.path",
    f"mv {UNITS}/feedforward-backup-full.service /run/elsewhere",
    f"ln -s /run/elsewhere {UNITS}/feedforward-backup-full.service",
    "chmod 0755 /etc/feedforward-maintenance",
    "rm /usr/local/libexec/feedforward-maintenance-on-failure",
    "echo '{}' >/etc/feedforward-maintenance/backup.json",
    "echo broken >/usr/local/bin/feedforward-maintenance",
    "touch /etc/cron.d/feedforward-verify",
)
TIMER_EDITS = {
    "feedforward-backup-logs.timer": "systemctl stop feedforward-backup-logs.timer",
    "feedforward-backup-config.path": "systemctl disable feedforward-backup-config.path",
    "feedforward-backup-database.timer": "systemctl disable --now feedforward-backup-database.timer",
    "feedforward-verify.timer": f"rm {UNITS}/timers.target.wants/feedforward-verify.timer",
}


@pytest.fixture(scope="module", autouse=True)
def _as_the_tests_before_left_it(host):
    run_again(host, SITE)


def changed_tasks(output: str) -> int:
    """How many tasks of a run changed something."""
    found = re.search(r"changed=(\d+)", output)
    assert found, output
    return int(found[1])


def nothing_to_do(host) -> None:
    """A run changes nothing, and sends few modules to this host."""
    output, executions = run_again(host, SITE)
    assert changed_tasks(output) == 0, output
    listing = "\n".join(f"{sent['module']}: {sent['task']}" for sent in executions)
    assert 0 < len(executions) <= MOST_EXECUTIONS, listing
    assert {sent["host"] for sent in executions} == {host.backend.hostname}


def test_a_run_that_finds_nothing_to_do_sends_few_modules(host):
    nothing_to_do(host)


def test_files_that_were_changed_by_hand_are_put_right(host):
    before = host.check_output(LISTING)
    host.check_output(" && ".join(FILE_EDITS))
    assert len(set(host.check_output(LISTING).splitlines()) - set(before.splitlines())) >= len(FILE_EDITS) - 3
    output, _executions = run_again(host, SITE)
    assert changed_tasks(output) >= 4, output
    assert host.check_output(LISTING) == before
    for unit in ("feedforward-backup-logs.service", "feedforward-verify.timer", "feedforward-backup-config.path"):
        assert properties(host, unit, "NeedDaemonReload", "LoadState") == {
            "NeedDaemonReload": "no", "LoadState": "loaded"}  # fmt: skip


def test_timers_that_were_switched_off_by_hand_wait_again(host):
    host.check_output(" && ".join(TIMER_EDITS.values()))
    output, _executions = run_again(host, SITE)
    assert changed_tasks(output) == 1, output
    for unit in TIMER_EDITS:
        assert f"(item={unit})" in output
        assert properties(host, unit, "ActiveState") == {"ActiveState": "active"}
        assert host.check_output(f"systemctl is-enabled {unit}") == "enabled"


def test_after_all_that_there_is_nothing_to_do(host):
    nothing_to_do(host)
