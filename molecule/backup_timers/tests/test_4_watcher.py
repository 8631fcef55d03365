# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the configuration is backed up at once, and a burst of changes does not end the watcher."""

from __future__ import annotations

from support import HOME, archives, ask, properties, until

WATCHER = "feedforward-backup-config.path"
SERVICE = "feedforward-backup-config.service"


def rests(host):
    """No run is under way and none is to follow."""
    shown = properties(host, SERVICE, "ActiveState", "Job")
    return shown["ActiveState"] in ("inactive", "failed") and shown["Job"] in ("", "0")


def test_what_is_watched(host):
    shown = host.check_output(f"systemctl show --property=Paths --value {WATCHER}")
    watched = {line.split(" ")[0] for line in shown.splitlines()}
    existing = {HOME} | ({f"{HOME}/config"} if host.file(f"{HOME}/config").is_directory else set())
    assert watched == existing


def test_a_change_of_the_environment_file_is_backed_up(host):
    assert host.service(WATCHER).is_running
    assert host.run(f"systemctl is-enabled {WATCHER}").stdout.strip() == "enabled"
    until(lambda: rests(host), 60, "an earlier run to end")
    before = archives(host, "config")
    host.check_output(f"runuser --user=feedforward -- sh -c 'echo CHANGED=once >>{HOME}/.env'")
    after = until(lambda: [name for name in archives(host, "config") if name not in before], 60, "an archive")
    (verdict,) = ask(host, f"verify {after[-1]} --level restore")["archives"]
    assert verdict["verdict"] == "passed"


def test_a_file_that_is_replaced_by_a_rename_is_backed_up(host):
    until(lambda: rests(host), 60, "an earlier run to end")
    before = archives(host, "config")
    replace = "cp -p .env .env.new && echo CHANGED=renamed >>.env.new && mv .env.new .env"
    host.check_output(f"cd {HOME} && runuser --user=feedforward -- sh -c '{replace}'")
    until(lambda: len(archives(host, "config")) > len(before), 60, "an archive")


def test_a_burst_of_changes_leaves_the_watcher_active_and_its_last_change_backed_up(host):
    until(lambda: rests(host), 60, "an earlier run to end")
    before = archives(host, "config")
    burst = "for number in $(seq 30); do echo BURST=$number >>.env; sleep 0.02; done"
    host.check_output(f"cd {HOME} && runuser --user=feedforward -- sh -c '{burst}'")
    until(lambda: len(archives(host, "config")) > len(before), 60, "an archive")
    until(lambda: rests(host), 60, "the runs of the burst to end")
    assert properties(host, WATCHER, "ActiveState", "Result") == {"ActiveState": "active", "Result": "success"}
    assert properties(host, SERVICE, "Result") == {"Result": "success"}
    # A restore would change nothing: the newest archive holds what is there now.
    assert ask(host, "restore --kind config --part config --dry-run")["changed"] is False

    before = archives(host, "config")
    host.check_output(f"cd {HOME} && runuser --user=feedforward -- sh -c 'echo AFTER=burst >>.env'")
    until(lambda: len(archives(host, "config")) > len(before), 60, "an archive of a change after the burst")
