# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same by cron: what root sees first, then the monitor as its user."""

from __future__ import annotations

from monitored import PUBLIC
from support import until


def test_the_timer_is_gone(host):
    assert host.run("systemctl cat feedforward-monitor.timer").rc != 0


def test_cron_runs_the_look_and_then_the_monitor_as_its_user(host):
    before = host.check_output(f"stat --format=%Y {PUBLIC}/summary.json")
    until(lambda: host.check_output(f"stat --format=%Y {PUBLIC}/summary.json") != before, 130, "a run by cron")
    assert host.file(f"{PUBLIC}/summary.json").user == "feedforward-monitor"
    age = "$(( $(date +%s) - $(stat --format=%Y /var/lib/feedforward-monitor/look/look.json) ))"
    assert int(host.check_output(f"echo {age}")) < 120
