# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: full and read-only file systems, real ones.

=========================================  ==========================================================
the issue's clause                         rows and tests
=========================================  ==========================================================
destination full (preflight by estimate)   estimate_says_no; without a byte: test_a_disk_without_a_byte
destination full (ENOSPC in the middle)    estimate_too_low, on tmpfs and on ext4;
                                           test_another_writer_fills_the_disk
destination read-only                      archives_read_only
restore target on a full disk              no_room_for_the_database, no_room_in_the_middle
(restore target read-only)                 target_read_only
(scratch of a verification)                scratch_too_small, scratch_full_in_the_middle,
                                           scratch_full_at_the_trial, scratch_read_only
(database on a read-only file system)      database_read_only
=========================================  ==========================================================
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from mounting import MEGABYTE, Mounts, fill
from system_faces import command_outcome
from system_rows import Table, judge
from system_site import release, wait_for

pytestmark = pytest.mark.needs("root")
TABLE = Table()
SMALL_FILES = 400
ROOM_FOR_LOG_AND_INDEX = 1 << 20


def row(job, error, cause, next_step, subject, clause="full disk", **more):
    """A row of one job."""
    return TABLE.row(clause, job, error=error, subject=subject, cause=cause, next_step=next_step, **more)


def move_to(site, place):
    """Moves the archives of the site to a file system that is about to be mounted in their place."""
    kept = site.root.parent / "kept"
    shutil.copytree(site.archives, kept)
    place(site.archives)
    shutil.copytree(kept, site.archives, dirs_exist_ok=True)
    shutil.rmtree(kept)


@row("backup", "DestinationError", "will need about", "Free some space there", "archives")
def estimate_says_no(site):
    move_to(site, lambda path: Mounts(site).tmpfs(path, 4))
    site.grow(6)


@row("backup", "DestinationError", "no space is left on the device while writing the archive", "Free some space there",
     "archives")
def estimate_too_low(site):
    """The newest archive is small, and what came since does not compress."""
    move_to(site, lambda path: Mounts(site).tmpfs(path, 9))
    site.grow(6)


@row("backup", "DestinationError", "no space is left on the device while writing the archive", "Free some space there",
     "archives")
def estimate_too_low_on_ext4(site):
    move_to(site, lambda path: Mounts(site).ext4(path, 16))
    site.grow(6)
    fill(site.archives, 9 * MEGABYTE)


@row("backup", "DestinationError", "the file system is mounted read-only", "Mount it read-write", "archives",
     clause="destination read-only", recorded=False)
def archives_read_only(site):
    Mounts(site).read_only(site.archives)


@row("backup", "SourceError", "it cannot be opened: a reader of a database in WAL mode", "mount the file system",
     "database", clause="database on a read-only file system")
def database_read_only(site):
    for sidecar in ("-wal", "-shm"):
        Path(f"{site.database}{sidecar}").unlink(missing_ok=True)
    Mounts(site).read_only(site.home)


@row("restore", "DestinationError", "the restore needs", "nothing was changed", "app/data", recorded=False)
def no_room_for_the_database(site):
    data = site.database.parent
    kept = site.root.parent / "kept"
    shutil.copytree(data, kept)
    Mounts(site).tmpfs(data, 1)
    shutil.copytree(kept, data, dirs_exist_ok=True)
    site.sql("DELETE FROM drafts", "PRAGMA wal_checkpoint(TRUNCATE)")
    fill(data, 32 << 10)


@pytest.fixture
def crowded(site, faces):
    """A site whose archive holds many files of one byte, which its home has no more. Each takes a page of memory when
    it is unpacked, and the estimate goes by their size."""
    for number in range(SMALL_FILES):
        (site.uploads / f"{number}.txt").write_text("x")
    assert faces.command("backup", {"kind": "full"}).code == 0
    for number in range(SMALL_FILES):
        (site.uploads / f"{number}.txt").unlink()
    return site


IN_THE_MIDDLE = Table()


@IN_THE_MIDDLE.row("full disk", "restore", error="DestinationError", subject="app/data/uploads",
                   cause="no space is left on the device while unpacking beside the target",
                   next_step="Free some space there", recorded=False)
def no_room_in_the_middle(site):
    kept = site.root.parent / "kept"
    shutil.copytree(site.home, kept)
    Mounts(site).tmpfs(site.home, 3)
    shutil.copytree(kept, site.home, dirs_exist_ok=True)
    site.sql("UPDATE drafts SET content = 'newer' WHERE id = 1", "PRAGMA wal_checkpoint(TRUNCATE)")
    fill(site.home, site.database.stat().st_size + ROOM_FOR_LOG_AND_INDEX + (256 << 10))
    return {"everything": True}


@IN_THE_MIDDLE.row("full disk", "verify", error="DestinationError", subject="scratch",
                   cause="no space is left on the device while unpacking the archive",
                   next_step="name another scratch directory", recorded=False)
def scratch_full_in_the_middle(site):
    Mounts(site).tmpfs(site.scratch, 1)
    fill(site.scratch, site.database.stat().st_size + (128 << 10))
    return {"scratch": site.scratch}


@row("verify", "DestinationError", "the test needs", "Name a scratch directory with more room", "scratch",
     recorded=False)
def scratch_too_small(site):
    Mounts(site).tmpfs(site.scratch, 0.0625)
    return {"scratch": site.scratch}


@row("verify", "DestinationError", "no space is left on the device for a write to the copy",
     "name another scratch directory", "scratch", recorded=False)
def scratch_full_at_the_trial(site):
    """Room for what is unpacked, and none for the sidecars of the database that is then written to."""
    Mounts(site).tmpfs(site.scratch, 1)
    fill(site.scratch, site.database.stat().st_size + (12 << 10))
    return {"scratch": site.scratch}


@row("verify", "DestinationError", "the file system is mounted read-only", "choose another directory", "scratch",
     clause="scratch read-only", recorded=False)
def scratch_read_only(site):
    Mounts(site).read_only(site.scratch)
    return {"scratch": site.scratch}


@row("restore", "DestinationError", "the file system is mounted read-only", "Mount it read-write", "app/data",
     clause="target read-only", recorded=False)
def target_read_only(site):
    site.sql("UPDATE drafts SET content = 'newer' WHERE id = 1", "PRAGMA wal_checkpoint(TRUNCATE)")
    Mounts(site).read_only(site.home)


@pytest.mark.parametrize(("case", "job"), TABLE.pairs(), ids=TABLE.ids)
def test_bad_disk(case, job, site, faces):
    judge(case, job, site, faces)


@pytest.mark.parametrize(("case", "job"), IN_THE_MIDDLE.pairs(), ids=IN_THE_MIDDLE.ids)
def test_full_in_the_middle(case, job, crowded, faces):
    judge(case, job, crowded, faces)


def test_a_disk_without_a_byte(site, faces):
    """Not even the failure can be recorded: the exit code tells, and the record keeps telling of the last success."""
    move_to(site, lambda path: Mounts(site).tmpfs(path, 1))
    ballast = fill(site.archives)
    before, told = site.belongings(), site.status("full")
    for outcome in faces.all("backup", {"kind": "full"}):
        assert outcome.code == 4 and outcome.message.startswith(f"{site.archives}: "), outcome
    assert site.belongings() == before and site.leftovers() == []
    assert site.status("full") == told
    ballast.unlink()
    assert faces.command("backup", {"kind": "full"}).code == 0


def test_another_writer_fills_the_disk(site, faces):
    """The preflight saw room enough; it is gone when the snapshot is written."""
    move_to(site, lambda path: Mounts(site).tmpfs(path, 24))
    site.grow(6)
    site.configure(deadline_seconds=120)
    site.sql("PRAGMA journal_mode=DELETE")
    writer = site.holder(site.database, "BEGIN EXCLUSIVE")
    before = site.names()
    process = subprocess.Popen(faces.line("backup", {"kind": "full"}), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    site.stack.callback(process.kill)
    # The database is locked, so the run stands between its preflight and its first page.
    wait_for(lambda: list(site.archives.glob(".maintenance-scratch-*/databases")), process)
    ballast = fill(site.archives, 2 * MEGABYTE)
    release(writer)
    out, err = process.communicate(timeout=120)
    outcome = command_outcome("backup", subprocess.CompletedProcess([], process.returncode, out, err), False)
    assert outcome.code == 4, outcome
    assert outcome.message.startswith(f"{site.archives}: no space is left on the device while copying the database")
    assert site.names() == before and site.leftovers() == []
    assert site.status("full")["last_error"] == outcome.message
    assert site.status("full")["last_outcome"] == "failed"
    ballast.unlink()
    assert faces.command("backup", {"kind": "full"}, as_json=True).document["outcome"] == "created"


def test_a_read_only_directory_of_archives_is_good_for_a_restore(site, faces):
    """A disk that was taken out of the lost machine, mounted so that nothing can happen to it."""
    Mounts(site).read_only(site.archives)
    site.database.unlink()
    verified = faces.command("verify", {"level": "restore", "scratch": site.scratch}, as_json=True)
    assert verified.code == 0 and verified.document["passed"]
    assert not verified.document["archives"][0]["recorded"]
    assert "the verdict was not recorded" in verified.document["archives"][0]["warnings"][0]
    assert faces.command("restore", {}).code == 0
    assert site.sql("SELECT count(*) FROM drafts") == [(300,)]
