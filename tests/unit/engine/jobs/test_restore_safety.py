# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore keeps, how it is undone, and what happens when it is interrupted."""


from __future__ import annotations

import json
import os
import shutil
import sqlite3

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import undo_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_journal import journal_path

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
        "def killed(source, target):\n"
        "    rename(source, target)\n"
        "    os.kill(os.getpid(), 9)\n"
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
