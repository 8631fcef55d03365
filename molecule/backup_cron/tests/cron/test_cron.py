# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cron entries fire by themselves, a failure calls the same hook, and no unit of systemd is there besides."""

from __future__ import annotations

import json

import pytest
from support import FAILURES, KEY_FILE, MOST_EXECUTIONS, ROOT, archives, ask, run_again, until, writes_again

JOBS = {
    "backup-database": "* * * * *",
    "backup-config": "15 2 * * 0",
    "backup-logs": "30 2 * * 0",
    "backup-full": "45 2 * * 0",
    "verify": "0 5 1 * *",
}
HOOK = "/etc/feedforward-maintenance/on-failure.d/50-note"
NOTE = "/var/lib/feedforward-maintenance/noted"


@pytest.mark.parametrize("job", JOBS)
def test_an_entry_has_the_time_and_runs_the_wrapper_as_root(host, job):
    entry = host.file(f"/etc/cron.d/feedforward-{job}")
    lines = [line for line in entry.content_string.splitlines() if line and not line.startswith("#")]
    command = f"/usr/local/libexec/feedforward-{job}-cron"
    assert lines[-1].split() == [*JOBS[job].split(), "root", command, "--spread"]
    assert (entry.user, entry.group, entry.mode) == ("root", "root", 0o644)
    wrapper = host.file(command)
    assert (wrapper.user, wrapper.group, wrapper.mode) == ("root", "root", 0o755)


def test_no_unit_runs_a_job_besides(host):
    units = host.check_output("systemctl list-units --all --plain --no-legend 'feedforward-*'")
    assert [line.split()[0] for line in units.splitlines() if not line.startswith("feedforward-maintenance")] == []
    assert host.run("ls /etc/systemd/system/feedforward-backup-* /etc/systemd/system/feedforward-verify.*").stdout == ""


def test_cron_fires_and_an_archive_appears_that_restores(host):
    before = archives(host, "database")
    new = until(lambda: [name for name in archives(host, "database") if name not in before], 150, "an archive")
    ran = host.check_output("journalctl --boot --output=cat -t CRON")
    assert "(root) CMD (/usr/local/libexec/feedforward-backup-database-cron --spread)" in ran
    (verdict,) = ask(host, f"verify {new[0]} --level restore")["archives"]
    assert verdict["verdict"] == "passed"
    assert new[0] in host.check_output("journalctl --boot --output=cat -t feedforward-backup-database")
    writes_again(host)


def test_a_failure_calls_the_hook_and_cron_is_told(host):
    # Only the job that is looked at: the one that fires every minute is kept from failing meanwhile.
    host.check_output("systemctl stop cron")
    until(lambda: host.run("pgrep --full '[f]eedforward-backup-database-cron'").rc != 0, 60, "the end of the last run")
    script = f"#!/bin/sh\necho $1 $MAINTENANCE_JOB $MAINTENANCE_RESULT $MAINTENANCE_EXIT_STATUS >>{NOTE}\n"
    host.check_output(f"printf '%s' '{script}' >{HOOK} && chmod 0700 {HOOK}")
    host.check_output(f"mv {KEY_FILE} {KEY_FILE}.away")
    try:
        run = host.run("/usr/local/libexec/feedforward-backup-logs-cron")
    finally:
        host.check_output(f"mv {KEY_FILE}.away {KEY_FILE} && systemctl start cron")
    assert run.rc == 5
    assert "feedforward-backup-logs ended with exit status 5" in run.stderr
    assert host.file(NOTE).content_string == "feedforward-backup-logs.service backup-logs exit-code 5\n"
    record = json.loads(host.check_output(f"cat {FAILURES}/backup-logs.json"))
    assert (record["job"], record["exit_status"]) == ("backup-logs", 5)
    errors = host.check_output("journalctl --boot --priority=err --output=cat -t feedforward-maintenance-on-failure")
    assert "feedforward-backup-logs.service failed" in errors
    assert ask(host, "status", status=2)["kinds"]["logs"]["level"] == 2


def test_it_gives_way(host):
    # The wrapper, with another command in the place of its own, and without the journal.
    edits = "-e 's,^set -- /usr/local/bin/.*,set -- cat /proc/self/stat,' -e 's,.*systemd-cat --id.*,:,'"
    host.check_output(f"sed {edits} /usr/local/libexec/feedforward-backup-logs-cron >/run/nice-probe")
    status = host.check_output("sh /run/nice-probe; rm /run/nice-probe")
    assert status.split()[18] == "10"  # proc(5), stat, field 19


def test_the_key_is_told_by_no_entry_and_no_wrapper(host):
    search = f"grep --text --fixed-strings --file={KEY_FILE}"
    assert host.run(f"{search} --recursive /etc/cron.d /usr/local /etc/feedforward-maintenance").rc == 1
    assert host.run(f"journalctl --boot --no-pager | {search}").stdout == ""


def test_a_restore_leaves_a_safety_copy(host):
    host.check_output("systemctl stop cron feedforward")
    try:
        ask(host, "restore --yes")
    finally:
        host.check_output("systemctl start feedforward cron")
    writes_again(host)
    assert host.check_output("find /opt/feedforward/data -maxdepth 1 -name '*.before-restore-*' -perm 0700")


def test_a_run_that_finds_nothing_to_do_sends_few_modules(host):
    output, executions = run_again(host, ROOT / "molecule" / "backup_cron" / "converge.yml")
    assert "changed=0" in output, output
    assert 0 < len(executions) <= MOST_EXECUTIONS, executions


def test_an_entry_that_was_changed_by_hand_is_put_right(host):
    entry = "/etc/cron.d/feedforward-backup-logs"
    before = host.check_output(f"sha256sum {entry}")
    host.check_output(f"sed -i 's/^30 2/31 3/' {entry}")
    output, _executions = run_again(host, ROOT / "molecule" / "backup_cron" / "converge.yml")
    assert "changed=1" in output, output
    assert host.check_output(f"sha256sum {entry}") == before
