# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Increments: only the pages that changed, and what comes back is the whole database."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import tempfile
from dataclasses import replace

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.aead import (
    DecryptingReader,
    EncryptingWriter,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring, rotate_key
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import open_archive, read_manifest
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.catalog import Catalog
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import sidecar_path
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import gather
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.check import check_archive
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.digest import content_digest_of_page_1
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.recovery import (
    recover,
    save_assembly,
    save_recipe,
)
from jobs.conftest import Site


class Chain:
    """A site whose database is large enough for increments, and what each archive has to give back."""

    def __init__(self, site: Site, strategy: str = "incremental", **options) -> None:
        self.site = site
        self.options = {"strategy": strategy, **options}
        self.wanted: dict[str, str] = {}
        site.sql("CREATE TABLE essays(id INTEGER PRIMARY KEY, content TEXT)")
        self.grow(600)

    def grow(self, rows: int) -> None:
        self.site.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                      "INSERT INTO essays(content) SELECT hex(randomblob(1000)) FROM n", rows)

    def change(self, row: int) -> None:
        self.site.sql("UPDATE essays SET content = hex(randomblob(1000)) WHERE id = ?", row)

    def backup(self, **changes):
        result = self.site.backup(**{**self.options, **changes})
        self.wanted[os.path.basename(result.archive)] = self.content()
        return result

    def content(self, path: str | None = None) -> str:
        """Rows of both tables by SELECT alone."""
        connection = sqlite3.connect(f"file:{path or self.site.database}?mode=ro", uri=True)
        try:
            return repr([connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
                         for table in ("drafts", "essays")])
        finally:
            connection.close()

    def restored(self, name: str) -> str:
        target = os.path.join(self.site.root, f"restored-{name}.db")
        self.site.restore(archive=name, target=target)
        return self.content(target)

    def path(self, name: str) -> str:
        return os.path.join(self.site.archives, name)


@pytest.fixture
def chain(site: Site) -> Chain:
    return Chain(site)


def members(path: str, key_file: str) -> dict[str, int]:
    with open_archive(path, load_ring(key_file)) as reader:
        found = {info.name: info.size for info, _stream in reader.members()}
        reader.finish()
    return found


def digests_in(path: str, key_file: str) -> list[bytes]:
    """The table of page digests of an archive."""
    with open_archive(path, load_ring(key_file)) as reader:
        table = next(stream.read() for info, stream in reader.members() if info.name.startswith("page-digests/"))
    return [table[at:at + 16] for at in range(0, len(table), 16)]


def test_each_archive_of_a_chain_gives_back_its_own_content(chain: Chain) -> None:
    for step in range(5):
        result = chain.backup()
        assert (result.base is None) == (step == 0) and result.verified
        chain.change(step * 50 + 1)
        chain.site.sql("DELETE FROM essays WHERE id = ?", step * 50 + 7)
    names = chain.site.names()
    sizes = [os.path.getsize(chain.path(name)) for name in names]
    assert len(names) == 5 and max(sizes[1:]) < sizes[0] / 10
    assert chain.site.verify(archive="all", level="checksums").passed
    assert chain.site.verify(archive="all", level="integrity").passed
    assert chain.site.verify(archive="all", level="restore").passed
    for name in names:
        assert chain.restored(name) == chain.wanted[name]


def test_other_kinds_take_numbers_in_between_and_no_link_of_a_chain(chain: Chain) -> None:
    numbers = []
    for step in range(6):
        chain.change(step + 1)
        made = chain.backup() if step % 2 else chain.site.backup("full")
        numbers.append((made.sequence, made.base is not None))
    assert numbers == [(1, False), (2, False), (3, False), (4, True), (5, False), (6, True)]
    assert chain.site.verify(archive="all", level="restore").passed
    for name, content in chain.wanted.items():
        assert chain.restored(name) == content


def test_an_increment_holds_the_changed_pages_and_nothing_else(chain: Chain) -> None:
    before = digests_in(chain.backup().archive, chain.site.key_file)
    chain.change(300)
    result = chain.backup()
    manifest = read_manifest(result.archive, load_ring(chain.site.key_file))
    (entry,) = manifest.databases
    assert manifest.base.name == chain.site.names()[0] and manifest.base.position == 1
    assert 0 < entry.pages < 20 and entry.page_count > 200
    assert members(result.archive, chain.site.key_file) == {
        "page-digests/app.db": entry.page_count * 16, "page-numbers/app.db": entry.pages * 4,
        "pages/app.db": entry.pages * entry.page_size}
    with open_archive(result.archive, load_ring(chain.site.key_file)) as reader:
        content = {info.name: stream.read() for info, stream in reader.members()}
    listed = content["page-numbers/app.db"]
    numbers = [int.from_bytes(listed[at:at + 4], "big") for at in range(0, len(listed), 4)]
    after = digests_in(result.archive, chain.site.key_file)
    assert numbers == [n for n, digest in enumerate(after, 1) if n > len(before) or before[n - 1] != digest]


@pytest.mark.parametrize("strategy", ["incremental", "differential"])
def test_the_strategy_chooses_the_base(site: Site, strategy) -> None:
    chain = Chain(site, strategy)
    bases = []
    for step in range(4):
        bases.append(chain.backup().base)
        chain.change(step + 1)
    names = site.names()
    assert bases == [None, names[0], *(names[1:3] if strategy == "incremental" else [names[0]] * 2)]
    assert chain.restored(names[3]) == chain.wanted[names[3]]


@pytest.mark.parametrize("strategy", ["incremental", "differential"])
def test_a_chain_is_bounded(site: Site, strategy) -> None:
    chain = Chain(site, strategy, chain_limit=3)
    made = []
    for step in range(7):
        made.append(chain.backup())
        chain.change(step + 1)
    assert [result.base is None for result in made] == [True, False, False, True, False, False, True]
    assert "reached its 3 archives" in made[3].full_because
    assert read_manifest(made[3].archive, load_ring(site.key_file)).full_because == made[3].full_because


def test_growth_shrinkage_and_vacuum(chain: Chain) -> None:
    site = chain.site
    connection = sqlite3.connect(site.database, isolation_level=None)
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("VACUUM")
    connection.close()
    chain.backup()
    chain.grow(40)
    grown = chain.backup()
    site.sql("DELETE FROM essays WHERE id > 500")
    site.sql("PRAGMA incremental_vacuum")
    shrunk = chain.backup()
    assert grown.base and shrunk.base
    assert shrunk.snapshots[0]["page_count"] < grown.snapshots[0]["page_count"]
    site.sql("DELETE FROM essays WHERE id < 200")
    site.sql("VACUUM")
    vacuumed = chain.backup()
    assert vacuumed.base is None and "more than 50% of the pages" in vacuumed.full_because
    for name in site.names():
        assert chain.restored(name) == chain.wanted[name]


def change_page_size(site: Site, page_size: int) -> None:
    connection = sqlite3.connect(site.database, isolation_level=None)
    for statement in ("PRAGMA journal_mode = DELETE", f"PRAGMA page_size = {page_size}", "VACUUM"):
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("page_size", [512, 1024, 65536])
def test_any_page_size(site: Site, page_size) -> None:
    change_page_size(site, page_size)
    chain = Chain(site)
    chain.grow(2000)
    chain.backup()
    chain.change(77)
    result = chain.backup()
    assert result.base is not None and result.snapshots[0]["page_size"] == page_size
    assert site.verify(level="restore").passed
    assert chain.restored(os.path.basename(result.archive)) == chain.content()


def test_another_page_size_makes_a_full_archive(chain: Chain) -> None:
    chain.backup()
    change_page_size(chain.site, 8192)
    result = chain.backup()
    assert result.base is None and "page size" in result.full_because and "4096 to 8192" in result.full_because


def test_unchanged_content_is_unchanged_only_with_a_whole_chain(chain: Chain) -> None:
    chain.backup()
    chain.change(1)
    chain.backup()
    assert chain.backup().outcome == "unchanged"
    full, newest = (chain.path(name) for name in chain.site.names())
    os.rename(full, full + ".away")
    result = chain.backup()
    assert result.outcome == "created" and result.base is None
    assert "does not verify" in result.reason and os.path.basename(full) in result.reason
    assert "is missing" in result.full_because
    assert os.path.exists(newest)


def flip(path: str, position: int) -> None:
    with open(path, "r+b") as stream:
        stream.seek(position)
        byte = stream.read(1)
        stream.seek(position)
        stream.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("place", [0, 1])
def test_a_damaged_link_forces_a_full_archive_at_once(chain: Chain, place) -> None:
    chain.grow(3000)
    for row in (1, 2):
        chain.backup()
        chain.change(row)
    path = chain.path(chain.site.names()[place])
    flip(path, os.path.getsize(path) - 3000)
    result = chain.backup()
    # The increment is one segment, so that its manifest cannot be read any more either.
    cause = "cannot be a base" if place else "is not as it was when it was verified"
    assert result.base is None and cause in result.full_because
    assert chain.restored(os.path.basename(result.archive)) == chain.content()


def test_a_link_that_did_not_verify_is_no_base(chain: Chain) -> None:
    chain.backup()
    path = chain.path(chain.site.names()[0])
    flip(path, os.path.getsize(path) - 3000)
    assert not chain.site.verify().passed
    flip(path, os.path.getsize(path) - 3000)
    chain.change(1)
    result = chain.backup()
    assert result.base is None and "did not pass its last verification" in result.full_because


def test_an_archive_that_was_not_verified_is_no_base(chain: Chain) -> None:
    chain.backup(verify=False)
    chain.change(1)
    assert "was not verified" in chain.backup().full_because
    chain.change(2)
    os.unlink(sidecar_path(chain.path(chain.site.names()[-1])))
    assert "was not verified" in chain.backup().full_because


def test_another_key_makes_a_full_archive(chain: Chain) -> None:
    chain.backup()
    rotate_key(chain.site.key_file)
    chain.change(1)
    result = chain.backup()
    assert result.base is None and "not the current one" in result.full_because


def test_check_mode_predicts_the_increment_and_writes_nothing(chain: Chain) -> None:
    chain.backup()
    chain.change(1)
    before = chain.site.tree(chain.site.archives)
    predicted = chain.site.backup(check=True, **chain.options)
    assert chain.site.tree(chain.site.archives) == before
    done = chain.backup()
    for field in ("changed", "outcome", "reason", "base", "full_because", "content_id", "sequence"):
        assert getattr(predicted, field) == getattr(done, field)


def test_a_missing_base_names_the_file_to_fetch(chain: Chain) -> None:
    chain.backup()
    chain.change(1)
    chain.backup()
    full, newest = chain.site.names()
    sha256 = Catalog(chain.site.archives, "app").find(full).sidecar.sha256
    os.rename(chain.path(full), chain.path(full) + ".away")
    with pytest.raises(errors.ArchiveError, match="which is missing") as caught:
        chain.restored(newest)
    verdict = check_archive(chain.path(newest), load_ring(chain.site.key_file), level="checksums")
    assert verdict.verdict == "failed" and full in verdict.problems[0]
    assert full in str(caught.value)
    assert f"Fetch {full} (SHA-256 {sha256})" in verdict.error.next_step


def test_an_increment_of_another_chain_is_refused(chain: Chain, tmp_path) -> None:
    """Same names, same key, same application: only what it was made on differs."""
    chain.backup()
    other = tmp_path / "other"
    shutil.copytree(chain.site.archives, other)
    chain.change(1)
    chain.backup()
    full, newest = chain.site.names()
    # The same content under the same name, encrypted anew: another salt, other bytes.
    ring = load_ring(chain.site.key_file)
    with open(chain.path(full), "rb") as sealed:
        content = DecryptingReader(sealed, ring).read()
    with open(chain.path(full), "wb") as raw:
        writer = EncryptingWriter(raw, ring.current)
        writer.write(content)
        writer.close()
    assert check_archive(chain.path(full), ring, level="checksums").verdict == "passed"
    for check_level in ("checksums", "integrity", "restore"):
        verdict = check_archive(chain.path(newest), load_ring(chain.site.key_file), level=check_level)
        assert verdict.verdict == "failed" and "is not the one that it was made on" in verdict.problems[0]
    with pytest.raises(errors.ArchiveError, match="is not the one that it was made on"):
        chain.restored(newest)
    shutil.copy(other / full, chain.path(full))
    assert check_archive(chain.path(newest), load_ring(chain.site.key_file), level="checksums").verdict == "passed"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_damage_anywhere_in_a_chain_is_found(chain: Chain, place) -> None:
    for row in (1, 2, 3):
        chain.backup()
        chain.change(row)
    path = chain.path(chain.site.names()[place])
    newest = chain.path(chain.site.names()[-1])
    ring = load_ring(chain.site.key_file)
    size = os.path.getsize(path)
    for position in (5, 60, size // 2, size - 1):
        flip(path, position)
        verdict = check_archive(newest, ring, level="checksums")
        assert verdict.verdict != "passed" and verdict.problems
        flip(path, position)
    assert check_archive(newest, ring, level="checksums").verdict == "passed"


def lies(monkeypatch, number: int, *, consistently: bool) -> None:
    """Snapshots whose table of page digests is wrong about page ``number``: as if memory had been damaged, or by
    somebody who has the key. ``consistently``: the content digest is that of the wrong table."""
    take = gather.snapshot.take

    def wrong(*arguments, **more):
        taken = take(*arguments, **more)
        with open(taken.page_digests_path, "r+b") as table:
            table.seek((number - 1) * 16)
            table.write(bytes(16))
            table.seek(0)
            digests = table.read()
        if not consistently:
            return taken
        with open(taken.path, "rb") as copy:
            first = content_digest_of_page_1(memoryview(copy.read(taken.digests.page_size)))
        content = hashlib.sha256(first + digests[16:]).hexdigest()
        return replace(taken, digests=replace(taken.digests, content_sha256=content))

    monkeypatch.setattr(gather.snapshot, "take", wrong)


def test_a_table_that_does_not_list_the_pages_is_damage(chain: Chain, monkeypatch) -> None:
    lies(monkeypatch, 7, consistently=False)
    result = chain.backup()
    verdict = check_archive(result.archive, load_ring(chain.site.key_file), level="checksums")
    assert verdict.verdict == "failed" and "does not list the pages" in verdict.problems[0], verdict


def test_a_page_that_is_not_the_one_of_the_table_is_damage(chain: Chain, monkeypatch) -> None:
    chain.backup()
    chain.change(300)
    lies(monkeypatch, 9, consistently=True)
    result = chain.backup()
    assert result.base is not None
    verdict = check_archive(result.archive, load_ring(chain.site.key_file), level="checksums")
    assert verdict.verdict == "failed" and "page 9 of app.db is not the one" in verdict.problems[0], verdict
    rows = chain.content()
    chain.change(301)
    with pytest.raises(errors.ArchiveError, match="page 9 of app.db"):
        chain.site.restore()
    assert chain.content() != rows


def test_unencrypted_chains(site: Site) -> None:
    chain = Chain(site, key_file=None)
    chain.backup()
    chain.change(1)
    result = chain.backup()
    assert result.base is not None
    assert site.verify(key_file=None, level="restore").passed
    target = os.path.join(site.root, "restored.db")
    site.restore(key_file=None, target=target)
    assert chain.content(target) == chain.content()


def test_several_databases_in_one_chain(site: Site) -> None:
    other = os.path.join(site.home, "data", "other.db")
    shutil.copy(site.database, other)
    chain = Chain(site, databases=(site.database, other))
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE essays(id INTEGER PRIMARY KEY, content BLOB)")
    connection.executemany("INSERT INTO essays(content) VALUES (randomblob(?))", [(2000,)] * 300)
    connection.commit()
    chain.backup()
    chain.change(5)
    result = chain.backup()
    assert result.base is not None
    manifest = read_manifest(result.archive, load_ring(site.key_file))
    assert [entry.pages > 0 for entry in manifest.databases] == [True, False]
    before = chain.content(other)
    wanted = chain.content()
    connection.execute("DELETE FROM essays")
    connection.commit()
    connection.close()
    site.sql("DELETE FROM essays")
    assert site.restore().changed
    assert (chain.content(), chain.content(other)) == (wanted, before)
    assert not site.restore().changed


def test_the_archives_of_other_kinds_are_full(chain: Chain) -> None:
    chain.site.backup("full", **chain.options)
    chain.change(1)
    result = chain.site.backup("full", **chain.options)
    assert result.base is None and result.full_because is None


@pytest.mark.parametrize(("changes", "cause"), [({"strategy": "weekly"}, "unknown"), ({"chain_limit": 0}, "at least")])
def test_an_impossible_strategy_is_refused(site: Site, changes, cause) -> None:
    with pytest.raises(errors.UsageError, match=cause):
        site.backup(**changes)


@pytest.mark.parametrize("page_size", [4096, 65536])
def test_the_recovery_by_stock_tools(site: Site, tmp_path, page_size) -> None:
    change_page_size(site, page_size)
    chain = Chain(site)
    chain.grow(2000)
    chain.backup()
    chain.change(3)
    chain.grow(20)
    chain.backup()
    chain.change(2500)
    chain.backup()
    recipe, assembly = save_recipe(tmp_path), save_assembly(tmp_path)
    directories = []
    for name in site.names():
        directories.append(str(tmp_path / f"out-{name}"))
        done = recover("sh", recipe, chain.path(name), site.key_file, directories[-1])
        assert done.returncode == 0, done.stderr
    target = str(tmp_path / "assembled.db")
    command = ["sh", str(assembly), "app.db", target, *directories]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stdout) == (0, f"{target}: OK\n"), done.stderr
    assert chain.content(target) == chain.content()
    # A chain with a gap gives something else, and says so.
    os.unlink(target)
    command = ["sh", str(assembly), "app.db", target, directories[0], directories[2]]
    assert subprocess.run(command, capture_output=True, encoding="utf-8", check=False).returncode != 0


def test_room_for_a_full_archive_is_asked_for_behind_an_increment(chain: Chain, monkeypatch) -> None:
    full = chain.backup()
    chain.change(1)
    chain.backup()
    chain.change(2)
    raw = os.path.getsize(chain.site.database)
    monkeypatch.setattr(gather, "free_bytes", lambda path: raw + full.archive_bytes - 1)
    with pytest.raises(errors.DestinationError, match="will need about"):
        chain.backup()
    monkeypatch.setattr(gather, "free_bytes", lambda path: raw + full.archive_bytes)
    assert chain.backup().base is not None


def test_no_room_for_a_table_is_no_damage(chain: Chain, monkeypatch, tmp_path) -> None:
    """/dev/full takes the place of a file system without room."""
    chain.backup()
    chain.change(1)
    newest = chain.backup().archive

    def full_disk(max_size: int):
        return open("/dev/full", "wb", buffering=0)

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", full_disk)
    with pytest.raises(errors.DestinationError, match="no space is left"):
        check_archive(newest, load_ring(chain.site.key_file), level="checksums")
