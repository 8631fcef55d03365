# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups, verifications, prunings and restores in any order, with changes between them, against a simple model."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fault_rows import Row, row
from fault_world import APPLICATION, Fresh, World, commit, rows_digest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import load_settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.backup import (
    request_from_settings,
    run_backup,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.check import check_archive
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import run_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_plan import RestoreRequest

ATTACK = "Soak"
STEPS = 50
# The first example that hypothesis tries does next to nothing.
FEWEST = 5
MOST_DRIFT_MEGABYTES = 32


@dataclass
class Counts:
    """What was done over all examples."""

    steps: int = 0
    backups: int = 0
    restores: int = 0


def machine(fresh: Fresh, counts: Counts) -> type[RuleBasedStateMachine]:
    """The operations, and what the model says of them: the rows of each archive, by name."""

    class Cycle(RuleBasedStateMachine):
        archives = Bundle("archives")

        def __init__(self) -> None:
            super().__init__()
            self.world: World = fresh()
            self.ring = load_ring(str(self.world.key_file))
            self.number = 1000
            self.rows: dict[str, str] = {}

        def teardown(self) -> None:
            shutil.rmtree(self.world.root)

        @rule(times=st.integers(1, 5))
        def change(self, times: int) -> None:
            for _time in range(times):
                self.number += 1
                commit(self.world.database, self.number)

        @rule(what=st.sampled_from(["VACUUM", "DELETE FROM essays WHERE id % 5 = 0", "PRAGMA wal_checkpoint(TRUNCATE)",
                                    "CREATE TABLE IF NOT EXISTS more AS SELECT * FROM essays",
                                    "DROP TABLE IF EXISTS more"]))  # fmt: skip
        def upkeep(self, what: str) -> None:
            database = sqlite3.connect(self.world.database, isolation_level=None)
            database.execute(what)
            database.close()

        @rule(target=archives, strategy=st.sampled_from(["full", "differential", "incremental"]),
              keep=st.integers(1, 4))  # fmt: skip
        def backup(self, strategy: str, keep: int) -> str:
            request = request_from_settings(load_settings(str(self.world.etc)), "database")
            # Archives of the same day are never old: retention is tried with a limit in the future by ``prune``.
            result = run_backup(replace(request, strategy=strategy, keep_last=keep))
            assert result.verified and result.archive is not None
            counts.backups += 1
            name = os.path.basename(result.archive)
            self.rows[name] = rows_digest(self.world.database)
            return name

        @rule(name=archives)
        def verify(self, name: str) -> None:
            verdict = check_archive(str(self.world.archives / name), self.ring, level="restore",
                                    scratch=str(self.world.root))  # fmt: skip
            assert verdict.verdict == "passed", verdict

        @rule(name=archives)
        def restore(self, name: str) -> None:
            run_restore(RestoreRequest(APPLICATION, str(self.world.archives), name,
                                       key_file=str(self.world.key_file), safety_days=1,
                                       accept_unknown_holders=True))  # fmt: skip
            counts.restores += 1
            assert rows_digest(self.world.database) == self.rows[name]
            for safety in self.world.database.parent.glob("app.db.before-restore-*"):
                shutil.rmtree(safety)

        @invariant()
        def nothing_is_left(self) -> None:
            counts.steps += 1
            assert not self.world.leftovers()
            assert set(self.rows) <= {path.name for path in self.world.final_archives()}

    return Cycle


def attack(fresh: Fresh, cycles: int) -> Iterator[Row]:
    """About ``cycles`` steps in runs of fifty; file descriptors and memory must not grow from the first run on."""
    with row(ATTACK, "cycles of changes, backups, verifications and restores") as counted:
        counts = Counts()
        bounds: dict[str, Any] = {"stateful_step_count": STEPS, "deadline": None, "database": None,
                                  "derandomize": True, "suppress_health_check": list(HealthCheck)}  # fmt: skip
        run_state_machine_as_test(machine(fresh, counts), settings=settings(max_examples=FEWEST, **bounds))
        before = _used()
        try:
            examples = max(FEWEST, cycles // STEPS)
            run_state_machine_as_test(machine(fresh, counts), settings=settings(max_examples=examples, **bounds))
        except AssertionError as error:
            counted.broken.append(f"the model and the command differ: {str(error)[:500]}")
        gc.collect()
        after = _used()
        counted.tried = counts.steps
        counted.ended.update({"backups": counts.backups, "restores": counts.restores})
        if after[0] > before[0]:
            counted.broken.append(f"{before[0]} file descriptors at first, {after[0]} at the end")
        if after[1] > before[1] + MOST_DRIFT_MEGABYTES:
            counted.broken.append(f"{before[1]} MB of memory at first, {after[1]} MB at the end")
    yield counted


def _used() -> tuple[int, int]:
    """Open file descriptors, and the greatest memory so far in MB."""
    return len(list(Path("/proc/self/fd").iterdir())), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
