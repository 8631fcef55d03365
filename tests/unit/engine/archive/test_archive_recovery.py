# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document of the format: its recovery is run as written, and its tables are compared with the code."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sqlite3
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.aead import (
    ASSOCIATED_DATA,
    HEADER_BYTES,
    SEGMENT_BYTES,
    TAG_BYTES,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.codecs import GZIP, ZSTD
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import create_key, load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import Sidecar
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive import samples
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.recovery import (
    DOCUMENT,
    recover,
    save_recipe,
)
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.samples import noise, sha

MIB = 1 << 20


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """The recovery, as a reader would save it."""
    return save_recipe(tmp_path_factory.mktemp("recipe"))


def large_database(path: Path) -> bytes:
    """A real SQLite database of more than 3 MiB that does not compress."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size = 512")
    connection.execute("CREATE TABLE essays (id INTEGER PRIMARY KEY, content BLOB)")
    connection.executemany("INSERT INTO essays VALUES (?, ?)", ((index, noise(40_000, index)) for index in range(90)))
    connection.commit()
    connection.close()
    return path.read_bytes()


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_recovery_as_it_is_written(tmp_path, recipe, shell):
    key_file = str(tmp_path / "backup.key")
    key = create_key(key_file)
    database = large_database(tmp_path / "app.db")
    files = {"/opt/app": None, "/opt/app/.env": b"SECRET=1\n", "/opt/app/é": b"x", "/empty": b""}
    sample = samples.write_sample(tmp_path, key=key, databases={"app.db": database}, files=files)
    assert sample.path.stat().st_size > 3 * SEGMENT_BYTES
    done = recover(shell, recipe, sample.path, key_file, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines.count("databases/app.db: OK") == 2
    assert {"manifest.json: OK", "page-digests/app.db: OK", "files/opt/app/.env: OK", "files/empty: OK"} < set(lines)
    assert all(line.endswith(": OK") for line in lines)
    assert "not checked: files/opt/app/\\u00e9" in done.stderr
    for member, data in sample.contents.items():
        if data is not None:
            assert sha((tmp_path / "out" / member).read_bytes()) == sha(data)
    connection = sqlite3.connect(tmp_path / "out" / "databases" / "app.db")
    assert connection.execute("SELECT count(*), sum(length(content)) FROM essays").fetchone() == (90, 3_600_000)
    connection.close()


@pytest.mark.parametrize("size", [0, 700, SEGMENT_BYTES - 6000])
def test_the_recovery_of_archives_of_one_segment(tmp_path, recipe, size):
    key_file = str(tmp_path / "backup.key")
    create_key(key_file)
    sample = samples.write_sample(tmp_path, key=load_ring(key_file).current, databases={}, files={"/f": noise(size)})
    done = recover("sh", recipe, sample.path, key_file, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "files" / "f").read_bytes() == noise(size)


def test_the_recovery_of_an_archive_that_ends_with_a_full_segment(tmp_path, recipe):
    key_file = str(tmp_path / "backup.key")
    key = create_key(key_file)
    dense = MIB - 5000
    for attempt in range(300):
        # A byte of noise more is about a byte of archive more, give or take a few that differ with each seed.
        data = noise(dense, attempt) + bytes(2 * MIB - dense)
        sample = samples.write_sample(tmp_path, key=key, databases={}, files={"/f": data}, level=1)
        missing = (MIB // 2 - sample.path.stat().st_size) % MIB - MIB // 2
        if missing == 0:
            break
        sample.path.unlink()
        dense += missing
    assert sample.path.stat().st_size == MIB
    done = recover("sh", recipe, sample.path, key_file, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert samples.read_all(sample.path, sample.ring) == sample.contents


def test_the_recovery_fails_with_another_key_and_with_damage(tmp_path, recipe):
    key_file, other = str(tmp_path / "backup.key"), str(tmp_path / "other.key")
    key = create_key(key_file)
    create_key(other)
    sample = samples.write_sample(tmp_path, key=key, databases={"app.db": noise(2 * MIB)})
    done = recover("sh", recipe, sample.path, other, tmp_path / "out1")
    assert done.returncode != 0
    assert "not in gzip format" in done.stderr
    changed = bytearray(sample.stored)
    changed[MIB + 5] ^= 1
    sample.path.write_bytes(bytes(changed))
    assert recover("sh", recipe, sample.path, key_file, tmp_path / "out2").returncode != 0
    sample.path.write_bytes(bytes(changed[:MIB]))
    assert recover("sh", recipe, sample.path, key_file, tmp_path / "out3").returncode != 0
    assert not os.path.exists(tmp_path / "out3" / "digests")


def table_of(heading: str) -> set:
    """The names in the first column of the tables between a line and the next heading."""
    text = DOCUMENT.split(heading)[1].split("\nAn entry of")[0].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_tables_name_every_field():
    sample = samples.manifest_of({"app.db": bytes(512)}, {"/f": b"x"})
    manifest = json.loads(sample.to_bytes())
    assert table_of("## manifest.json") == set(manifest)
    assert table_of("An entry of `databases`, which") == set(manifest["databases"][0])
    assert table_of("An entry of `files`,") == set(manifest["files"][0])
    assert table_of("## The sidecar") == {"format", *(field.name for field in dataclasses.fields(Sidecar))}
    line = json.loads(re.search(r"^    (\{.*\})$", DOCUMENT, re.MULTILINE).group(1))
    assert set(line) == set(vars(samples.digest_line("x", b"")))


def test_the_constants_of_the_document():
    assert ASSOCIATED_DATA.decode("ascii") in DOCUMENT
    assert f"{len(ASSOCIATED_DATA)} ASCII bytes" in re.sub(r"\s+", " ", DOCUMENT)
    for number in (SEGMENT_BYTES, SEGMENT_BYTES - HEADER_BYTES - TAG_BYTES, SEGMENT_BYTES - TAG_BYTES):
        assert f"{number:,}" in DOCUMENT
    for header in (GZIP.block_start, GZIP.seal_start, ZSTD.block_start, ZSTD.seal_start):
        assert header.hex(" ") in DOCUMENT
