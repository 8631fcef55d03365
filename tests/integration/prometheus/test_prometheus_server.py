# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus and node_exporter themselves, on loopback: what the monitor writes makes an alert fire, and end."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from prometheus_support import DASHBOARD, everything, prom, rules

from ansible_collections.feedforward.maintenance.plugins.module_utils.files import atomic_write
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding

pytestmark = pytest.mark.needs("prometheus", "prometheus-node-exporter")

DEADLINE_SECONDS = 90
TOO_OLD = ("MaintenanceBackupTooOld", "database")
UNREADABLE = ("MaintenanceTextfileUnreadable", "")
SILENT = ("MaintenanceMonitorSilent", "")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def running(log, *command):
    """A process of ours, which ends with the test."""
    with open(log, "wb") as stream, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream,
                                                     stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def await_(what, wanted, *logs):
    """Waits until ``what()`` is ``wanted``."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    found = None
    while time.monotonic() < deadline:
        try:
            found = what()
        except (OSError, ValueError) as error:
            found = error
        if found == wanted:
            return
        time.sleep(0.1)
    said = "\n".join(log.read_text(errors="replace")[-2000:] for log in logs)
    raise AssertionError(f"{wanted!r} did not come about; the last was {found!r}\n{said}")


class Server:
    """A Prometheus that reads the textfile collector's directory ``texts`` by a node_exporter."""

    def __init__(self, url, texts, public):
        self.url, self.texts, self.public = url, texts, public

    def write(self, name, text):
        """As the monitor does it: beside, and renamed; the directory of the collector has a link to it."""
        atomic_write(str(self.public / name), text.encode(), mode=0o644)
        link = self.texts / name
        if not link.is_symlink():
            link.symlink_to(self.public / name)

    def get(self, path, **query):
        with DIRECT.open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=5) as answer:
            return json.load(answer)["data"]

    def firing(self):
        """Name and kind of each alert that fires."""
        return sorted((alert["labels"]["alertname"], alert["labels"].get("kind", ""))
                      for alert in self.get("alerts")["alerts"] if alert["state"] == "firing")

    def value(self, expression):
        return [result["value"][1] for result in self.get("query", query=expression)["result"]]


@pytest.fixture
def server(tmp_path):
    texts, public = tmp_path / "textfile", tmp_path / "public"
    texts.mkdir()
    public.mkdir()
    exporter, port = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    (tmp_path / "rules.yml").write_text(rules(at_once=True), encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(tmp_path / "rules.yml")],
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [exporter]}]}]}), encoding="utf-8")
    logs = [tmp_path / "node-exporter.log", tmp_path / "prometheus.log"]
    collect = ("prometheus-node-exporter", f"--web.listen-address={exporter}", "--collector.disable-defaults",
               "--collector.textfile", f"--collector.textfile.directory={texts}")
    serve = ("prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
             f"--web.listen-address={port}")
    with running(logs[0], *collect), running(logs[1], *serve):
        found = Server(f"http://{port}", texts, public)
        await_(lambda: found.value("up"), ["1"], *logs)
        yield found


def report(age_hours=1.0, *, run_minutes_ago=0, application="feedforward"):
    """Metrics of a run that found backups of that age."""
    run = datetime.now(timezone.utc) - timedelta(minutes=run_minutes_ago)
    return prom(run, *(
        Finding(0, f"backup {kind}", "Backup", "", {
            "age_seconds": 3600 * (age_hours if kind == "database" else 1.0), "verified_age_seconds": 3600.0,
            "failed": 0, "verification_failed": 0}) for kind in ("database", "config", "logs", "full")),
        application=application)


def test_a_stale_backup_fires_and_a_fresh_one_ends_it(server):
    # Nobody has reported yet, and that is not taken for health.
    await_(server.firing, [("MaintenanceMonitorAbsent", "")])

    server.write("feedforward-maintenance.prom", report(1))
    await_(server.firing, [])
    assert server.value("maintenance_backup_state") == ["0"] * 4

    server.write("feedforward-maintenance.prom", report(26))
    await_(server.firing, [TOO_OLD])

    # Another application on the same host has metrics of the same names, and troubles of its own.
    server.write("other-maintenance.prom", report(90, application="other"))
    await_(lambda: server.value("count(maintenance_last_run_timestamp_seconds)"), ["2"])
    assert server.value("node_textfile_scrape_error") == ["0"]
    assert server.firing() == [TOO_OLD]

    # A file that is broken does not take ours with it.
    server.write("broken.prom", "this is no metric\n")
    await_(server.firing, [TOO_OLD, UNREADABLE])
    (server.texts / "broken.prom").unlink()

    server.write("feedforward-maintenance.prom", report(1))
    await_(server.firing, [])

    server.write("feedforward-maintenance.prom", report(1, run_minutes_ago=20))
    await_(server.firing, [SILENT])

    (server.texts / "feedforward-maintenance.prom").unlink()
    await_(server.firing, [("MaintenanceMonitorAbsent", "")])


def test_every_panel_of_the_dashboard_shows_something(server):
    server.write("feedforward-maintenance.prom", everything(datetime.now(timezone.utc)))
    expressions = {target["expr"].replace("$application", "feedforward").replace("$instance", ".*")
                   for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
                   for target in panel.get("targets", [])}
    await_(lambda: sorted(expression for expression in expressions if not server.value(expression)), [])
