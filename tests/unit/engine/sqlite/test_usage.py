# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a live application does, read from real databases; and who holds the write lock of one."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite import usage
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.contention import write_lock_percent
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.source import examine, open_reader

NOON = dt.datetime(2026, 11, 27, 12)
MIDNIGHT = NOON.replace(hour=0)
RUNS = "CREATE TABLE model_runs(id INTEGER PRIMARY KEY, model_id INTEGER, timestamp TEXT, prompt TEXT, status TEXT"
MODELS = "CREATE TABLE ai_models(id INTEGER PRIMARY KEY, provider TEXT, api_config TEXT, active INTEGER)"
KEY = "Z0FBQUFBQm9zZWNyZXQ="


def made(path: Path, *statements: str, journal: str = "WAL") -> Path:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (f"PRAGMA journal_mode={journal}", *statements):
        connection.execute(statement)
    connection.close()
    return path


def filled(path: Path, statement: str, rows: list[tuple]) -> None:
    with sqlite3.connect(path) as connection:
        connection.executemany(statement, rows)
    connection.close()


def read(path: Path, ask):
    with open_reader(examine(str(path))) as connection:
        return ask(connection)


def test_calls_of_today(tmp_path):
    path = made(tmp_path / "app.db", RUNS + ", prompt_tokens INTEGER, completion_tokens INTEGER, cost REAL)", MODELS)
    filled(path, "INSERT INTO ai_models VALUES (?, ?, '', 1)", [(1, "OpenAI"), (2, "anthropic"), (3, None)])
    rows = [(1, "2026-11-26T23:59:59.999999", "complete"), (1, "2026-11-27T00:00:00.000000", "complete"),
            (1, "2026-11-27 08:15:00", "error"), (2, "2026-11-27T11:00:00", "complete"),
            (3, "2026-11-27T11:01:00", None),
            (9, "2026-11-27T11:02:00", "FAILED"), (1, "", "complete"), (1, None, "complete"), (1, "yesterday", "x")]
    filled(path, "INSERT INTO model_runs VALUES (NULL, ?, ?, 'the essay', ?, 100, 10, 0.25)", rows)
    found = read(path, lambda connection: usage.model_usage(connection, MIDNIGHT, 5))
    assert found == usage.ModelUsage(5, 2, 550, 1.25, {"openai": 2, "anthropic": 1})


def test_what_the_tables_do_not_tell_is_not_known(tmp_path):
    path = made(tmp_path / "app.db", "CREATE TABLE model_runs(id INTEGER PRIMARY KEY, timestamp TEXT)",
                "INSERT INTO model_runs VALUES (1, '2026-11-27T01:00:00')")
    found = read(path, lambda connection: usage.model_usage(connection, MIDNIGHT, 5))
    assert found == usage.ModelUsage(1, None, None, None, {})
    assert read(path, lambda connection: usage.model_providers(connection, 5)) == ()
    week = dt.timedelta(days=7)
    assert read(path, lambda connection: usage.stuck_drafts(connection, NOON, week, week, 5)) is None


def test_a_view_and_another_table_are_not_the_application(tmp_path):
    path = made(tmp_path / "app.db", "CREATE TABLE t(timestamp TEXT)", "CREATE VIEW model_runs AS SELECT * FROM t",
                "CREATE TABLE ai_models(name TEXT)", "CREATE TABLE drafts(status TEXT)")
    assert read(path, lambda connection: usage.model_usage(connection, MIDNIGHT, 5)) is None
    assert read(path, lambda connection: usage.model_providers(connection, 5)) == ()


def test_a_walk_back_ends_in_the_past(tmp_path):
    """With 2,000 older rows in between, an old row of today is no longer seen, and nothing else is lost."""
    path = made(tmp_path / "app.db", RUNS + ")")
    rows = [("2026-11-27T01:00:00",), *[("2026-11-20T01:00:00",)] * 2000, *[("2026-11-27T01:00:00",)] * 700]
    filled(path, "INSERT INTO model_runs(timestamp) VALUES (?)", rows)
    assert read(path, lambda connection: usage.model_usage(connection, MIDNIGHT, 5)).calls == 700


def test_providers_and_their_addresses_but_no_key(tmp_path):
    path = made(tmp_path / "app.db", MODELS)
    configs = [("OpenAI", {"api_key_encrypted": KEY}, 1), ("openai", {"api_key_encrypted": KEY}, 1),
               ("local", {"base_url": "http://10.1.2.3:8000/v1", "api_key_encrypted": KEY}, 1),
               ("other", {"api_base": "https://x.example/", "base_url": 7}, 1), ("odd", ["base_url"], 1),
               ("off", {"base_url": "https://off.example/"}, 0), ("bad\x1b[31m", {}, 1)]
    filled(path, "INSERT INTO ai_models(provider, api_config, active) VALUES (?, ?, ?)",
           [(name, json.dumps(config), active) for name, config, active in configs])
    filled(path, "INSERT INTO ai_models(provider, api_config, active) VALUES (?, ?, 1)",
           [("broken", "{"), ("blob", b"\x00{"), ("none", None), (None, "{}"), ("", "{}"), (3, "{}")])
    found = read(path, lambda connection: usage.model_providers(connection, 5))
    assert found == (("3", ""), ("bad__31m", ""), ("blob", ""), ("broken", ""), ("local", "http://10.1.2.3:8000/v1"),
                     ("none", ""), ("odd", ""), ("openai", ""), ("other", "https://x.example/"))
    assert KEY not in str(found)


def test_drafts_in_flight(tmp_path):
    path = made(tmp_path / "app.db", "CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT, submission_date TEXT,"
                " status TEXT)")
    rows = [("2026-11-27T11:30:00", "submitted"), ("2026-11-27T10:30:00", "processing"),
            ("2026-11-26T12:00:00.500000", "submitted"), ("2026-11-01T12:00:00", "submitted"),
            ("2026-11-27T01:00:00", "feedback_ready"), ("", "submitted"), (None, "processing")]
    filled(path, "INSERT INTO drafts VALUES (NULL, 'essay', ?, ?)", rows)

    def stuck(minutes: int, days: int) -> usage.StuckWork:
        return read(path, lambda connection: usage.stuck_drafts(
            connection, NOON, dt.timedelta(minutes=minutes), dt.timedelta(days=days), 5))

    assert stuck(60, 7) == usage.StuckWork(2, 86399.5)
    assert stuck(60, 365) == usage.StuckWork(3, 26 * 86400)
    assert stuck(2000, 7) == usage.StuckWork(0, 0.0)


@pytest.mark.parametrize("query, found", [
    ("SELECT count(*), 12.5 FROM t", usage.StuckWork(3, 12.5)), ("SELECT 0, NULL", usage.StuckWork(0, 0.0)),
    ("SELECT 1", None), ("SELECT 'x', 1", None), ("SELECT 1, 'x'", None), ("SELECT a, a FROM t", None),
    ("SELECT 1, 2 WHERE 0", None)])
def test_a_query_of_the_operator(tmp_path, query, found):
    path = made(tmp_path / "app.db", "CREATE TABLE t(a)", "INSERT INTO t VALUES (1), (2), (3)")
    assert read(path, lambda connection: usage.asked_work(connection, query, 5)) == found


@pytest.mark.parametrize("query", ["SELECT 1, 2; DELETE FROM t", "WITH x AS (SELECT 1) DELETE FROM t", "DELETE FROM t"])
def test_a_query_writes_nothing(tmp_path, query):
    path = made(tmp_path / "app.db", "CREATE TABLE t(a)", "INSERT INTO t VALUES (1), (2), (3)")
    with open_reader(examine(str(path))) as connection:
        with pytest.raises((sqlite3.Error, sqlite3.Warning)):
            usage.asked_work(connection, query, 5)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (3,)


ENDLESS = "SELECT count(*), 0 FROM t a, t b, t c, t d, t e WHERE a.a + b.a + c.a + d.a + e.a > 0"


def test_the_budget_ends_what_has_no_end(tmp_path):
    path = made(tmp_path / "app.db", "CREATE TABLE t(a)")
    filled(path, "INSERT INTO t VALUES (?)", [(number,) for number in range(1000)])
    with open_reader(examine(str(path))) as connection:
        with pytest.raises(usage.OverBudget):
            usage.asked_work(connection, ENDLESS, 0.05)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (1000,), "the connection is as good as before"


def test_rows_by_table(tmp_path):
    path = made(tmp_path / "app.db", "CREATE TABLE b(a)", "CREATE TABLE a(a)", "INSERT INTO b VALUES (1), (2)",
                "CREATE VIEW v AS SELECT * FROM a", 'CREATE TABLE "odd\x07"(a)')
    assert read(path, lambda connection: usage.rows_by_table(connection, 5)) == {"a": 0, "b": 2}
    assert read(path, lambda connection: usage.rows_by_table(connection, 0)) == {}
    many = made(tmp_path / "many.db", *(f"CREATE TABLE t{number:03}(a)" for number in range(60)))
    assert len(read(many, lambda connection: usage.rows_by_table(connection, 50))) == usage.MOST_TABLES


def test_what_the_quick_check_finds(tmp_path):
    path = made(tmp_path / "app.db", "CREATE TABLE t(a TEXT)", "INSERT INTO t VALUES (NULL)")
    assert read(path, lambda connection: usage.quick_check(connection, 30)).problems == ()
    made(path, "PRAGMA writable_schema = 1", "UPDATE sqlite_master SET sql = 'CREATE TABLE t(a TEXT NOT NULL)'")
    assert read(path, lambda connection: usage.quick_check(connection, 30)).problems == ("NULL value in t.a",)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_who_holds_the_write_lock(tmp_path, peer, journal):
    path = made(tmp_path / "app.db", "CREATE TABLE t(a)", journal=journal)
    source = examine(str(path))
    assert source.wal == (journal == "WAL")
    assert write_lock_percent(source, 3, 0.01) == 0.0, "nobody has it open"
    other = peer(path)
    other.sql("SELECT * FROM t")
    assert write_lock_percent(source, 3, 0.01) == 0.0
    other.sql("BEGIN IMMEDIATE")
    assert write_lock_percent(source, 3, 0.01) == 100.0
    other.sql("ROLLBACK")
    other.sql("BEGIN")
    other.sql("SELECT * FROM t")
    assert write_lock_percent(source, 3, 0.01) == 0.0, "a reader is no writer"
    other.end()


def test_a_link_in_place_of_the_locks_is_not_followed(tmp_path):
    path = made(tmp_path / "app.db", "CREATE TABLE t(a)")
    source = examine(str(path))
    (tmp_path / "app.db-shm").symlink_to("/etc/hostname")
    with pytest.raises(OSError, match="symbolic links"):
        write_lock_percent(source, 1, 0.01)
