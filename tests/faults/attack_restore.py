# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores onto a target that is in use, or beside which files of another history lie."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path

from attack_writers import writing
from fault_rows import Row, row
from fault_world import Fresh, World, commit, make_database, rows_digest, sha256

ATTACK = "Restore under fire"
SIDECARS = ("-wal", "-shm", "-journal")
RESTORE = ("restore", "latest", "--yes", "--accept-unknown-holders")


def attack(fresh: Fresh, times: int) -> Iterator[Row]:
    """All combinations of stale files, other kinds of targets, and ``times`` restores under a running application."""
    for origin in ("this database", "another database"):
        with row(ATTACK, f"stale -wal, -shm and -journal of {origin}, all combinations") as counted:
            world = fresh()
            wanted = archived(world)
            stale = stale_sidecars(world, origin)
            world.keep()
            for present in chain.from_iterable(combinations(SIDECARS, count) for count in range(4)):
                world.reset()
                counted.count(*beside(world, wanted, stale, present))
        yield counted
    with row(ATTACK, "target is a link, missing, on another file system, or of another owner and mode") as counted:
        world = fresh()
        wanted = archived(world)
        world.keep()
        for act in (_symlinked, _hard_linked, _missing, _on_another_file_system, owned):
            world.reset()
            counted.count(*act(world, wanted))
    yield counted
    with row(ATTACK, "the application is running and writing") as counted:
        world = fresh()
        archived(world)
        for _time in range(times):
            with writing(world, 20.0):
                ended = world.command(*RESTORE)
            broken = [] if ended.code == 7 else [f"exit code {ended.code} under a running application"]
            counted.count("were refused", broken + world.broken_database(rows_digest(world.database)))
    yield counted


def archived(world: World) -> str:
    """The digest of the rows of the newest archive, after which the application went on."""
    world.backup()
    wanted = rows_digest(world.database)
    commit(world.database, 50)
    return wanted


def stale_sidecars(world: World, origin: str) -> dict[str, bytes]:
    """Content of sidecars that a killed application left: a log and an index, and the journal of a rollback mode."""
    place = world.root / f"stale-{origin.split()[0]}"
    place.mkdir()
    path = place / "app.db"
    if origin == "this database":
        for name in os.listdir(world.database.parent):
            shutil.copy(world.database.parent / name, place)
    else:
        make_database(path, "wal")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("SELECT count(*) FROM essays").fetchone()
    commit(path, 60)
    found = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("-wal", "-shm")}
    holder.close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode = delete")
    holder.execute("PRAGMA cache_size = 1")
    holder.execute("BEGIN IMMEDIATE")
    holder.execute("UPDATE essays SET content = content || 'x'")
    found["-journal"] = Path(f"{path}-journal").read_bytes()
    holder.execute("ROLLBACK")
    holder.close()
    assert all(found.values())
    return found


def _restored(world: World, wanted: str, target: Path) -> tuple[str, list[str]]:
    ended = world.command(*RESTORE)
    if ended.code != 0:
        return "were refused", [f"a traceback: {ended.errors[-200:]}"] if ended.traceback else []
    broken = [] if rows_digest(target) == wanted else ["the restored database has other rows than the archive"]
    return "came back whole", [*broken, *world.broken_database(wanted), *world.broken_leftovers()]


def beside(world: World, wanted: str, stale: dict[str, bytes], present: tuple[str, ...]) -> tuple[str, list[str]]:
    for suffix in SIDECARS:
        Path(f"{world.database}{suffix}").unlink(missing_ok=True)
    for suffix in present:
        Path(f"{world.database}{suffix}").write_bytes(stale[suffix])
    end, broken = _restored(world, wanted, world.database)
    if end != "came back whole":
        broken.append("it was not restored")
    return end, [f"beside {', '.join(present) or 'nothing'}: {sentence}" for sentence in broken]


def _symlinked(world: World, wanted: str) -> tuple[str, list[str]]:
    real = world.live / "elsewhere" / "real.db"
    real.parent.mkdir()
    _closed(world.database)
    world.database.rename(real)
    world.database.symlink_to(real)
    end, broken = _restored(world, wanted, world.database)
    if not world.database.is_symlink():
        broken.append("the symbolic link is gone")
    return end, [f"symbolic link: {sentence}" for sentence in broken]


def _hard_linked(world: World, wanted: str) -> tuple[str, list[str]]:
    other = world.live / "data" / "other-name.db"
    _closed(world.database)
    os.link(world.database, other)
    before = sha256(other)
    end, broken = _restored(world, wanted, world.database)
    if sha256(other) != before:
        broken.append("the file under its other name was changed")
    return end, [f"hard link: {sentence}" for sentence in broken]


def _missing(world: World, wanted: str) -> tuple[str, list[str]]:
    for path in world.database.parent.glob("app.db*"):
        path.unlink()
    end, broken = _restored(world, wanted, world.database)
    return end, [f"missing: {sentence}" for sentence in broken]


def _on_another_file_system(world: World, wanted: str) -> tuple[str, list[str]]:
    """The directory of the database leads into memory."""
    _closed(world.database)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        assert os.stat(memory).st_dev != world.archives.stat().st_dev
        shutil.copy(world.database, memory)
        shutil.rmtree(world.database.parent)
        world.database.parent.symlink_to(memory)
        end, broken = _restored(world, wanted, world.database)
        if end != "came back whole":
            broken.append("it was not restored")
    return end, [f"another file system: {sentence}" for sentence in broken]


def owned(world: World, wanted: str) -> tuple[str, list[str]]:
    _closed(world.database)
    uid = 4321 if os.geteuid() == 0 else os.geteuid()
    os.chown(world.database, uid, -1)
    world.database.chmod(0o640)
    end, broken = _restored(world, wanted, world.database)
    status = world.database.stat()
    if (status.st_uid, status.st_mode & 0o7777) != (uid, 0o640):
        broken.append(f"owner {status.st_uid} and mode {status.st_mode & 0o7777:o}")
    return end, [f"owner and mode: {sentence}" for sentence in broken]


def _closed(path: Path) -> None:
    """No log and no index beside it."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
