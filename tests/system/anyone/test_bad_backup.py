# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input of a backup: what cannot be read, where nothing can be written, and keys.

=========================================  ==========================================================
the issue's clause                         rows
=========================================  ==========================================================
missing database                           missing, missing_directory, dangling_link
empty database                             empty
non-SQLite database                        text_file, encrypted_database, a_directory, a_fifo
corrupted database                         torn_header, damaged_page, cut_off, hot_journal, two_names
locked database                            locked_exclusively
unreadable configuration file              env_without_permission, env_missing, uploads_without_permission;
                                           the command's own: see test_bad_configuration.py
destination missing                        archives_missing, archives_are_a_file
destination read-only                      archives_without_permission (a read-only mount: root/)
destination full                           root/test_full.py
missing key                                key_missing
key readable by others                     key_readable_by_group, key_readable_by_others
wrong key (not a key at all)               key_of_other_bytes, key_is_a_directory, key_without_permission
=========================================  ==========================================================
"""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest
from system_rows import Table, judge

TABLE = Table()


def source(clause, cause, next_step, subject="database", error="SourceError", **more):
    """A row about what is to be backed up."""
    return TABLE.row(clause, "backup", error=error, subject=subject, cause=cause, next_step=next_step, **more)


def destination(clause, cause, next_step, subject="archives", error="DestinationError", **more):
    """A row about where the archive goes."""
    return TABLE.row(clause, "backup", error=error, subject=subject, cause=cause, next_step=next_step, **more)


def key(clause, cause, next_step, **more):
    """A row about the key."""
    return TABLE.row(clause, "backup", error="KeyFileError", subject="key_file", cause=cause, next_step=next_step,
                     **more)


@source("missing database", "the database is missing", "no empty database was made")
def missing(site):
    os.unlink(site.database)


@source("missing database", "the database is missing", "Correct the path")
def missing_directory(site):
    shutil.rmtree(site.database.parent)


@source("missing database", "does not exist", "Correct the path")
def dangling_link(site):
    site.database.rename(site.root / "moved.db")
    site.database.symlink_to(site.root / "gone.db")


@source("empty database", "the file is empty (0 bytes)", "Restore the newest good archive")
def empty(site):
    site.database.write_bytes(b"")


@source("non-SQLite database", "does not begin with 'SQLite format 3'", "Give the path of a plain SQLite database")
def text_file(site):
    site.database.write_text("id,content\n1,draft\n" * 100)


@source("non-SQLite database", "encrypted (SQLCipher, SEE)", "needs the backup of its own tool")
def encrypted_database(site):
    site.database.write_bytes(os.urandom(8192))


@source("non-SQLite database", "a directory", "Give the path of the database file itself")
def a_directory(site):
    os.unlink(site.database)
    site.database.mkdir()


@source("non-SQLite database", "a FIFO", "Give the path of the database file itself")
def a_fifo(site):
    os.unlink(site.database)
    os.mkfifo(site.database)


@source("corrupted database", "damaged or encrypted", "Restore the newest good archive")
def torn_header(site):
    with site.database.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\xff" * 400)


@source("corrupted database", "the database is damaged", "restore the newest good archive")
def damaged_page(site):
    page_size = 4096
    with site.database.open("r+b") as stream:
        stream.seek(3 * page_size)
        stream.write(b"\x0d\xff\xff\xff" * 200)


@source("corrupted database", "cut off", "Restore the newest good archive")
def cut_off(site):
    os.truncate(site.database, site.database.stat().st_size // 2)


@source("corrupted database", "a transaction was interrupted", "Start the application once")
def hot_journal(site):
    site.sql("PRAGMA journal_mode=DELETE")
    (site.root / "app" / "data" / "app.db-journal").write_bytes(
        b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + b"\0\0\0\1" * 5 + bytes(484) + bytes(4104))


@source("corrupted database", "hard links", "single name")
def two_names(site):
    os.link(site.database, site.root / "other.db")


@source("locked database", "locked", "let it finish", error="BusyError")
def locked_exclusively(site):
    site.configure(deadline_seconds=1)
    site.sql("PRAGMA journal_mode=DELETE")
    site.holder(site.database, "BEGIN EXCLUSIVE")


@source("unreadable configuration file", "cannot be read: Permission denied", "Correct the owner and the mode",
        subject="env", powerless=True)
def env_without_permission(site):
    site.env.chmod(0)


@source("unreadable configuration file", "does not exist", "list it among the optional paths", subject="env")
def env_missing(site):
    site.env.unlink()


@source("unreadable configuration file", "cannot be read: Permission denied", "run as a user who may read it",
        subject="app/data/uploads/essay.txt", powerless=True)
def uploads_without_permission(site):
    (site.uploads / "essay.txt").chmod(0)


@source("unreadable database", "cannot be read: Permission denied", "its owner", powerless=True)
def database_without_permission(site):
    site.database.chmod(0)


@destination("destination missing", "does not exist", "mount what belongs there", recorded=False)
def archives_missing(site):
    site.archives.rename(site.root / "unmounted")


@destination("destination missing", "not a directory", "Correct the path", recorded=False)
def archives_are_a_file(site):
    site.archives.rename(site.root / "unmounted")
    site.archives.write_text("")


@destination("destination read-only", "permission denied", "correct the owner and the mode", recorded=False,
             powerless=True)
def archives_without_permission(site):
    site.archives.chmod(0o500)


@key("missing key", "does not exist", "Put the key back from its escrow")
def key_missing(site):
    site.key_file.unlink()


@key("key readable by others", "its mode 0440 lets others than its owner use the key", "Set its mode to 0400")
def key_readable_by_group(site):
    site.key_file.chmod(0o440)


@key("key readable by others", "its mode 0404 lets others than its owner use the key", "rotate the key")
def key_readable_by_others(site):
    site.key_file.chmod(0o404)


@key("wrong key", "does not hold 32 bytes as base64", "Put the key back from its escrow")
def key_of_other_bytes(site):
    site.key_file.chmod(0o600)
    site.key_file.write_text("not a key\n")
    site.key_file.chmod(0o400)


@key("wrong key", "not a regular file", "Name the file that holds the key")
def key_is_a_directory(site):
    site.key_file.unlink()
    site.key_file.mkdir(mode=0o700)


@key("unreadable key", "Permission denied", "Run as the user who owns it", powerless=True)
def key_without_permission(site):
    site.key_file.chmod(0)


@pytest.mark.parametrize(("row", "job"), TABLE.pairs(), ids=TABLE.ids)
def test_bad_backup(row, job, site, faces, powerless_faces):
    judge(row, job, site, powerless_faces if row.powerless else faces)


def test_a_failed_run_is_followed_by_a_good_one(site, faces):
    """The record of the failure goes, and what was current before is current again."""
    away = site.root / "away.db"
    site.database.rename(away)
    assert faces.command("backup", {"kind": "full"}).code == 3
    away.rename(site.database)
    assert faces.command("backup", {"kind": "full"}, as_json=True).document["outcome"] == "unchanged"
    status = site.status("full")
    assert (status["last_outcome"], status["last_error"]) == ("unchanged", None)
    with sqlite3.connect(site.database) as connection:
        assert connection.execute("SELECT count(*) FROM drafts").fetchone() == (300,)
    connection.close()
