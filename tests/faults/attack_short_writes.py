# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file system whose write(2) takes less than it was given, most of the time."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fault_jobs import JOBS
from fault_rows import Row, row
from fault_world import Fresh, empty

ATTACK = "Short writes"
SYSTEM_PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).resolve().with_name("fault_short_writes.py")
WAIT_SECONDS = 20.0


@contextmanager
def mounted(directory: Path, subtype: str = "") -> Iterator[None]:
    """The file system over ``directory``, which is empty; of the type ``fuse.<subtype>`` where one is given."""
    backing = directory.with_name("backing")
    backing.mkdir(exist_ok=True)
    empty(backing)
    with subprocess.Popen([SYSTEM_PYTHON, str(SCRIPT), str(backing), str(directory), subtype]) as server:
        deadline = time.monotonic() + WAIT_SECONDS
        while not directory.is_mount():
            assert server.poll() is None and time.monotonic() < deadline, "the file system was not mounted"
            time.sleep(0.01)
        try:
            yield
        finally:
            subprocess.run(["fusermount3", "-u", str(directory)], check=True)
            server.wait(timeout=WAIT_SECONDS)


def attack(fresh: Fresh, times: int) -> Iterator[Row]:
    """Each job ``times``: all must end as they do anywhere."""
    for job in JOBS:
        world = fresh()
        prepared = job.prepare(world)
        with row(ATTACK, job.name) as counted:
            for number in range(times):
                empty(world.live)
                with mounted(world.live):
                    world.reset()
                    ended = world.command(*prepared.words)
                    broken = prepared.broken_now(world)
                    if ended.code != 0 or not prepared.done(world):
                        broken.append(f"exit code {ended.code}: {ended.errors[-300:]}")
                    broken += prepared.broken_after_next_run(world)
                counted.count("held", [f"run {number}: {sentence}" for sentence in broken])
        yield counted
