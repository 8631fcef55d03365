# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases are the same for the same seed, and the change is the 1 % that it is said to be."""

from __future__ import annotations

import gzip
import hashlib
import random
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.benchmarks.data import (
    CLASS_ROWS,
    PAGE_SIZE,
    PATTERNS,
    TABLES,
    build_database,
    change_rows,
    changed_rows,
)

MEGABYTES = 2


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "app.db"
    build_database(path, MEGABYTES, seed=7)
    return path


def rows(path: Path) -> dict[tuple[str, int], str]:
    """Table and rowid with the digest of the row."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found = {(table, row[0]): hashlib.sha256(repr(row).encode()).hexdigest()
             for table in TABLES
             for row in database.execute(f"SELECT rowid, * FROM {table}")}
    database.close()
    return found


def test_shape(built: Path) -> None:
    database = sqlite3.connect(f"file:{built}?mode=ro", uri=True)
    facts = [database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "page_size", "quick_check")]
    database.close()
    assert facts == ["wal", PAGE_SIZE, "ok"]
    assert MEGABYTES * 1e6 <= built.stat().st_size < MEGABYTES * 1e6 * 1.5


def test_it_compresses_like_essays(built: Path) -> None:
    content = built.read_bytes()
    assert 2.4 < len(content) / len(gzip.compress(content, 6)) < 2.8


def test_the_same_seed_gives_the_same_rows(built: Path, tmp_path: Path) -> None:
    build_database(tmp_path / "again.db", MEGABYTES, seed=7)
    build_database(tmp_path / "other.db", MEGABYTES, seed=8)
    assert rows(tmp_path / "again.db") == rows(built)
    assert rows(tmp_path / "other.db") != rows(built)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_row_in_a_hundred_changes(built: Path, tmp_path: Path, pattern: str) -> None:
    changed = []
    for name in ("one.db", "two.db"):
        path = tmp_path / name
        path.write_bytes(built.read_bytes())
        count = change_rows(path, pattern, seed=3)
        assert not list(tmp_path.glob(f"{name}-*"))
        changed.append(rows(path))
    before = rows(built)
    different = [key for key, digest in changed[0].items() if before[key] != digest]
    assert len(different) == count
    assert count == pytest.approx(len(before) / 100, abs=3)
    assert changed[0] == changed[1]


def test_scattered_and_clustered_are_what_they_are_called() -> None:
    scattered, clustered = (changed_rows(random.Random(1), 100_000, pattern) for pattern in PATTERNS)
    assert len(set(scattered)) == len(set(clustered)) == 1000
    neighbours = [sum(b == a + 1 for a, b in zip(found, found[1:])) for found in (scattered, clustered)]
    assert neighbours[0] < 50
    assert neighbours[1] >= 1000 - 1000 / CLASS_ROWS


@pytest.mark.parametrize("count", [1, 2, 24, 26, 3000])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_only_rows_that_exist_change(count: int, pattern: str) -> None:
    found = changed_rows(random.Random(5), count, pattern)
    assert len(set(found)) == max(1, round(count / 100))
    assert all(1 <= row <= count for row in found)
