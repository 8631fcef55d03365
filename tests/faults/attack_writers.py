# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups while the application writes: each holds a consistent prefix of its history."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fault_rows import Row, row
from fault_world import Fresh, World

ATTACK = "Backups beside a writer"
MODES = ("wal", "delete")
RATES = {"1 commit a second": 1.0, "10 commits a second": 10.0, "100 commits a second": 100.0,
         "as many as it can": 0.0}  # fmt: skip
WRITER = Path(__file__).resolve().with_name("fault_writer.py")


@contextmanager
def writing(world: World, rate: float) -> Iterator[Path]:
    """The application writes; the file in which it tells of its commits."""
    told = world.root / "acknowledged"
    told.write_text("", encoding="ascii")
    with subprocess.Popen([sys.executable, str(WRITER), str(world.database), str(rate), str(told)],
                          stdin=subprocess.PIPE) as process:  # fmt: skip
        try:
            deadline = time.monotonic() + 20
            while not committed(told):
                assert process.poll() is None and time.monotonic() < deadline, "the writer does not write"
                time.sleep(0.01)
            yield told
            assert process.poll() is None, "the writer ended too early"
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=20)


def committed(told: Path) -> int:
    """The number of the last entry whose commit was acknowledged; 0 before the first."""
    lines = [line for line in told.read_text(encoding="ascii").splitlines(keepends=True) if line.endswith("\n")]
    return max((int(line.split()[0]) for line in lines if line != "failed\n"), default=0)


def attack(fresh: Fresh, backups: int) -> Iterator[Row]:
    """``backups`` at each rate in both journal modes."""
    for mode in MODES:
        for name, rate in RATES.items():
            with row(ATTACK, f"{mode}, {name}") as counted:
                world = fresh()
                _set_mode(world.database, mode)
                with writing(world, rate) as told:
                    for number in range(backups):
                        counted.count(*_backed_up(world, told, number))
                counted.ended.update({"writes met a lock for 100 ms": told.read_text(encoding="ascii").count("failed")})
            yield counted


def _set_mode(path: Path, mode: str) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    (found,) = database.execute(f"PRAGMA journal_mode={mode}").fetchone()
    database.close()
    assert found == mode


def _backed_up(world: World, told: Path, number: int) -> tuple[str, list[str]]:
    at_least = committed(told)
    ended = world.command("backup", "--kind", "database", "--force")
    if ended.code != 0:
        return "failed", [f"backup {number}: exit code {ended.code}: {ended.errors[-300:]}"]
    target = world.root / "restored" / "app.db"
    target.parent.mkdir(exist_ok=True)
    for path in target.parent.glob("app.db*"):
        if path.is_file():
            path.unlink()
    restored = world.command("restore", "latest", "--to", str(target), "--yes", "--accept-unknown-holders")
    if restored.code != 0:
        return "failed", [f"backup {number} does not restore: {restored.errors[-300:]}"]
    return "are prefixes of history", [f"backup {number}: {sentence}" for sentence in no_prefix(target, at_least)]


def no_prefix(path: Path, at_least: int) -> list[str]:
    """What is wrong with the ledger: it must be chained without a gap, add up to nothing, end with a whole commit, and
    hold what was committed before the backup began."""
    database = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    try:
        entries = database.execute("SELECT number, amount, chain FROM ledger ORDER BY number").fetchall()
        problems = [line for (line,) in database.execute("PRAGMA integrity_check") if line != "ok"]
    finally:
        database.close()
    chain = ""
    for expected, (number, amount, link) in enumerate(entries, start=1):
        chain = hashlib.sha256(f"{chain}{amount}".encode()).hexdigest()
        if number != expected or link != chain:
            problems.append(f"entry {number} of the ledger does not follow from the one before")
            break
    if sum(amount for _number, amount, _link in entries) or len(entries) % 2:
        problems.append("it holds half of a commit")
    if len(entries) < at_least:
        problems.append(f"it ends with entry {len(entries)}, and {at_least} was committed before it began")
    return problems
