# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two jobs at the same time: each does its work, or ends with a sentence because the other is at work."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, cycle, islice

from fault_jobs import JOBS
from fault_rows import Row, row
from fault_trace import Call, held, record
from fault_world import (
    APPLICATION,
    JOURNAL,
    Before,
    Ended,
    Fresh,
    World,
    commit,
    commit_into_log,
    enlarge,
    rows_digest,
    set_mode,
)

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import read_sidecar
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import run_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_plan import RestoreRequest

ATTACK = "Two jobs at once"
BUSY, NO_ARCHIVE = 7, 6
LOCK_TIMEOUTS_SECONDS = (0, 30)
# The command needs about as long until it begins with its work.
MOST_DELAY_SECONDS = 0.15
HELD_SECONDS = 2.0
BACKUP = ("backup", "--kind", "database", "--force")
# With and without a map of pages by turns, so that every page moves each time.
VACUUMING = """
import itertools, select, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
for mode in itertools.cycle((1, 0)):
    database.execute(f"PRAGMA auto_vacuum = {mode}")
    database.execute("VACUUM")
    print(flush=True)
    if select.select([sys.stdin], [], [], 0.01)[0]:
        break
"""


@dataclass(frozen=True)
class Side:
    """One of the jobs. ``codes``: how it may end when it did not do its work; ``brings``: the digest of the rows that
    the database has when a restore did it; ``done``: whether the work of any other job is done."""

    words: tuple[str, ...]
    codes: tuple[int, ...] = (BUSY,)
    brings: str | None = None
    done: Callable[[World], bool] = lambda world: True


@dataclass(frozen=True)
class Pair:
    """``waits``: who waits for the lock of the archives gets it, so that nobody is told that the other is at work;
    ``beside`` is what else goes on meanwhile."""

    sides: tuple[Side, ...]
    before: Before
    waits: bool = True
    beside: Callable[[World], AbstractContextManager[None]] = lambda world: nullcontext()


def attack(fresh: Fresh, rounds: int) -> Iterator[Row]:
    """Each pair ``rounds`` times: two rounds in which they are started a little apart, two in which one of them is held
    somewhere until the other has ended, and so on. Of two such rounds one has a lock that is not waited for."""
    for name, prepare in PAIRS.items():
        with row(ATTACK, name) as counted:
            world, rng = fresh(), random.Random(name)
            pair = prepare(world)
            places = _places(world, pair, rng, 2 * rounds) if rounds > 2 else []
            for number in range(rounds):
                timeout_seconds = LOCK_TIMEOUTS_SECONDS[number % 2]
                tried = None
                while tried is None:
                    world.reset()
                    world.configure(lock_timeout_seconds=timeout_seconds)
                    with pair.beside(world):
                        tried = _held(world, pair, *places.pop()) if number % 4 > 1 else _apart(world, pair, rng)
                where, endings = tried
                end, broken = _judged(world, pair, endings, timeout_seconds)
                counted.count(end, [f"round {number}, {where}: {sentence}" for sentence in broken])
        yield counted


def _apart(world: World, pair: Pair, rng: random.Random) -> tuple[str, list[Ended]]:
    """Both, one of them later."""
    delays = [rng.uniform(0, MOST_DELAY_SECONDS), 0.0]
    rng.shuffle(delays)
    with ThreadPoolExecutor(len(pair.sides)) as pool:
        endings = list(pool.map(partial(_delayed, world), pair.sides, delays))
    return f"begun after {' and '.join(f'{delay * 1000:.0f}' for delay in delays)} ms", endings


def _places(world: World, pair: Pair, rng: random.Random, count: int) -> list[tuple[int, Call]]:
    """``count`` places where one of them is held, by turns: the number of the side and the call; all over its run, in
    any order."""
    sides: list[list[tuple[int, Call]]] = []
    for number, side in enumerate(pair.sides):
        world.reset()
        calls, _ended = record(world, *side.words)
        sites = {call.site: call for call in calls}
        sides.append([(number, call) for call in rng.sample(list(sites.values()), len(sites))])
    return list(islice(chain.from_iterable(zip(*map(cycle, sides))), count))


def _held(world: World, pair: Pair, number: int, call: Call) -> tuple[str, list[Ended]] | None:
    """One, and the other while it is held; who waits for what the first has would wait for ever. None where this run
    had no such call: how often a lock is looked at differs from run to run."""
    others = [side for side in pair.sides if side is not pair.sides[number]]
    with ThreadPoolExecutor(1) as pool:
        running: list[Future[Ended]] = []

        def meanwhile() -> None:
            running.extend(pool.submit(world.command, *side.words) for side in others)
            wait(running, timeout=HELD_SECONDS)

        reached, ended = held(world, call, pair.sides[number].words, meanwhile)
        if not reached:
            return None
        endings = [job.result() for job in running]
    endings.insert(number, ended)
    return f"{' '.join(pair.sides[number].words[:2])} held at {call}", endings


def _judged(world: World, pair: Pair, endings: Sequence[Ended], timeout_seconds: int) -> tuple[str, list[str]]:
    done = [side for side, ended in zip(pair.sides, endings) if ended.code == 0]
    broken = [sentence for side, ended in zip(pair.sides, endings) for sentence in _broken_ending(side, ended)]
    if not done:
        broken.append(f"none of them did its work: {[ended.errors[-300:] for ended in endings]}")
    if pair.waits and timeout_seconds and any(ended.code == BUSY for ended in endings):
        broken.append(f"the lock was not waited for: {[ended.errors[-300:] for ended in endings]}")
    broken += _broken_work(world, pair, done)
    words = {0: "did their work", BUSY: "one found the other at work", NO_ARCHIVE: "one came too late"}
    return words.get(max(ended.code for ended in endings), "ended otherwise"), broken


def _delayed(world: World, side: Side, delay: float) -> Ended:
    time.sleep(delay)
    return world.command(*side.words)


def _broken_ending(side: Side, ended: Ended) -> list[str]:
    job = " ".join(side.words[:2])
    broken = [f"{job}: a traceback: {ended.errors[-300:]}"] if ended.traceback else []
    if ended.code not in (0, *side.codes):
        broken.append(f"{job} ended with {ended.code}: {ended.errors[-300:]}")
    if ended.code and not ended.errors.strip():
        broken.append(f"{job} ended with {ended.code} without a word")
    return broken


def _broken_work(world: World, pair: Pair, done: Sequence[Side]) -> list[str]:
    """What ended with success is done; the promises hold; the next backup works and leaves nothing behind."""
    before = pair.before
    new = [path.name for path in world.final_archives() if path.name not in before.archives]
    broken = [f"{' '.join(side.words)} ended with success, and its work is not done" for side in done
              if not side.done(world)]
    if len(new) != sum(side.words == BACKUP for side in done):
        broken.append(f"there are {len(new)} new archives")
    brought = [side.brings for side in done if side.brings is not None]
    known = {before.rows, *(side.brings for side in pair.sides)}
    broken += [f"{name} holds other rows than were there" for name in new if rows_of(world, name) not in known]
    broken += [f"{path.name} is called damaged" for path in world.final_archives()
               if (sidecar := read_sidecar(str(path))) is not None and sidecar.verification == "failed"]
    broken += [*world.broken_archives(before), *world.broken_database(*(brought or [before.rows])),
               *world.broken_status(before), *(f"{left} was left" for left in world.leftovers())]
    if (world.database.parent / JOURNAL).exists():
        broken.append("a journal was left")
    ended = world.command("backup")
    if ended.code != 0 or ended.traceback:
        broken.append(f"the next backup ended with {ended.code}: {ended.errors[-300:]}")
    return broken + world.broken_leftovers()


def rows_of(world: World, name: str) -> str:
    """The digest of the rows in an archive."""
    target = world.elsewhere()
    run_restore(RestoreRequest(APPLICATION, str(world.archives), name, target=str(target),
                               key_file=str(world.key_file), accept_unknown_holders=True))  # fmt: skip
    return rows_digest(target)


def _restore(world: World, name: str, *codes: int) -> Side:
    words = ("restore", name, "--yes", "--accept-unknown-holders")
    return Side(words, (BUSY, *codes), brings=rows_of(world, name))


def _two_backups(world: World) -> Pair:
    return Pair((Side(BACKUP), Side(BACKUP)), world.keep())


def _backup_and_restore(world: World) -> Pair:
    """The log holds what the database lacks, and must not meet the other one."""
    commit_into_log(world.database, 30)
    before = world.keep()
    return Pair((Side(BACKUP), _restore(world, before.newest)), before, waits=False)


def _prune(world: World) -> tuple[Side, Before]:
    """Retention that lets go of a chain of the past, of which nothing is left when it is done."""
    prepared = next(job for job in JOBS if job.name == "prune").prepare(world)
    names = sorted(prepared.before.archives)[:2]
    return Side(prepared.words, done=lambda w: not any((w.archives / name).exists() for name in names)), prepared.before


def _backup_and_prune(world: World) -> Pair:
    prune, before = _prune(world)
    return Pair((Side(BACKUP), prune), before)


def _prune_and_restore(world: World) -> Pair:
    """What is restored is what retention takes."""
    prune, before = _prune(world)
    return Pair((prune, _restore(world, sorted(before.archives)[1], NO_ARCHIVE)), before)


def _backup_and_vacuum(world: World, mode: str) -> Pair:
    set_mode(world.database, mode)
    enlarge(world.database)
    return Pair((Side(BACKUP),), world.keep(), beside=vacuuming)


@contextmanager
def vacuuming(world: World) -> Iterator[None]:
    """The application vacuums its database again and again, a first time before the others begin."""
    with subprocess.Popen([sys.executable, "-c", VACUUMING, str(world.database)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "\n"
        try:
            yield
        finally:
            process.stdin.close()
            times = len(process.stdout.readlines())
        assert process.wait(timeout=20) == 0 and times, "nothing was vacuumed meanwhile"


def _backup_and_verify(world: World) -> Pair:
    return Pair((Side(BACKUP), Side(("verify", "all"))), world.keep())


def _backup_and_rotation(world: World) -> Pair:
    before = world.keep()
    old = load_ring(str(world.key_file)).current.id
    return Pair((Side(BACKUP), Side(("key", "rotate"), done=lambda w: _rotated(w, old))), before)


def _rotated(world: World, old: str) -> bool:
    ring = load_ring(str(world.key_file))
    return ring.current.id != old and ring.find(old) is not None


def _two_restores(world: World) -> Pair:
    """Of two archives, so that a mixture would be seen."""
    commit(world.database, 30)
    commit_into_log(world.database, 31)
    before = world.keep()
    one, other = sorted(before.archives)
    return Pair((_restore(world, one), _restore(world, other)), before, waits=False)


PAIRS: dict[str, Callable[[World], Pair]] = {
    "backup and backup": _two_backups,
    "backup and restore of the live database": _backup_and_restore,
    "backup and prune": _backup_and_prune,
    "backup and VACUUM, wal": partial(_backup_and_vacuum, mode="wal"),
    "backup and VACUUM, delete": partial(_backup_and_vacuum, mode="delete"),
    "backup and verify of all": _backup_and_verify,
    "backup and key rotation": _backup_and_rotation,
    "prune and restore of what it removes": _prune_and_restore,
    "restore and restore": _two_restores,
}
