# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role leaves on a host: a user without rights, files that only he reads, two units."""

from __future__ import annotations

import pytest
from support import properties


@pytest.mark.parametrize(
    ("path", "owner", "group", "mode"),
    [
        ("/etc/feedforward-monitor", "root", "feedforward-monitor", 0o750),
        ("/etc/feedforward-monitor/monitoring.json", "root", "feedforward-monitor", 0o640),
        ("/etc/feedforward-maintenance/monitoring.json", "root", "root", 0o640),
        ("/var/lib/feedforward-monitor/look", "root", "feedforward-monitor", 0o2750),
        ("/var/lib/feedforward-monitor/state", "feedforward-monitor", "feedforward-monitor", 0o700),
        ("/var/lib/feedforward-monitor/public", "feedforward-monitor", "feedforward-monitor", 0o755),
    ],
)
def test_owners_and_modes(host, path, owner, group, mode):
    found = host.file(path)
    assert (found.user, found.group, found.mode) == (owner, group, mode)


def test_the_monitor_may_read_neither_database_nor_key_nor_the_backups_configuration(host):
    for path in ("/opt/feedforward/.env", "/secure/backup.key", "/etc/feedforward-maintenance/backup.json",
                 "/backups/feedforward"):  # fmt: skip
        assert host.run(f"runuser --user=feedforward-monitor -- ls {path}/ 2>&1 || runuser --user=feedforward-monitor "
                        f"-- cat {path}").rc != 0, path  # fmt: skip


def test_the_monitor_has_no_capability_and_the_look_no_network(host):
    monitor = properties(host, "feedforward-monitor.service", "User", "CapabilityBoundingSet", "PrivateNetwork")
    look = properties(host, "feedforward-monitor-look.service", "User", "CapabilityBoundingSet", "PrivateNetwork")
    assert monitor == {"User": "feedforward-monitor", "CapabilityBoundingSet": "", "PrivateNetwork": "no"}
    assert look["PrivateNetwork"] == "yes" and "cap_net_admin" not in look["CapabilityBoundingSet"]
    assert "cap_sys_ptrace" in look["CapabilityBoundingSet"]


def test_the_timer_waits(host):
    assert properties(host, "feedforward-monitor.timer", "ActiveState", "UnitFileState") == {
        "ActiveState": "active", "UnitFileState": "enabled"}  # fmt: skip


def test_the_password_is_nowhere_else(host):
    found = host.check_output(
        "grep --recursive --files-with-matches --fixed-strings \"pass word: %$'\" /etc /usr/local /var/lib /var/log "
        "|| :")
    assert sorted(found.split()) == ["/etc/feedforward-maintenance/monitoring.json",
                                     "/etc/feedforward-monitor/monitoring.json",
                                     "/usr/local/lib/feedforward-demo/smtp_server.py"]  # fmt: skip


def test_the_metrics_are_offered_to_node_exporter(host):
    link = host.file("/var/lib/prometheus/node-exporter/feedforward-maintenance.prom")
    assert link.is_symlink and link.linked_to == "/var/lib/feedforward-monitor/public/metrics.prom"
