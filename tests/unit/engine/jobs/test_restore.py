# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of a database: the rows that come back, and what is refused."""


from __future__ import annotations

import os
import shutil
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import keys
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import restore as restore_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import apply_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_plan import plan_restore

from .conftest import ROWS, Site, damage, flip, open_bytes, stale_sidecars


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


@pytest.fixture
def made(site: Site, monkeypatch):
    """Adds a row and makes a backup under a clock that is so many hours from three days ago."""
    from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import backup as backup_module

    began = datetime.now(timezone.utc) - timedelta(days=3)

    def make(kind: str, hours: float) -> str:
        site.sql("INSERT INTO drafts(content) VALUES (?)", f"before {kind} {hours}")
        monkeypatch.setattr(backup_module, "utc_now", lambda: began + timedelta(hours=hours))
        archive = site.backup(kind).archive
        monkeypatch.undo()
        return os.path.basename(archive)

    return make


def _count(site: Site) -> int:
    return int(site.sql("SELECT count(*) FROM drafts")[0][0])


@pytest.mark.parametrize("runs", [("full", "database", "database"), ("database", "full"), ("full", "database", "full")])
def test_the_newest_of_all_kinds_is_taken(site: Site, made, runs) -> None:
    names = [made(kind, hours) for hours, kind in enumerate(runs)]
    damage(site)
    assert os.path.basename(site.restore().archive) == names[-1]
    assert _count(site) == ROWS + len(runs)


@pytest.mark.parametrize(("first", "then"), [((20, "full"), "database"), ((365 * 24, "full"), "database"),
                                             ((20, "database"), "full"), ((4, "full"), "database")])
def test_no_row_is_lost_to_a_clock_that_was_ahead(site: Site, made, first, then) -> None:
    ahead = made(first[1], first[0])
    names = [made(then, hours) for hours in (1, 2, 3)]
    damage(site)
    before = site.tree()
    for check in (True, False):
        with pytest.raises(errors.ArchiveError, match="--kind") as raised:
            site.restore(check=check)
        assert ahead in str(raised.value) and names[-1] in str(raised.value)
    assert site.tree() == before
    site.restore(kind=then)
    assert _count(site) == ROWS + 4


def test_no_row_is_lost_to_a_clock_that_went_back_an_hour(site: Site, made) -> None:
    made("full", 3)
    newest = made("database", 2)
    damage(site)
    with pytest.raises(errors.ArchiveError, match="--kind"):
        site.restore()
    site.restore(archive=newest)
    assert _count(site) == ROWS + 2


@pytest.mark.parametrize("ahead", [20, 365 * 24])
def test_one_more_backup_of_the_kind_that_was_ahead_ends_the_doubt(site: Site, made, ahead) -> None:
    made("full", ahead)
    made("database", 1)
    newest = made("full", 2)
    damage(site)
    assert os.path.basename(site.restore().archive) == newest
    assert _count(site) == ROWS + 3


def test_newest_of_all_kinds_before_a_time(site: Site, made) -> None:
    names = [made(kind, hours) for hours, kind in enumerate(("full", "database", "full", "database"))]
    began = datetime.now(timezone.utc) - timedelta(days=3)
    for hours, name in enumerate(names):
        limit = began + timedelta(hours=hours + 0.5)
        assert os.path.basename(site.restore(before=limit).archive) == name
        assert _count(site) == ROWS + hours + 1
    made("full", 30)
    made("database", 5)
    with pytest.raises(errors.ArchiveError, match="--kind"):
        site.restore(before=began + timedelta(hours=10))


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


def test_the_configuration_of_another_application_is_not_taken(site: Site) -> None:
    site.backup()
    with pytest.raises(errors.ArchiveError):
        site.restore(application="other")


def test_an_archive_that_no_key_vouches_for_is_told(site: Site) -> None:
    site.backup(key_file=None)
    damage(site)
    result = site.restore()
    assert result.changed and any("not encrypted" in warning for warning in result.warnings)


def test_another_kind_than_there_is_names_those_that_there_are(site: Site) -> None:
    site.backup()
    with pytest.raises(errors.ArchiveError, match="holds archives of kind database"):
        site.restore(kind="full")


def test_a_damaged_archive_restores_nothing_whether_something_would_change_or_not(site: Site) -> None:
    """A run reads the archive once, while it unpacks; where nothing is unpacked it is read for its own sake."""
    # Several segments, so that the head of the archive can still be read.
    site.sql("INSERT INTO drafts(content) SELECT hex(randomblob(300000)) FROM drafts LIMIT 8")
    path = site.backup().archive
    size = os.path.getsize(path)
    flip(path, size - 700)
    before = site.tree()
    with pytest.raises(errors.ArchiveError, match="does not verify"):
        site.restore()
    assert site.tree() == before
    site.sql("UPDATE drafts SET content = 'later'")
    before = site.tree()
    with pytest.raises(errors.ArchiveError, match="does not verify"):
        site.restore()
    target = os.path.join(site.root, "elsewhere.db")
    with pytest.raises(errors.ArchiveError, match="does not verify"):
        site.restore(target=target)
    assert site.tree() == before and not os.path.lexists(target)
    assert [name for name in os.listdir(site.root) if name.startswith(".")] == []


def test_a_plan_that_is_only_shown_verifies_the_archive(site: Site) -> None:
    # Several segments, so that the head of the archive can still be read.
    site.sql("INSERT INTO drafts(content) SELECT hex(randomblob(300000)) FROM drafts LIMIT 8")
    path = site.backup().archive
    site.sql("UPDATE drafts SET content = 'later'")
    assert not plan_restore(site.restore_request(), verify=False).verified
    assert plan_restore(site.restore_request()).verified
    flip(path, os.path.getsize(path) - 700)
    with pytest.raises(errors.ArchiveError, match="does not verify"):
        plan_restore(site.restore_request())
