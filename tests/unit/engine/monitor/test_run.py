# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the monitor, one after the other, with real files and real servers: what is told, and what is left."""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Alerting, Mail
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import BusyError, UsageError
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import run
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.look import Look, write_look
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.run import run_monitor
from ansible_collections.feedforward.maintenance.tests.unit.engine.channels.servers import Mailbox, mail_server

NOW = datetime(2026, 11, 24, 5, 45, 0, tzinfo=timezone.utc)
WELL = (Finding(0, "storage /", "Storage", "45.6 GB free", {"free_bytes": 45.6e9}),)
FULL = (Finding(2, "storage /", "Storage", "1.2 GB free", {"free_bytes": 1.2e9}),)


class Receiver(BaseHTTPRequestHandler):
    """Takes alerts and heartbeats, or refuses them."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.refuses:
            self.server.alerts.append(json.loads(body))
        self._answer(503 if self.server.refuses else 204)

    def do_GET(self):
        self.server.beats += 1
        self._answer(200)

    def _answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        """Nothing."""


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.alerts, server.beats, server.refuses = [], 0, False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Monitor:
    """Runs five minutes apart, each behind a fresh look."""

    def __init__(self, directory, receiver):
        self.directory, self.now = directory, NOW
        for name in ("look", "state", "public"):
            (directory / name).mkdir()
        url = f"http://127.0.0.1:{receiver.server_port}/"
        self.settings = Settings(application="feedforward", alerts=Alerting(
            webhooks=(url,), heartbeat=url, directory=str(directory)))  # fmt: skip

    def run(self, findings):
        self.now += timedelta(minutes=5)
        if findings is not None:
            write_look(str(self.directory / "look" / "look.json"), Look(self.now, findings))
        return run_monitor(self.settings, self.now)


@pytest.fixture
def monitor(tmp_path, receiver):
    return Monitor(tmp_path, receiver)


def told(receiver):
    """(kind, check) of what arrived since the last look."""
    arrived, receiver.alerts[:] = list(receiver.alerts), []
    return [(event["kind"], event["check"]) for alert in arrived for event in alert["events"]]


def test_one_alert_and_one_recovery(monitor, receiver):
    assert [monitor.run(WELL).problems for _run in range(3)] == [(), (), ()]
    assert told(receiver) == []
    monitor.run(FULL)
    assert told(receiver) == []
    monitor.run(FULL)
    assert told(receiver) == [("problem", "storage /")]
    monitor.run(FULL)
    monitor.run(WELL)
    assert told(receiver) == []
    monitor.run(WELL)
    assert told(receiver) == [("recovery", "storage /")]
    monitor.run(WELL)
    assert told(receiver) == []
    page = (monitor.directory / "public" / "index.html").read_text()
    assert re.search(r"<h2[^>]*>Alerts of this week.*RECOVERED.*Storage.*CRITICAL.*Storage", page, re.DOTALL)


def test_what_nobody_took_is_told_later(monitor, receiver):
    monitor.run(WELL)
    receiver.refuses = True
    waiting = [monitor.run(FULL).delivery.waiting for _run in range(4)]
    assert waiting == [0, 1, 1, 1]
    receiver.refuses = False
    monitor.now += timedelta(hours=1)
    monitor.run(FULL)
    assert told(receiver) == [("problem", "storage /")]


def test_a_look_that_did_not_run_is_unknown_and_told(monitor, receiver):
    monitor.run(WELL)
    monitor.run(WELL)
    monitor.now += timedelta(hours=1)
    done = [monitor.run(None) for _run in range(2)]
    assert done[-1].report.level == 3
    assert [check for kind, check in told(receiver) if kind == "problem"] == ["look"]


def test_every_run_beats_whatever_it_found(monitor, receiver):
    for findings in (WELL, FULL, FULL):
        monitor.run(findings)
    assert receiver.beats == 3


def test_the_switch_hears_nothing_while_alerts_do_not_get_out(monitor, receiver):
    monitor.run(WELL)
    receiver.refuses = True
    monitor.run(FULL)
    monitor.run(FULL)
    monitor.now += timedelta(hours=2)
    before = receiver.beats
    monitor.run(FULL)
    assert receiver.beats == before
    receiver.refuses = False
    for _run in range(5):
        monitor.run(FULL)
    assert receiver.beats > before


def test_page_summary_and_metrics_are_written(monitor, tmp_path):
    monitor.run(FULL)
    assert sorted(os.listdir(tmp_path / "public")) == ["index.html", "metrics.prom", "summary.json"]
    page = (tmp_path / "public" / "index.html").read_text().replace("<wbr>", "")
    assert "1.2 GB free" in page
    assert json.loads((tmp_path / "public" / "summary.json").read_text())["state"] == "CRITICAL"
    assert 'maintenance_check_state{application="feedforward",check="storage /"' in (
        tmp_path / "public" / "metrics.prom").read_text()  # fmt: skip
    assert {oct((tmp_path / "public" / name).stat().st_mode & 0o777) for name in os.listdir(tmp_path / "public")} == {
        "0o644"}  # fmt: skip


def test_an_alert_goes_out_although_nothing_can_be_written(monitor, receiver, tmp_path):
    """As on a full disk: where a file should be made, there is a directory, or the other way round."""
    monitor.run(WELL)
    (tmp_path / "state" / "outbox").write_text("in the way")
    (tmp_path / "state" / "alerts.json").unlink()
    (tmp_path / "state" / "alerts.json").mkdir()
    done = monitor.run(FULL)
    assert ("problem", "storage /") in told(receiver)
    assert done.problems


@pytest.fixture
def forgetful(monitor, tmp_path):
    """A monitor whose file system takes nothing any more, after a run in which all was well."""
    monitor.run(WELL)
    (tmp_path / "state" / "outbox").write_text("in the way")
    (tmp_path / "state" / "alerts.json").unlink()
    (tmp_path / "state" / "alerts.json").mkdir()
    return monitor


def mend(tmp_path):
    (tmp_path / "state" / "outbox").unlink()
    (tmp_path / "state" / "alerts.json").rmdir()


def test_without_a_memory_elsewhere_each_run_tells_all(forgetful, receiver, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    for _run in range(3):
        forgetful.run(FULL)
        assert ("problem", "storage /") in told(receiver)


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """The directory that systemd gives the unit, on another file system than the state."""
    directory = tmp_path / "run"
    directory.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(directory))
    return directory


def test_on_a_full_disk_the_same_is_told_once_an_hour(forgetful, receiver, tmp_path, monkeypatch):
    memory = tmp_path / "run"
    memory.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{memory}:/elsewhere")
    forgetful.run(FULL)
    assert ("problem", "storage /") in told(receiver)
    done = [forgetful.run(FULL) for _run in range(10)]
    assert ("problem", "storage /") not in told(receiver) and all(one.problems for one in done)
    assert os.listdir(memory) == ["told.json"] and os.stat(memory / "told.json").st_mode & 0o777 == 0o600
    assert b"storage" not in (memory / "told.json").read_bytes()
    # What is new is told meanwhile.
    forgetful.run((*FULL, Finding(2, "memory", "Memory", "91 %")))
    assert told(receiver) == [("problem", "memory")]
    forgetful.run(FULL)
    assert ("problem", "storage /") in told(receiver)


def test_what_was_told_on_a_full_disk_is_known_when_it_is_mended(forgetful, receiver, tmp_path, memory):
    forgetful.run(FULL)
    told(receiver)
    mend(tmp_path)
    forgetful.run(FULL)
    forgetful.run(FULL)
    assert ("problem", "storage /") not in told(receiver)
    forgetful.run(WELL)
    forgetful.run(WELL)
    assert ("recovery", "storage /") in told(receiver)
    # Within the hour, but with a memory: this is another time.
    forgetful.run(FULL)
    forgetful.run(FULL)
    assert ("problem", "storage /") in told(receiver)


def test_what_no_way_took_on_a_full_disk_is_tried_again(forgetful, receiver, memory):
    receiver.refuses = True
    forgetful.run(FULL)
    receiver.refuses = False
    forgetful.run(FULL)
    assert ("problem", "storage /") in told(receiver)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": "b"}', b'{"a": true}', b"\xff", b"[" * 100_000])
def test_a_damaged_memory_elsewhere_holds_nothing_back(forgetful, receiver, tmp_path, monkeypatch, content):
    (tmp_path / "told.json").write_bytes(content)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    forgetful.run(FULL)
    assert ("problem", "storage /") in told(receiver)


def test_a_memory_elsewhere_that_cannot_be_written_changes_nothing(forgetful, receiver, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "nowhere"))
    for _run in range(2):
        forgetful.run(FULL)
        assert ("problem", "storage /") in told(receiver)


def test_a_page_that_cannot_be_written_is_a_problem_of_the_run_and_the_rest_is_done(monitor, receiver, tmp_path):
    (tmp_path / "public" / "index.html").mkdir()
    done = monitor.run(WELL)
    assert any("index.html" in problem for problem in done.problems)
    assert (tmp_path / "public" / "metrics.prom").exists() and receiver.beats == 0


def test_a_message_that_cannot_be_read_is_told_and_is_a_problem(monitor, receiver, tmp_path):
    monitor.run(WELL)
    queue = tmp_path / "state" / "outbox"
    (queue / "0-unreadable.json").mkdir(parents=True)
    done = [monitor.run(WELL) for _run in range(2)]
    finding, = (one for one in done[0].report.findings if one.check == "outbox")
    assert (finding.level, finding.figures) == (1, {"waiting": 1.0}) and str(queue) in finding.text
    assert any("0-unreadable.json" in problem for problem in done[0].problems)
    assert receiver.beats == 1 and told(receiver) == [("problem", "outbox")]


def test_one_unreadable_message_among_others_is_seen(monitor, receiver, tmp_path):
    monitor.run(WELL)
    receiver.refuses = True
    monitor.run(FULL)
    monitor.run(FULL)
    (tmp_path / "state" / "outbox" / "9-unreadable.json").mkdir()
    finding, = (one for one in monitor.run(FULL).report.findings if one.check == "outbox")
    assert finding.level == 1 and finding.text.startswith("1 of 2 that wait cannot be read")


def test_a_recipient_that_is_refused_is_a_warning_and_the_switch_hears_on(monitor, receiver):
    box = Mailbox()
    box.replies = {"other@school.example": "550 5.1.1 who"}
    with mail_server(box) as port:
        recipients = ("admin@school.example", "other@school.example")
        mail = Mail("127.0.0.1", "alerts@school.example", recipients, port, "none")
        monitor.settings = replace(monitor.settings, alerts=replace(monitor.settings.alerts, mail=mail))
        runs = [monitor.run(FULL) for _run in range(4)]
        levels = [one.level for done in runs for one in done.report.findings if one.check == "outbox"]
        assert levels == [0, 0, 1, 1]
        assert ("problem", "outbox") in told(receiver) and receiver.beats == 4
        box.replies = {}
        runs = [monitor.run(WELL) for _run in range(4)]
        levels = [one.level for done in runs for one in done.report.findings if one.check == "outbox"]
        assert levels == [1, 1, 0, 0] and ("recovery", "outbox") in told(receiver)


def test_what_a_look_took_is_missing_for_sending(monitor, monkeypatch):
    given = []
    clock = iter([100.0, 130.0, 200.0, 290.0])
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(run.outbox, "deliver",
                        lambda *_arguments, budget_seconds: given.append(budget_seconds) or run.outbox.Delivery())
    places = run.places_of(monitor.settings)
    for _run in range(2):
        run._deliver(monitor.settings, places, NOW, [], next(clock))
    assert given == [20.0, 0.0]


def test_only_one_run_at_a_time(monitor, tmp_path):
    with open(tmp_path / "state" / "monitor.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another run of the monitor"):
            monitor.run(WELL)


def test_without_a_directory_there_is_no_run():
    with pytest.raises(UsageError, match="no directory for the monitor"):
        run_monitor(Settings(application="feedforward"), NOW)
