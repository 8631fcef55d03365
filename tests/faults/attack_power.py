# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The power fails: what was not made durable is lost, in whole or in part."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence

from fault_disk import TRACED, UNKNOWN, Disk, calls, put
from fault_jobs import JOBS, Prepared
from fault_rows import Row, row
from fault_trace import QUICKLY, traced
from fault_world import Fresh, World

ATTACK = "Power loss"
WAYS = ("nothing unsafe", "entries without content", "everything", "some", "some")


def attack(fresh: Fresh, points: int) -> Iterator[Row]:
    """At most ``points`` moments of each job, in each way that the unsafe can be lost; equal states count once."""
    for job in JOBS:
        world = fresh()
        prepared = job.prepare(world)
        options = (QUICKLY, "-xx", "-s", "10000000", "-e", f"trace={','.join((*TRACED, *UNKNOWN))}")
        lines, ended = traced(world, prepared.words, *options)
        assert ended.code == 0, ended
        with row(ATTACK, job.name) as counted:
            seen: set[bytes] = set()
            for moment, way, state in _states(world, lines, points):
                identity = hashlib.sha256(repr(sorted(state.items())).encode()).digest()
                if identity not in seen:
                    seen.add(identity)
                    put(world.live, state)
                    counted.count(*_judged(world, prepared, f"after {moment}, {way}"))
        yield counted


def _states(world: World, lines: Sequence[str], points: int) -> Iterator[tuple[str, str, dict[str, bytes | None]]]:
    """The states of the disk. The run is replayed once to count its changes, and again to stop at some of them."""
    world.reset()
    disk = Disk(world.live)
    changes = sum(disk.take(*call) for call in calls(lines))
    chosen = set(_spread(changes, points))
    rng = random.Random(11)
    world.reset()
    disk, number = Disk(world.live), 0
    for call in calls(lines):
        if disk.take(*call):
            number += 1
            if number in chosen:
                for way in WAYS:
                    yield f"change {number} of {changes} ({call[0]})", way, disk.after_power_loss(way, rng)


def _spread(count: int, points: int) -> list[int]:
    """``points`` numbers from 1 to ``count``, evenly."""
    return sorted({round(1 + place * (count - 1) / max(1, points - 1)) for place in range(min(points, count))})


def _judged(world: World, prepared: Prepared, where: str) -> tuple[str, list[str]]:
    broken = prepared.broken_now(world)
    broken += prepared.broken_after_next_run(world)
    return "held", [f"power loss {where}: {sentence}" for sentence in broken]
