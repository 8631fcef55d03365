# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All attacks by name, and how often each is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import attack_archive
import attack_clock
import attack_database
import attack_disk
import attack_errors
import attack_kill
import attack_planted
import attack_power
import attack_restore
import attack_short_writes
import attack_soak
import attack_together
import attack_writers
from fault_rows import Row
from fault_world import Fresh


@dataclass(frozen=True)
class Budget:
    """``calls``: places in each job where it is killed, and half as many where a call fails; ``moments``: of each job
    at which the power fails; ``flips``: bits of archives, and in proportion the other damages; ``by_command``: damaged
    archives of each kind for the command; ``mutants``: damaged databases; ``sizes`` of full disks, and ``stops``:
    places in each job at which the disk turns read-only; ``backups`` beside each writer; ``rounds`` of each two jobs at
    once; ``cycles`` of the soak; planted ``defects``."""

    calls: int
    moments: int
    flips: int
    by_command: int
    mutants: int
    sizes: int
    stops: int
    backups: int
    rounds: int
    cycles: int
    defects: int = 12


TEST = Budget(calls=3, moments=4, flips=200, by_command=2, mutants=50, sizes=3, stops=2, backups=2, rounds=2,
              cycles=50, defects=2)  # fmt: skip
SHORT = Budget(calls=40, moments=20, flips=10_000, by_command=100, mutants=2_000, sizes=20, stops=5, backups=7,
               rounds=16, cycles=1_000)  # fmt: skip
LONG = Budget(calls=10_000, moments=400, flips=200_000, by_command=1_000, mutants=20_000, sizes=60, stops=60,
              backups=50, rounds=200, cycles=10_000)  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """``run`` tries as many faults as the budget says; ``needs`` names programs, and root."""

    run: Callable[[Fresh, Budget], Iterator[Row]]
    needs: tuple[str, ...] = ()


CALLS = ("strace", "faketime")
DISK = ("strace", "faketime", "mkfs.ext4", "root")

ATTACKS = {
    "kill": Attack(lambda fresh, budget: attack_kill.attack(fresh, budget.calls), CALLS),
    "errors": Attack(lambda fresh, budget: attack_errors.attack(fresh, (budget.calls + 1) // 2), CALLS),
    "power": Attack(lambda fresh, budget: attack_power.attack(fresh, budget.moments), CALLS),
    "full": Attack(lambda fresh, budget: attack_disk.full(fresh, budget.sizes), DISK),
    "read-only": Attack(lambda fresh, budget: attack_disk.read_only(fresh, budget.stops), DISK),
    "short-writes": Attack(lambda fresh, budget: attack_short_writes.attack(fresh, budget.backups),
                           ("faketime", "fusermount3")),
    "archives": Attack(lambda fresh, budget: attack_archive.attack(fresh, budget.flips, budget.by_command)),
    "databases": Attack(lambda fresh, budget: attack_database.attack(fresh, budget.mutants)),
    "writers": Attack(lambda fresh, budget: attack_writers.attack(fresh, budget.backups)),
    "together": Attack(lambda fresh, budget: attack_together.attack(fresh, budget.rounds), CALLS),
    "restore": Attack(lambda fresh, budget: attack_restore.attack(fresh, budget.backups)),
    "clock": Attack(lambda fresh, _budget: attack_clock.attack(fresh), ("faketime",)),
    "soak": Attack(lambda fresh, budget: attack_soak.attack(fresh, budget.cycles)),
    "planted": Attack(lambda _fresh, budget: attack_planted.attack(budget.defects)),
}
