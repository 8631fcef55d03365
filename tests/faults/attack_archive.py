# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are not as they were written: each is detected, none is restored."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from fault_forgery import BOMBS, HOSTILE, LYING, MARK, Hostile, harmless, written
from fault_rows import Row, row
from fault_world import APPLICATION, LIMIT_SECONDS, Fresh, World, commit, rows_digest
from forgery import change_manifest, rewrite

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive import libraries
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import create_key, load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.manifest import SCHEMA_VERSION
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import load_settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.backup import (
    BackupRequest,
    request_from_settings,
    run_backup,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.check import check_archive

ATTACK = "Damage to archives"
MOST_MEMORY_MEGABYTES = 300
# Between the two, because a child inherits the peak of the process that starts it. The alarm outlives the exec.
MEASURED = """
import os, signal, sys
process = os.fork()
if not process:
    signal.alarm(int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
_process, status, used = os.wait4(process, 0)
with open(sys.argv[1], "a") as told:
    print(used.ru_maxrss, file=told)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""
Damage = Callable[[random.Random, bytearray], str]
Fault = Callable[..., "tuple[str, list[str]]"]
"""Called with a world, its newest archive and ``seed``."""


def flip(rng: random.Random, data: bytearray) -> str:
    """One bit anywhere."""
    place, bit = rng.randrange(len(data)), rng.randrange(8)
    data[place] ^= 1 << bit
    return f"bit {bit} of byte {place}"


def truncate(rng: random.Random, data: bytearray) -> str:
    """The end is missing."""
    size = rng.randrange(len(data))
    del data[size:]
    return f"cut to {size} bytes"


def swap(rng: random.Random, data: bytearray) -> str:
    """Two pieces of equal length change places."""
    length = rng.choice([length for length in (1, 16, 512, 4096) if length * 4 < len(data)])
    one, other = sorted(rng.sample(range(0, len(data) - length, length), 2))
    if data[one:one + length] == data[other:other + length]:
        return flip(rng, data)
    data[one:one + length], data[other:other + length] = data[other:other + length], data[one:one + length]
    return f"{length} bytes at {one} and {other} swapped"


def duplicate(rng: random.Random, data: bytearray) -> str:
    """A piece stands there twice."""
    length, place = rng.choice((1, 16, 512, 4096)), rng.randrange(len(data))
    piece = data[place:place + length]
    data[place:place] = piece
    return f"{len(piece)} bytes at {place} twice"


def overwrite(rng: random.Random, data: bytearray) -> str:
    """Zeros where a sector could not be read."""
    place = rng.randrange(0, len(data), 512)
    if not any(data[place:place + 512]):
        return flip(rng, data)
    data[place:place + 512] = bytes(min(512, len(data) - place))
    return f"zeros from {place}"


KINDS: dict[str, tuple[Damage, int]] = {
    "single-bit flips": (flip, 100),
    "truncations": (truncate, 10),
    "pieces swapped": (swap, 5),
    "pieces doubled": (duplicate, 5),
    "sectors of zeros": (overwrite, 5),
}
"""How each kind damages, and what share of the points (in parts of 100) it gets."""


def attack(fresh: Fresh, flips: int, by_command: int) -> Iterator[Row]:
    """``flips`` single bits and as many of the other kinds as the table says, by the engine in this process, and
    ``by_command`` of each kind by the command as well. Archives are encrypted and not, gzip and zstd."""
    world = fresh()
    before = world.keep()
    for archive in _archives(world):
        for name, (damage, share) in KINDS.items():
            with row(ATTACK, f"{name}: {archive.name.split('Z', 1)[1][1:]}") as counted:
                for seed in range(max(1, flips * share // 400)):
                    counted.count(*_judged(world, archive, damage, seed))
            yield counted
    newest = world.archives / before.newest
    crew = _crew(world, before.newest, fresh, by_command)
    for name, (damage, _share) in KINDS.items():
        with row(ATTACK, f"{name}: verify and restore by the command") as counted:
            _share_out(counted, crew, by_command, partial(_refused, damage=damage))
        yield counted
    with row(ATTACK, "the archive of another key, renamed archives, a later format") as counted:
        for act in (_another_key, _renamed, _swapped_with_its_base, _later_format):
            world.reset()
            counted.count("were detected", act(world, newest))
    yield counted
    # They take seconds each, so that a short run tries each third of them.
    yield _hostile(fresh(), BOMBS if by_command >= 10 else BOMBS[::3])
    with row(ATTACK, "damage to sidecars: the verdict stays") as counted:
        _share_out(counted, crew, max(10, by_command), _sidecar)
    yield counted


def _crew(world: World, newest: str, fresh: Fresh, most: int) -> list[tuple[World, Path]]:
    """A world for each processor, and in each its newest archive: the command is a process of its own, so that they
    are attacked at the same time."""
    crew = [(world, world.archives / newest)]
    for _processor in range(min(os.cpu_count() or 1, most) - 1):
        another = fresh()
        crew.append((another, another.archives / another.keep().newest))
    return crew


def _share_out(counted: Row, crew: Sequence[tuple[World, Path]], most: int, fault: Fault) -> None:
    """Seeds 0 to ``most`` go to the worlds by turns."""

    def of_one(number: int) -> list[tuple[str, list[str]]]:
        world, archive = crew[number]
        found = []
        for seed in range(number, most, len(crew)):
            world.reset()
            found.append(fault(world, archive, seed=seed))
        return found

    with ThreadPoolExecutor(len(crew)) as pool:
        for found in pool.map(of_one, range(len(crew))):
            for end, broken in found:
                counted.count(end, broken)


def _methods() -> tuple[str, ...]:
    """The codecs that Python has here."""
    return ("gzip", "zstd") if libraries.STDLIB_ZSTD or libraries.ZSTANDARD else ("gzip",)


def _archives(world: World) -> list[Path]:
    """A full archive of each codec, encrypted and not, beside the world."""
    made = []
    for method in _methods():
        for key_file in (str(world.key_file), None):
            place = world.root / f"{method}-{'encrypted' if key_file else 'plain'}"
            place.mkdir()
            result = run_backup(BackupRequest(APPLICATION, "database", str(place), (str(world.database),),
                                              key_file=key_file, compression=method))  # fmt: skip
            assert result.archive is not None
            made.append(Path(result.archive))
    return made


def _judged(world: World, archive: Path, damage: Damage, seed: int) -> tuple[str, list[str]]:
    """The engine's verdict about a damaged copy of the same name."""
    data = bytearray(archive.read_bytes())
    what = damage(random.Random(seed), data)
    place = world.root / "damaged"
    place.mkdir(exist_ok=True)
    copy = place / archive.name
    copy.write_bytes(data)
    # The sidecar stays: it is what an administrator has beside the damaged archive.
    shutil.copy(f"{archive}.json", place)
    verdict = check_archive(str(copy), load_ring(str(world.key_file)), level="checksums")
    broken = [] if verdict.verdict == "failed" and verdict.problems else [f"{archive.name}, {what}: {verdict.verdict}"]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if memory > MOST_MEMORY_MEGABYTES:
        broken.append(f"{archive.name}, {what}: {memory} MB of memory")
    return "were detected", broken


def _refused(world: World, archive: Path, *, damage: Damage, seed: int) -> tuple[str, list[str]]:
    """The command's verify and restore of the damaged archive: an error each, and the database as it was."""
    data = bytearray(archive.read_bytes())
    what = damage(random.Random(seed), data)
    archive.write_bytes(data)
    return "were detected", [f"{what}: {sentence}" for sentence in _is_refused(world, archive.name)]


def _is_refused(world: World, name: str, codes: Sequence[int] = (5, 6), says: str = "", *,
                prefix: Sequence[str] = ()) -> list[str]:  # fmt: skip
    """What was not right: both commands end with one of ``codes`` and a sentence in which ``says`` occurs."""
    rows, broken = rows_digest(world.database), []
    verified = world.command("verify", name, prefix=prefix)
    restored = world.command("restore", name, "--yes", "--accept-unknown-holders", prefix=prefix)
    for job, ended in (("verify", verified), ("restore", restored)):
        if ended.code not in codes:
            broken.append(f"{job} ended with {ended.code}")
        if ended.traceback or not ended.errors.strip() or says not in ended.errors:
            broken.append(f"{job} said: {(ended.errors or ended.output)[-200:]}")
    return [*broken, *world.broken_database(rows), *(f"{left} was left" for left in world.leftovers())]


def _another_key(world: World, archive: Path) -> list[str]:
    """The key file is another one, without the older keys beside it."""
    shutil.rmtree(world.key_file.parent)
    world.key_file.parent.mkdir(mode=0o700)
    create_key(str(world.key_file))
    return [f"another key: {sentence}" for sentence in _is_refused(world, archive.name)]


def _renamed(world: World, archive: Path) -> list[str]:
    """It has the name of an archive of another day."""
    name = archive.name.replace("-20", "-19", 1)
    archive.rename(archive.with_name(name))
    return [f"renamed: {sentence}" for sentence in _is_refused(world, name)]


def _swapped_with_its_base(world: World, archive: Path) -> list[str]:
    """The increment and its base change names."""
    base = next(path for path in world.final_archives() if path != archive)
    content = archive.read_bytes()
    archive.write_bytes(base.read_bytes())
    base.write_bytes(content)
    return [f"swapped with its base: {sentence}" for sentence in _is_refused(world, archive.name)]


def _later_format(world: World, archive: Path) -> list[str]:
    """Its manifest has the next version, and a field that nobody knows yet: that is no damage."""
    rewrite(world, archive, lambda members: change_manifest(
        members, schema_version=SCHEMA_VERSION + 1, software={"collection": "3.1.0"}, invention=True))  # fmt: skip
    sidecar = Path(f"{archive}.json")
    before = sidecar.read_bytes()
    broken = _is_refused(world, archive.name, (6,), "Upgrade the collection on this host")
    if sidecar.read_bytes() != before:
        broken.append("a verdict on it was recorded")
    return [f"a later format: {sentence}" for sentence in broken]


def _hostile(world: World, bombs: Sequence[Hostile]) -> Row:
    """Each archive that somebody made to do harm, and first of each codec one that was forged like them and is good."""
    with row(ATTACK, "hostile archives, well compressed, with the right key") as counted:
        request = request_from_settings(load_settings(str(world.etc)), "database", strategy="full", force=True)
        made = {method: run_backup(replace(request, compression=method)).archive for method in _methods()}
        commit(world.database, 30)
        world.keep()
        most = 0
        for method, archive in made.items():
            path = Path(str(archive))
            world.reset()
            written(world, path, method, harmless)
            counted.count("was good and restored", _is_taken(world, path.name))
            for hostile in (*bombs, *(HOSTILE if method == "gzip" else [LYING])):
                world.reset()
                written(world, path, method, hostile.forge)
                megabytes, broken = _is_harmless(world, path.name, hostile)
                most = max(most, megabytes)
                counted.count("were refused", [f"{hostile.name}, {method}: {sentence}" for sentence in broken])
        counted.figures["memory of the command at most"] = f"{most} MB"
    return counted


def _is_taken(world: World, name: str) -> list[str]:
    restore = ("restore", name, "--yes", "--accept-unknown-holders")
    codes = [world.command("verify", name).code, world.command(*restore).code]
    return [] if codes == [0, 0] else [f"{name}, forged without harm: verify and restore ended with {codes}"]


def _is_harmless(world: World, name: str, hostile: Hostile) -> tuple[int, list[str]]:
    """It is refused for what it is, within the time and the memory that any archive may take, and left no trace. The
    memory is told as well, in MB."""
    memory = world.root / "memory"
    memory.write_text("0\n", encoding="ascii")
    prefix = (sys.executable, "-IS", "-c", MEASURED, str(memory), str(LIMIT_SECONDS - 5))
    broken = _is_refused(world, name, hostile.codes, hostile.says, prefix=prefix)
    megabytes = max(map(int, memory.read_text(encoding="ascii").split())) >> 10
    if not 0 < megabytes < MOST_MEMORY_MEGABYTES:
        broken.append(f"{megabytes} MB of memory")
    strange = [path for path in world.root.rglob("*") if MARK in path.name or not (path.is_file() or path.is_dir())]
    return megabytes, broken + [f"{path} is there" for path in strange]


def _sidecar(world: World, archive: Path, *, seed: int) -> tuple[str, list[str]]:
    """Whatever the sidecar says, a good archive passes and a damaged one fails."""
    rng = random.Random(seed)
    sidecar = Path(f"{archive}.json")
    data = bytearray(sidecar.read_bytes())
    (flip, truncate, overwrite)[seed % 3](rng, data)
    sidecar.write_bytes(data)
    broken = [] if world.command("verify", archive.name).code == 0 else ["a good archive does not pass beside it"]
    sidecar.write_bytes(data)
    content = bytearray(archive.read_bytes())
    what = flip(rng, content)
    archive.write_bytes(content)
    if world.command("verify", archive.name).code == 0:
        broken.append(f"an archive with {what} passes beside it")
    return "did not matter", [f"sidecar {seed}: {sentence}" for sentence in broken]
