# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be backed up as it lies there, and what cannot."""

from __future__ import annotations

import os
import socket
import sqlite3

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import BusyError, SourceError
from ansible_collections.feedforward.maintenance.plugins.module_utils.files import filesystem_type
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.source import (
    examine,
    filesystem_warning,
    open_private,
    open_reader,
)

WEIRD = ("with space", "100%", "what?", "#1", "it's", 'a"b', "ünïcode", "line\nbreak", "a&mode=rwc", "%41", "-wal",
         "\udcff not utf-8")


def test_facts_of_a_wal_database(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db")
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (1)")
    os.chmod(path, 0o640)
    found = examine(str(path))
    status = path.stat()
    assert (found.path, found.requested, found.size) == (str(path), str(path), status.st_size)
    assert (found.page_size, found.header_pages * 4096) == (4096, status.st_size)
    assert (found.wal, found.wal_bytes) == (True, os.path.getsize(f"{path}-wal"))
    assert (found.uid, found.gid, found.mode) == (status.st_uid, status.st_gid, 0o640)
    assert found.filesystem == filesystem_type(str(path))
    assert bool(found.warnings) == bool(filesystem_warning(found.filesystem))


def test_facts_of_a_rollback_database(tmp_path, databases):
    found = examine(str(databases.make(tmp_path / "a.db", journal="delete", page_size=65536)))
    assert (found.page_size, found.wal, found.wal_bytes) == (65536, False, 0)


def test_pitfall_22_a_missing_path_is_an_error_and_nothing_is_made(tmp_path):
    for path in (tmp_path / "missing.db", tmp_path / "no" / "missing.db"):
        with pytest.raises(SourceError, match="missing.db: the database is missing"):
            examine(str(path))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere.db")
    with pytest.raises(SourceError, match="loop"):
        examine(str(tmp_path / "loop"))
    with pytest.raises(SourceError, match=r"dangling: .*nowhere.db, to which"):
        examine(str(tmp_path / "dangling"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceError, match="missing"):
        examine(str(tmp_path / "file" / "a.db"))
    assert sorted(os.listdir(tmp_path)) == ["dangling", "file", "loop"]


def test_pitfall_22_a_database_that_vanishes_after_the_look_is_not_made_anew(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete")
    source = examine(str(path))
    path.unlink()
    with pytest.raises(SourceError, match="a.db"), open_reader(source):
        pass
    assert os.listdir(tmp_path) == []


def test_other_kinds_of_files(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    for name, words in (("fifo", "a FIFO"), ("socket", "a socket"), (".", "a directory")):
        with pytest.raises(SourceError, match=words):
            examine(str(tmp_path / name))
    with pytest.raises(SourceError, match="a character device"):
        examine("/dev/null")
    for path in ("a\0b", ""):
        with pytest.raises(SourceError, match="cannot be the path"):
            examine(path)


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"),
    (b"SQLite format 3\0" + b"\x10\0\1\1", "cut off: 20 of 100"),
    (b"SQLite", "cut off: 6 of 100"),
    (b"Dear diary, " * 100, "SQLCipher"),
    (b"SQLite format 4\0" + bytes(4080), "SQLCipher"),
    (b"SQLite format 3\0" + b"\x10\1\1\1" + bytes(4076), "4097 bytes is no page size"),
    (b"SQLite format 3\0" + b"\0\x80\1\1" + bytes(4076), "128 bytes is no page size"),
    (b"SQLite format 3\0" + b"\x10\0\1\3" + bytes(4076), "version 3"),
])
def test_files_that_are_no_database(tmp_path, content, words):
    (tmp_path / "a.db").write_bytes(content)
    with pytest.raises(SourceError, match=words) as caught:
        examine(str(tmp_path / "a.db"))
    assert caught.value.subject == str(tmp_path / "a.db")
    assert os.listdir(tmp_path) == ["a.db"]


def test_pitfall_23_an_encrypted_database_is_refused_by_name(tmp_path):
    (tmp_path / "a.db").write_bytes(os.urandom(8192))
    with pytest.raises(SourceError, match=r"encrypted \(SQLCipher, SEE\)"):
        examine(str(tmp_path / "a.db"))


def test_a_database_that_was_cut_off(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=500)
    os.truncate(path, path.stat().st_size - 4096)
    with pytest.raises(SourceError, match="cut off"):
        examine(str(path))
    os.truncate(path, 1000)
    with pytest.raises(SourceError, match="1000 bytes are there"):
        examine(str(path))


def test_a_short_main_file_is_no_error_while_the_log_has_the_rest(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db")
    writer = peer(path)
    writer.sql("PRAGMA wal_autocheckpoint = 0")
    writer.sql("INSERT INTO drafts(content) SELECT hex(randomblob(3000)) FROM drafts")
    assert examine(str(path)).wal_bytes > 50 * 3000
    with open(path, "r+b") as stream:
        stream.seek(28)
        stream.write((1000).to_bytes(4, "big"))
    assert examine(str(path)).header_pages == 1000


def test_a_header_without_a_count_falls_back_to_the_size(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=500)
    with open(path, "r+b") as stream:
        stream.seek(92)
        stream.write(b"\0\0\0\0")
    assert examine(str(path)).header_pages == path.stat().st_size // 4096


def test_pitfall_13_a_second_hard_link_is_refused(tmp_path, databases):
    path = databases.make(tmp_path / "a.db")
    os.link(path, tmp_path / "b.db")
    for name in ("a.db", "b.db"):
        with pytest.raises(SourceError, match="2 hard links"):
            examine(str(tmp_path / name))


def test_pitfall_13_symlinks_are_resolved_and_the_log_is_found(tmp_path, databases, peer):
    (tmp_path / "real").mkdir()
    (tmp_path / "links").mkdir()
    path = databases.make(tmp_path / "real" / "a.db")
    (tmp_path / "links" / "b.db").symlink_to(tmp_path / "directory" / "a.db")
    (tmp_path / "directory").symlink_to(tmp_path / "real")
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (42)")
    source = examine(str(tmp_path / "links" / "b.db"))
    assert (source.path, source.requested) == (str(path), str(tmp_path / "links" / "b.db"))
    with open_reader(source) as reader:
        assert reader.execute("SELECT a FROM empty").fetchall() == [(42,)]
    assert os.listdir(tmp_path / "links") == ["b.db"]


def test_pitfall_14_shared_file_systems_are_warned_about():
    for kind in ("nfs4", "cifs", "virtiofs", "9p", "fuse.sshfs"):
        assert kind in filesystem_warning(kind)
    for kind in ("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", ""):
        assert filesystem_warning(kind) is None


def test_hot_journal_is_refused_and_left_alone(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=2000)
    writer = peer(path)
    writer.sql("PRAGMA cache_size = 5")
    writer.sql("BEGIN IMMEDIATE")
    writer.sql("UPDATE drafts SET content = 'half done'")
    examine(str(path))
    writer.kill()
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with pytest.raises(SourceError, match="interrupted"):
        examine(str(path))
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before
    assert sorted(before) == ["a.db", "a.db-journal"]


def test_a_hot_journal_that_comes_after_the_look_is_an_error_of_the_reader(tmp_path, databases, peer):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=2000)
    source = examine(str(path))
    writer = peer(path)
    writer.sql("PRAGMA cache_size = 5")
    writer.sql("BEGIN IMMEDIATE")
    writer.sql("UPDATE drafts SET content = 'half done'")
    writer.kill()
    with pytest.raises(SourceError, match="interrupted"), open_reader(source):
        pass


@pytest.mark.parametrize("mode", ["persist", "truncate"])
def test_a_journal_without_a_transaction_is_no_obstacle(tmp_path, databases, peer, mode):
    path = databases.make(tmp_path / "a.db", journal="delete")
    writer = peer(path)
    writer.sql(f"PRAGMA journal_mode = {mode}")
    writer.sql("INSERT INTO empty VALUES (1)")
    assert (tmp_path / "a.db-journal").exists()
    with open_reader(examine(str(path))) as reader:
        assert reader.execute("SELECT count(*) FROM empty").fetchone() == (1,)


def test_a_journal_that_is_no_file_is_no_transaction(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete")
    (tmp_path / "a.db-journal").mkdir()
    assert examine(str(path)).path == str(path)


@pytest.mark.parametrize("statements", [["BEGIN EXCLUSIVE"], ["PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"]])
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_locked_database_is_reported_within_the_timeout(tmp_path, databases, peer, statements, journal):
    path = databases.make(tmp_path / "a.db", journal=journal)
    writer = peer(path)
    for statement in statements:
        writer.sql(statement)
    if journal == "wal" and len(statements) == 1:
        with open_reader(examine(str(path)), busy_timeout_seconds=0.2) as reader:
            assert reader.execute("SELECT count(*) FROM drafts").fetchone() == (50,)
        return
    source = examine(str(path))
    with pytest.raises(BusyError, match=r"a.db: another process kept the database locked for 0.20 s"):
        open_reader(source, busy_timeout_seconds=0.2).__enter__()


def test_errors_of_sqlite_within_the_block_become_ours(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=2000)
    with open(path, "r+b") as stream:
        stream.seek(4096)
        stream.write(os.urandom(4096 * 20))
    with pytest.raises(SourceError, match="damaged"), open_reader(examine(str(path))) as reader:
        reader.execute("SELECT * FROM drafts").fetchall()
    with pytest.raises(SourceError, match="no such table"), open_reader(examine(str(path))) as reader:
        reader.execute("SELECT * FROM nonsense")


def test_the_reader_cannot_write_and_trusts_nothing(tmp_path, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", after="""
        CREATE VIEW v AS SELECT * FROM drafts;
        CREATE TRIGGER t AFTER INSERT ON drafts BEGIN SELECT hex(randomblob(1000000000)); END;""")
    before = path.read_bytes()
    with open_reader(examine(str(path))) as reader:
        for name, value in (("trusted_schema", 0), ("cell_size_check", 1), ("query_only", 1)):
            assert reader.execute(f"PRAGMA {name}").fetchone() == (value,)
        for statement in ("SELECT * FROM v", "INSERT INTO drafts(content) VALUES ('x')", "DELETE FROM drafts"):
            with pytest.raises(sqlite3.DatabaseError):
                reader.execute(statement)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", WEIRD)
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_any_name_of_a_file(tmp_path, databases, name, journal):
    plain = databases.make(tmp_path / "plain", journal=journal)
    directory = tmp_path / f"dir {name}"
    directory.mkdir()
    path = directory / name
    os.rename(plain, path)
    with open_reader(examine(os.fspath(path))) as reader:
        assert reader.execute("SELECT count(*) FROM drafts").fetchone() == (50,)
    with open_private(os.fspath(path)) as reader:
        assert reader.execute("SELECT count(*) FROM drafts").fetchone() == (50,)
    made = {name, f"{name}-wal", f"{name}-shm"} if journal == "wal" else {name}
    assert set(os.listdir(directory)) == made
    assert str(SourceError(os.fspath(path), "a cause", "A step")).isprintable()


def test_pitfall_10_immutable_only_for_the_private_copy(tmp_path, databases, peer):
    """The live reader sees the row in the log, which an immutable one would miss."""
    path = databases.make(tmp_path / "a.db")
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (1)")
    with open_reader(examine(str(path))) as reader:
        assert reader.execute("SELECT count(*) FROM empty").fetchone() == (1,)
    with open_private(str(path)) as reader:
        assert reader.execute("SELECT count(*) FROM empty").fetchone() == (0,)


def test_a_private_copy_that_cannot_be_opened(tmp_path):
    with pytest.raises(SourceError, match="gone.db"), open_private(str(tmp_path / "gone.db")):
        pass
    assert os.listdir(tmp_path) == []
