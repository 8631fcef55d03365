# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action key_escrow where it becomes root on the host."""

from __future__ import annotations

from escrow_support import key_id


def test_a_key_that_the_host_already_has_is_fetched(escrow):
    escrow.ansible.module("backup_key", {"key_file": escrow.key_file})
    content = escrow.key_file.read_bytes()
    run = escrow.play(*({"check": check} for check in (True, False, False, True)), become=True)
    assert run.changed == [True, True, False, False]
    assert run.results[1]["actions"] == [f"escrow key {key_id(content)}"]
    assert escrow.vaulted() == content == escrow.key_file.read_bytes()
    assert list(escrow.ansible.work.rglob("maintenance-*")) == []


def test_kept_remote_files_hold_no_key(escrow):
    escrow.ansible.module("backup_key", {"key_file": escrow.key_file})
    assert escrow.play({}, become=True, environment={"ANSIBLE_KEEP_REMOTE_FILES": "1"}).changed == [True]
    escrow.key_file.unlink()
    assert escrow.play({}, become=True, environment={"ANSIBLE_KEEP_REMOTE_FILES": "1"}).changed == [True]
    kept = [path.read_bytes() for path in (escrow.ansible.work / "ansible").rglob("*") if path.is_file()]
    assert kept
    assert not [secret for secret in escrow.secrets if any(secret.encode() in content for content in kept)]
