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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fault_rows import Row, row
from fault_world import Ended, Fresh, World, enlarge, set_mode
from fault_writer import Attempt, attempts

ATTACK = "Backups beside a writer"
MODES = ("wal", "delete")
RATES = {"1 commit a second": 1.0, "10 commits a second": 10.0, "100 commits a second": 100.0,
         "as many as it can": 0.0}  # fmt: skip
WRITER = Path(__file__).resolve().with_name("fault_writer.py")
# Before the first backup, for each backup that follows: what the writer does undisturbed.
QUIET_COMMITS, QUIET_SECONDS = 25, 0.75


class Run(NamedTuple):
    """A run of the command, by the monotonic clock."""

    job: str
    began: float
    ended: float


@contextmanager
def writing(world: World, rate: float) -> Iterator[Path]:
    """The application writes; the file in which it tells of its commits."""
    told = world.root / "told"
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
    return max((attempt.entry for attempt in attempts(told)), default=0)


def attack(fresh: Fresh, backups: int) -> Iterator[Row]:
    """``backups`` at each rate in both journal modes."""
    for mode in MODES:
        for name, rate in RATES.items():
            with row(ATTACK, f"{mode}, {name}") as counted:
                world = fresh()
                set_mode(world.database, mode)
                enlarge(world.database)
                runs: list[Run] = []
                with writing(world, rate) as told:
                    _wait_quietly(told, backups)
                    for number in range(backups):
                        counted.count(*_backed_up(world, told, number, runs))
                _measure(counted, attempts(told), runs)
            yield counted


def _wait_quietly(told: Path, backups: int) -> None:
    deadline = time.monotonic() + QUIET_SECONDS * backups
    while time.monotonic() < deadline and len(attempts(told)) < QUIET_COMMITS * backups:
        time.sleep(0.02)


def _timed(world: World, runs: list[Run], *words: str) -> Ended:
    began = time.monotonic()
    ended = world.command(*words)
    runs.append(Run(words[0], began, time.monotonic()))
    return ended


def _backed_up(world: World, told: Path, number: int, runs: list[Run]) -> tuple[str, list[str]]:
    at_least = committed(told)
    ended = _timed(world, runs, "backup", "--kind", "database", "--force")
    if ended.code != 0:
        return "failed", [f"backup {number}: exit code {ended.code}: {ended.errors[-300:]}"]
    target = world.elsewhere()
    restored = _timed(world, runs, "restore", "latest", "--to", str(target), "--yes", "--accept-unknown-holders")
    if restored.code != 0:
        return "failed", [f"backup {number} does not restore: {restored.errors[-300:]}"]
    return "are prefixes of history", [f"backup {number}: {sentence}" for sentence in no_prefix(target, at_least)]


def _measure(counted: Row, all_of_them: Sequence[Attempt], runs: Sequence[Run]) -> None:
    """Writes that failed, how long commits took, and the growth of the log: during a backup, and without one. What ran
    into a restore belongs to neither, but that it failed is told."""
    backups = [run for run in runs if run.job == "backup"]
    during = [attempt for attempt in all_of_them if _met(attempt, backups)]
    without = [attempt for attempt in all_of_them if not _met(attempt, runs)]
    failed, failed_during = (sum(not attempt.entry for attempt in some) for some in (all_of_them, during))
    counted.ended.update({"writes failed during a backup": failed_during,
                          "writes failed at other times": failed - failed_during})  # fmt: skip
    counted.figures = {"p50 / p99 / max without a backup": _percentiles(without),
                       "p50 / p99 / max during a backup": _percentiles(during)}  # fmt: skip
    if any(attempt.log_bytes for attempt in all_of_them):
        before = [attempt.log_bytes for attempt in all_of_them if attempt.ended < runs[0].began][-1]
        most = max((attempt.log_bytes for attempt in during), default=before)
        counted.figures["log before the first / at most during a backup"] = f"{before >> 10:,} / {most >> 10:,} KiB"


def _met(attempt: Attempt, runs: Sequence[Run]) -> bool:
    return any(attempt.began < run.ended and run.began < attempt.ended for run in runs)


def _percentiles(some: Sequence[Attempt]) -> str:
    took = sorted(attempt.milliseconds for attempt in some if attempt.entry)
    if not took:
        return "no commit"
    p50, p99 = (took[(len(took) * percent - 1) // 100] for percent in (50, 99))
    return f"{p50:.1f} / {p99:.1f} / {took[-1]:.1f} ms of {len(took):,}"


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
