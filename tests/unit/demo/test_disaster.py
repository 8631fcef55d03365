# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`destroy` must be as treacherous as the real thing, or a restore that survives it proves nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import Demo, alive, wait_until


def sidecars(demo: Demo) -> list[str]:
    return sorted(path.name for path in demo.database.parent.glob("feedforward.db?*"))


@pytest.mark.parametrize("how", ["overwrite", "truncate", "remove"])
def test_naive_restore_shows_wrong_rows_and_integrity_says_ok(demo: Demo, tmp_path: Path, how: str) -> None:
    demo.json("start", "--rate", "300")
    wait_until(lambda: demo.state()["commits"] >= 50)
    demo.json("pause")
    backup = tmp_path / "backup.db"
    with closing(sqlite3.connect(demo.database)) as source, closing(sqlite3.connect(backup)) as copy:
        source.backup(copy)
    before = demo.json("check")
    commits = demo.json("resume")["commits"]
    wait_until(lambda: demo.state()["commits"] >= commits + 50)
    pid = demo.state()["pid"]

    demo.json("destroy", "--how", how, "--leave-stale-wal", "--kill-writer")

    assert not alive(pid)
    assert sidecars(demo) == ["feedforward.db-shm", "feedforward.db-wal"]
    assert {"overwrite": 1_000_000, "truncate": 0}.get(how) == (
        demo.database.stat().st_size if demo.database.exists() else None
    )
    shutil.copyfile(backup, demo.database)
    naive = demo.json("check", status=1)
    assert naive["integrity"] == "ok"
    assert naive["content_sha256"] != before["content_sha256"]
    assert naive["rows_total"] == before["rows_total"]
    with closing(sqlite3.connect(demo.database)) as db:
        assert db.execute("SELECT count(*) FROM users WHERE approved = 1").fetchone() == (0,)

    for name in sidecars(demo):
        demo.database.with_name(name).unlink()
    shutil.copyfile(backup, demo.database)
    assert demo.json("check") == before


def test_without_a_stale_wal_nothing_stays_beside(demo: Demo) -> None:
    demo.json("start")
    demo.json("destroy", "--how", "remove", "--kill-writer")
    assert sidecars(demo) == []
    assert not demo.database.exists()
    assert [path.name for path in demo.database.parent.glob(".disaster-*")] == []


def test_running_writer_is_not_killed_unasked(demo: Demo) -> None:
    pid = demo.json("start")["pid"]
    assert "the writer still runs" in demo.refused("destroy", "--leave-stale-wal")
    assert alive(pid)
    assert demo.json("check")["problems"] == []


def test_second_disaster_is_refused(demo: Demo) -> None:
    demo.json("destroy", "--how", "remove")
    assert "destroyed already" in demo.refused("destroy")


def test_stale_wal_of_a_rollback_journal_database(tmp_path: Path) -> None:
    other = Demo(tmp_path / "other")
    other.json("build", "--megabytes", "1", "--journal-mode", "delete")
    shutil.copyfile(other.database, tmp_path / "backup.db")
    other.json("destroy", "--leave-stale-wal")
    shutil.copyfile(tmp_path / "backup.db", other.database)
    assert other.json("check", status=1)["integrity"] == "ok"
