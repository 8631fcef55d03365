# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``look``, ``monitor`` and ``alert`` at the terminal: who sees, who tells, and how it is kept quiet."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.feedforward.maintenance.tests.unit.engine.channels.servers import Mailbox, mail_server

if TYPE_CHECKING:
    from conftest import Host

NOBODY = 65534


@pytest.fixture
def state(host: Host, tmp_path: Path) -> Path:
    """A host with a monitor that has nobody to tell; a port that nobody answers would take the messages."""
    directory = tmp_path / "monitor"
    for name in ("look", "state", "public"):
        (directory / name).mkdir(parents=True)
    host.configure(max_age_hours={"database": 25}, health={"cpu_seconds": 0.05},
                   alerts={"directory": str(directory), "webhooks": ["http://127.0.0.1:9/a-secret"]})
    return directory


def test_what_root_sees_comes_to_the_monitor(host: Host, state: Path) -> None:
    host.backup()
    done = host.run("look", "--output", str(state / "look" / "look.json"))
    assert done.code == 0 and "findings in" in done.out, done
    done = host.run("monitor", "--json")
    assert done.code == 0, done
    checks = {finding["check"]: finding["state"] for finding in done.json()["health"]["findings"]}
    assert checks["backup database"] == "OK" and checks[f"database {host.database}"] == "OK"
    assert sorted(path.name for path in (state / "public").iterdir()) == ["index.html", "metrics.prom", "summary.json"]


@pytest.mark.needs("root")
def test_a_run_by_root_leaves_nothing_that_the_monitor_cannot_read(host: Host, state: Path) -> None:
    for parent in state.parents:
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    for name in ("look", "state", "public"):
        os.chown(state / name, NOBODY, NOBODY)
    done = host.run("monitor", "--json")
    assert done.code == 0, done
    made = [path for path in (*state.rglob("*"), state / "state" / "monitor.lock") if path.is_file()]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(NOBODY, NOBODY)}
    assert (state / "state" / "monitor.lock") in made


def test_a_run_without_a_place_for_its_state_says_so(host: Host, state: Path) -> None:
    (state / "state").rmdir()
    done = host.run("monitor")
    assert done.code == 4 and "monitor.lock" in done.err, done


def test_a_run_without_a_look_is_unknown_and_says_so(host: Host, state: Path) -> None:
    done = host.run("monitor")
    assert done.code == 0 and "the look of root has not run" in done.out, done
    assert json.loads((state / "public" / "summary.json").read_text())["state"] == "UNKNOWN"


def test_a_way_that_does_not_take_the_test_message_is_named_without_its_secret(host: Host, state: Path) -> None:
    done = host.run("alert", "test")
    assert done.code == 1 and "✗ webhook-1: " in done.out and "a-secret" not in done.out + done.err, done
    assert host.run("alert", "test", "--json").json()["channels"]["webhook-1"]["sent"] is False


def test_a_test_message_that_all_take_ends_what_was_known_of_refused_recipients(host: Host, state: Path) -> None:
    note = state / "state" / "outbox" / "recipients"
    note.parent.mkdir()
    note.write_text(json.dumps({"b@school.example": "550 who"}))
    with mail_server(Mailbox()) as port:
        host.configure(alerts={"directory": str(state), "mail": {
            "server": "127.0.0.1", "port": port, "security": "none", "sender": "c@school.example",
            "recipients": ["a@school.example", "b@school.example"]}})
        assert host.run("alert", "test").code == 0
    assert not note.exists()


def test_a_silence_is_opened_listed_and_ended(host: Host, state: Path) -> None:
    assert "nothing is silenced" in host.run("alert", "list").out
    made = host.run("alert", "silence", "--for", "2h", "--reason", "an upgrade", "--json").json()["id"]
    assert f"silence {made} until" in host.run("alert", "list").out
    assert host.run("alert", "end", made).code == 0
    assert "nothing is silenced" in host.run("alert", "list").out
    again = host.run("alert", "end", made)
    assert again.code == 2 and "no open silence" in again.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("silence", "--reason", "x"), "--for and --reason are needed"),
        (("silence", "--for", "2h"), "--for and --reason are needed"),
        (("silence", "--for", "soon", "--reason", "x"), "not a time like 30m, 2h or 1d"),
        (("silence", "--for", "8d", "--reason", "x"), "7 days"),
        (("silence", "--for", "1h", "--reason", "x", "--check", "outbox"), "cannot be silenced"),
        (("end",), "the silence to end is missing"),
        (("shout",), "shout"),
    ],
)
def test_what_alert_does_not_take(host: Host, state: Path, words: tuple[str, ...], says: str) -> None:
    done = host.run("alert", *words)
    assert done.code == 2 and says in done.err, done


def test_without_the_role_there_is_nothing_to_tell_or_to_silence(host: Host) -> None:
    for words in (("monitor",), ("alert", "list")):
        done = host.run(*words)
        assert done.code == 2 and "Run the role monitoring" in done.err, done
