# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key lies in Ansible Vault on the controller, and no output of Ansible tells it."""

from __future__ import annotations

import base64
from pathlib import Path

from support import ROOT, ansible, escrow_file, secret

PLAYBOOK = Path(__file__).resolve().parent.parent / "fetch_key.yml"


def test_the_escrow_is_vaulted_private_and_holds_the_hosts_key(host):
    file = escrow_file(host)
    assert file.read_text(encoding="ascii").startswith("$ANSIBLE_VAULT;")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert ansible("ansible-vault", "view", str(file)).strip() == secret(host)


def test_a_key_that_only_the_host_has_is_fetched_without_being_told(host, tmp_path):
    key, fetched = secret(host), tmp_path / "fetched.key"
    arguments = ["-vvvv", f"--inventory={ROOT}/testbed/bed", f"--extra-vars=fetched_host={host.backend.hostname}",
                 f"--extra-vars=fetched_into={fetched}", "--diff", str(PLAYBOOK)]  # fmt: skip
    output = ansible("ansible-playbook", *arguments)
    assert ansible("ansible-vault", "view", str(fetched)).strip() == key
    raw = base64.b64decode(key)
    for form in (key, base64.b64encode(key.encode()).decode()[:40], raw.hex(), repr(raw)):
        assert form not in output
    again = ansible("ansible-playbook", *arguments)
    assert "changed=0" in again
    assert key not in again
