# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that changes a file fails: the disk is broken or full, or a signal interrupted the call."""

from __future__ import annotations

from collections.abc import Iterator

from fault_jobs import JOBS, Prepared
from fault_rows import Row, row
from fault_trace import Call, injected, record, sampled
from fault_world import Fresh, World

ATTACK = "A system call fails"
# Python repeats a call that was interrupted; close(2) is not repeated, and not tried.
ERRORS = ("EIO", "ENOSPC", "EINTR")
CODES = range(1, 9)


def attack(fresh: Fresh, points: int) -> Iterator[Row]:
    """At most ``points`` places in each job, for each error."""
    for job in JOBS:
        world = fresh()
        prepared = job.prepare(world)
        calls, ended = record(world, *prepared.words)
        assert ended.code == 0, ended
        for error in ERRORS:
            with row(ATTACK, f"{job.name}, {error}") as counted:
                for call in sampled(calls, points):
                    world.reset()
                    counted.count(*_failed(world, prepared, call, error))
            yield counted


def _failed(world: World, prepared: Prepared, call: Call, error: str) -> tuple[str, list[str]]:
    happened, ended = injected(world, call, f"error={error}", *prepared.words)
    if not happened:
        return "were not reached", [f"{call}: the error was not injected"]
    broken = list(prepared.broken_now(world))
    if ended.traceback:
        broken.append(f"a traceback: {ended.errors[-300:]}")
    if ended.code == 0:
        end = "did not matter"
        if not prepared.done(world):
            broken.append("exit code 0, and the job is not done")
    elif ended.code in CODES:
        end = "were reported"
        if not ended.errors.strip():
            broken.append(f"exit code {ended.code} without a word")
    else:
        end = "ended otherwise"
        broken.append(f"exit code {ended.code}: {ended.errors[-300:]}")
    broken += prepared.broken_after_next_run(world)
    return end, [f"{error} at {call}: {sentence}" for sentence in broken]
