# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run leaves for others: page, summary, metrics; and what it costs."""

from __future__ import annotations

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
    told = host.check_output(f"cat {PUBLIC}/* /var/lib/feedforward-monitor/state/*.json; journalctl -u "
                             "feedforward-monitor.service -u feedforward-monitor-look.service --no-pager")
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
