# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call that changes a file fails: the disk is broken or full, or a signal interrupted the call."""

from __future__ import annotations

from collections.abc import Iterator

from fault_jobs import Prepared, recorded
from fault_rows import Row, row
from fault_trace import Call, injected, sampled
from fault_world import Fresh, World

ATTACK = "A system call fails"
# Python repeats a call that was interrupted; close(2) is not repeated, and not tried.
ERRORS = ("EIO", "ENOSPC", "EINTR")


def attack(fresh: Fresh, points: int) -> Iterator[Row]:
    """At most ``points`` places in each job, for each error."""
    for name, world, prepared, calls in recorded(fresh):
        for error in ERRORS:
            with row(ATTACK, f"{name}, {error}") as counted:
                for call in sampled(calls, points):
                    world.reset()
                    counted.count(*_failed(world, prepared, call, error))
            yield counted


def _failed(world: World, prepared: Prepared, call: Call, error: str) -> tuple[str, list[str]]:
    happened, ended = injected(world, call, f"error={error}", *prepared.words)
    if not happened:
        return "were not reached", [f"{call}: the error was not injected"]
    end, broken = prepared.judged(world, ended)
    broken += prepared.broken_after_next_run(world)
    return end, [f"{error} at {call}: {sentence}" for sentence in broken]
