# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of the mail server and of providers of AI models, as real servers answer."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Alerting, Mail
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health_application import UNUSABLE_ADDRESS
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health_checks import (
    CHECKS,
    LOCAL_CHECKS,
    NETWORK_CHECKS,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health_network import watched_providers
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import OK, UNKNOWN, WARNING
from ansible_collections.feedforward.maintenance.plugins.module_utils.probes import provider
from ansible_collections.feedforward.maintenance.plugins.module_utils.watch import Provider, Watch

NOW = dt.datetime.now(dt.timezone.utc)


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path names, else with 401; counts what it is asked."""

    seen: list[str] = []

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers.get('Authorization')}")
        self.send_response(int(self.path[1:4]) if self.path[1:4].isdigit() else 401)
        self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""


@pytest.fixture()
def server() -> Iterator[str]:
    Answers.seen = []
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def look(settings: Settings):
    return list(CHECKS["providers"](settings, NOW))


@pytest.mark.parametrize("status, level", [(200, OK), (302, OK), (401, OK), (404, OK), (421, OK), (500, WARNING),
                                           (503, WARNING)])
def test_a_provider_that_answers(server, status, level):
    settings = Settings(health=Watch(providers=(Provider("OpenAI", f"{server}/{status}"),)))
    (found,) = look(settings)
    assert (found.level, found.check, found.title) == (level, "provider OpenAI", "AI Provider OpenAI")
    assert found.text == ("Active" if level == OK else f"it answers {status}") and found.figures["response_ms"] > 0
    assert Answers.seen == [f"/{status} None"], "once, without a key and without following"


def test_one_that_does_not_answer_hides_no_other(server):
    settings = Settings(health=Watch(provider_timeout_seconds=2, providers=(
        Provider("a", f"http://127.0.0.1:{closed_port()}/?key=secret"), Provider("b", server))))
    first, second = look(settings)
    assert (first.level, first.text) == (WARNING, "no connection: Connection refused") and second.level == OK


@pytest.mark.parametrize("url, told", [
    (UNUSABLE_ADDRESS, "no address of http or https"), ("http://169.254.169.254/latest/", "metadata service"),
    ("http://10.0.0.5/", "private network"), ("http://localhost:1/", "this host itself")])
def test_an_address_of_the_database_that_is_refused(url, told):
    settings = Settings(health=Watch(providers=(Provider("x", url, trusted=False),)))
    (found,) = look(settings)
    assert found.level == UNKNOWN and told in found.text and "health.providers" in found.text


def database(path: Path, *rows: tuple[str, object]) -> Settings:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("CREATE TABLE ai_models(id INTEGER PRIMARY KEY, provider TEXT, api_config TEXT)")
        connection.execute("CREATE TABLE model_runs(model_id INTEGER, timestamp TEXT)")
        connection.executemany("INSERT INTO ai_models(provider, api_config) VALUES (?, ?)",
                               [(name, json.dumps(config)) for name, config in rows])
        today = NOW.astimezone().date().isoformat()
        connection.executemany("INSERT INTO model_runs VALUES (1, ?)", [(f"{today}T00:00:00",)] * 1234)
    connection.close()
    return Settings(databases=(str(path),))


def test_the_database_and_the_configuration_together(tmp_path, server, monkeypatch):
    """The line of the guide, of a provider that the database names."""
    monkeypatch.setattr(provider, "refusal", lambda _address, _private: None)
    settings = database(tmp_path / "app.db", ("OpenAI", {"base_url": f"{server}/v1", "api_key_encrypted": "c2VjcmV0"}))
    (found,) = look(settings)
    assert (found.level, found.check, found.text) == (OK, "provider openai", "Active (1,234 calls today)")
    (found,) = look(replace(settings, health=Watch(providers=(Provider("OPENAI", f"{server}/404"),))))
    assert (found.check, found.text) == ("provider OPENAI", "Active (1,234 calls today)")
    assert Answers.seen == ["/ None", "/404 None"], "the configured address takes the place of the other"


def test_what_is_found_is_not_trusted():
    settings = Settings(health=Watch(providers=(Provider("OpenAI", "http://10.0.0.1/"),)))
    found = [("openai", "https://a.example/"), ("openai b.example", "https://b.example/"), ("openaix", "https://x.example/")]
    assert watched_providers(settings, found) == (
        Provider("OpenAI", "http://10.0.0.1/"), Provider("openaix", "https://x.example/", trusted=False))
    assert watched_providers(Settings(), ()) == ()


def test_no_provider_no_line():
    assert look(Settings()) == []


class Smtp(threading.Thread):
    """Greets and says yes to everything, of one connection."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.heard: list[str] = []
        self.start()

    def run(self) -> None:
        connection, _address = self.listening.accept()
        with connection, connection.makefile("rw", newline="\r\n") as stream:
            stream.write("220 here\r\n")
            stream.flush()
            for line in stream:
                self.heard.append(line.split()[0].upper())
                stream.write("250 yes\r\n")
                stream.flush()
        self.listening.close()


def mail_settings(port: int) -> Settings:
    mail = Mail("127.0.0.1", "m@example.org", ("admin@example.org",), port=port, security="none", password="secret",
                timeout_seconds=5)
    return Settings(alerts=Alerting(mail=mail))


def test_the_mail_server():
    server = Smtp()
    (found,) = CHECKS["mail"](mail_settings(server.port), NOW)
    server.join(10)
    assert (found.level, found.check, found.title, found.text) == (OK, "mail", "Email", "SMTP connection active")
    assert found.figures["connect_ms"] > 0 and "MAIL" not in server.heard and "DATA" not in server.heard
    (found,) = CHECKS["mail"](mail_settings(closed_port()), NOW)
    assert found.level == WARNING and found.text.startswith("no SMTP connection: ") and "secret" not in str(found)
    assert list(CHECKS["mail"](Settings(), NOW)) == []


def test_each_look_needs_rights_or_the_network_and_none_both():
    assert set(NETWORK_CHECKS) == {"pages", "mail", "providers"} and not set(NETWORK_CHECKS) & set(LOCAL_CHECKS)
    assert set(CHECKS) == {*LOCAL_CHECKS, *NETWORK_CHECKS}
    assert [name for name in CHECKS if name in ("database", "mail", "providers", "storage", "memory", "cpu")] == [
        "database", "mail", "providers", "storage", "memory", "cpu"], "as the guide shows them"
