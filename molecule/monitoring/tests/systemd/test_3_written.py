# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run leaves for others: page, summary, metrics; and what it costs."""

from __future__ import annotations

import json

from monitored import PUBLIC, run_monitor, summary

SECONDS = 1.0


def test_page_summary_and_metrics_are_there_and_everybody_may_read_them(host):
    run_monitor(host)
    for name in ("index.html", "summary.json", "metrics.prom"):
        assert host.run(f"runuser --user=nobody -- cat {PUBLIC}/{name}").rc == 0, name
    metrics = host.check_output(f"cat {PUBLIC}/metrics.prom")
    for name in ("maintenance_check_state", "maintenance_backup_current_as_of_timestamp_seconds",
                 "maintenance_last_run_timestamp_seconds"):  # fmt: skip
        assert f"\n{name}{{" in metrics, name
    assert summary(host)["application"] == "feedforward"


def test_nothing_of_a_student_is_on_them(host):
    names = host.check_output(
        "runuser --user=feedforward -- python3 -c 'import sqlite3; print(*(row[0] for row in sqlite3.connect("
        "\"/opt/feedforward/data/feedforward.db\").execute(\"SELECT email FROM users LIMIT 20\")))'").split()
    assert names
    told = host.check_output(f"cat {PUBLIC}/* /var/lib/feedforward-monitor/state/*.json; journalctl "
                             "-t feedforward-monitor -t feedforward-monitor-look --no-pager")
    assert [name for name in names if name in told] == []


def test_a_run_costs_at_most_a_second_of_the_processor(host):
    script = "systemctl start feedforward-monitor.service"
    before = cpu_seconds(host)
    for _run in range(3):
        host.check_output(script)
    assert (cpu_seconds(host) - before) / 3 <= SECONDS


def cpu_seconds(host):
    """What all ended children of the two units have used until now, as the kernel counted it in their journal."""
    lines = host.check_output(
        "journalctl --unit=feedforward-monitor.service --unit=feedforward-monitor-look.service --output=json "
        "--no-pager | python3 -c 'import json, sys; print(sum(int(line.get(\"CPU_USAGE_NSEC\", 0)) for line in "
        "map(json.loads, sys.stdin)))'")
    return int(lines) / 1e9


def test_no_write_of_the_application_is_refused_while_the_monitor_runs(host):
    """Its busy timeout is 100 ms."""
    before = json.loads(host.check_output("cat /opt/feedforward/data/writer.json"))
    run_monitor(host, 5)
    after = json.loads(host.check_output("cat /opt/feedforward/data/writer.json"))
    assert after["pid"] == before["pid"] and after["commits"] > before["commits"]
    assert after["failed"] == before["failed"]


def test_doctor_makes_a_trial_backup_and_finds_nothing_wrong(host):
    before = host.check_output("cd /backups/feedforward && find . -type f -exec sha256sum {} + | sort")
    done = host.run("feedforward-maintenance doctor")
    assert done.rc == 0, done.stdout + done.stderr
    assert "the trial backup of" in done.stdout.splitlines()[-1]
    assert host.check_output("cd /backups/feedforward && find . -type f -exec sha256sum {} + | sort") == before


def test_doctor_names_a_job_that_failed_and_what_to_do(host):
    host.check_output("mv /secure/backup.key /secure/backup.away")
    try:
        host.run("systemctl start feedforward-backup-database.service")
        done = host.run("feedforward-maintenance doctor")
    finally:
        host.check_output("mv /secure/backup.away /secure/backup.key")
        host.check_output("systemctl start feedforward-backup-database.service")
    assert done.rc == 5, done.stdout + done.stderr
    assert "/secure/backup.key" in done.stdout.splitlines()[-1]
    assert "feedforward-backup-database" in done.stdout
