# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thirty days of which each changes 1 % of the rows: the bytes that every way of backing up keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .data import SEED
from .ours import FULL, INCREMENTAL, Command
from .processes import NotMeasured, settle, stored_bytes
from .subjects import Subject
from .workspace import BASE, Workspace

DAYS = 30
WEEK_DAYS = 7
WEEKLY, MONTHLY = "ours, weekly full", "ours, monthly full"
DAILY_FULL = "daily full archives"
Backup = Callable[[int], None]


@dataclass
class Arm:
    """One way to back up every day; ``kept`` is the directory whose bytes count, ``by_day`` those bytes so far."""

    name: str
    kept: Path
    backup: Backup
    by_day: list[int]
    reason: str = ""


def measure_month(space: Workspace, command: Command, peers: Sequence[Subject], *, days: int,
                  tell: Callable[[str], None]) -> dict[str, Any]:
    """Cumulative bytes by arm and day, and why an arm has none."""
    space.put(BASE)
    arms = [*_our_arms(space, command), *(_peer_arm(space, peer) for peer in peers)]
    for day in range(days):
        if day:
            space.change("scattered", SEED + 1000 + day)
        for arm in arms:
            _do_day(arm, day)
        settle()
        tell(f"day {day + 1} of {days}: " + ", ".join(f"{arm.name} {arm.by_day[-1] / 1e6:.0f} MB" for arm in arms
                                                      if not arm.reason))
    return {"megabytes": space.megabytes, "days": days,
            "cumulative_bytes": {arm.name: arm.by_day for arm in arms if not arm.reason},
            "skipped": {arm.name: arm.reason for arm in arms if arm.reason}}


def _do_day(arm: Arm, day: int) -> None:
    if arm.reason:
        return
    try:
        arm.backup(day)
    except NotMeasured as reason:
        arm.reason = str(reason)
    arm.by_day.append(stored_bytes(arm.kept))


def strategy_of(day: int, full_every_days: int) -> str:
    """What the schedule makes on ``day``, counted from 0."""
    return FULL if day % full_every_days == 0 else INCREMENTAL


def _our_arms(space: Workspace, command: Command) -> list[Arm]:
    return [_our_arm(space, command, WEEKLY, WEEK_DAYS), _our_arm(space, command, MONTHLY, DAYS),
            _our_arm(space, command, DAILY_FULL, 1)]


def _our_arm(space: Workspace, command: Command, name: str, full_every_days: int) -> Arm:
    kept = space.place("month", name.replace(",", "").replace(" ", "-"))

    def backup(day: int) -> None:
        strategy = strategy_of(day, full_every_days)
        command.backup(kept, strategy=strategy, more=_longer_chain(command, full_every_days))

    return Arm(name, kept, backup, [])


def _longer_chain(command: Command, full_every_days: int) -> list[str]:
    """Chains end after a week unless the command is told otherwise."""
    return command.choose("--chain-limit", str(max(full_every_days, WEEK_DAYS)), str(WEEK_DAYS))


def _peer_arm(space: Workspace, peer: Subject) -> Arm:
    store = space.place("month", peer.name)

    def backup(_day: int) -> None:
        peer.increment(store, space.source)

    arm = Arm(peer.name, store / "repo", backup, [])
    try:
        arm.reason = peer.lacking()
        if not arm.reason:
            peer.begin(store)
    except NotMeasured as reason:
        arm.reason = str(reason)
    return arm
