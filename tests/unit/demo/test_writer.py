# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running application: commits, pages, pause and resume, and every way to end."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from .conftest import COMMAND, Demo, alive, wait_until


def fetch(port: int, path: str) -> tuple[int, str | None]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location")


def take(demo: Demo, target: Path) -> None:
    """A snapshot by SQLite's own backup API, in one step."""
    with closing(sqlite3.connect(demo.database)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def test_writes_at_its_rate_and_ends_on_sigterm(demo: Demo) -> None:
    began = time.monotonic()
    first = demo.json("start", "--rate", "50")
    assert first["state"] == "running"
    wait_until(lambda: demo.state()["commits"] >= 60)
    assert time.monotonic() - began > 1.0
    os.kill(first["pid"], signal.SIGTERM)
    wait_until(lambda: not alive(first["pid"]))
    state, verdict = demo.state(), demo.json("check")
    assert (state["state"], state["failed"], verdict["problems"]) == ("stopped", 0, [])
    assert verdict["ledger"]["commits"] == state["last_commit"] == state["commits"]
    assert verdict["ledger"]["sum"] == 10_000_000


def test_work_is_the_applications(demo: Demo) -> None:
    before = demo.json("check")["rows"]
    demo.json("start", "--rate", "400")
    wait_until(lambda: demo.state()["commits"] >= 40)
    demo.json("stop")
    after = demo.json("check")
    assert after["problems"] == []
    for table in ("drafts", "model_runs", "demo_ledger"):
        assert after["rows"][table] > before[table], table
    assert after["rows"]["users"] == before["users"]


def test_counter_goes_on_after_a_restart(demo: Demo) -> None:
    demo.json("start")
    first = demo.json("stop")
    demo.json("start")
    second = demo.json("stop")
    assert second["last_commit"] == first["last_commit"] + second["commits"]
    assert demo.json("check")["problems"] == []


def test_every_snapshot_is_a_prefix_of_history(demo: Demo, tmp_path: Path) -> None:
    demo.json("start", "--rate", "500")
    heads = []
    for number in range(3):
        seen = demo.state()["commits"]
        take(demo, tmp_path / f"snapshot{number}.db")
        verdict = demo.json("check", "--database", str(tmp_path / f"snapshot{number}.db"))
        assert verdict["problems"] == []
        assert verdict["ledger"]["commits"] >= seen
        heads.append((verdict["ledger"]["commits"], verdict["ledger"]["head"]))
        wait_until(lambda seen=heads[-1][0]: demo.state()["commits"] > seen)
    demo.json("stop")
    for commit, head in heads:
        ledger = demo.json("check", "--commit", str(commit))["ledger"]
        assert ledger["chain_at"] == head
        assert ledger["head"] != head


def test_pause_leaves_no_transaction_and_resume_goes_on(demo: Demo) -> None:
    demo.json("start", "--rate", "200")
    paused = demo.json("pause")
    assert paused["state"] == "paused"
    before = demo.json("check")
    with closing(sqlite3.connect(demo.database, timeout=0)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("ROLLBACK")
    again = demo.json("pause")
    assert (again["commits"], again["pid"]) == (paused["commits"], paused["pid"])
    assert demo.json("check") == before
    resumed = demo.json("resume")
    assert resumed["state"] == "running"
    wait_until(lambda: demo.state()["commits"] > paused["commits"] + 5)
    demo.json("pause")
    assert demo.json("stop")["state"] == "stopped"
    assert not (demo.home / "data" / "writer.pause").exists()


def test_pause_has_a_deadline_and_withdraws(demo: Demo) -> None:
    pid = demo.json("start")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert "did not rest in 0.3 s" in demo.refused("pause", "--deadline", "0.3")
        assert "did not end in 0.3 s" in demo.refused("stop", "--deadline", "0.3")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert not (demo.home / "data" / "writer.pause").exists()
    wait_until(lambda: not alive(pid))


def test_locked_database_counts_as_failed_requests(demo: Demo) -> None:
    demo.json("start", "--rate", "50")
    with closing(sqlite3.connect(demo.database)) as db:
        db.execute("BEGIN IMMEDIATE")
        wait_until(lambda: demo.state()["failed"] >= 2)
        db.execute("ROLLBACK")
    commits = demo.state()["commits"]
    wait_until(lambda: demo.state()["commits"] > commits)
    state = demo.json("stop")
    assert "locked" in state["last_error"]
    assert demo.json("check")["ledger"]["commits"] == state["last_commit"]


def test_killed_writer_leaves_rows_in_wal_only(demo: Demo, tmp_path: Path) -> None:
    pid = demo.json("start", "--rate", "300")["pid"]
    wait_until(lambda: demo.state()["commits"] >= 150)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid))
    main_file_alone = tmp_path / "alone.db"
    shutil.copyfile(demo.database, main_file_alone)
    whole, alone = demo.json("check"), demo.json("check", "--database", str(main_file_alone))
    assert whole["problems"] == []
    assert whole["ledger"]["commits"] >= demo.state()["last_commit"]
    assert alone["ledger"]["commits"] < whole["ledger"]["commits"]
    assert demo.json("stop")["state"] == "killed"


def test_long_run_checkpoints_as_sqlite_would(demo: Demo) -> None:
    demo.json("start", "--rate", "900000")
    wal = Path(f"{demo.database}-wal")
    size = demo.database.stat().st_size
    wait_until(lambda: demo.database.stat().st_size > size + 1_000_000, seconds=60)
    assert wal.stat().st_size < 16_000_000
    assert demo.json("stop")["failed"] == 0
    assert not wal.exists()


def test_one_writer_only(demo: Demo) -> None:
    pid = demo.json("start")["pid"]
    assert f"a writer runs already (pid {pid})" in demo.refused("start")
    assert "a writer runs already" in demo.refused("run")
    assert demo.state()["pid"] == pid


def test_writer_ends_by_itself_after_its_seconds(demo: Demo) -> None:
    pid = demo.json("start", "--rate", "100", "--seconds", "0.5")["pid"]
    wait_until(lambda: not alive(pid))
    assert demo.state()["state"] == "stopped"


def test_stop_signals_nobody_else(demo: Demo) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        record = {"pid": stranger.pid, "started_ticks": 1, "state": "running", "commits": 1}
        (demo.home / "data" / "writer.json").write_text(json.dumps(record), encoding="utf-8")
        assert demo.json("stop")["state"] == "killed"
        assert "no writer runs here" in demo.refused("pause")
        assert "no writer runs here" in demo.refused("resume")
        assert alive(stranger.pid)
        stranger.communicate(b"\n", timeout=10)


def test_stop_of_nothing_is_nothing(demo: Demo) -> None:
    assert demo.json("stop") == {}


def test_damaged_state_file_is_named(demo: Demo) -> None:
    (demo.home / "data" / "writer.json").write_text("{", encoding="utf-8")
    assert "writer.json: cannot be read" in demo.refused("stop")


def test_start_without_a_database_says_why(demo: Demo) -> None:
    demo.database.unlink()
    assert "unable to open database file" in demo.refused("start")
    assert not demo.database.exists()


def test_pages_answer_as_the_applications(demo: Demo) -> None:
    port = demo.json("start", "--http", "0")["port"]
    assert fetch(port, "/landing") == (200, None)
    assert fetch(port, "/health") == (303, "/error/404")
    assert fetch(port, "/error/404") == (200, None)
    demo.database.rename(demo.database.with_suffix(".away"))
    assert fetch(port, "/landing") == (500, None)
    assert fetch(port, "/error/404") == (200, None)
    assert not demo.database.exists()


def test_port_in_use_is_named(demo: Demo, tmp_path: Path) -> None:
    port = demo.json("start", "--http", "0")["port"]
    other = Demo(tmp_path / "other")
    other.json("build", "--megabytes", "1")
    assert f"port {port}: cannot be used" in other.refused("run", "--http", str(port))


def test_neighbours_missing_is_said(tmp_path: Path) -> None:
    shutil.copy(COMMAND, tmp_path)
    done = subprocess.run(
        [sys.executable, str(tmp_path / COMMAND.name), "check", "x"], capture_output=True, text=True, check=False
    )
    assert "Copy demo_content.py and demo_writer.py beside it." in done.stderr
    assert "Traceback" not in done.stderr
