# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore keeps, how it is undone, and what happens when it is interrupted."""


from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.files import TEMPORARY_SUFFIX
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import restore as restore_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import restore_journal, safety
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import (
    _undo_journal,
    apply_restore,
    undo_restore,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_journal import (
    journal_path,
    write_journal,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_plan import plan_restore

from .conftest import EVERYTHING, Site, damage, open_bytes


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


@pytest.mark.parametrize("renames", range(6))
def test_an_undo_that_was_killed_is_finished_by_the_next_one(site: Site, renames: int) -> None:
    site.backup()
    site.sql("INSERT INTO drafts(content) VALUES ('written after the backup')")
    newer = site.rows()
    copy = safety.read_record(site.restore().safety_copy)
    journal = _undo_journal(copy, [site.database])
    write_journal(journal)
    assert len(journal.renames) >= 4
    for source, target in journal.renames[:renames]:
        os.rename(source, target)
    assert undo_restore(copy.path, accept_unknown_holders=True).changed
    assert site.rows() == newer and not os.path.exists(journal_path(site.database))
    assert safety.read_record(copy.path).state == "undone"
    assert not undo_restore(copy.path, accept_unknown_holders=True).changed
    assert site.rows() == newer


def test_what_a_killed_run_left_goes_with_the_next_undo(site: Site) -> None:
    site.backup()
    damage(site)
    copy = site.restore().safety_copy
    left = [os.path.join(place, f".x.0123abcd{TEMPORARY_SUFFIX}") for place in (os.path.dirname(site.database), copy)]
    for path in left:
        with open(path, "xb"):
            pass
    undo_restore(copy, accept_unknown_holders=True)
    assert not any(map(os.path.exists, left))


def test_safety_copies_that_hold_nothing_go_with_the_next_restore(site: Site) -> None:
    """A restore was killed before its first rename: with the directory made, and with its record written."""
    site.backup()
    damage(site)
    real = safety.read_record(site.restore().safety_copy)
    empty, recorded = (f"{site.database}.before-restore-20200101T00000{number}Z" for number in (1, 2))
    for path in (empty, recorded):
        safety.make_directory(path)
    moved = tuple(replace(m, safety=m.safety and m.safety.replace(real.path, recorded)) for m in real.moved)
    safety.write_record(replace(real, path=recorded, moved=moved))
    damage(site)
    result = site.restore()
    assert not os.path.exists(empty) and not os.path.exists(recorded)
    assert os.path.isdir(real.path) and os.path.isdir(result.safety_copy)


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
        "def killed(source, target, **handles):\n"
        "    rename(source, target, **handles)\n"
        "    if source == 'app.db':\n"
        "        os.kill(os.getpid(), 9)\n"
        "os.rename = killed\n"
        "restore.run_restore(restore_plan.RestoreRequest('app', sys.argv[1], key_file=sys.argv[2],"
        " accept_unknown_holders=True))\n")
    import subprocess
    import sys
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-c", program, site.archives, site.key_file]
    process = subprocess.run(command, env=environment, check=False)
    assert process.returncode == -9
    assert os.path.exists(journal_path(site.database)) and not os.path.exists(site.database)
    assert site.restore(check=True).changed
    assert not os.path.exists(site.database)
    result = site.restore()
    assert result.resolved == ((site.database, "completed"),)
    assert site.rows() == rows and not os.path.exists(journal_path(site.database))
    assert not [name for name in os.listdir(os.path.dirname(site.database)) if name.endswith("maintenance-tmp")]
    assert not site.restore().changed


def interrupted(monkeypatch, error: BaseException, *, removed: bool) -> None:
    """The swap was done; an error comes while its journal is removed, before or after that."""
    remove = restore_journal.remove_journal

    def removing(journal):
        if removed:
            remove(journal)
        raise error

    monkeypatch.setattr(restore_journal, "remove_journal", removing)


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_the_replaced_database_outlives_an_error_at_the_very_end(site: Site, monkeypatch, error, removed) -> None:
    site.backup()
    site.sql("INSERT INTO drafts(content) VALUES ('newer than the archive')")
    newer = site.rows()
    interrupted(monkeypatch, error, removed=removed)
    with pytest.raises((errors.MaintenanceError, KeyboardInterrupt)):
        site.restore()
    monkeypatch.undo()
    (copy,) = [name for name in os.listdir(os.path.dirname(site.database)) if name.startswith("app.db.before-restore-")]
    copy = os.path.join(os.path.dirname(site.database), copy)
    assert site.rows(os.path.join(copy, "app.db")) == newer
    result = site.restore()
    assert bool(result.resolved) != removed and not os.path.lexists(journal_path(site.database))
    undo_restore(copy, accept_unknown_holders=True)
    assert site.rows() == newer


def test_a_database_that_is_made_in_the_gap_is_no_restored_one(site: Site, monkeypatch) -> None:
    """By an application that was not stopped, and opens a connection for each request."""
    site.backup()
    site.sql("DELETE FROM drafts WHERE id = 1")
    old, sync = site.rows(), restore_journal._sync

    def syncing(renames):
        sync(renames)
        if not os.path.exists(site.database):
            sqlite3.connect(site.database).execute("CREATE TABLE foreign_table (x)").connection.close()

    monkeypatch.setattr(restore_journal, "_sync", syncing)
    with pytest.raises(errors.RestoreError, match="everything was put back.*made-meanwhile"):
        site.restore()
    monkeypatch.undo()
    assert site.rows() == old and not os.path.lexists(journal_path(site.database))
    assert site.restore().changed and not site.restore().changed


def test_files_of_one_long_name_do_not_take_each_others_place(site: Site) -> None:
    name = "é" * 60 + "x" * 90 + ".txt"
    paths = [site.write(f"data/uploads/{number}/{name}", f"essay {number}") for number in range(3)]
    site.backup("full")
    for path in paths:
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(", changed")
    result = site.restore(parts=EVERYTHING)
    assert [open_bytes(path) for path in paths] == [b"essay 0", b"essay 1", b"essay 2"]
    undo_restore(result.safety_copy, accept_unknown_holders=True)
    assert [open_bytes(path) for path in paths] == [b"essay 0, changed", b"essay 1, changed", b"essay 2, changed"]


def test_a_restore_of_files_that_was_killed_is_ended_by_the_next(site: Site, monkeypatch) -> None:
    site.backup("config")
    site.write(".env", "SECRET_KEY=newer\n", 0o600)
    interrupted(monkeypatch, KeyboardInterrupt(), removed=False)
    with pytest.raises(KeyboardInterrupt):
        site.restore(parts=("config",))
    monkeypatch.undo()
    left = [name for name in os.listdir(site.home) if name.endswith(".restore-journal")]
    assert len(left) == 1
    with open(os.path.join(site.home, f".env.0a1b2c3d{TEMPORARY_SUFFIX}"), "w", encoding="utf-8") as stream:
        stream.write("staged by a killed run")
    result = site.restore(parts=("config",))
    assert [outcome for _path, outcome in result.resolved] == ["completed"]
    assert [name for name in os.listdir(site.home) if name.startswith(".") and name != ".env"] == []
    assert not site.restore(parts=("config",)).changed


def test_the_journal_of_another_restore_that_was_killed_meanwhile_is_ended_first(site: Site, monkeypatch) -> None:
    """Its plan was made, and waited at the prompt."""
    site.backup()
    site.sql("INSERT INTO drafts(content) VALUES ('newer than the archive')")
    newer = site.rows()
    plan = plan_restore(site.restore_request())
    interrupted(monkeypatch, KeyboardInterrupt(), removed=False)
    with pytest.raises(KeyboardInterrupt):
        site.restore()
    monkeypatch.undo()
    result = apply_restore(plan)
    assert result.resolved == ((site.database, "completed"),)
    copies = [name for name in sorted(os.listdir(os.path.dirname(site.database))) if ".before-restore-" in name]
    assert newer in [site.rows(os.path.join(os.path.dirname(site.database), name, "app.db")) for name in copies]


def test_directories_below_mount_points_of_their_own_have_safety_copies_of_their_own(site: Site, monkeypatch) -> None:
    """rename(2) does not cross a bind mount of the same file system."""
    path = os.path.join(site.home, "data", "uploads", "1")
    site.backup("full")
    site.write("data/uploads/1/essay.txt", "changed\n")
    site.write(".env", "SECRET_KEY=newer\n", 0o600)
    monkeypatch.setattr(restore_module, "mount_of", lambda directory: (1, int(directory == path)))
    copy = site.restore(parts=EVERYTHING).safety_copy
    moved = {m.target: m.safety for m in safety.read_record(copy).moved if m.safety}
    assert os.path.dirname(os.path.dirname(moved[os.path.join(path, "essay.txt")])) == path
    assert os.path.dirname(os.path.dirname(moved[os.path.join(site.home, ".env")])) != path


# Only root can change owners, and only root is told to.
@pytest.mark.parametrize("what", ["mode", "owner"] if os.geteuid() == 0 else ["mode"])
def test_rights_that_differ_are_put_right(site: Site, what) -> None:
    site.backup("full")
    directory, file = (os.path.join(site.home, "data/uploads", name) for name in ("1", "1/essay.txt"))
    before = [(os.stat(path).st_uid, os.stat(path).st_mode) for path in (directory, file)]
    for path in (directory, file):
        if what == "mode":
            os.chmod(path, 0o700)
        else:
            os.chown(path, 12345, 12345)
    assert site.restore(check=True, parts=EVERYTHING).changed
    assert site.restore(parts=EVERYTHING).changed
    assert [(os.stat(path).st_uid, os.stat(path).st_mode) for path in (directory, file)] == before
    assert not site.restore(parts=EVERYTHING).changed


def test_a_job_of_ours_that_reads_the_database_is_waited_for(site: Site, tmp_path, monkeypatch) -> None:
    """The monitor looks at it every five minutes, and nobody stops it for a restore."""
    site.backup()
    site.sql("DELETE FROM drafts WHERE id = 1")
    reader = tmp_path / "app-maintenance"
    reader.write_text("import sqlite3, sys\nconnection = sqlite3.connect(sys.argv[1])\n"
                      "connection.execute('SELECT count(*) FROM drafts').fetchall()\nprint('open', flush=True)\n"
                      "sys.stdin.readline()\n")
    with subprocess.Popen([sys.executable, str(reader), site.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout.readline() == "open\n"
        monkeypatch.setattr(restore_module, "OWN_JOBS_SECONDS", 0.5)
        with pytest.raises(errors.BusyError, match="held open by process"):
            site.restore()
        monkeypatch.setattr(restore_module, "OWN_JOBS_SECONDS", 60.0)
        sleep = restore_module.time.sleep

        def sleeping(seconds):
            if process.stdin:
                process.stdin.close()
                process.stdin = None
                process.wait(timeout=30)
            sleep(seconds)

        monkeypatch.setattr(restore_module.time, "sleep", sleeping)
        assert site.restore().changed
    assert not site.restore().changed
