# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's key and its escrow, as the tests of the action see them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from module_support import task

PASSWORD = "the operator's vault password"


class Escrow:
    """A host's key and its escrow, with the run's vault password."""

    def __init__(self, ansible, tmp_path) -> None:
        self.ansible = ansible
        self.key_file = tmp_path / "host" / "backup.key"
        self.escrow_file = tmp_path / "controller" / "escrow" / "host1" / "backup.key"
        self.secrets: set[str] = set()

    def play(self, *changes, password=PASSWORD, **keywords):
        """One task for each of ``changes`` to the options; ``check`` among them is the check mode. At -vvv, and
        whatever happens no key that was ever seen is in the output or the results."""
        tasks = [task("key_escrow", {"key_file": self.key_file, "escrow_file": self.escrow_file,
                                     **{k: v for k, v in change.items() if k != "check"}},
                      check=change.get("check", False)) for change in changes]
        self.remember()
        run = self.ansible.play(tasks, vault_password=password, arguments=["-vvv"], **keywords)
        self.remember()
        said = run.output + json.dumps(run.results)
        assert not [secret for secret in self.secrets if secret in said]
        return run

    def remember(self):
        """Keys in each shape in which they could be shown."""
        if self.key_file.parent.is_dir():
            for path in (path for path in self.key_file.parent.iterdir() if not path.is_symlink()):
                content = path.read_bytes().strip()
                raw = base64.b64decode(content) if len(content) == 44 else content
                self.secrets |= {content.decode(), raw.hex(), base64.b64encode(content).decode()}

    def four_states(self, **change):
        """check, run, run again, check again."""
        return self.play(*({**change, "check": check} for check in (True, False, False, True)))

    def vaulted(self, path=None):
        """What ansible-vault shows of an escrow file."""
        program = Path(sys.executable).with_name("ansible-vault")
        return subprocess.run([program, "view", "--vault-password-file", self.ansible.work / "vault-password",
                               path or self.escrow_file], check=True, capture_output=True,
                              env={**os.environ, "ANSIBLE_CONFIG": str(self.ansible.configuration)}).stdout

    def ids(self):
        """Slot -> key id by its definition, of the key files on the host."""
        return {path.name[len("backup.key") + 1:]: key_id(path.read_bytes()) for path in self.key_file.parent.iterdir()}


def key_id(content):
    """The first 8 hexadecimal digits of SHA-256 of the 32 bytes."""
    return hashlib.sha256(base64.b64decode(content)).hexdigest()[:8]
