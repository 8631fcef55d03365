# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases with damaged bytes: a backup refuses them, and says why, unless no check can see the damage."""

from __future__ import annotations

import random
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from fault_rows import Row, row
from fault_world import Before, Fresh, World, commit_into_log, integrity, rows_digest

from ansible_collections.feedforward.maintenance.plugins.module_utils.config import load_settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import MaintenanceError
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.backup import (
    BackupRequest,
    request_from_settings,
    run_backup,
)

ATTACK = "Damage to databases"
PAGE_BYTES = 4096
LEAF, INTERIOR = (0x0A, 0x0D), (0x02, 0x05)


def attack(fresh: Fresh, mutants: int) -> Iterator[Row]:
    """``mutants`` in all, a fifth in each part of the database."""
    world = fresh()
    before = world.keep()
    request = replace(request_from_settings(load_settings(str(world.etc)), "database"), deadline_seconds=20)
    parts: dict[str, Callable[[random.Random, World], str]] = {
        "header": _header, "pages of b-trees": _tree, "overflow chains": _overflow, "list of free pages": _free,
        "write-ahead log": _log}  # fmt: skip
    for name, damage in parts.items():
        with row(ATTACK, name) as counted:
            for seed in range(mutants // len(parts)):
                _restore_files(world)
                what = damage(random.Random(seed), world)
                counted.count(*_backed_up(world, before, request, f"{name}, mutant {seed}: {what}"))
        yield counted


def _restore_files(world: World) -> None:
    """The database as it was kept; the archives of the mutants before stay until there are many."""
    for path in world.database.parent.iterdir():
        path.unlink()
    for path in (world.root / "kept" / "data").iterdir():
        shutil.copy(path, world.database.parent)
    if len(world.final_archives()) > 20:
        world.reset()


def _backed_up(world: World, before: Before, request: BackupRequest, what: str) -> tuple[str, list[str]]:
    rows = _rows(world.database)
    names = {path.name for path in world.final_archives()}
    try:
        result = run_backup(request)
    except MaintenanceError as error:
        kept = {path.name for path in world.final_archives()}
        broken = [] if names <= kept else [f"{what}: {names - kept} went although the backup failed"]
        broken += [f"{what}: {left} was left" for left in world.leftovers()]
        return "were refused" if str(error) else "ended without a word", broken
    except Exception as error:
        return "ended otherwise", [f"{what}: {type(error).__name__}: {error}"]
    if result.outcome == "unchanged" or rows == before.rows:
        return "changed no row", []
    if (world.archives / before.newest).exists():
        # Sound for every check that SQLite has: without a baseline nobody can see it.
        return "cannot be seen without a baseline", _says_no_more(world, what)
    return "pushed a good archive out", [f"{what}: {before.newest} is gone"]


def _says_no_more(world: World, what: str) -> list[str]:
    """A backup of a database that SQLite itself calls damaged would be a false "verified"."""
    try:
        problems = integrity(world.database)
    except sqlite3.Error as error:
        problems = [str(error)]
    problems = [problem for problem in problems if not problem.startswith("the ledger")]
    return [f"{what}: backed up as sound, and SQLite says {problems[:2]}"] if problems else []


def _rows(path: Path) -> str | None:
    try:
        return rows_digest(path)
    except (sqlite3.Error, UnicodeDecodeError, ValueError):
        return None


def _write(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(data)


def _noise(rng: random.Random, path: Path, first: int, length: int) -> str:
    """One flipped bit, one other byte, or several, between ``first`` and ``first + length``."""
    data = path.read_bytes()
    place = first + rng.randrange(length)
    count = rng.choice((1, 1, 1, 2, 4, 16))
    piece = bytes((data[place] ^ (1 << rng.randrange(8)),)) if count == 1 else rng.randbytes(count)
    _write(path, place, piece[:first + length - place])
    return f"{len(piece)} bytes at {place}"


def _header(rng: random.Random, world: World) -> str:
    return _noise(rng, world.database, 0, 100)


def _pages(world: World, kinds: tuple[int, ...]) -> list[int]:
    """Numbers, from 0, of the pages whose first byte (of page 0: after the header) is one of ``kinds``."""
    data = world.database.read_bytes()
    return [number for number in range(len(data) // PAGE_BYTES)
            if data[number * PAGE_BYTES + (100 if number == 0 else 0)] in kinds]  # fmt: skip


def _tree(rng: random.Random, world: World) -> str:
    number = rng.choice(_pages(world, LEAF + INTERIOR))
    first = number * PAGE_BYTES + (100 if number == 0 else 0)
    # The header and the array of cells of a page are small: half of the mutants go there.
    return _noise(rng, world.database, first, 40 if rng.random() < 0.5 else PAGE_BYTES - 100)


def _overflow(rng: random.Random, world: World) -> str:
    """The pointer to the next page, which is the first four bytes of a page that is no b-tree."""
    number = rng.choice([n for n in range(1, world.database.stat().st_size // PAGE_BYTES)
                         if n not in set(_pages(world, LEAF + INTERIOR))])  # fmt: skip
    if rng.random() < 0.5:
        target = rng.choice((0, 1, number + 1, rng.randrange(1 << 32), rng.randrange(1, 60)))
        _write(world.database, number * PAGE_BYTES, struct.pack(">I", target))
        return f"the pointer of page {number + 1} is {target}"
    return _noise(rng, world.database, number * PAGE_BYTES, PAGE_BYTES)


def _free(rng: random.Random, world: World) -> str:
    """First page and length of the list, in the header, and the trunk pages themselves."""
    trunk, _count = struct.unpack(">II", world.database.read_bytes()[32:40])
    if not trunk or rng.random() < 0.4:
        return _noise(rng, world.database, 32, 8)
    return _noise(rng, world.database, (trunk - 1) * PAGE_BYTES, 64)


def _log(rng: random.Random, world: World) -> str:
    """Frames that were committed and not yet brought into the database: SQLite ends the log at the first bad one."""
    commit_into_log(world.database, 30)
    log = Path(f"{world.database}-wal")
    return "in the log: " + _noise(rng, log, 0, log.stat().st_size)
