# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of a live database."""

from __future__ import annotations

import json
import os
import sqlite3

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import BusyError, SourceError, UsageError
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.contents import count_rows
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.inspect import (
    _where_readable,
    has_wal_reset_bug,
    inspect,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.snapshot import take
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.source import examine, open_reader


def test_every_figure(tmp_path, scratch, databases, peer):
    path = databases.make(tmp_path / "a.db", rows=3000, before="PRAGMA auto_vacuum = INCREMENTAL", after="""
        DELETE FROM drafts WHERE id > 2000; PRAGMA user_version = 4; PRAGMA application_id = 5;""")
    path.chmod(0o640)
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (1)")
    info = inspect(str(path))
    [(pages,)], [(free,)] = writer.sql("PRAGMA page_count"), writer.sql("PRAGMA freelist_count")
    assert (info.path, info.size_bytes, info.mode) == (str(path), path.stat().st_size, 0o640)
    assert (info.page_size, info.page_count, info.free_pages) == (4096, pages, free)
    assert free > 0
    assert (info.journal_mode, info.wal_bytes) == ("wal", os.path.getsize(f"{path}-wal"))
    assert [(table.name, table.rows) for table in info.tables] == [("courses", 2), ("drafts", 2000), ("empty", 1)]
    assert all(table.bytes % 4096 == 0 for table in info.tables)
    assert info.tables[1].bytes > 2 * 2000 * 100
    assert (info.integrity, info.problems) == ("not checked", ())
    assert (info.encoding, info.auto_vacuum, info.user_version, info.application_id) == ("UTF-8", 2, 4, 5)
    assert info.sqlite_version == sqlite3.sqlite_version
    assert info.schema_sha256 == take(str(path), str(scratch), "a.db").contents.schema_sha256
    assert json.loads(json.dumps(info.as_dict()))["tables"][0] == {"name": "courses", "rows": 2, "bytes": 4096}


def test_without_rows_nothing_is_counted(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete")
    info = inspect(str(path), rows=False)
    assert [(table.name, table.rows, table.bytes) for table in info.tables] == [
        ("courses", None, None), ("drafts", None, None), ("empty", None, None)]
    assert info.journal_mode == "delete"


@pytest.mark.parametrize(("version", "affected"), [
    ((3, 6, 23), False), ((3, 7, 0), True), ((3, 34, 1), True), ((3, 40, 1), True), ((3, 51, 2), True),
    ((3, 51, 3), False), ((3, 52, 0), False)])
def test_pitfall_15_the_version_with_the_bug_is_reported(tmp_path, databases, version, affected):
    assert has_wal_reset_bug(version) is affected
    info = inspect(str(databases.make(tmp_path / "a.db")), rows=False)
    assert info.wal_reset_bug is has_wal_reset_bug(sqlite3.sqlite_version_info)


def test_pitfall_09_the_full_check_runs_on_a_snapshot_only(tmp_path, scratch, databases, peer):
    """In rollback-journal mode a check in place would keep the writer out for its whole length."""
    path = databases.make(tmp_path / "a.db", journal="delete")
    with pytest.raises(UsageError, match="scratch"):
        inspect(str(path), integrity="full")
    peer(path).sql("BEGIN IMMEDIATE")
    info = inspect(str(path), integrity="full", scratch=str(scratch))
    assert (info.integrity, info.tables[1].rows) == ("ok", 50)
    assert os.listdir(scratch) == []


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_quick_check_in_place(tmp_path, databases, peer, journal):
    path = databases.make(tmp_path / "a.db", journal=journal)
    peer(path).sql("INSERT INTO empty VALUES (1)")
    assert inspect(str(path), integrity="quick").integrity == "ok"


def test_an_unknown_check(tmp_path):
    with pytest.raises(UsageError, match="slow"):
        inspect(str(tmp_path / "a.db"), integrity="slow")


@pytest.mark.parametrize("integrity", ["quick", "full"])
def test_a_damaged_database_still_has_figures(tmp_path, scratch, databases, integrity):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=3000)
    with open(path, "r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(3 * 4096))
    info = inspect(str(path), integrity=integrity, scratch=str(scratch))
    assert info.integrity not in ("ok", "not checked")
    assert info.problems
    assert any(table.rows is None for table in info.tables)
    assert info.page_count == path.stat().st_size // 4096


def test_tables_that_take_names_of_ours(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", after="CREATE TABLE dbstat(name, pgsize, aggregate)")
    info = inspect(str(path))
    assert [(table.name, table.bytes) for table in info.tables][:2] == [("courses", None), ("dbstat", None)]


def test_pitfall_22_a_missing_database_stays_missing(tmp_path):
    with pytest.raises(SourceError, match="missing"):
        inspect(str(tmp_path / "a.db"))
    assert os.listdir(tmp_path) == []


def test_a_locked_database(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db", journal="delete")
    peer(path).sql("BEGIN EXCLUSIVE")
    with pytest.raises(BusyError, match="a.db"):
        inspect(str(path), busy_timeout_seconds=0.1)


def test_own_collations_are_a_warning(tmp_path, scratch):
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_collation("unicase", lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower()))
    connection.execute("CREATE TABLE notes(a TEXT COLLATE unicase PRIMARY KEY)")
    connection.close()
    info = inspect(str(path), integrity="full", scratch=str(scratch))
    assert (info.integrity, info.tables[0].rows) == ("ok", 0)
    assert any("unicase" in warning for warning in info.warnings)


def test_a_lock_that_comes_in_between_is_not_taken_for_damage(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db", journal="delete")
    with pytest.raises(BusyError), open_reader(examine(str(path)), busy_timeout_seconds=0.1) as connection:
        peer(path).sql("BEGIN EXCLUSIVE")
        _where_readable(lambda: count_rows(connection, "drafts"))
