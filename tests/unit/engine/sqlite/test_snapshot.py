# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a database at rest, or written to at known moments."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import (
    BusyError,
    DestinationError,
    SourceError,
    UsageError,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.files import free_bytes
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.check import check
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.copying import Copier
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.snapshot import take
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.source import examine, open_reader
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import utc_now


def during_copy(*actions):
    """A progress function that runs one action after each step of the copy."""
    waiting = list(actions)

    def progress(phase, _done, _total):
        if phase == "snapshot" and waiting:
            waiting.pop(0)()

    return progress


def test_everything_that_a_snapshot_says(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "feedforward.db", before="PRAGMA auto_vacuum = INCREMENTAL",
                          after="PRAGMA user_version = 7; PRAGMA application_id = 99")
    calls, before = [], utc_now()
    taken = take(str(path), str(scratch), "feedforward.db", progress=lambda *call: calls.append(call))
    assert (taken.source.path, taken.name, taken.journal_mode) == (str(path), "feedforward.db", "wal")
    assert os.path.dirname(os.path.dirname(taken.path)) == str(scratch)
    assert stat.S_IMODE(os.stat(taken.path).st_mode) == 0o600
    assert before <= taken.taken_at <= utc_now()
    assert taken.taken_at.utcoffset() == timedelta(0)
    assert taken.contents.rows == {"courses": 2, "drafts": 50, "empty": 0}
    assert (taken.contents.user_version, taken.contents.application_id) == (7, 99)
    assert (taken.contents.encoding, taken.contents.auto_vacuum) == ("UTF-8", 2)
    assert (taken.problems, taken.restarts, taken.stall_seconds) == ((), 0, 0.0)
    assert taken.digests.sha256 == hashlib.sha256(Path(taken.path).read_bytes()).hexdigest()
    assert os.path.getsize(taken.page_digests_path) == 16 * taken.digests.page_count
    assert taken.sqlite_version == sqlite3.sqlite_version
    assert taken.seconds > 0 and taken.check_seconds > 0
    assert {call[0] for call in calls} == {"snapshot", "digest", "check"}
    assert calls[-1] == ("check", taken.digests.size, taken.digests.size)


def test_pitfall_04_rows_that_are_only_in_the_log_are_in_the_copy(tmp_path, scratch, databases, peer):
    path = databases.make(tmp_path / "a.db")
    writer = peer(path)
    writer.sql("PRAGMA wal_autocheckpoint = 0")
    writer.sql("CREATE TABLE late(a)")
    writer.sql("INSERT INTO late VALUES ('committed, never checkpointed')")
    assert databases.query(path, "SELECT name FROM sqlite_master WHERE name = 'late'") == []
    taken = take(str(path), str(scratch), "a.db")
    assert databases.query(taken.path, "SELECT a FROM late") == [("committed, never checkpointed",)]
    assert (taken.contents.rows["late"], taken.problems) == (1, ())
    assert taken.wal_bytes_before == taken.wal_bytes_peak == taken.wal_bytes_after == os.path.getsize(f"{path}-wal")


def test_pitfall_04_rows_of_a_killed_application_are_in_the_copy(tmp_path, scratch, databases, peer):
    path = databases.make(tmp_path / "a.db")
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (1), (2)")
    writer.kill()
    (tmp_path / "a.db-shm").unlink()
    assert take(str(path), str(scratch), "a.db").contents.rows["empty"] == 2


def test_pitfall_15_a_snapshot_never_checkpoints(tmp_path, scratch, databases, peer):
    path = databases.make(tmp_path / "a.db")
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (1)")

    def bytes_on_disk():
        return path.read_bytes(), (tmp_path / "a.db-wal").read_bytes()

    before = bytes_on_disk()
    take(str(path), str(scratch), "a.db")
    assert bytes_on_disk() == before
    writer.kill()
    take(str(path), str(scratch), "b.db")
    assert bytes_on_disk() == before


def test_pitfall_22_a_missing_database_makes_nothing(tmp_path, scratch):
    with pytest.raises(SourceError, match="missing"):
        take(str(tmp_path / "missing.db"), str(scratch), "missing.db")
    assert (os.listdir(tmp_path), os.listdir(scratch)) == (["scratch"], [])


def test_pitfall_25_the_copy_keeps_its_mode_and_gets_no_sidecars(tmp_path, scratch, databases):
    for journal, version in (("wal", b"\2\2"), ("delete", b"\1\1")):
        path = databases.make(tmp_path / journal, journal=journal)
        taken = take(str(path), str(scratch), journal)
        with open(taken.path, "rb") as stream:
            assert stream.read(20)[18:] == version
        assert (taken.journal_mode, check(taken.path), check(taken.path, "quick")) == (journal, (), ())
    assert sorted(os.listdir(os.path.dirname(taken.path))) == ["delete", "wal"]


@pytest.mark.parametrize("page_size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_pitfall_24_page_sizes(tmp_path, scratch, databases, page_size, journal):
    path = databases.make(tmp_path / "a.db", journal=journal, page_size=page_size, rows=2000)
    taken = take(str(path), str(scratch), "a.db")
    assert (taken.digests.page_size, taken.problems, taken.contents.rows["drafts"]) == (page_size, (), 2000)
    assert databases.query(taken.path, "SELECT * FROM drafts") == databases.query(path, "SELECT * FROM drafts")


@pytest.mark.parametrize("auto_vacuum", [0, 1, 2])
def test_pitfall_24_auto_vacuum_with_free_pages(tmp_path, scratch, databases, auto_vacuum):
    path = databases.make(tmp_path / "a.db", rows=2000, before=f"PRAGMA auto_vacuum = {auto_vacuum}",
                          after="DELETE FROM drafts WHERE id % 3; PRAGMA wal_checkpoint(TRUNCATE)")
    taken = take(str(path), str(scratch), "a.db")
    assert (taken.contents.auto_vacuum, taken.problems) == (auto_vacuum, ())
    assert databases.query(taken.path, "SELECT * FROM drafts") == databases.query(path, "SELECT * FROM drafts")


def sparse_database(path):
    """A sound database of 1.1 GB of 64 KiB pages, nearly all of them free and never written, whose next rows go to
    pages past the lock page at 1 GiB (https://www.sqlite.org/fileformat2.html, sections 1.3, 1.4 and 1.5)."""
    size, lock_page, pages = 65536, (1 << 30) // 65536 + 1, 16800
    with open(path, "r+b") as stream:
        used = os.fstat(stream.fileno()).st_size // size
        os.truncate(path, pages * size)
        trunks = [(used + 1, range(lock_page + 1, pages + 1)), (used + 2, range(used + 3, lock_page))]
        for (trunk, leaves), following in zip(trunks, (trunks[1][0], 0)):
            stream.seek((trunk - 1) * size)
            stream.write(b"".join(n.to_bytes(4, "big") for n in (following, len(leaves), *leaves)))
        stream.seek(24)
        counter = int.from_bytes(stream.read(4), "big") + 1
        free = sum(1 + len(leaves) for _trunk, leaves in trunks)
        stream.seek(24)
        stream.write(b"".join(n.to_bytes(4, "big") for n in (counter, pages, trunks[0][0], free)))
        stream.seek(92)
        stream.write(counter.to_bytes(4, "big"))


@pytest.fixture
def quick_scratch(scratch):
    """In memory where there is room: a gigabyte takes a slow disk ten seconds."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or free_bytes(str(memory)) < 2 << 30:
        yield scratch
        return
    with tempfile.TemporaryDirectory(prefix="maintenance-test-", dir=memory) as directory:
        yield Path(directory)


def test_pitfall_24_a_sparse_database_past_one_gibibyte(tmp_path, quick_scratch, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", page_size=65536)
    sparse_database(path)
    databases.run(path, "PRAGMA synchronous = OFF; INSERT INTO drafts(content) VALUES (hex(zeroblob(100000)))")
    with open(path, "rb") as stream:
        stream.seek((1 << 30) + 65536)
        assert any(stream.read(200 * 65536))
    source, copy = examine(str(path)), str(quick_scratch / "copy.db")
    with open_reader(source) as reader:
        Copier(reader, source, copy, deadline=time.monotonic() + 60, busy_timeout_seconds=1.0).copy(3)
    assert (os.path.getsize(copy), check(copy)) == (16800 * 65536, ())
    assert databases.query(copy, "SELECT count(*), max(length(content)) FROM drafts") == [(51, 200000)]
    with open(copy, "rb") as copied, open(path, "rb") as original:
        for position in ((1 << 30) - 65536, 1 << 30, (1 << 30) + 65536):
            assert os.pread(copied.fileno(), 65536, position) == os.pread(original.fileno(), 65536, position)


def test_pitfall_02_one_commit_restarts_the_copy_once(tmp_path, scratch, databases, peer):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=10_000_000)
    writer = peer(path)
    taken = take(str(path), str(scratch), "a.db",
                 progress=during_copy(lambda: writer.sql("INSERT INTO log VALUES (1, 'meanwhile')")))
    assert (taken.restarts, taken.journal_mode, taken.contents.rows["log"]) == (1, "delete", 1)
    assert 0.0 < taken.stall_seconds < taken.seconds
    assert any("WAL mode" in warning for warning in taken.warnings)


def test_pitfall_02_a_quiet_rollback_database_is_copied_in_steps_without_advice(tmp_path, scratch, databases):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=10_000_000)
    taken = take(str(path), str(scratch), "a.db")
    assert (taken.restarts, taken.warnings, taken.problems) == (0, taken.source.warnings, ())
    assert 0.0 < taken.stall_seconds < taken.seconds


def test_pitfall_02_a_spent_budget_pins_the_copy(tmp_path, scratch, databases, peer):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=10_000_000)
    writer = peer(path, timeout=0.05)
    answers = []
    commits = [lambda: answers.append(writer.ask("INSERT INTO log(note) VALUES ('meanwhile')")) for _turn in range(5)]
    taken = take(str(path), str(scratch), "a.db", restart_budget=1, progress=during_copy(*commits))
    assert taken.restarts == 2
    assert [("error" in answer) for answer in answers] == [False, False, True, True, True]
    assert (taken.contents.rows["log"], taken.problems) == (2, ())
    assert taken.stall_seconds > 0.1


def test_a_file_that_is_cut_off_under_our_hands(tmp_path, scratch, databases):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=10_000_000)
    with pytest.raises(SourceError, match=r"a.db: "):
        take(str(path), str(scratch), "a.db", progress=during_copy(lambda: os.truncate(path, 3_000_000)))


def test_scratch_that_is_taken_away(tmp_path, scratch, databases, peer):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=10_000_000)
    writer = peer(path)

    def commit_and_remove():
        writer.sql("INSERT INTO log VALUES (1, 'meanwhile')")
        shutil.rmtree(scratch)

    with pytest.raises(DestinationError, match="scratch/databases/a.db"):
        take(str(path), str(scratch), "a.db", restart_budget=0, progress=during_copy(commit_and_remove))


def test_a_database_that_grows_or_shrinks_meanwhile_counts_as_restarted(tmp_path, scratch, databases, peer):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=20_000_000)
    writer = peer(path)
    writer.sql("PRAGMA auto_vacuum")
    taken = take(str(path), str(scratch), "a.db", progress=during_copy(
        lambda: None, lambda: None, lambda: writer.sql("INSERT INTO filler VALUES (randomblob(3000000))"),
        lambda: writer.sql("DELETE FROM filler WHERE rowid <= 100"), lambda: writer.sql("VACUUM")))
    assert (taken.restarts, taken.problems, taken.contents.rows["filler"]) == (3, (), 101)
    assert taken.digests.size < 15_000_000


def test_a_lock_in_the_middle_of_the_copy_is_waited_for(tmp_path, scratch, databases, peer):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=10_000_000)
    writer = peer(path)
    release = threading.Timer(0.2, lambda: writer.sql("COMMIT"))

    def lock():
        writer.sql("BEGIN EXCLUSIVE")
        release.start()

    taken = take(str(path), str(scratch), "a.db", progress=during_copy(lock))
    release.join()
    assert (taken.restarts, taken.problems) == (0, ())
    assert taken.seconds > 0.2
    assert taken.stall_seconds < taken.seconds - 0.15


def test_a_lock_that_stays_is_reported_and_nothing_is_left_locked(tmp_path, scratch, databases, peer):
    path = databases.make_ledger(tmp_path / "a.db", journal="delete", filler_bytes=10_000_000)
    writer = peer(path)
    began = time.monotonic()
    with pytest.raises(BusyError, match=r"a.db: another process kept the database locked for 0.20 s"):
        take(str(path), str(scratch), "a.db", busy_timeout_seconds=0.2,
             progress=during_copy(lambda: writer.sql("BEGIN EXCLUSIVE")))
    assert time.monotonic() - began < 20
    writer.sql("INSERT INTO log VALUES (1, 'goes on')")
    writer.sql("COMMIT")


def test_a_lock_from_the_beginning_is_reported(tmp_path, scratch, databases, peer):
    path = databases.make(tmp_path / "a.db", journal="delete")
    peer(path).sql("BEGIN EXCLUSIVE")
    with pytest.raises(BusyError, match="a.db"):
        take(str(path), str(scratch), "a.db", busy_timeout_seconds=0.1)
    assert os.listdir(scratch / "databases") == []


def test_the_deadline_stops_the_copy(tmp_path, scratch, databases, peer):
    path = databases.make(tmp_path / "a.db")
    with pytest.raises(SourceError, match="deadline"):
        take(str(path), str(scratch), "a.db", deadline_seconds=0.0)
    writer = peer(path)
    writer.sql("INSERT INTO empty VALUES (1)")


def test_the_deadline_stops_the_digests(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db", rows=20_000)
    end = time.monotonic() + 0.5

    def slow(phase, _done, _total):
        while phase == "digest" and time.monotonic() < end:
            time.sleep(0.01)

    with pytest.raises(SourceError, match="deadline"):
        take(str(path), str(scratch), "a.db", deadline_seconds=0.4, progress=slow)


def test_progress_may_stop_the_copy(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db")

    def stop(*_call):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(str(path), str(scratch), "a.db", progress=stop)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0b"])
def test_names_that_lead_elsewhere(tmp_path, scratch, databases, name):
    path = databases.make(tmp_path / "a.db")
    with pytest.raises(UsageError):
        take(str(path), str(scratch), name)
    assert os.listdir(scratch) == []


def test_a_snapshot_is_never_overwritten(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db")
    first = take(str(path), str(scratch), "a.db")
    with pytest.raises(DestinationError, match="there already"):
        take(str(path), str(scratch), "a.db")
    assert hashlib.sha256(Path(first.path).read_bytes()).hexdigest() == first.digests.sha256


def test_scratch_that_cannot_be_used(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db")
    with pytest.raises(DestinationError, match="nowhere"):
        take(str(path), str(tmp_path / "nowhere"), "a.db")
    (scratch / "databases").write_bytes(b"")
    with pytest.raises(DestinationError, match="databases"):
        take(str(path), str(scratch), "a.db")


def test_damaged_pages_are_problems_and_not_an_exception(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", rows=3000)
    with open(path, "r+b") as stream:
        stream.seek(40 * 4096)
        stream.write(os.urandom(5 * 4096))
    taken = take(str(path), str(scratch), "a.db")
    assert any("cannot be counted" in problem for problem in taken.problems)
    assert (len(taken.problems) > 1, taken.contents.rows, taken.contents.schema_sha256) == (True, {}, "")
    assert all(problem.isprintable() for problem in taken.problems)
    assert taken.digests.page_count == path.stat().st_size // 4096


def test_a_damaged_schema_is_an_error(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db", journal="delete")
    with open(path, "r+b") as stream:
        stream.seek(100)
        stream.write(os.urandom(3000))
    with pytest.raises(SourceError, match=r"a.db: the database is damaged"):
        take(str(path), str(scratch), "a.db")


def test_pitfall_08_a_flipped_bit_that_the_check_cannot_see_changes_the_digests(tmp_path, scratch, databases):
    path = databases.make(tmp_path / "a.db", journal="delete", after="DROP INDEX by_content")
    before = take(str(path), str(scratch), "before")
    data = bytearray(path.read_bytes())
    data[data.index(b"essay essay")] ^= 1
    path.write_bytes(data)
    after = take(str(path), str(scratch), "after")
    assert after.problems == ()
    assert after.digests.content_sha256 != before.digests.content_sha256
    tables = [Path(taken.page_digests_path).read_bytes() for taken in (before, after)]
    assert sum(tables[0][at:at + 16] != tables[1][at:at + 16] for at in range(0, len(tables[0]), 16)) == 1
