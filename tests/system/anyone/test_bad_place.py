# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input of a restore: where it should go. And of the command: its own configuration.

=========================================  ==========================================================
the issue's clause                         rows
=========================================  ==========================================================
restore target equal to a directory        target_is_a_directory, database_is_a_directory
held open by a running application         held_in_wal_mode, held_idle_in_rollback_mode
on a full disk                             root/test_full.py
(other targets that cannot be one)         a_pipe, two_names, newer_schema, no_permission
two runs at once (restores)                another_restore
unreadable configuration file              settings_without_permission, settings_not_json,
(the command's own)                        settings_unknown_key, settings_missing
=========================================  ==========================================================
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from system_rows import Table, judge
from system_site import release

TARGETS = Table()
SETTINGS = Table()


def target(clause, error, cause, next_step, subject="database", **more):
    """A row about the place that a restore should write to."""
    return TARGETS.row(clause, "restore", error=error, subject=subject, cause=cause, next_step=next_step,
                       recorded=False, **more)


def settings(clause, cause, next_step, subject="etc/backup.json", **more):
    """A row about the configuration of the command, which the modules do not read."""
    return SETTINGS.row(clause, "backup", "restore", "verify", error="UsageError", subject=subject, cause=cause,
                        next_step=next_step, recorded=False, modules=False, **more)


@target("target equal to a directory", "RestoreError", "the target is a directory", "Name the path of the database",
        subject="app/data")
def target_is_a_directory(site):
    return {"target": site.home / "data"}


@target("target equal to a directory", "RestoreError", "the target is a directory", "Name the path of the database")
def database_is_a_directory(site):
    site.database.unlink()
    site.database.mkdir()


@target("target that cannot be one", "RestoreError", "not a regular file", "Name the path of the database file")
def a_pipe(site):
    site.database.unlink()
    os.mkfifo(site.database)


@target("target that cannot be one", "RestoreError", "more than one hard link", "Remove the other links")
def two_names(site):
    os.link(site.database, site.root / "other.db")


@target("target that cannot be one", "RestoreError", "its schema is version 7, the archive's 0",
        "Restore an archive of this version")
def newer_schema(site):
    site.sql("PRAGMA user_version = 7")


@target("target that cannot be one", "DestinationError", "permission denied while unpacking beside the target",
        "correct the owner and the mode", subject="app/data", powerless=True)
def no_permission(site):
    site.sql("PRAGMA journal_mode=DELETE")
    site.database.parent.chmod(0o500)


@target("held open by a running application", "BusyError", "is held open by process", "Stop the application")
def held_in_wal_mode(site):
    site.holder(site.database, "SELECT count(*) FROM drafts")


@target("held open by a running application", "BusyError", "is held open by process", "Stop the application")
def held_idle_in_rollback_mode(site):
    site.sql("PRAGMA journal_mode=DELETE")
    site.holder(site.database, "SELECT count(*) FROM drafts")


@target("two runs at once", "BusyError", "another restore is at work here", "Wait until it has ended",
        subject="app/data")
def another_restore(site):
    command = ["flock", "--exclusive", str(site.database.parent), "sh", "-c", "echo open; cat"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    site.stack.callback(release, process)
    assert process.stdout.readline() == "open\n"


@settings("unreadable configuration file", "cannot be read: Permission denied", "Run as root", powerless=True)
def settings_without_permission(site):
    (site.etc / "backup.json").chmod(0)


@settings("unreadable configuration file", "this is not JSON", "Run the role that writes this file")
def settings_not_json(site):
    (site.etc / "backup.json").write_text('{"directory": "/backups"')


@settings("unreadable configuration file", "this is not JSON", "Run the role that writes this file")
def settings_not_text(site):
    (site.etc / "backup.json").write_bytes(os.urandom(200))


@settings("unreadable configuration file", "the key 'retention' is unknown", "both come from one collection")
def settings_unknown_key(site):
    site.configure(retention=30)


@settings("unreadable configuration file", "there is no configuration here", "Run the roles", subject="etc")
def settings_missing(site):
    shutil.rmtree(site.etc)


@pytest.mark.parametrize(("row", "job"), TARGETS.pairs() + SETTINGS.pairs(), ids=TARGETS.ids + SETTINGS.ids)
def test_bad_place(row, job, site, faces, powerless_faces):
    site.sql("UPDATE drafts SET content = 'newer than the archive' WHERE id = 1")
    judge(row, job, site, powerless_faces if row.powerless else faces)


def test_after_the_application_stopped_the_restore_succeeds(site, faces):
    archived = site.sql("SELECT * FROM drafts ORDER BY id")
    site.sql("DELETE FROM drafts")
    process = site.holder(site.database, "SELECT count(*) FROM drafts")
    assert faces.command("restore", {}).code == 7
    assert site.sql("SELECT count(*) FROM drafts") == [(0,)]
    release(process)
    assert faces.command("restore", {}).code == 0
    assert site.sql("SELECT * FROM drafts ORDER BY id") == archived
