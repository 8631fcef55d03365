# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small disk of its own that is full, or that turns read-only in the middle of a run. Needs root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fault_jobs import JOBS, Prepared, recorded
from fault_rows import Row, row
from fault_trace import Call, held, sampled
from fault_world import Ended, Fresh, World, empty

FULL = "A disk that is full"
READ_ONLY = "A disk that turns read-only"
# ext4 itself takes a part of a file system. Sizes that do not hold what is there before are passed over.
LEAST_KIBIBYTES, STEP_KIBIBYTES = 400, 48


@contextmanager
def mounted(directory: Path, kibibytes: int, *options: str) -> Iterator[None]:
    """A file system of its own below ``directory``, which is empty."""
    image = directory.with_name("image")
    image.unlink(missing_ok=True)
    with image.open("wb") as stream:
        stream.truncate(kibibytes << 10)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "1024", "-m", "0", *options, str(image)], check=True)
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", str(image), str(directory)], check=True)
    try:
        (directory / "lost+found").rmdir()
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def full(fresh: Fresh, sizes: int) -> Iterator[Row]:
    """Each job on disks of ``sizes`` sizes, from one that the world fills to one with room."""
    for job in JOBS:
        world = fresh()
        prepared = job.prepare(world)
        with row(FULL, job.name) as counted:
            kibibytes = LEAST_KIBIBYTES
            while counted.tried < sizes:
                kibibytes += STEP_KIBIBYTES
                empty(world.live)
                with mounted(world.live, kibibytes, "-O", "^has_journal", "-N", "128"):
                    try:
                        world.reset()
                    except (OSError, shutil.Error):
                        # Too small even for what is there before.
                        empty(world.live)
                        continue
                    counted.count(*_run(world, prepared, kibibytes))
                    empty(world.live)
        yield counted


def _run(world: World, prepared: Prepared, kibibytes: int) -> tuple[str, list[str]]:
    ended = world.command(*prepared.words)
    end, broken = prepared.judged(world, ended)
    if ended.code:
        broken += [f"{left} was left on the full disk" for left in world.leftovers()]
    return "had room" if ended.code == 0 else end, [f"{kibibytes} KiB: {sentence}" for sentence in broken]


def read_only(fresh: Fresh, points: int) -> Iterator[Row]:
    """At most ``points`` places in each job at which the disk turns read-only."""
    for name, world, prepared, calls in recorded(fresh):
        with row(READ_ONLY, name) as counted:
            for call in sampled(calls, points):
                empty(world.live)
                with mounted(world.live, 16 << 10):
                    world.reset()
                    stopped, ended = held(world, call, prepared.words, partial(_abort, world.live))
                    state = Path(world.root / "state")
                    shutil.rmtree(state, ignore_errors=True)
                    shutil.copytree(world.live, state, symlinks=True)
                empty(world.live)
                shutil.copytree(state, world.live, symlinks=True, dirs_exist_ok=True)
                counted.count(*_after(world, prepared, call, stopped, ended))
        yield counted


def _abort(directory: Path) -> None:
    """As the kernel does when it finds the file system damaged."""
    subprocess.run(["mount", "-o", "remount,abort", str(directory)], check=False, capture_output=True)


def _after(world: World, prepared: Prepared, call: Call, stopped: bool, ended: Ended) -> tuple[str, list[str]]:
    if not stopped:
        return "were not reached", [f"{call}: the run did not stop there"]
    end, broken = prepared.judged(world, ended)
    broken += prepared.broken_after_next_run(world)
    return end, [f"read-only before {call}: {sentence}" for sentence in broken]
