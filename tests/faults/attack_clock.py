# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock jumps between two backups, and the time zone changes."""

from __future__ import annotations

from collections.abc import Iterator

from fault_rows import Row, row
from fault_world import Fresh, World, commit, rows_digest, sha256

ATTACK = "A clock that jumps"
JUMPS = {"a second back": "-1s", "a day back": "-1d", "a day ahead": "+1d", "a year back": "-365d",
         "a year ahead": "+365d"}  # fmt: skip
ZONES = ("UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Niue")
ROUNDS = 4


def attack(fresh: Fresh) -> Iterator[Row]:
    """Backups under a clock that jumps there, and back again, with the strictest retention."""
    for name, jump in JUMPS.items():
        with row(ATTACK, name) as counted:
            world = fresh()
            for number in range(ROUNDS):
                moved = number % 2 == 0
                counted.count(*_backed_up(world, number, _clock(jump) if moved else (), f"{name}, round {number}"))
        yield counted
    with row(ATTACK, "other time zones") as counted:
        world = fresh()
        for number, zone in enumerate(ZONES):
            counted.count(*_backed_up(world, number, ("env", f"TZ={zone}"), zone))
    yield counted


def _clock(jump: str) -> tuple[str, ...]:
    return ("env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", jump)


def _backed_up(world: World, number: int, prefix: tuple[str, ...], what: str) -> tuple[str, list[str]]:
    """A backup that also prunes: what it made is the latest, restores, and no good archive went too early."""
    commit(world.database, 100 + number)
    wanted = rows_digest(world.database)
    before = {path.name: sha256(path) for path in world.final_archives()}
    ended = world.command("backup", "--kind", "database", prefix=prefix)
    broken = [] if ended.code == 0 else [f"exit code {ended.code}: {ended.errors[-200:]}"]
    after = {path.name: sha256(path) for path in world.final_archives()}
    if len(after) != len(before) + 1:
        broken.append(f"{len(before)} archives before, {len(after)} after")
    target = world.elsewhere()
    restored = world.command("restore", "latest", "--to", str(target), "--yes", "--accept-unknown-holders",
                             prefix=prefix)  # fmt: skip
    if restored.code != 0 or rows_digest(target) != wanted:
        broken.append(f"'latest' is not what was backed up last: {restored.errors[-200:]}")
    return "held", [f"{what}: {sentence}" for sentence in broken]
