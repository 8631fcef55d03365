# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-core sends to a host for each module holds the rooms of the engine that the module uses, and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PING = "ansible.builtin.ping"
GROUND = {"__init__.py", "directories.py", "errors.py", "face.py", "files.py", "owners.py", "units.py"}
WHOLE = {*GROUND, "archive", "catalog", "jobs", "sqlite"}
# The rooms, and how many KiB a module may be larger than ping: somewhat more than it is.
ALLOWED = {
    "paths_info": (set(), 4),
    "sqlite_info": ({*GROUND, "sqlite"}, 64),
    "backup_key": ({*GROUND, "archive", "jobs"}, 32),
    "sqlite_backup_info": ({*GROUND, "archive", "catalog", "jobs", "alerting.py", "config.py", "watch.py"}, 128),
    "sqlite_backup": ({*WHOLE, "alerting.py", "config.py", "version.py", "watch.py"}, 240),
    "sqlite_verify": (WHOLE, 200),
    "sqlite_restore": (WHOLE, 240),
}
# Actions of the controller: what lies in plugins/modules is their documentation.
ACTIONS = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}
WRITING = {"archive/writer.py", "jobs/backup.py", "jobs/restore.py", "jobs/stage.py", "catalog/retention.py"}


@pytest.fixture(scope="module")
def payloads():
    """Name of a module -> its ``files`` and its ``size_bytes``."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "dev")}
    names = [PING, *(f"feedforward.maintenance.{name}" for name in ALLOWED)]
    command = [sys.executable, str(HERE / "payload.py"), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return {name.rsplit(".", 1)[1]: payload for name, payload in json.loads(done.stdout).items()}


def test_every_module_is_looked_at():
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert modules - ACTIONS == set(ALLOWED)


@pytest.mark.parametrize("name", ALLOWED)
def test_a_module_carries_the_rooms_that_it_uses(payloads, name):
    rooms = {file.split("/")[0] for file in payloads[name]["files"]}
    assert rooms == ALLOWED[name][0]


@pytest.mark.parametrize("name", ALLOWED)
def test_a_module_is_not_much_larger_than_the_smallest(payloads, name):
    assert 0 < payloads[name]["size_bytes"] - payloads["ping"]["size_bytes"] <= ALLOWED[name][1] * 1024


@pytest.mark.parametrize("name", ["sqlite_info", "backup_key", "sqlite_backup_info", "sqlite_verify"])
def test_a_module_that_only_looks_carries_nothing_that_writes_archives(payloads, name):
    assert WRITING.isdisjoint(payloads[name]["files"])


def test_no_module_carries_the_command(payloads):
    assert not [file for payload in payloads.values() for file in payload["files"] if file.startswith("cli/")]
