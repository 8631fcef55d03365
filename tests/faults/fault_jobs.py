# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that are interrupted: what each starts from, and what must hold when it was interrupted anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fault_trace import Call, record
from fault_world import JOURNAL, Before, Ended, Fresh, World, commit, rows_digest

CODES = range(1, 9)


@dataclass(frozen=True)
class Prepared:
    """A job that is about to be run on a world that was kept. ``new`` is the digest of the rows that a restore brings;
    ``done`` tells after the next run whether the job is finished."""

    words: tuple[str, ...]
    before: Before
    new: str | None = None
    done: Callable[[World], bool] = field(default=lambda world: True)

    def broken_now(self, world: World) -> list[str]:
        """The promises that hold at once: 1 to 4, and the record of 6."""
        broken = world.broken_archives(self.before, restores=False) + world.broken_status(self.before)
        if self.new is None:
            return broken + world.broken_database(self.before.rows)
        if (world.database.parent / JOURNAL).exists():
            return broken
        return broken + world.broken_database(self.before.rows, self.new)

    def judged(self, world: World, ended: Ended) -> tuple[str, list[str]]:
        """How a run ended into which something failed: with success, which must be true, or with a sentence."""
        broken = self.broken_now(world)
        if ended.traceback:
            broken.append(f"a traceback: {ended.errors[-300:]}")
        if ended.code == 0:
            return "did not matter", broken + ([] if self.done(world) else ["exit code 0, and the job is not done"])
        if ended.code not in CODES:
            return "ended otherwise", [*broken, f"exit code {ended.code}: {ended.errors[-300:]}"]
        return "were reported", broken + ([] if ended.errors.strip() else [f"exit code {ended.code} without a word"])

    def broken_after_next_run(self, world: World) -> list[str]:
        """The next run of the same command finishes the job, and leaves nothing behind."""
        ended = world.command(*self.words)
        broken = []
        if ended.code != 0 or ended.traceback:
            broken.append(f"the next run ended with {ended.code}: {ended.errors[-300:]}")
        if not self.done(world):
            broken.append("the next run did not finish the job")
        if (world.database.parent / JOURNAL).exists():
            broken.append("the journal is there after the next run")
        wanted = self.before.rows if self.new is None else self.new
        return [*broken, *world.broken_leftovers(), *world.broken_database(wanted),
                *world.broken_archives(self.before), *world.broken_status(self.before)]  # fmt: skip


@dataclass(frozen=True)
class Job:
    """``prepare`` builds on a fresh world and keeps it."""

    name: str
    prepare: Callable[[World], Prepared]


def _backup(world: World, *options: str) -> Prepared:
    before = world.keep()
    return Prepared(("backup", "--kind", "database", *options), before,
                    done=lambda w: len(w.final_archives()) > len(before.archives))  # fmt: skip


def _prune(world: World) -> Prepared:
    """A chain of the past, which retention lets go, and one of today."""
    for path in world.archives.iterdir():
        path.unlink()
    for number, days in enumerate((40, 39)):
        commit(world.database, 10 + number)
        world.backup_of_the_past(days)
    for number, options in enumerate((("--strategy", "full"), ())):
        commit(world.database, 12 + number)
        assert world.command("backup", *options).code == 0
    before = world.keep()
    assert len(before.archives) == 4
    return Prepared(("prune", "--retention-days", "7", "--keep-last", "2"), before,
                    done=lambda w: len(w.final_archives()) == 2)  # fmt: skip


def _restore(world: World, *options: str) -> Prepared:
    """The application has gone on since the newest archive; its rows of then come back."""
    new = rows_digest(world.database)
    world.backup()
    commit(world.database, 20)
    commit(world.database, 21)
    return Prepared(("restore", "latest", "--yes", "--accept-unknown-holders", *options), world.keep(), new)


def _undo(world: World) -> Prepared:
    prepared = _restore(world)
    old = prepared.before.rows
    assert world.command(*prepared.words).code == 0
    (safety,) = world.database.parent.glob("app.db.before-restore-*")
    return Prepared(("restore", "--undo", str(safety), "--yes", "--accept-unknown-holders"), world.keep(), old)


def _rotate(world: World) -> Prepared:
    return Prepared(("key", "rotate"), world.keep())


JOBS = (
    Job("backup, full", lambda world: _backup(world, "--strategy", "full")),
    Job("backup, increment", _backup),
    Job("prune", _prune),
    Job("restore of a chain", _restore),
    Job("undo of a restore", _undo),
    Job("key rotation", _rotate),
)


def recorded(fresh: Fresh) -> Iterator[tuple[str, World, Prepared, list[Call]]]:
    """Each job in a world of its own: its name, and the calls of a run that change something."""
    for job in JOBS:
        world = fresh()
        prepared = job.prepare(world)
        calls, ended = record(world, *prepared.words)
        assert ended.code == 0, ended
        yield job.name, world, prepared, calls
