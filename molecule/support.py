# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of several scenarios do: ask the command, run a unit, watch the application, run a playbook."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "feedforward-maintenance"
PROGRAM = "/usr/local/lib/feedforward-demo/demo_application.py"
HOME = "/opt/feedforward"
ARCHIVES = "/backups/feedforward"
KEY_FILE = "/secure/backup.key"
FAILURES = "/var/lib/feedforward-maintenance/failures"
VAULT_PASSWORD = ROOT / "molecule" / "resources" / "vault_password"
POLL_SECONDS = 0.5
# What a run of site.yml that finds nothing to do may send to a host; a quarter of it does today.
MOST_EXECUTIONS = 40


def until(question: Callable[[], Any], seconds: float, what: str) -> Any:
    """Ask until the answer is true, and return it; an AssertionError that says what was waited for otherwise."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(POLL_SECONDS)


def ask(host: Any, arguments: str, *, status: int = 0) -> dict[str, Any]:
    """The JSON answer of the on-host command, which has to end with ``status``."""
    done = host.run(f"{COMMAND} {arguments} --json")
    assert done.rc == status, f"{arguments}: {done.rc}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def archives(host: Any, kind: str) -> list[str]:
    """Names of the archives of a kind, oldest first, as they lie in the directory."""
    listing = host.check_output(f"find {ARCHIVES} -name 'feedforward-{kind}-*.tar.*.enc' -printf '%f\\n'")
    return sorted(listing.splitlines())


def properties(host: Any, unit: str, *names: str) -> dict[str, str]:
    """Properties of a unit as systemd knows them."""
    shown = host.check_output(f"systemctl show --property={','.join(names)} {unit}")
    return dict(line.split("=", 1) for line in shown.splitlines())


def start_unit(host: Any, unit: str, *, fails: bool = False) -> None:
    """Run a oneshot unit to its end."""
    done = host.run(f"systemctl start {unit}")
    log = host.run(f"journalctl --unit={unit} --lines=20 --no-pager").stdout
    assert (done.rc != 0) == fails, f"systemctl start {unit} ended with {done.rc}\n{log}"


def application(host: Any, command: str, *, status: int = 0) -> dict[str, Any]:
    """One command of the demonstration application, as its own user."""
    verb, _space, rest = command.partition(" ")
    done = host.run(f"runuser --user=feedforward -- python3 {PROGRAM} {verb} {HOME} {rest} --json")
    assert done.rc == status, f"{command}: {done.rc}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def commits(host: Any) -> int:
    """How often the process that runs now has committed, 0 where it has not yet."""
    done = host.run(f"cat {HOME}/data/writer.json")
    state = json.loads(done.stdout) if done.rc == 0 else {}
    main = properties(host, "feedforward", "MainPID")["MainPID"]
    return state["commits"] if str(state.get("pid")) == main else 0


def writes_again(host: Any) -> None:
    """The application runs, and commits from now on."""
    before = until(lambda: commits(host), 30, "the first commit of the application")
    until(lambda: commits(host) > before + 3, 30, "more commits of the application")
    assert host.service("feedforward").is_running


def secret(host: Any) -> str:
    """The host's backup key, as it is written in its file."""
    return host.check_output(f"cat {KEY_FILE}")


def escrow_file(host: Any) -> Path:
    """Where the controller keeps the vaulted key of a host."""
    directory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "escrow"
    return directory / f"{host.backend.hostname}-feedforward-backup.key"


def run_again(host: Any, playbook: Path) -> tuple[str, list[dict[str, Any]]]:
    """Run a playbook of a scenario on one host; returns what it printed, and each module that was sent to the host."""
    noted = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / f"executions-{host.backend.hostname}"
    noted.unlink(missing_ok=True)
    inventories = [f"--inventory={os.environ['MOLECULE_INVENTORY_FILE']}", f"--inventory={ROOT}/testbed/bed"]
    limit = f"--limit={host.backend.hostname}"
    output = ansible("ansible-playbook", *inventories, limit, "--diff", str(playbook), MODULE_EXECUTIONS=str(noted))
    return output, [json.loads(line) for line in noted.read_text(encoding="utf-8").splitlines()]


def ansible(program: str, *arguments: str, **variables: str) -> str:
    """Run a program of Ansible on the controller, with more environment; returns all that it printed."""
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
        "ANSIBLE_VAULT_PASSWORD_FILE": str(VAULT_PASSWORD),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "molecule" / "resources" / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "module_executions",
        **variables,
    }
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
