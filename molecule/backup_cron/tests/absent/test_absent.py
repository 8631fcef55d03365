# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles installed is gone; what they made, and what the operator made, stays."""

from __future__ import annotations

import os

from support import ARCHIVES, KEY_FILE, PROGRAM, ROOT, ansible, archives, escrow_file, secret, writes_again

PLAYBOOK = ROOT / "molecule" / "backup_cron" / "absent.yml"


def test_nothing_that_was_installed_is_left(host):
    places = "/etc /usr/local /run/systemd/system /lib/systemd/system"
    found = host.check_output(f"find {places} -path '*feedforward*' -not -path '{PROGRAM.rsplit('/', 1)[0]}*'")
    operators = {"/etc/feedforward-maintenance", "/etc/feedforward-maintenance/on-failure.d",
                 "/etc/feedforward-maintenance/on-failure.d/50-note"}  # fmt: skip
    applications = {"/etc/systemd/system/feedforward.service",
                    "/etc/systemd/system/multi-user.target.wants/feedforward.service"}  # fmt: skip
    assert set(found.splitlines()) == operators | applications


def test_archives_stay_and_can_be_read_with_what_lies_beside_them(host):
    assert archives(host, "database")
    assert archives(host, "config")
    command = f"{ARCHIVES}/feedforward-maintenance verify --directory {ARCHIVES} --key-file {KEY_FILE}"
    done = host.run(f"{command} --application feedforward --kind database --level restore")
    assert done.rc == 0, done.stderr


def test_the_key_and_its_escrow_stay(host):
    assert ansible("ansible-vault", "view", str(escrow_file(host))).strip() == secret(host)


def test_the_safety_copy_stays(host):
    assert host.check_output("find /opt/feedforward/data -maxdepth 1 -name '*.before-restore-*'")


def test_the_application_runs_on(host):
    host.check_output("systemctl restart feedforward")
    writes_again(host)


def test_a_second_run_finds_nothing_to_remove(host):
    inventories = [f"--inventory={os.environ['MOLECULE_INVENTORY_FILE']}", f"--inventory={ROOT}/testbed/bed"]
    output = ansible("ansible-playbook", *inventories, str(PLAYBOOK))
    assert "changed=0" in output, output
