# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the stages of ``make test`` and says at the end what ran, for how long, and what was not run and why.

Usage: run_tests.py [GROUP or STAGE]...      all stages without arguments; --list shows them
The exit status is 0 when nothing failed. With CI=true in the environment, what cannot be run is a failure.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import BinaryIO

from prerequisites import install_packages, lacks
from stages import ROOT, Stage, all_stages

LOGS = ROOT / ".build" / "logs"
CI = os.environ.get("CI") == "true"
PASSED, FAILED, NOT_RUN = "passed", "FAILED", "not run"
# Stages that run beside each other have hosts of their own.
BEDS = ("main", "second")


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: one of the three words above, its seconds, and why it did not pass."""

    stage: Stage
    result: str
    seconds: float = 0.0
    reason: str = ""


def run_stage(stage: Stage, shown: BinaryIO) -> Outcome:
    """Run the commands of a stage until one fails, its output shown and kept in .build/logs."""
    missing = lacks(stage.needs)
    if missing:
        return Outcome(stage, FAILED if CI and not stage.optional else NOT_RUN, reason=missing)
    shown.write(f"\n=== {stage.name}\n".encode())
    shown.flush()
    began = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{stage.name.replace(':', '-')}.log"
    reason = ""
    with log.open("wb") as kept:
        for command in stage.commands:
            reason = reason or run_command(command, stage, kept, shown)
    if not reason and stage.proof and not stage.proof.search(log.read_text(encoding="utf-8", errors="replace")):
        reason = f"its output has no match for {stage.proof.pattern}: it tested nothing"
    if reason and stage.after_failure:
        subprocess.run(stage.after_failure, cwd=ROOT, check=False, env={**os.environ, **stage.environment})
    return Outcome(stage, FAILED if reason else PASSED, time.monotonic() - began, reason)


def run_beside(stages: Sequence[Stage]) -> Iterator[Outcome]:
    """Run stages two at a time, each with its own test hosts; the output of each is shown when it has ended."""
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for bed in BEDS:
        free.put(bed)
    showing = Lock()

    def run(stage: Stage) -> Outcome:
        bed = free.get()
        try:
            with tempfile.TemporaryFile() as shown:
                outcome = run_stage(replace(stage, environment={"TESTBED": bed, **stage.environment}), shown)
                shown.seek(0)
                with showing:
                    shutil.copyfileobj(shown, sys.stdout.buffer)
                    sys.stdout.buffer.flush()
            return outcome
        finally:
            free.put(bed)

    with ThreadPoolExecutor(len(BEDS)) as pool:
        yield from pool.map(run, stages)


def run_command(command: Sequence[str], stage: Stage, kept: BinaryIO, shown: BinaryIO) -> str:
    """Run one command under the stage's limit; returns why it failed, or an empty text."""
    began = time.monotonic()
    limited = ["timeout", "--kill-after=20", str(stage.limit_seconds), *command]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **stage.environment}
    if not sys.stdout.isatty():
        environment |= {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "PY_COLORS": "0"}
    with subprocess.Popen(
        limited,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            shown.write(line)
            shown.flush()
            kept.write(line)
    if process.returncode and time.monotonic() - began >= stage.limit_seconds:
        return f"stopped at its limit of {stage.limit_seconds} s"
    return f"{os.path.basename(command[0])} ended with {process.returncode}" if process.returncode else ""


def select(stages: Sequence[Stage], names: Sequence[str]) -> list[Stage]:
    """The stages that the names mean: names of groups or of stages; all without names."""
    unknown = [name for name in names if not any(name in (stage.name, stage.group) for stage in stages)]
    if unknown:
        raise SystemExit(f"No group or stage is called {', '.join(unknown)}: see  make test-list")
    return [stage for stage in stages if not names or stage.name in names or stage.group in names]


def report(outcomes: Sequence[Outcome], seconds: float) -> int:
    """Print the table and, as the last line, the two counts; returns the exit status."""
    print("\n" + "=" * 78)
    for outcome in outcomes:
        took = f"{outcome.seconds:7.1f} s" if outcome.result != NOT_RUN else ""
        print(f"{outcome.stage.name:22} {outcome.result:8}{took:10}  {outcome.reason}".rstrip())
    print("=" * 78)
    absent = [outcome.stage.name for outcome in outcomes if outcome.result == NOT_RUN]
    if absent:
        print(f"Not run, for the reasons above: {', '.join(absent)}")
    failed = [outcome.stage.name for outcome in outcomes if outcome.result == FAILED]
    if failed:
        print(f"Failed: {', '.join(failed)}. The output of each is in {LOGS.relative_to(ROOT)}/")
    print(f"Stages, in {seconds / 60:.1f} minutes:")
    print(f"{sum(outcome.result == PASSED for outcome in outcomes)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; returns the exit status."""
    stages = all_stages()
    if list(arguments) == ["--list"]:
        print("\n".join(f"{stage.group:12} {stage.name}" for stage in stages))
        return 0
    chosen = select(stages, arguments)
    install_packages()
    outcomes = []
    began = time.monotonic()
    sys.stdout.flush()
    try:
        outcomes.extend(run_stage(stage, sys.stdout.buffer) for stage in chosen if not stage.beside)
        outcomes.extend(run_beside([stage for stage in chosen if stage.beside]))
    finally:
        booted = any("bed" in stage.needs for stage in chosen) and not lacks(["bed"])
        for bed in BEDS if booted else ():
            subprocess.run(["testbed/bed", "down"], cwd=ROOT, check=False, env={**os.environ, "TESTBED": bed})
    return report(outcomes, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
