# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health of databases beyond what ``test_health`` has: rows, damage, and the write lock."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import health_database
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health_checks import CHECKS
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.watch import Watch

NOW = dt.datetime.now(dt.timezone.utc)


def look(name: str, path: Path, **limits: object):
    return list(CHECKS[name](Settings(databases=(str(path),), health=Watch(**limits)), NOW))


@pytest.fixture(params=["wal", "delete"])
def journal(request):
    return request.param


@pytest.fixture()
def database(tmp_path, journal):
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (f"PRAGMA journal_mode={journal}", "CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT)",
                      "CREATE TABLE users(email TEXT)", "INSERT INTO drafts(content) VALUES ('x'), ('y')"):
        connection.execute(statement)
    connection.close()
    return path


def test_rows_and_pages(database, journal):
    (found, *_others) = look("database", database)
    assert (found.level, dict(found.counts)) == (OK, {"drafts": 2, "users": 0})
    assert set(found.figures) == {"size_bytes", "wal_bytes", "query_ms", "free_pages", "page_bytes"}
    assert found.figures["page_bytes"] == 4096
    assert found.text == f"Connected ({database.stat().st_size / 1000:.1f} kB)"


def test_damage_is_critical(database, journal):
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("INSERT INTO users VALUES (NULL)")
    connection.execute("PRAGMA writable_schema = 1")
    connection.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE users(email TEXT NOT NULL)' WHERE name = 'users'")
    connection.close()
    (found, *_others) = look("database", database)
    if journal == "wal":
        assert found.level == CRITICAL and "it is damaged: NULL value in users.email" in found.text
        assert [one.check for one in _others] == [f"{name} {database}" for name in ("size", "query", "log")]
        assert look("database", database, quick_check_seconds=0)[0].level == OK, "none is made"
        assert look("database", database, quick_check_bytes=1000)[0].level == OK, "too large to be checked in passing"
    else:
        assert found.level == OK, "a check would keep writers waiting"


def test_a_check_that_does_not_end_is_said(tmp_path):
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t(a INTEGER, b TEXT NOT NULL, c TEXT NOT NULL)")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO t VALUES (?, 'b', 'c')", ((number,) for number in range(50_000)))
    connection.execute("COMMIT")
    connection.close()
    (found, *_others) = look("database", path, quick_check_seconds=1e-6)
    assert found.level == OK and found.text.endswith("kB), quick check not finished in 0.00 s"), found


def test_the_write_lock(database, holder, monkeypatch):
    monkeypatch.setattr(health_database, "LOCK_SECONDS", 0.02)
    holder(str(database))
    (found,) = look("locks", database)
    assert (found.level, found.check, found.figures["busy_percent"]) == (OK, f"locks {database}", 0)
    holder(str(database), "BEGIN IMMEDIATE")
    (found,) = look("locks", database)
    assert (found.level, found.figures["busy_percent"]) == (WARNING, 100) and "100% of 20 samples" in found.text
    assert look("locks", database, lock_warning_percent=101)[0].level == OK
    assert look("database", database)[0].level == OK, "a writer is no hindrance"


def test_a_database_whose_locks_cannot_be_seen(tmp_path):
    (found,) = look("locks", tmp_path / "not-there.db")
    assert found.level == UNKNOWN and "is missing" in found.text
    assert list(CHECKS["locks"](Settings(), NOW)) == []
