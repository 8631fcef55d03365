# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles put on a host belongs to whom it should, and tells no secret."""

from __future__ import annotations

import pytest
from support import KEY_FILE, secret

INSTALLED = {
    "/backups/feedforward": ("directory", 0o700),
    "/secure": ("directory", 0o700),
    "/secure/backup.key": ("file", 0o400),
    "/etc/feedforward-maintenance": ("directory", 0o750),
    "/etc/feedforward-maintenance/on-failure.d": ("directory", 0o750),
    "/etc/feedforward-maintenance/application.json": ("file", 0o640),
    "/etc/feedforward-maintenance/backup.json": ("file", 0o640),
    "/var/lib/feedforward-maintenance": ("directory", 0o750),
    "/usr/local/bin/feedforward-maintenance": ("file", 0o755),
    "/backups/feedforward/feedforward-maintenance": ("file", 0o755),
    "/usr/local/libexec/feedforward-maintenance-on-failure": ("file", 0o755),
    "/etc/systemd/system/feedforward-backup-database.service": ("file", 0o644),
    "/etc/systemd/system/feedforward-backup-config.path": ("file", 0o644),
    "/etc/systemd/system/feedforward-maintenance-failure@.service": ("file", 0o644),
    "/etc/systemd/system/feedforward.service.d/50-feedforward-maintenance.conf": ("file", 0o644),
}


@pytest.mark.parametrize("path", INSTALLED)
def test_owner_and_mode(host, path):
    found = host.file(path)
    kind = "directory" if found.is_directory else "file" if found.is_file else "other"
    assert (kind, found.mode) == INSTALLED[path]
    assert (found.user, found.group) == ("root", "root")


def test_the_command_beside_the_archives_is_the_installed_one(host):
    host.check_output("cmp /usr/local/bin/feedforward-maintenance /backups/feedforward/feedforward-maintenance")


def test_all_units_are_sound(host):
    units = "/etc/systemd/system/feedforward-*.service /etc/systemd/system/feedforward-*.timer"
    found = host.run(f"systemd-analyze verify {units} /etc/systemd/system/feedforward-*.path")
    assert "feedforward-" not in found.stderr
    assert found.rc == 0


def test_the_key_is_told_by_no_unit_file_process_or_journal(host):
    assert len(secret(host)) == 44
    # The host looks for it itself: on a command line it would be told by this very test.
    search = f"grep --text --fixed-strings --file={KEY_FILE}"
    places = "/etc /usr/local /var/lib/feedforward-maintenance /backups /run/systemd /tmp /var/tmp /proc/[0-9]*/cmdline"
    assert host.run(f"{search} --recursive --files-with-matches {places}").stdout == ""
    assert host.run(f"journalctl --boot --no-pager --output=verbose --all | {search}").stdout == ""
    assert host.check_output(f"{search} --count {KEY_FILE}") == "1"


def test_no_cron_entry_is_there(host):
    assert host.run("ls /etc/cron.d/feedforward-* /usr/local/libexec/feedforward-*-cron").stdout == ""
