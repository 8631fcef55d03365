# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the role restore with the real modules: what is undone, and what is said of it, when one fails."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from contextlib import closing

import pytest
from module_support import ROOT, rows, write

ROLES = ROOT / "roles"
TASKS = ROLES / "restore" / "tasks"
# A service that systemd does not know: to stop it fails, as it does where there is no systemd.
AWAY = "feedforward-is-not-here.service"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the role writes files of root")


class World:
    """A database with one archive, and plays of the role's steps around it."""

    def __init__(self, ansible, database, archives, key_file, directory):
        self.ansible, self.database, self.archives, self.directory = ansible, database, archives, directory
        ansible.module("sqlite_backup", {"directory": archives, "key_file": key_file, "databases": [str(database)]})
        self.original = rows(database)
        for part in ("templates", "files"):
            (ansible.work / part).symlink_to(ROLES / "restore" / part)
        self.extra = {
            "application_python": sys.executable, "application_databases": [str(database)],
            "restore_directory": str(archives), "restore_key_file": str(key_file), "restore_owner": "root",
            "restore_accept_unknown_holders": True, "restore_report_directory": str(directory / "reports"),
            "__application_config_directory": str(directory / "etc"), "__restore_is_live": True,
            "__application_state_directory": str(directory / "state"), "__restore_is_blind": False,
        }  # fmt: skip
        (directory / "state").mkdir()

    def lose(self, below):
        """A disaster: every row up to ``below`` is gone."""
        write(self.database, "DELETE FROM drafts WHERE id <= ?", (below,))

    def run(self, stopped=(), before=()):
        """The tasks of one run of the role from its plan on, which may fail. ``before`` comes after the plan."""
        apply = {"ansible.builtin.include_tasks": str(TASKS / "apply.yml")}
        return [{"ansible.builtin.set_fact": {
            "__restore_began": "{{ now(utc=true).timestamp() }}", "__restore_stamp": "20261127T000000Z",
            "__restore_stopped": list(stopped), "__restore_running": []}},
            {"ansible.builtin.include_tasks": str(TASKS / "plan.yml")}, *before,
            {"block": [apply], "rescue": [{"ansible.builtin.meta": "noop"}]}]  # fmt: skip

    def play(self, *runs):
        """All runs in one play. The messages of what failed."""
        tasks = [{"ansible.builtin.include_vars": {"file": str(ROLES / role / part / "main.yml")}}
                 for role in ("application", "restore") for part in ("defaults", "vars")]  # fmt: skip
        playbook = self.ansible.work / "playbook.yml"
        playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "connection": "local",
                                         "tasks": [*tasks, *(task for run in runs for task in run)]}]))  # fmt: skip
        run = self.ansible.run_playbook(playbook, "localhost,", arguments=["--extra-vars", json.dumps(self.extra)])
        assert run.returncode == 0, run.output
        return [result["msg"] for result in run.results if result.get("failed")], run


@pytest.fixture
def world(ansible, database, archives, key_file, tmp_path):
    """A database with an archive."""
    return World(ansible, database, archives, key_file, tmp_path)


def lose_more(world):
    """A task in the same play: the database has changed since the first restore."""
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('DELETE FROM drafts'); c.commit()"
    return [{"ansible.builtin.command": {"argv": [sys.executable, "-c", script, str(world.database)]}}]


def test_a_second_run_that_fails_before_the_swap_undoes_nothing_of_the_first(world):
    world.lose(100)
    told, run = world.play(world.run(), [*lose_more(world), *world.run([AWAY])])
    assert told and told[-1].startswith("Stop the services: "), run.output
    assert "Everything is as it was before" in told[-1] and "put back" not in told[-1]
    # The rows that were lost after the first restore are still lost: neither restore nor undo touched them.
    assert rows(world.database) == []
    assert len([name for name in os.listdir(world.database.parent) if ".before-restore-" in name]) == 1


def test_a_failure_after_the_swap_is_undone_and_said(world):
    world.lose(100)
    kept = rows(world.database)
    world.extra["__restore_changes"] = [{"kind": "database", "target": "/nowhere.db", "action": "replace",
                                         "size_bytes": 1, "reason": "it is a test"}]  # fmt: skip
    told, run = world.play(world.run())
    assert "Everything was put back as it was before, and no service had been running" in told[-1], run.output
    assert "The report is in " in told[-1] and rows(world.database) == kept


def test_a_module_that_says_that_nothing_was_changed_is_believed(world):
    world.lose(100)
    world.extra["restore_accept_unknown_holders"] = False
    with closing(sqlite3.connect(world.database)) as holder:
        holder.execute("SELECT count(*) FROM drafts").fetchone()
        told, run = world.play(world.run())
    assert "nothing was changed" in told[-1] and "Everything is as it was before" in told[-1], run.output
    assert "The report is in " in told[-1]


def test_a_module_that_does_not_say_how_things_are_leaves_that_open(world):
    world.lose(100)
    gone = [{"ansible.builtin.command": {"argv": ["rm", "-r", str(world.archives)]}}]
    told, run = world.play(world.run(before=gone))
    assert "as it was before" not in told[-1] and "put back as" not in told[-1], run.output
    assert "has to be looked at" in told[-1] and "feedforward.db.before-restore-" not in told[-1]
    assert "restore what differs: " in told[-1] and "the directory of the archives does not exist" in told[-1]
