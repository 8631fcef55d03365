# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without the monitor its jobs and its secrets are gone, and the backups go on."""

from __future__ import annotations


def test_nothing_runs_and_no_password_stays(host):
    for path in ("/etc/feedforward-monitor", "/etc/feedforward-maintenance/monitoring.json",
                 "/etc/cron.d/feedforward-monitor", "/usr/local/libexec/feedforward-monitor-cron",
                 "/usr/local/libexec/feedforward-monitor-look-cron", "/etc/systemd/system/feedforward-monitor.timer",
                 "/etc/systemd/system/feedforward-monitor-look.service"):  # fmt: skip
        assert not host.file(path).exists, path
    assert not host.file("/var/lib/prometheus/node-exporter/feedforward-maintenance.prom").exists


def test_the_backups_go_on(host):
    assert host.service("feedforward-backup-database.timer").is_running
