# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles put on a host belongs to whom it should, and tells no secret."""

from __future__ import annotations

import re

import pytest
from support import KEY_FILE, secret

INSTALLED = {
    "/backups/feedforward": ("d", 0o700),
    "/secure": ("d", 0o700),
    "/secure/backup.key": ("f", 0o400),
    "/etc/feedforward-maintenance": ("d", 0o750),
    "/etc/feedforward-maintenance/on-failure.d": ("d", 0o750),
    "/etc/feedforward-maintenance/application.json": ("f", 0o640),
    "/etc/feedforward-maintenance/backup.json": ("f", 0o640),
    "/var/lib/feedforward-maintenance": ("d", 0o750),
    "/usr/local/bin/feedforward-maintenance": ("f", 0o755),
    "/backups/feedforward/feedforward-maintenance": ("f", 0o755),
    "/usr/local/libexec/feedforward-maintenance-on-failure": ("f", 0o755),
    "/etc/systemd/system/feedforward-backup-database.service": ("f", 0o644),
    "/etc/systemd/system/feedforward-backup-config.path": ("f", 0o644),
    "/etc/systemd/system/feedforward-maintenance-failure@.service": ("f", 0o644),
    "/etc/systemd/system/feedforward.service.d/50-feedforward-maintenance.conf": ("f", 0o644),
}
# What the application, the login and services of the host make meanwhile.
OTHERS = re.compile(r"/(opt/feedforward|home/admin|var/(cache|log|tmp|lib/(apt|dpkg|systemd|private)))(/|$)")
SECRET = re.compile(r"/(secure|backups/feedforward)(/|$)")


@pytest.fixture(scope="module")
def made(host):
    """What a run of site.yml and the jobs made, or gave another owner or mode: path -> kind, mode and owner."""
    listing = "find / -xdev -printf '%y %04m %u:%g %p\\n' | LC_ALL=C sort"
    lines = host.check_output(f"{listing} | LC_ALL=C comm -13 /usr/local/lib/feedforward-demo/before -").splitlines()
    found = {path: (kind, int(mode, 8), owner) for kind, mode, owner, path in (line.split(" ", 3) for line in lines)}
    return {path: facts for path, facts in found.items() if not OTHERS.match(path)}


@pytest.mark.parametrize("path", INSTALLED)
def test_owner_and_mode(made, path):
    assert made[path] == (*INSTALLED[path], "root:root")


MONITOR_OWNS = ("/var/lib/feedforward-monitor/state", "/var/lib/feedforward-monitor/public")
MONITOR_READS = ("/etc/feedforward-monitor", "/var/lib/feedforward-monitor")


def test_all_that_was_made_is_roots_and_nobody_else_may_write_it(made):
    strange = {path: facts[2] for path, facts in made.items() if facts[2] != "root:root"}
    # The monitor's own, and what root lets him read.
    own = {path: owner for path, owner in strange.items() if path.startswith(MONITOR_OWNS)}
    assert set(own.values()) == {"feedforward-monitor:feedforward-monitor"}
    read = {path: owner for path, owner in strange.items() if path not in own}
    assert set(read.values()) == {"root:feedforward-monitor"}
    assert [path for path in read if not path.startswith(MONITOR_READS)] == []
    # Anybody's write, and the set-user-ID, set-group-ID and sticky bits; a link has no mode of its own.
    loose = {path: oct(mode) for path, (kind, mode, _owner) in made.items() if kind != "l" and mode & 0o7022}
    # What root writes there belongs to the group of the directory.
    assert loose == {"/var/lib/feedforward-monitor/look": "0o2750"}


def test_all_that_is_secret_can_be_read_by_root_only(made):
    found = {path: (kind, mode) for path, (kind, mode, _owner) in made.items() if SECRET.match(path)}
    # The copy of the command is none, but lies in a directory that only root may enter.
    assert found.pop("/backups/feedforward/feedforward-maintenance") == ("f", 0o755)
    assert {kind for kind, _mode in found.values()} == {"d", "f"}
    loose = {path for path, facts in found.items() if facts not in (("d", 0o700), ("f", 0o600), ("f", 0o400))}
    assert loose == set()


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
