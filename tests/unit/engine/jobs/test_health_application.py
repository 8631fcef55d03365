# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of the application: calls of AI models, work in flight, exceptions, errors of requests."""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import SourceError
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import health_application
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import examine_health
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health_application import (
    UNUSABLE_ADDRESS,
    calls_by_provider,
    found_providers,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health_checks import CHECKS
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import OK, UNKNOWN, WARNING
from ansible_collections.feedforward.maintenance.plugins.module_utils.watch import Watch

NOW = dt.datetime.now(dt.timezone.utc)
ESSAY, KEY = "an essay about whales by alice@example.edu", "c2VjcmV0IGtleQ=="


def stamp(moment: dt.datetime) -> str:
    """As the application writes it."""
    return moment.astimezone().replace(tzinfo=None).isoformat()


def midnight() -> dt.datetime:
    return NOW.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture()
def database(tmp_path):
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (
            "PRAGMA journal_mode=WAL",
            "CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT, submission_date TEXT, status TEXT)",
            "CREATE TABLE model_runs(id INTEGER PRIMARY KEY, draft_id INTEGER, model_id INTEGER, timestamp TEXT,"
            " prompt TEXT, raw_response TEXT, status TEXT)",
            "CREATE TABLE ai_models(id INTEGER PRIMARY KEY, name TEXT, provider TEXT, api_config TEXT, active INT)"):
        connection.execute(statement)
    connection.close()
    return path


def write(path: Path, statement: str, *rows: tuple) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.executemany(statement, rows)
    connection.close()


def models(path: Path, *rows: tuple[str, object]) -> None:
    write(path, "INSERT INTO ai_models(name, provider, api_config, active) VALUES ('m', ?, ?, 1)",
          *((provider, json.dumps(config)) for provider, config in rows))


def runs(path: Path, *rows: tuple[int, dt.datetime, str]) -> None:
    write(path, f"INSERT INTO model_runs(model_id, timestamp, status, prompt) VALUES (?, ?, ?, '{ESSAY}')",
          *((model, stamp(moment), status) for model, moment, status in rows))


def settings_of(path: Path, **limits: object) -> Settings:
    return Settings(databases=(str(path),), health=Watch(**limits))


def look(name: str, settings: Settings, now: dt.datetime = NOW):
    return list(CHECKS[name](settings, now))


def test_ai_usage_of_today(database):
    models(database, ("OpenAI", {}), ("anthropic", {}))
    at = midnight()
    runs(database, (1, at - dt.timedelta(seconds=1), "error"), (1, at, "complete"),
         *[(2, at + dt.timedelta(seconds=1), "complete")] * 1200, (1, at + dt.timedelta(seconds=2), "error"))
    (found,) = look("ai", settings_of(database))
    assert (found.level, found.check, found.text) == (OK, "ai", "1,202 calls today, 1 failed (0.1%)")
    assert dict(found.figures) == {"calls_today": 1202, "errors_today": 1, "error_percent": 100 / 1202}
    assert dict(found.counts) == {"openai": 2, "anthropic": 1200}
    assert calls_by_provider(settings_of(database), NOW) == {"openai": 2, "anthropic": 1200}


@pytest.mark.parametrize("failed, level", [(4, OK), (5, WARNING)])
def test_ai_calls_that_fail(database, failed, level):
    runs(database, *[(1, midnight(), "error")] * failed)
    (found,) = look("ai", settings_of(database))
    assert found.level == level and f"{failed} failed (100.0%)" in found.text


def test_another_application_has_no_ai(tmp_path):
    path = tmp_path / "other.db"
    sqlite3.connect(path).execute("CREATE TABLE t(a)").connection.close()
    for name in ("ai", "work"):
        assert look(name, settings_of(path)) == look(name, Settings()) == []
    assert found_providers(settings_of(path)) == found_providers(Settings()) == ()


def test_what_cannot_be_read_is_unknown_and_names_no_provider(tmp_path):
    settings = settings_of(tmp_path / "not-there.db")
    report = examine_health(settings, NOW, {name: CHECKS[name] for name in ("ai", "work")})
    assert [(finding.check, finding.level) for finding in report.findings] == [("ai", UNKNOWN), ("work", UNKNOWN)]
    assert found_providers(settings) == () and calls_by_provider(settings, NOW) == {}


def test_too_much_to_be_read_is_unknown(database, monkeypatch):
    runs(database, *[(1, midnight(), "complete")] * 3000)
    monkeypatch.setattr(health_application, "BUDGET_SECONDS", 1e-9)
    with pytest.raises(SourceError, match="could not be read within 0.00 s"):
        look("ai", settings_of(database))


def test_providers_that_the_database_names(database):
    models(database, ("OpenAI", {"api_key_encrypted": KEY}), ("anthropic", {"base_url": "https://api.anthropic.com/v1"}),
           ("local", {"base_url": "http://user:secret@10.0.0.7:8000/v1?key=secret", "api_key_encrypted": KEY}),
           ("local", {"base_url": "http://10.0.0.8/"}), ("local", {"base_url": "http://10.0.0.8/v2"}),
           ("odd", {"base_url": f"file:///etc/{KEY}"}), ("unheard-of", {}), ("google", {"base_url": ""}))
    assert found_providers(settings_of(database)) == (
        ("anthropic", "https://api.anthropic.com/"), ("google", "https://generativelanguage.googleapis.com/"),
        ("local", "http://10.0.0.8/"), ("local 10.0.0.7:8000", "http://10.0.0.7:8000/"), ("odd", UNUSABLE_ADDRESS),
        ("openai", "https://api.openai.com/"))
    assert found_providers(settings_of(database, database_providers=False)) == ()


def test_a_database_does_not_make_us_ask_without_end(database):
    models(database, *((f"p{number}", {"base_url": f"https://p{number}.example/"}) for number in range(100)))
    assert len(found_providers(settings_of(database))) == health_application.MOST_PROVIDERS


def test_work_in_flight(database):
    rows = [(ESSAY, stamp(NOW - dt.timedelta(minutes=minutes)), status) for minutes, status in (
        (5, "submitted"), (61, "processing"), (180, "submitted"), (300, "feedback_ready"), (60 * 24 * 8, "submitted"))]
    (found,) = look("work", settings_of(database))
    assert (found.level, found.text) == (OK, "nothing is stuck")
    write(database, "INSERT INTO drafts(content, submission_date, status) VALUES (?, ?, ?)", *rows)
    (found,) = look("work", settings_of(database))
    assert (found.level, found.text) == (WARNING, "2 wait for too long, the oldest for 3 h 0 min")
    assert found.figures["stuck"] == 2 and found.figures["oldest_seconds"] == pytest.approx(10800, abs=1)
    assert look("work", settings_of(database, stuck_minutes=200))[0].level == OK
    assert look("work", settings_of(database, stuck_days=30))[0].figures["stuck"] == 3


@pytest.mark.parametrize("query, level, told", [
    ("SELECT count(*), 90.0 FROM drafts", OK, "nothing is stuck"), ("SELECT 3, 7200", WARNING, "3 wait for too long"),
    ("SELECT 1", UNKNOWN, "does not give one row"), ("SELECT 1, 2 FROM nowhere", UNKNOWN, "fails: no such table"),
    ("SELECT 1, 2; DROP TABLE drafts", UNKNOWN, "work_query fails: ")])
def test_work_by_a_query(database, query, level, told):
    report = examine_health(settings_of(database, work_query=query), NOW, {"work": CHECKS["work"]})
    (found,) = report.findings
    assert found.level == level and told in found.text, found


def program(tmp_path: Path, monkeypatch, name: str, script: str) -> None:
    (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_exceptions_in_the_journal(tmp_path, monkeypatch):
    place = Path(health_application.__file__)
    (tmp_path / "log").write_text(f"INFO: {ESSAY}\nTraceback (most recent call last):\n"
                                  f'  File "{place}", line 12, in f\n'
                                  f"    {ESSAY}\nsqlite3.OperationalError: {ESSAY}\n")
    program(tmp_path, monkeypatch, "journalctl", f"cat {tmp_path}/log")
    settings = Settings(service="app.service")
    monkeypatch.setattr(os.path, "isdir", lambda _path: True)
    (found,) = look("journal", settings)
    assert (found.level, found.text, dict(found.figures)) == (OK, "1 in 24 hours", {"errors_day": 1})
    assert dict(found.counts) == {"OperationalError health_application.py:12": 1}
    assert "whales" not in json.dumps(found.as_dict())
    (tmp_path / "log").write_text("")
    assert look("journal", settings)[0].text == "none in 24 hours"
    program(tmp_path, monkeypatch, "journalctl", "echo no journal files >&2; exit 1")
    (found,) = examine_health(settings, NOW, {"journal": CHECKS["journal"]}).findings
    assert found.level == UNKNOWN and "no journal files" in found.text
    monkeypatch.setattr(os.path, "isdir", lambda _path: False)
    assert look("journal", settings)[0].level == UNKNOWN and look("journal", Settings()) == []


@pytest.mark.parametrize("good, failed, level", [(100, 0, OK), (100, 4, OK), (100, 5, WARNING), (10_000, 9, OK),
                                                 (0, 0, OK)])
def test_errors_of_requests(tmp_path, good, failed, level):
    log = tmp_path / "access.log"
    lines = [f'1.2.3.4 - - [{NOW:%d/%b/%Y:%H:%M:%S +0000}] "GET /essay?by=alice HTTP/1.1" {status} 5 "-" "-"\n'
             for status, times in ((200, good), (500, failed)) for _time in range(times)]
    log.write_text("".join(lines))
    (found,) = look("errors", Settings(health=Watch(access_log=str(log))))
    assert found.level == level and f"{failed:,} of {good + failed:,} requests in 15 min" in found.text
    assert found.figures["requests"] == good + failed and "alice" not in found.text


def test_no_log_and_another_log(tmp_path):
    assert look("errors", Settings()) == []
    log = tmp_path / "access.log"
    log.write_text("{}\n")
    (found,) = look("errors", Settings(health=Watch(access_log=str(log))))
    assert found.level == UNKNOWN and "not in the common or combined log format" in found.text
    settings = Settings(health=Watch(access_log=str(tmp_path / "none.log")))
    (found,) = examine_health(settings, NOW, {"errors": CHECKS["errors"]}).findings
    assert (found.level, found.check) == (UNKNOWN, "errors")
