# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup costs those who write meanwhile: the same writer alone, then beside backups at the shipped priority."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .figures import percentile
from .ours import POLITE, Command
from .processes import NotMeasured, settle
from .workspace import BASE, Workspace

WRITER = Path(__file__).resolve().with_name("writer.py")
ALONE, BESIDE = "alone", "beside a backup"


def measure_writers(space: Workspace, command: Command, *, rounds: int, commits: int,
                    tell: Callable[[str], None]) -> dict[str, Any]:
    """Figures of both cases, each the commits of all rounds together."""
    missing = [program for program in POLITE if program in ("nice", "ionice") and shutil.which(program) is None]
    if missing:
        raise NotMeasured(f"{', '.join(missing)} not found")
    space.put(BASE)
    collected: dict[str, dict[str, Any]] = {case: {"latencies_ms": [], "failed": 0, "checkpoint_ms": [], "backups": 0}
                                            for case in (ALONE, BESIDE)}
    for number in range(rounds):
        for case, figures in collected.items():
            settle()
            _add(figures, _write(space, command, commits, beside=case == BESIDE))
            tell(f"writers, round {number + 1}, {case}: p99 {percentile(figures['latencies_ms'], 0.99):.1f} ms so far")
    return {"megabytes": space.megabytes, "cases": {case: _figures(all_) for case, all_ in collected.items()}}


def _write(space: Workspace, command: Command, commits: int, *, beside: bool) -> dict[str, Any]:
    """One run of the writer; ``beside`` it backups follow each other until it ends."""
    # The Python of the command: both use one SQLite, as on a host.
    with subprocess.Popen([command.python, str(WRITER), str(space.source), str(commits)], stdout=subprocess.PIPE,
                          text=True) as writer:
        backups = 0
        try:
            while beside and writer.poll() is None:
                repository = space.place("writers")
                command.backup(repository, force=True, prefix=POLITE)
                shutil.rmtree(repository)
                backups += 1
            output, _none = writer.communicate()
        except BaseException:
            writer.kill()
            raise
    if writer.returncode != 0:
        raise NotMeasured("the writer failed")
    return {**json.loads(output), "backups": backups}


def _add(total: dict[str, Any], one: dict[str, Any]) -> None:
    for name in total:
        total[name] = total[name] + one[name]


def _figures(collected: dict[str, Any]) -> dict[str, Any]:
    latencies = collected["latencies_ms"]
    return {"commits": len(latencies), "failed": collected["failed"], "backups": collected["backups"],
            "p50_ms": percentile(latencies, 0.5), "p99_ms": percentile(latencies, 0.99), "max_ms": max(latencies),
            "checkpoints": len(collected["checkpoint_ms"]),
            "checkpoint_max_ms": max(collected["checkpoint_ms"], default=None)}
