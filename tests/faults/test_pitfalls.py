# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with SQLite backups elsewhere, each by its number: it does not go wrong here."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from pathlib import Path

import attack_restore
import attack_short_writes
import pytest
from attack_writers import committed, no_prefix, writing
from fault_trace import injected, record, traced
from fault_world import World, commit, integrity, rows_digest, sha256, sql
from system_site import powerless

RESTORE = ("restore", "latest", "--yes", "--accept-unknown-holders")


def backup(world: World, *options: str, **environment) -> dict:
    """A backup that must succeed, and its document."""
    ended = world.command("backup", "--json", *options, **environment)
    assert ended.code == 0, ended
    return dict(json.loads(ended.output))


def restored(world: World, name: str = "latest") -> Path:
    """The archive, restored to another path."""
    target = world.root / "elsewhere" / "app.db"
    target.parent.mkdir(exist_ok=True)
    ended = world.command("restore", name, "--to", str(target), "--yes", "--accept-unknown-holders")
    assert ended.code == 0, ended
    return target


def test_pitfall_01_foreign_commits_do_not_restart_the_snapshot(world):
    with writing(world, 0.0) as told:
        at_least = committed(told)
        (snapshot,) = backup(world, "--force")["snapshots"]
    assert snapshot["restarts"] == 0 and snapshot["stall_seconds"] == 0
    assert no_prefix(restored(world), at_least) == []


def test_pitfall_02_a_rollback_journal_stalls_writers_once_and_says_so(tmp_path):
    world = World(tmp_path / "world").build(journal_mode="delete")
    with writing(world, 100.0) as told:
        (snapshot,) = backup(world, "--force")["snapshots"]
        before = committed(told)
        while committed(told) == before:
            pass
    assert snapshot["journal_mode"] == "delete" and snapshot["stall_seconds"] >= 0
    assert sql(world.database, "PRAGMA journal_mode") == [("delete",)]


def test_pitfall_03_the_log_is_watched_while_the_snapshot_lasts(world):
    (snapshot,) = backup(world)["snapshots"]
    assert snapshot["wal_bytes_peak"] >= snapshot["wal_bytes_before"] >= 0
    assert sql(world.database, "PRAGMA wal_checkpoint(TRUNCATE)")[0][0] == 0, "the snapshot does not hold the log back"


def test_pitfall_04_rows_that_only_the_log_holds_are_backed_up(world):
    holder = sqlite3.connect(world.database, isolation_level=None)
    holder.execute("SELECT count(*) FROM essays").fetchone()
    commit(world.database, 70)
    assert Path(f"{world.database}-wal").stat().st_size > 0
    wanted = rows_digest(world.database)
    backup(world)
    assert rows_digest(restored(world)) == wanted
    holder.close()


@pytest.mark.parametrize("number, sidecar", [(5, "-wal"), (6, "-journal")], ids=["05", "06"])
def test_pitfall_05_06_a_stale_log_or_journal_does_not_come_back(world, number, sidecar):
    wanted = attack_restore.archived(world)
    stale = attack_restore.stale_sidecars(world, "another database")
    end, broken = attack_restore.beside(world, wanted, stale, (sidecar,))
    assert (end, broken) == ("came back whole", []), number


def test_pitfall_07_a_running_application_is_not_restored_under(world):
    with writing(world, 20.0):
        ended = world.command("restore", "latest", "--yes")
        assert ended.code == 7 and "held open" in ended.errors, ended
    assert integrity(world.database) == []


def test_pitfall_08_a_flipped_bit_that_integrity_check_does_not_see_is_another_content(world):
    path = restored(world)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"paragraph")
    data[place] ^= 1
    path.write_bytes(data)
    assert integrity(path) == []
    first, second = (json.loads(world.command("info", str(one), "--json").output) for one in (path, world.database))
    assert first != second
    plan = world.command("restore", "latest", "--to", str(path), "--dry-run", "--json", "--accept-unknown-holders")
    assert json.loads(plan.output)["changed"], "the restore takes the flipped bit for the same content"


@pytest.mark.needs("strace")
def test_pitfall_09_the_live_file_is_read_once_and_checked_in_the_copy(world):
    lines, ended = traced(world, ("backup",), "-e", "trace=pread64,read")
    assert ended.code == 0
    count = sum(int(found[1]) for line in lines if f"<{world.database}>" in line
                for found in [re.search(r"= (\d+)$", line)] if found)  # fmt: skip
    size = world.database.stat().st_size
    assert size * 0.5 < count < size * 1.5


@pytest.mark.needs("root")
def test_pitfall_10_a_database_whose_directory_cannot_be_written_is_explained(world):
    sql(world.database, "PRAGMA wal_checkpoint(TRUNCATE)")
    world.database.parent.chmod(0o555)
    os.chown(world.database.parent, 65534, -1)
    ended = world.command("backup", prefix=powerless())
    world.database.parent.chmod(0o700)
    assert ended.code in (0, 3) and not ended.traceback
    assert ended.code == 0 or str(world.database) in ended.errors


@pytest.mark.needs("root")
def test_pitfall_11_what_sqlite_makes_beside_the_database_belongs_to_its_owner(world):
    sql(world.database, "PRAGMA wal_checkpoint(TRUNCATE)")
    for path in (world.root, world.root.parent, world.live):
        path.chmod(0o755)
    for path in (world.database.parent, world.database):
        os.chown(path, 4321, 4321)
    assert not Path(f"{world.database}-wal").exists()
    backup(world)
    owners = {path.name: path.stat().st_uid for path in world.database.parent.glob("app.db*")}
    assert set(owners.values()) == {4321}, owners


def test_pitfall_12_owner_and_mode_come_back(world):
    wanted = attack_restore.archived(world)
    assert attack_restore.owned(world, wanted) == ("came back whole", [])


def test_pitfall_13_a_hard_link_is_refused_and_a_symbolic_link_is_followed(world):
    other = world.database.with_name("other.db")
    os.link(world.database, other)
    ended = world.command("backup")
    assert ended.code == 3 and "link" in ended.errors, ended
    other.unlink()
    real = world.live / "real.db"
    sql(world.database, "PRAGMA wal_checkpoint(TRUNCATE)")
    world.database.rename(real)
    world.database.symlink_to(real)
    commit(real, 71)
    backup(world)
    assert rows_digest(restored(world)) == rows_digest(real)


@pytest.mark.needs("root", "fusermount3")
def test_pitfall_14_a_file_system_that_is_shared_is_named(world):
    elsewhere = world.live / "data"
    world.keep()
    for path in elsewhere.iterdir():
        path.unlink()
    with attack_short_writes.mounted(elsewhere, "sshfs"):
        for path in (world.root / "kept" / "data").iterdir():
            (elsewhere / path.name).write_bytes(path.read_bytes())
        ended = world.command("backup", "--force", "--json")
        assert "fuse.sshfs" in ended.output + ended.errors, ended


def test_pitfall_15_a_backup_never_checkpoints_and_info_tells_of_the_bug(world):
    holder = sqlite3.connect(world.database, isolation_level=None)
    holder.execute("SELECT count(*) FROM essays").fetchone()
    commit(world.database, 72)
    before = sha256(world.database), sha256(Path(f"{world.database}-wal"))
    backup(world)
    assert (sha256(world.database), sha256(Path(f"{world.database}-wal"))) == before
    holder.close()
    assert "sqlite_version" in world.command("info", "--json").output


def test_pitfall_16_rowids_of_tables_without_a_key_stay(world):
    sql(world.database, "CREATE TABLE loose (word TEXT)", "INSERT INTO loose VALUES ('a'), ('b'), ('c')",
        "DELETE FROM loose WHERE word = 'b'")  # fmt: skip
    backup(world)
    assert sql(restored(world), "SELECT rowid, word FROM loose ORDER BY 1") == [(1, "a"), (3, "c")]


def test_pitfall_17_no_job_rewrites_the_live_database(world):
    sql(world.database, "PRAGMA wal_checkpoint(TRUNCATE)")
    before = sha256(world.database)
    for words in (("backup", "--force"), ("verify", "latest", "--level", "restore"), ("prune",), ("info",), ("list",)):
        assert world.command(*words).code == 0
    assert sha256(world.database) == before
    assert sql(world.database, "PRAGMA freelist_count") != [(0,)]


def test_pitfall_18_one_changed_row_costs_few_pages(world):
    full = backup(world, "--strategy", "full", "--force")["archive_bytes"]
    commit(world.database, 73)
    document = backup(world)
    assert document["base"] and document["archive_bytes"] < full / 4


@pytest.mark.needs("faketime")
def test_pitfall_19_fifteen_failed_nights_leave_every_backup(world):
    names = {path.name for path in world.final_archives()}
    data = bytearray(world.database.read_bytes())
    data[4096 * 3:4096 * 3 + 64] = bytes(64)
    world.database.write_bytes(data)
    for night in range(1, 16):
        ended = world.command("backup", "--force", prefix=(
            "env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", f"+{night}d"))  # fmt: skip
        assert ended.code == 3, ended
    assert {path.name for path in world.final_archives()} == names


@pytest.mark.needs("strace")
def test_pitfall_20_what_a_full_disk_left_is_no_backup(world):
    before = world.keep()
    calls, _ended = record(world, "backup")
    call = [one for one in calls if one.name == "write" and ".tar." in one.site and ".json" not in one.site][-1]
    world.reset()
    happened, ended = injected(world, call, "error=ENOSPC", "backup")
    assert happened and ended.code == 4 and "space" in ended.errors
    assert {path.name for path in world.final_archives()} == set(before.archives) and not world.leftovers()
    assert world.status()["last_outcome"] == "failed"


def test_pitfall_21_a_file_that_a_row_names_in_vain_is_told(tmp_path):
    uploads = tmp_path / "world" / "live" / "data" / "uploads"
    database = str(tmp_path / "world" / "live" / "data" / "app.db")
    world = World(tmp_path / "world").build(uploads_paths=[str(uploads.parent / "uploads")], file_references=[
        {"database": database, "query": "SELECT 'essay-' || id || '.txt' FROM essays WHERE id < 3",
         "base": str(uploads)}])  # fmt: skip
    uploads.mkdir()
    (uploads / "essay-1.txt").write_text("there")
    document = backup(world, "--kind", "full")
    assert document["missing_files"] == [str(uploads / "essay-2.txt")]


def test_pitfall_22_a_missing_database_is_not_made(world):
    for path in world.database.parent.glob("app.db*"):
        path.unlink()
    ended = world.command("backup")
    assert ended.code == 3 and str(world.database) in ended.errors
    assert not world.database.exists()


def test_pitfall_23_what_is_no_plain_sqlite_database_is_refused(world):
    for path in world.database.parent.glob("app.db-*"):
        path.unlink()
    world.database.write_bytes(os.urandom(8192))
    ended = world.command("backup")
    assert ended.code == 3 and "encrypted" in ended.errors, ended


@pytest.mark.parametrize("page_size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
@pytest.mark.parametrize("auto_vacuum", ["none", "full", "incremental"])
def test_pitfall_24_every_page_size(tmp_path, page_size, auto_vacuum):
    world = World(tmp_path / "world").build(journal_mode="delete")
    sql(world.database, f"PRAGMA page_size = {page_size}", f"PRAGMA auto_vacuum = {auto_vacuum}", "VACUUM")
    wanted = rows_digest(world.database)
    assert backup(world)["snapshots"][0]["page_size"] == page_size
    target = restored(world)
    assert rows_digest(target) == wanted and integrity(target) == []


def test_pitfall_25_reading_a_copy_leaves_nothing_beside_it(world):
    target = restored(world)
    assert [path.name for path in target.parent.glob("app.db-*")] == []
    assert world.command("verify", "latest", "--level", "restore").code == 0
    assert not world.leftovers()


def test_pitfall_26_an_old_archive_is_verified_as_well_and_told_apart(world):
    oldest = min(world.final_archives())
    created = world.status()["last_success_at"]
    data = bytearray(oldest.read_bytes())
    data[len(data) // 2] ^= 1
    oldest.write_bytes(data)
    ended = world.command("verify", "oldest")
    assert ended.code == 6 and oldest.name in ended.output + ended.errors
    assert world.status()["last_success_at"] == created and world.status()["last_verification"] == "failed"


def test_every_pitfall_has_its_test():
    names = re.findall(r"def test_pitfall_([\d_]+?)_[a-z]", Path(__file__).read_text(encoding="utf-8"))
    found = {int(number) for name in names for number in name.split("_")}
    assert found == set(range(1, 27))
