# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scratch directory of one size: the database that is backed up, in the state that is asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .data import PATTERNS, SEED, cached_name

ROOT = Path(__file__).resolve().parent.parent
BASE, CHAIN = "base", "chain"


def recipe(*arguments: str | Path) -> None:
    """Builds or changes a database in a process of its own, which keeps the measuring one small."""
    subprocess.run([sys.executable, "-m", "benchmarks.data", *map(str, arguments)], cwd=ROOT, check=True)


def cached_database(cache: Path, megabytes: float, state: str) -> Path:
    """The database of this size in the state ``base`` or after a change of one of ``PATTERNS``; built where missing."""
    path = cache / cached_name(megabytes, SEED, state)
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        if state == BASE:
            recipe("build", path, f"{megabytes:g}", str(SEED))
        else:
            unfinished = path.with_suffix(".new")
            shutil.copyfile(cached_database(cache, megabytes, BASE), unfinished)
            recipe("change", unfinished, state, str(SEED + 1))
            unfinished.rename(path)
    return path


class Workspace:
    """``source`` is always the same path; every state is a file of its own that is moved there and back."""

    def __init__(self, work: Path, cache: Path, megabytes: float) -> None:
        self.directory = work / f"{megabytes:g}mb"
        self.megabytes = megabytes
        self._cache = cache
        self._states = self.directory / "states"
        self._current: str | None = None
        self.source = self.directory / "source" / "app.db"

    def prepare(self, states: Sequence[str] = (BASE, *PATTERNS, CHAIN)) -> None:
        """Empties the directory and copies the databases there, out of the cache."""
        self.remove()
        for directory in (self._states, self.source.parent):
            directory.mkdir(parents=True)
        for state in states:
            original = cached_database(self._cache, self.megabytes, BASE if state == CHAIN else state)
            shutil.copyfile(original, self._states / f"{state}.db")

    def put(self, state: str) -> None:
        """Makes ``source`` the database in this state."""
        if self._current is not None:
            for ending in ("-wal", "-shm"):
                self.source.with_name(self.source.name + ending).unlink(missing_ok=True)
            self.source.rename(self._states / f"{self._current}.db")
        (self._states / f"{state}.db").rename(self.source)
        self._current = state

    def change(self, pattern: str, seed: int) -> None:
        """Changes 1 % of the rows of ``source``."""
        recipe("change", self.source, pattern, str(seed))

    def place(self, *parts: str) -> Path:
        """An empty directory of this name."""
        path = self.directory.joinpath(*parts)
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def remove(self) -> None:
        """Removes everything that was made here."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self._current = None


def same_content(one: Path, other: Path) -> bool:
    """Whether two databases are equal but for page 1, which holds counters that differ between snapshots."""
    block = 1 << 20
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        left.seek(4096)
        right.seek(4096)
        while True:
            content = left.read(block)
            if content != right.read(block):
                return False
            if not content:
                return True
