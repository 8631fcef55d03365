# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command is killed, or asked to stop, before each call that changes a file."""

from __future__ import annotations

from collections.abc import Iterator

from fault_jobs import Prepared, recorded
from fault_rows import Row, row
from fault_trace import Call, injected, sampled
from fault_world import Fresh, World

ATTACK = "Killed before a system call"
SIGNALS = {"SIGKILL": (-9, 137), "SIGTERM": (143,)}


def attack(fresh: Fresh, points: int) -> Iterator[Row]:
    """At most ``points`` places in each job, for each signal."""
    for name, world, prepared, calls in recorded(fresh):
        for signal in SIGNALS:
            with row(ATTACK, f"{name}, {signal}") as counted:
                for call in sampled(calls, points):
                    world.reset()
                    counted.count(*_killed(world, prepared, call, signal))
            yield counted


def _killed(world: World, prepared: Prepared, call: Call, name: str) -> tuple[str, list[str]]:
    happened, ended = injected(world, call, f"signal={name}", *prepared.words)
    if not happened:
        return "were not reached", [f"{call}: the signal was not delivered"]
    broken = list(prepared.broken_now(world))
    if ended.code == 0 and name == "SIGTERM":
        end = "had finished"
    elif ended.code in SIGNALS[name]:
        end = "stopped"
    else:
        end = "ended otherwise"
        broken.append(f"exit code {ended.code}: {ended.errors[-200:]}")
    if ended.traceback:
        broken.append("a traceback")
    if name == "SIGTERM" and world.leftovers():
        broken.append(f"it left {world.leftovers()} although it was asked to stop")
    broken += prepared.broken_after_next_run(world)
    return end, [f"{name} before {call}: {sentence}" for sentence in broken]
