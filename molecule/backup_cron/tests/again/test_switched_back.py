# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With the scheduler cron once more, systemd has nothing left of the jobs."""

from __future__ import annotations


def test_systemd_has_nothing_left(host):
    files = "find /etc/systemd/system /run/systemd/system -name 'feedforward-backup-*' -o -name 'feedforward-verify.*'"
    assert host.check_output(files) == ""
    units = "'feedforward-backup-*' 'feedforward-verify*'"
    assert host.check_output(f"systemctl list-units --all --plain --no-legend {units}") == ""


def test_cron_has_its_entries(host):
    entries = host.check_output("ls /etc/cron.d/ | grep '^feedforward-' | sort").splitlines()
    jobs = ("backup-config", "backup-database", "backup-full", "backup-logs", "monitor", "verify")
    assert entries == [f"feedforward-{job}" for job in jobs]
