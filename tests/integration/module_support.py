# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real ``ansible-playbook`` runs against this machine, and small helpers around files and rows."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TREE = ROOT / ".build" / "dev"


def link_collection() -> None:
    """Make this checkout importable as ``ansible_collections.feedforward.maintenance``."""
    link = TREE / "ansible_collections" / "feedforward" / "maintenance"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)
    sys.path.insert(0, str(TREE))


@dataclass(frozen=True)
class Run:
    """One run of ansible-playbook: the whole result of each task, and everything that was printed."""

    results: list
    output: str
    returncode: int

    @property
    def changed(self) -> list:
        """Of each task whether it reports a change."""
        return [result["changed"] for result in self.results]


class Ansible:
    """Runs tasks on this machine. ``work`` is a private directory; ``vault_password`` None means a run without."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.configuration = work / "ansible.cfg"
        self.configuration.touch()

    def play(self, tasks, *, arguments=(), vault_password=None, environment=None, **play) -> Run:
        """Runs ``tasks`` on this machine one after the other, whatever each one's outcome."""
        playbook = self.work / "playbook.yml"
        playbook.write_text(json.dumps([{
            "hosts": "localhost", "gather_facts": False, "connection": "local", **play,
            "tasks": [{"ignore_errors": True, **task} for task in tasks]}]))
        run = self.run_playbook(playbook, "localhost,", arguments=arguments, vault_password=vault_password,
                                environment=environment)
        assert len(run.results) == len(tasks), run.output
        return run

    def run_playbook(self, playbook, inventory, *, arguments=(), vault_password=None, environment=None) -> Run:
        """Runs a playbook. No output may ever show a traceback."""
        record = self.work / "results.jsonl"
        record.unlink(missing_ok=True)
        program = Path(sys.executable).with_name("ansible-playbook")
        command = [str(program), "--inventory", str(inventory), str(playbook)]
        if vault_password is not None:
            password_file = self.work / "vault-password"
            password_file.write_text(vault_password + "\n")
            command += ["--vault-password-file", str(password_file)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, cwd=self.work, env={
            **os.environ,
            "ANSIBLE_CALLBACKS_ENABLED": "record",
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "callback"),
            "ANSIBLE_COLLECTIONS_PATH": str(TREE),
            "ANSIBLE_CONFIG": str(self.configuration),
            "ANSIBLE_HOME": str(self.work / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_REMOTE_TEMP": str(self.work / "ansible" / "remote"),
            "RECORD_RESULTS": str(record),
            **(environment or {}),
        })
        output = done.stdout + done.stderr
        assert record.exists(), output
        assert "Traceback" not in output, output
        return Run([json.loads(line) for line in record.read_text().splitlines()], output, done.returncode)

    def module(self, name, options, **keywords):
        """The result of one module of this collection. ``check`` and ``diff`` turn these modes on for the task."""
        return self.play([task(name, options, **keywords)]).results[0]

    def four_states(self, name, options):
        """check, run, run again, check again: the four results, with diffs."""
        return self.play([task(name, options, check=check) for check in (True, False, False, True)]).results

    def refused(self, name, cases):
        """Runs the module for each of ``cases`` (options, class of the error, words of the message), the first one
        in check mode, and asserts that each is refused in one line that ends with the next step."""
        tasks = [task(name, options, check=number == 0) for number, (options, _kind, _words) in enumerate(cases)]
        for result, (_options, kind, words) in zip(self.play(tasks).results, cases):
            assert result["failed"] is True, result
            assert result["error"]["type"] == kind, result
            assert result["msg"] == result["error"]["message"]
            assert "\n" not in result["msg"]
            assert all(word in result["msg"] for word in words), result["msg"]
            assert result["error"]["next_step"].rstrip(".") in result["msg"]


def task(name, options, *, check=False):
    """A task with one module of this collection."""
    return {f"feedforward.maintenance.{name}": {key: str(value) if isinstance(value, Path) else value
                                                for key, value in options.items()}, "check_mode": check, "diff": True}


def tree(directory):
    """Relative path -> (mode, content) of all that is below ``directory``, links not followed."""
    return {str(path.relative_to(directory)): (oct(path.lstat().st_mode), path.read_bytes() if path.is_file() else None)
            for path in sorted(Path(directory).rglob("*"))}


def rows(path, table="drafts"):
    """The rows of a table."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
    connection.close()
    return found


def write(path, statement, parameters=()):
    """One committed change to the database by a connection of its own, as the application would make it."""
    connection = sqlite3.connect(path)
    connection.execute(statement, parameters)
    connection.commit()
    connection.close()
