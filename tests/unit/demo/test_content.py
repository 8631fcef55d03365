# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `build` makes, and what `check` says about it."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import time
import zlib
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from .conftest import Demo, wait_until

TABLES_OF_FEEDFORWARD = 27
NAMED_TABLES = {
    "users": "email name password role verified verification_token approved department reset_token reset_token_expiry "
    "status last_active",
    "courses": "id code title term department instructor_email status created_at updated_at",
    "assignments": "id course_id title description due_date max_drafts created_by status created_at updated_at",
    "enrollments": "id course_id student_email",
    "drafts": "id assignment_id student_email version content content_preserved submission_date word_count status "
    "content_removed_date hidden_by_student",
    "model_runs": "id draft_id model_id run_number timestamp prompt raw_response status",
    "aggregated_feedback": "draft_id release_date status",
    "submission_files": "id draft_id content checksum uploaded_at removed_at",
    "ai_models": "id name provider model_id api_config active",
    "system_config": "key value description",
    "category_scores": "id",
    "feedback_items": "id",
    "signals": "id",
    "signal_rules": "id",
}


def query(database: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def change(database: Path, sql: str) -> None:
    with closing(sqlite3.connect(database)) as db:
        db.execute(sql)
        db.commit()


def test_schema_is_the_applications(demo: Demo) -> None:
    tables = {name for (name,) in query(demo.database, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert len(tables - {"demo_ledger", "demo_accounts"}) == TABLES_OF_FEEDFORWARD
    for table, columns in NAMED_TABLES.items():
        assert set(columns.split()) <= {row[1] for row in query(demo.database, f"PRAGMA table_info({table})")}, table
    sql = " ".join(row[0] for row in query(demo.database, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    assert "CREATE INDEX" in sql
    assert "AUTOINCREMENT" not in sql
    assert "REFERENCES" not in sql
    pragmas = [query(demo.database, f"PRAGMA {name}")[0][0] for name in ("journal_mode", "page_size", "auto_vacuum")]
    assert pragmas == ["wal", 4096, 0]
    assert query(demo.database, "PRAGMA user_version") == [(0,)]


def test_rows_have_the_applications_shapes(demo: Demo) -> None:
    assert {role for (role,) in query(demo.database, "SELECT DISTINCT role FROM users")} == {
        "student",
        "instructor",
        "admin",
    }
    states = {state for (state,) in query(demo.database, "SELECT DISTINCT status FROM drafts")}
    assert "feedback_ready" in states
    assert states <= {"submitted", "processing", "feedback_ready", "error", "archived"}
    for (moment,) in query(demo.database, "SELECT submission_date FROM drafts UNION SELECT timestamp FROM model_runs"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", moment)
        assert datetime.fromisoformat(moment) <= datetime(2026, 11, 1, 9)
    assert all(
        re.fullmatch(r".{10}T\d\d:\d\d", due) for (due,) in query(demo.database, "SELECT due_date FROM assignments")
    )
    embedded = "SELECT count(*) FROM model_runs JOIN drafts ON drafts.id = draft_id WHERE instr(prompt, content) = 0"
    assert query(demo.database, embedded) == [(0,)]
    assert {removed for (removed,) in query(demo.database, "SELECT content_removed_date FROM drafts")} == {None, ""}
    config = json.loads(query(demo.database, "SELECT api_config FROM ai_models")[0][0])
    assert config["api_key_encrypted"]


def test_files_are_private_to_their_owner(demo: Demo) -> None:
    expected = [".env", ".sesskey", "config/settings.yml", "data/feedforward.db", "logs/application.log"]
    expected += ["data/assignment_specs/HUM101/essay.md", "data/uploads/1/student01@students.example.edu/essay.txt"]
    assert [name for name in expected if (demo.home / name).stat().st_mode & 0o777 != 0o600] == []
    assert [path for path in demo.home.rglob("*") if path.is_dir() and path.stat().st_mode & 0o007] == []
    assert "SECRET_KEY=demo-" in (demo.home / ".env").read_text("utf-8")


def test_fifty_megabytes_take_seconds_and_compress_like_prose(tmp_path: Path) -> None:
    application = Demo(tmp_path / "large")
    began = time.monotonic()
    application.json("build")
    assert time.monotonic() - began < 30
    size = application.database.stat().st_size
    assert 50_000_000 <= size < 53_000_000
    with application.database.open("rb") as stream:
        stream.seek(size // 2)
        sample = stream.read(8_000_000)
    assert 2.2 < len(sample) / len(zlib.compress(sample, 6)) < 2.9
    handed_in = "SELECT max(submission_date) AS last FROM drafts GROUP BY student_email"
    really = f"SELECT count(*) FROM ({handed_in}) WHERE last < date('now', '-90 days')"
    by_column = "SELECT count(*) FROM users WHERE role = 'student' AND last_active < date('now', '-90 days')"
    assert (query(application.database, really), query(application.database, by_column)) == ([(9,)], [(49,)])


def test_same_seed_gives_the_same_rows(demo: Demo, tmp_path: Path) -> None:
    expected = demo.json("check")["content_sha256"]
    for seed, equal in (("1", True), ("2", False)):
        other = Demo(tmp_path / f"seed{seed}")
        other.json("build", "--megabytes", "1", "--today", "2026-11-01", "--seed", seed)
        assert (other.json("check")["content_sha256"] == expected) is equal


def test_other_journal_mode_and_name(tmp_path: Path) -> None:
    other = Demo(tmp_path / "other")
    other.json("build", "--megabytes", "1", "--journal-mode", "delete", "--database", "users.db")
    assert query(other.home / "data" / "users.db", "PRAGMA journal_mode") == [("delete",)]
    assert other.json("check", "--database", "users.db")["problems"] == []


def test_build_overwrites_nothing(demo: Demo, tmp_path: Path) -> None:
    before = demo.json("check")["content_sha256"]
    assert "feedforward.db: exists already" in demo.refused("build")
    assert demo.json("check")["content_sha256"] == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".env").write_text("MINE=1\n", encoding="utf-8")
    assert ".env: exists already" in Demo(tmp_path / "mine").refused("build")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [".env"]


def test_build_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "Not a directory" in Demo(tmp_path / "file" / "below").refused("build")


@pytest.mark.parametrize(
    "options", [("--megabytes", "0"), ("--megabytes", "x"), ("--journal-mode", "off"), ("--seed",)]
)
def test_wrong_options_are_usage_errors(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = Demo(tmp_path / "none").call("build", *options)
    assert (done.returncode, (tmp_path / "none").exists()) == (2, False)
    assert "Traceback" not in done.stderr


def test_wrong_day_is_refused(tmp_path: Path) -> None:
    assert "yesterday is not a date" in Demo(tmp_path / "none").refused("build", "--today", "yesterday")


def test_content_hash_is_of_content_and_not_of_pages(demo: Demo) -> None:
    before = demo.json("check")
    assert before["rows"]["users"] == 65
    assert before["rows_total"] == sum(before["rows"].values())
    change(demo.database, "VACUUM")
    assert demo.json("check") == before
    for sql in ("UPDATE system_config SET value = CAST(value AS BLOB)", "DELETE FROM rate_limits"):
        change(demo.database, sql)
        after = demo.json("check")
        assert after["content_sha256"] != before["content_sha256"]
        assert after["problems"] == []


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE demo_accounts SET balance = balance + 1 WHERE id = 1", "hold 10000001 in all instead of 10000000"),
        ("UPDATE demo_accounts SET balance = balance + id - 5.5", "not of the same moment"),
        ("DELETE FROM demo_ledger WHERE commit_number = 2", "breaks after commit 1"),
        ("UPDATE demo_ledger SET amount = amount + 1 WHERE commit_number = 3", "breaks after commit 2"),
    ],
)
def test_check_finds_what_does_not_fit(demo: Demo, sql: str, problem: str) -> None:
    demo.json("start", "--rate", "200")
    wait_until(lambda: demo.state()["commits"] >= 5)
    demo.json("stop")
    change(demo.database, sql)
    verdict = demo.json("check", status=1)
    assert verdict["integrity"] == "ok"
    assert [line for line in verdict["problems"] if problem in line]


@pytest.mark.parametrize(
    ("name", "old", "new", "status", "words"),
    [
        ("ix_drafts_status", b"feedback_ready", b"feedback_lost!", 1, "integrity: "),
        ("users", b"\x05", b"\xff", 3, "malformed"),
    ],
)
def test_check_finds_damaged_pages(demo: Demo, name: str, old: bytes, new: bytes, status: int, words: str) -> None:
    start = (query(demo.database, f"SELECT rootpage FROM sqlite_master WHERE name = '{name}'")[0][0] - 1) * 4096
    damaged = bytearray(demo.database.read_bytes())
    damaged[start : start + 4096] = damaged[start : start + 4096].replace(old, new)
    demo.database.write_bytes(damaged)
    done = demo.call("check")
    assert (done.returncode, words in done.stdout + done.stderr) == (status, True)
    assert "Traceback" not in done.stderr


def test_check_of_nothing_makes_nothing(tmp_path: Path) -> None:
    assert "No such file" in Demo(tmp_path / "none").refused("check")
    assert list(tmp_path.iterdir()) == []


def test_check_of_a_copy_elsewhere(demo: Demo, tmp_path: Path) -> None:
    copy = tmp_path / "copy of it?.db"
    shutil.copyfile(demo.database, copy)
    assert demo.json("check", "--database", str(copy))["content_sha256"] == demo.json("check")["content_sha256"]
