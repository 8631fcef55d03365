# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With the scheduler systemd, cron has nothing left, and the timers wait."""

from __future__ import annotations

import pytest
from support import archives, start_unit


def test_cron_has_nothing_left(host):
    assert host.run("ls /etc/cron.d/feedforward-* /usr/local/libexec/feedforward-*-cron").stdout == ""


@pytest.mark.parametrize("job", ["backup-database", "backup-config", "backup-logs", "backup-full", "verify"])
def test_a_timer_waits(host, job):
    timer = host.service(f"feedforward-{job}.timer")
    assert timer.is_running
    assert timer.is_enabled


def test_the_watcher_waits_and_a_job_works(host):
    assert host.service("feedforward-backup-config.path").is_running
    start_unit(host, "feedforward-backup-config.service")
    assert archives(host, "config")
