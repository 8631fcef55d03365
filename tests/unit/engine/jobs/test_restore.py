# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores: the rows that come back, what is kept, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from datetime import datetime, timezone

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import keys
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import restore as restore_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.collect import FileSource
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import apply_restore, undo_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_journal import journal_path
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_plan import plan_restore

from .conftest import ROWS, Site, flip

EVERYTHING = ("databases", "config", "uploads", "logs")


def damage(site: Site) -> None:
    """The database is overwritten; nothing of it can be read."""
    with open(site.database, "r+b") as stream:
        stream.write(b"\0" * 8192)


def stale_sidecars(site: Site, names=("-wal", "-shm")) -> dict:
    """Sidecars of another database of equal schema, left beside the destroyed one."""
    other = os.path.join(site.root, "other.db")
    connection = sqlite3.connect(other, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT)")
    connection.execute("INSERT INTO drafts(content) VALUES ('a stale row')")
    kept = {}
    for name in names:
        shutil.copyfile(other + name, site.database + name)
        kept[name] = open_bytes(site.database + name)
    connection.close()
    return kept


def open_bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def test_a_destroyed_database_comes_back_row_for_row(site: Site) -> None:
    rows = site.rows()
    archive = site.backup().archive
    damage(site)
    result = site.restore()
    assert result.changed and result.archive == archive
    assert site.rows() == rows
    assert dict(result.rows) == {"app.db": {"drafts": ROWS}}
    assert [name for name, _seconds in result.phases] == ["preflight", "unpack and check", "swap"]


def test_stale_wal_and_shm_are_set_aside_with_the_old_database_pitfall_5(site: Site) -> None:
    rows = site.rows()
    site.backup()
    damage(site)
    kept = stale_sidecars(site)
    result = site.restore()
    assert site.rows() == rows
    for name, content in kept.items():
        assert open_bytes(os.path.join(result.safety_copy, "app.db" + name)) == content


def test_a_stale_hot_journal_is_set_aside_pitfall_6(site: Site) -> None:
    rows = site.rows()
    site.backup()
    damage(site)
    with open(site.database + "-journal", "wb") as stream:
        stream.write(bytes.fromhex("d9d505f920a163d7") + b"\1" * 4096)
    result = site.restore()
    assert site.rows() == rows and not os.path.exists(site.database + "-journal")
    assert os.path.exists(os.path.join(result.safety_copy, "app.db-journal"))


@pytest.mark.parametrize("left", [("-wal",), ("-wal", "-shm")])
def test_sidecars_without_a_database_are_set_aside(site: Site, left) -> None:
    rows = site.rows()
    site.backup()
    os.unlink(site.database)
    stale_sidecars(site, left)
    assert site.restore().changed
    assert site.rows() == rows


def test_a_second_restore_changes_nothing(site: Site) -> None:
    site.backup()
    damage(site)
    site.restore()
    before = site.tree()
    predicted = site.restore(check=True)
    again = site.restore()
    assert (predicted.changed, again.changed, again.safety_copy) == (False, False, None)
    assert site.tree() == before


def test_check_mode_says_what_the_run_does_and_touches_nothing(site: Site) -> None:
    site.backup()
    site.sql("DELETE FROM drafts WHERE id < 10")
    before = site.tree()
    predicted = site.restore(check=True)
    assert site.tree() == before
    real = site.restore()
    assert predicted.changed and predicted.steps == real.steps
    assert [step["action"] for step in real.steps] == ["replace"]


def test_newer_rows_are_kept_in_the_safety_copy_and_undo_brings_them_back(site: Site) -> None:
    site.backup()
    site.sql("INSERT INTO drafts(content) VALUES ('written after the backup')")
    newer = site.rows()
    result = site.restore()
    assert site.rows() != newer
    assert site.rows(os.path.join(result.safety_copy, "app.db")) == newer
    undone = undo_restore(result.safety_copy, accept_unknown_holders=True)
    assert undone.changed and site.rows() == newer
    assert not undo_restore(result.safety_copy, accept_unknown_holders=True).changed
    assert site.rows() == newer


def test_undo_predicts_in_check_mode(site: Site) -> None:
    site.backup()
    damage(site)
    result = site.restore()
    before = site.tree()
    assert undo_restore(result.safety_copy, check=True).changed
    assert site.tree() == before


def test_undo_of_what_is_no_safety_copy_is_refused(site: Site, tmp_path) -> None:
    with pytest.raises(errors.RestoreError, match="no safety copy"):
        undo_restore(str(tmp_path))


def test_a_safety_copy_whose_file_is_gone_cannot_be_undone(site: Site) -> None:
    site.backup()
    damage(site)
    result = site.restore()
    rows = site.rows()
    os.unlink(os.path.join(result.safety_copy, "app.db"))
    with pytest.raises(errors.RestoreError, match="gone"):
        undo_restore(result.safety_copy, accept_unknown_holders=True)
    assert site.rows() == rows


def test_a_database_held_open_is_not_replaced_pitfall_7(site: Site, holder) -> None:
    site.backup()
    site.sql("DELETE FROM drafts WHERE id = 1")
    pid = holder(site.database)
    before = site.tree()
    with pytest.raises(errors.BusyError, match=str(pid)) as raised:
        site.restore()
    assert site.database in str(raised.value)
    assert site.tree() == before


def test_what_cannot_be_looked_into_refuses_unless_it_is_accepted(site: Site) -> None:
    """Asked as another user, who may not look into the processes of this one."""
    site.backup()
    damage(site)
    unknown = restore_module.find_holders(site.database)
    plan = plan_restore(site.restore_request(accept_unknown_holders=False))
    if unknown.unknown:
        before = site.tree()
        with pytest.raises(errors.BusyError, match="could not be looked into"):
            apply_restore(plan)
        assert site.tree() == before
    else:
        assert apply_restore(plan).changed


def test_a_symbolic_link_stays_and_its_target_is_replaced_pitfall_13(site: Site) -> None:
    rows = site.rows()
    site.backup()
    real = os.path.join(site.root, "elsewhere.db")
    os.rename(site.database, real)
    os.symlink(real, site.database)
    with open(real, "r+b") as stream:
        stream.write(b"\0" * 4096)
    site.restore()
    assert os.path.islink(site.database) and site.rows(real) == rows


def test_a_hard_link_is_refused(site: Site) -> None:
    site.backup()
    os.link(site.database, site.database + ".link")
    before = site.tree()
    with pytest.raises(errors.RestoreError, match="hard link"):
        site.restore()
    assert site.tree() == before


def test_a_directory_as_target_is_refused(site: Site) -> None:
    site.backup()
    with pytest.raises(errors.RestoreError, match="directory"):
        site.restore(target=site.home)
    with pytest.raises(errors.UsageError, match="full path"):
        site.restore(target="app.db")


def test_another_path_leaves_the_live_database_alone(site: Site) -> None:
    rows = site.rows()
    site.backup()
    live = site.sql("DELETE FROM drafts WHERE id = 1") or site.rows()
    target = os.path.join(site.root, "new", "place", "copy.db")
    result = site.restore(target=target)
    assert site.rows(target) == rows and site.rows() == live
    assert result.steps[0]["action"] == "create"
    assert not site.restore(target=target).changed


def test_owner_mode_and_what_was_asked_for_pitfall_12(site: Site) -> None:
    site.backup()
    os.chmod(site.database, 0o640)
    damage(site)
    site.restore()
    assert os.stat(site.database).st_mode & 0o7777 == 0o640
    adjusted = site.restore(mode=0o600)
    assert adjusted.changed and adjusted.safety_copy is None
    assert adjusted.steps[0]["action"] == "adjust"
    assert os.stat(site.database).st_mode & 0o7777 == 0o600
    assert not site.restore(mode=0o600).changed
    os.unlink(site.database)
    site.restore(mode=0o604)
    assert os.stat(site.database).st_mode & 0o7777 == 0o604
    with pytest.raises(errors.RestoreError, match="no-such-user"):
        site.restore(owner="no-such-user")


def test_an_older_schema_is_refused_unless_it_is_allowed(site: Site) -> None:
    site.backup()
    site.sql("PRAGMA user_version = 3")
    before = site.tree()
    with pytest.raises(errors.RestoreError, match="version 3"):
        site.restore()
    assert site.tree() == before
    assert site.restore(allow_older_schema=True).changed
    assert site.sql("PRAGMA user_version") == [(0,)]


def test_another_schema_is_told(site: Site) -> None:
    site.backup()
    site.sql("CREATE INDEX extra ON drafts(content)")
    result = site.restore()
    assert any("schema" in warning for warning in result.warnings)


@pytest.mark.parametrize("place", [0, 1, 45, 0.25, 0.5, 0.9, -1])
def test_a_damaged_archive_is_not_restored(site: Site, place) -> None:
    archive = site.backup().archive
    site.sql("DELETE FROM drafts WHERE id = 1")
    size = os.path.getsize(archive)
    flip(archive, int(place * size) if isinstance(place, float) else place % size)
    before = site.tree()
    with pytest.raises((errors.ArchiveError, errors.KeyFileError)):
        site.restore()
    assert site.tree() == before


def test_a_truncated_a_renamed_and_a_foreign_archive_are_refused(site: Site) -> None:
    archive = site.backup().archive
    damage(site)
    before = site.tree()
    renamed = archive.replace("Z.tar", "Z.tar").replace("app-database-2", "app-database-3")
    shutil.copyfile(archive, renamed)
    with pytest.raises(errors.ArchiveError, match="renamed"):
        site.restore(archive=renamed)
    with open(archive, "r+b") as stream:
        stream.truncate(os.path.getsize(archive) - 1)
    # Of an archive of one segment, the key cannot be told from the damage.
    with pytest.raises((errors.ArchiveError, errors.KeyFileError), match=os.path.basename(archive)):
        site.restore(archive=archive)
    open(archive, "wb").close()
    with pytest.raises(errors.ArchiveError, match="empty"):
        site.restore(archive=archive)
    with open(archive, "wb") as stream:
        stream.write(b"PK\3\4 somebody else's")
    with pytest.raises(errors.ArchiveError):
        site.restore(archive=archive)
    assert site.tree() == before


def test_a_wrong_key_is_said_to_be_one(site: Site) -> None:
    site.backup()
    damage(site)
    other = os.path.join(site.root, "other.key")
    keys.create(other)
    with pytest.raises(errors.KeyFileError):
        site.restore(key_file=other)
    with pytest.raises(errors.KeyFileError):
        site.restore(key_file=None)


def test_what_is_not_in_the_archive_is_refused_with_what_there_is(site: Site) -> None:
    site.backup()
    with pytest.raises(errors.ArchiveError, match=r"app\.db"):
        site.restore(databases=("other.db",))
    with pytest.raises(errors.ArchiveError, match="app-database"):
        site.restore(archive="app-database-20200101T000000Z.tar.gz.enc")
    with pytest.raises(errors.ArchiveError):
        site.restore(parts=("uploads",), kind="database")
    with pytest.raises(errors.UsageError, match="part"):
        site.restore(parts=("everything",))
    with pytest.raises(errors.UsageError, match="databases"):
        site.restore(parts=("config",), databases=("app.db",))
    with pytest.raises(errors.ArchiveError, match="nowhere"):
        site.restore(archive="/nowhere/app-database-20200101T000000Z.tar.gz.enc")
    with pytest.raises(errors.UsageError, match="path"):
        site.restore(destination=None)


def test_newest_before_a_time(site: Site, monkeypatch) -> None:
    from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import backup as backup_module

    contents = {}
    for day in (1, 2, 3):
        monkeypatch.setattr(backup_module, "utc_now", lambda day=day: datetime(2026, 3, day, 2, tzinfo=timezone.utc))
        site.sql("UPDATE drafts SET content = ? WHERE id = 1", f"day {day}")
        site.backup()
        contents[day] = site.rows()
    site.restore(before=datetime(2026, 3, 2, 12, tzinfo=timezone.utc))
    assert site.rows() == contents[2]
    with pytest.raises(errors.ArchiveError, match="2026-02"):
        site.restore(before=datetime(2026, 2, 1, tzinfo=timezone.utc))


def test_everything_comes_back_onto_a_bare_host(site: Site) -> None:
    site.write("logs/app.log", "started\n")
    site.backup("full")
    rows, before = site.rows(), site.tree()
    shutil.rmtree(site.home)
    result = site.restore(parts=EVERYTHING)
    assert site.rows() == rows
    after = site.tree()
    for name in (".env", "data/uploads/1/essay.txt", "logs/app.log", "data/uploads", "data/uploads/1"):
        assert after[name] == before[name]
    assert any("was missing and was made" in warning for warning in result.warnings)
    assert not site.restore(parts=EVERYTHING).changed


def test_files_are_replaced_with_a_safety_copy_and_undone_with_the_database(site: Site) -> None:
    site.backup("full")
    site.write(".env", "SECRET_KEY=newer\n", 0o600)
    site.write("data/uploads/1/later.txt", "later\n")
    site.sql("DELETE FROM drafts WHERE id = 1")
    rows, before = site.rows(), site.tree()
    result = site.restore(parts=EVERYTHING)
    assert open_bytes(os.path.join(site.home, ".env")) == b"SECRET_KEY=x\n"
    assert os.path.exists(os.path.join(site.home, "data/uploads/1/later.txt"))
    undo_restore(result.safety_copy, accept_unknown_holders=True)
    after = site.tree()
    assert site.rows() == rows and after[".env"] == before[".env"]


def test_only_configuration_needs_no_stopped_database(site: Site, holder) -> None:
    site.backup("config")
    os.unlink(os.path.join(site.home, ".env"))
    holder(site.database)
    result = site.restore(parts=("config",))
    assert result.changed and open_bytes(os.path.join(site.home, ".env")) == b"SECRET_KEY=x\n"
    undone = undo_restore(result.safety_copy)
    assert undone.changed and not os.path.exists(os.path.join(site.home, ".env"))


def test_a_file_where_a_directory_should_be_is_refused(site: Site) -> None:
    site.backup("full")
    shutil.rmtree(os.path.join(site.home, "data/uploads"))
    site.write("data/uploads", "a file\n")
    with pytest.raises(errors.RestoreError, match="something else"):
        site.restore(parts=EVERYTHING)


def test_a_full_disk_is_noticed_before_anything_is_written(site: Site) -> None:
    site.backup()
    damage(site)
    plan = plan_restore(site.restore_request())
    from dataclasses import replace
    short = replace(plan, needs=tuple((directory, free + 1, free) for directory, _needed, free in plan.needs))
    before = site.tree()
    with pytest.raises(errors.DestinationError, match="free"):
        apply_restore(short)
    assert site.tree() == before


def test_old_safety_copies_go_and_foreign_directories_stay(site: Site) -> None:
    site.backup()
    damage(site)
    old = site.restore().safety_copy
    record = os.path.join(old, "record.json")
    with open(record, encoding="utf-8") as stream:
        value = json.load(stream)
    value["created_at"] = "2020-01-01T00:00:00Z"
    with open(record, "w", encoding="utf-8") as stream:
        json.dump(value, stream)
    foreign = site.database + ".before-restore-20200101T000000Z"
    os.mkdir(foreign)
    damage(site)
    result = site.restore(safety_days=7)
    assert result.expired == (old,) and not os.path.exists(old)
    assert os.path.isdir(foreign) and os.path.isdir(result.safety_copy)


def test_two_databases_are_one_swap(site: Site) -> None:
    other = os.path.join(site.home, "second", "app.db")
    os.makedirs(os.path.dirname(other))
    shutil.copyfile(site.database, other)
    databases = (site.database, other)
    site.backup(databases=databases)
    rows = site.rows()
    for path in databases:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("DELETE FROM drafts WHERE id = 1")
        connection.close()
    result = site.restore()
    assert site.rows() == rows and site.rows(other) == rows
    undo_restore(result.safety_copy, accept_unknown_holders=True)
    assert site.rows() != rows and site.rows(other) != rows


def test_two_restores_at_once_second_is_refused(site: Site) -> None:
    import fcntl
    site.backup()
    damage(site)
    before = site.tree()
    handle = os.open(os.path.dirname(site.database), os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(errors.BusyError, match="another restore"):
            site.restore()
    finally:
        os.close(handle)
    assert site.tree() == before


def test_an_interrupted_restore_is_ended_by_the_next(site: Site) -> None:
    """Killed just after the old database was moved away: the journal is there, the database is not."""
    rows = site.rows()
    site.backup()
    site.sql("DELETE FROM drafts WHERE id = 1")
    program = (
        "import os, sys\n"
        "from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import restore, restore_plan\n"
        "rename, count = os.rename, [0]\n"
        "def killed(source, target):\n"
        "    rename(source, target)\n"
        "    os.kill(os.getpid(), 9)\n"
        "os.rename = killed\n"
        "restore.run_restore(restore_plan.RestoreRequest('app', sys.argv[1], key_file=sys.argv[2],"
        " accept_unknown_holders=True))\n")
    import subprocess
    import sys
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    process = subprocess.run([sys.executable, "-c", program, site.archives, site.key_file], env=environment)
    assert process.returncode == -9
    assert os.path.exists(journal_path(site.database)) and not os.path.exists(site.database)
    assert site.restore(check=True).changed
    assert not os.path.exists(site.database)
    result = site.restore()
    assert result.resolved == ((site.database, "completed"),)
    assert site.rows() == rows and not os.path.exists(journal_path(site.database))
    assert not [name for name in os.listdir(os.path.dirname(site.database)) if name.endswith("maintenance-tmp")]
    assert not site.restore().changed


def test_the_configuration_of_another_application_is_not_taken(site: Site) -> None:
    site.backup()
    with pytest.raises(errors.ArchiveError):
        site.restore(application="other")


def test_a_required_file_source_is_restored_to_its_own_path(site: Site) -> None:
    extra = site.write("config/settings.yml", "a: 1\n", 0o640)
    site.backup("config", files=(FileSource(extra, "config"),))
    os.unlink(extra)
    site.restore(parts=("config",))
    assert open_bytes(extra) == b"a: 1\n" and os.stat(extra).st_mode & 0o777 == 0o640


@pytest.mark.parametrize("place", ["data/uploads", "data/app.db"])
def test_links_of_another_user_do_not_lead_a_restore_astray(site: Site, place: str) -> None:
    """A user who may write to the uploads puts a link where a directory was."""
    site.backup("full")
    path, outside = os.path.join(site.home, place), os.path.join(site.root, "outside")
    os.rename(path, outside)
    os.symlink(outside, path)
    own = os.geteuid() != 0
    if not own:
        os.lchown(path, 65534, 65534)
    site.sql("DELETE FROM drafts WHERE id = 1")
    before = site.tree(site.root)
    if own:
        assert site.restore(parts=EVERYTHING).changed
        return
    with pytest.raises(errors.RestoreError, match="symbolic link"):
        site.restore(parts=EVERYTHING)
    assert site.tree(site.root) == before
