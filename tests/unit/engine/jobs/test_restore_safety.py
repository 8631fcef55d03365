# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore keeps, how it is undone, and what happens when it is interrupted."""


from __future__ import annotations

import json
import os
import shutil
import sqlite3
from dataclasses import replace

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.files import TEMPORARY_SUFFIX
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import safety
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import _undo_journal, undo_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_journal import (
    journal_path,
    write_journal,
)

from .conftest import Site, damage


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
