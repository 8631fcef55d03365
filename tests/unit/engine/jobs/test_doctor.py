# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor: each reason why backups fail, provoked, and what he says of it. What lies there stays as it was."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils import units
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog import status
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.lock import CATALOG_LOCK
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import SourceError, UsageError
from ansible_collections.feedforward.maintenance.plugins.module_utils.files import (
    RESTORE_JOURNAL_SUFFIX,
    SCRATCH_PREFIX,
    TEMPORARY_SUFFIX,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import doctor, doctor_schedule, keys
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.doctor import Case, Diagnosis, Places
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.doctor_checks import LOOKS
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.doctor_trial import attempt
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import (
    CRITICAL,
    LEVEL_NAMES,
    OK,
    UNKNOWN,
    WARNING,
)

STRANGER = 65534
HOLD = """
import sys, time
sys.argv[0] = "/usr/local/bin/app-maintenance"
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.lock import catalog_lock
with catalog_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def case_of(site, **changes) -> Case:
    """The case of ``site``; ``changes`` are those of its settings."""
    settings = Settings(
        application="app", databases=(site.database,), config_paths=(os.path.join(site.home, ".env"),),
        uploads_paths=(os.path.join(site.home, "data", "uploads"),), directory=site.archives, key_file=site.key_file,
        lock_timeout_seconds=0.0)
    places = Places(*(os.path.join(site.root, name) for name in ("units", "systemd", "cron.d", "state")))
    return Case(replace(settings, **changes), "app-maintenance", units.utc_now(), None, places)


def examine(case: Case, trial: bool = True) -> Diagnosis:
    """The diagnosis; whatever it says, the directory of the archives is as it was."""
    before = listing(case.settings.directory)
    found = doctor.diagnose(case, LOOKS, attempt if trial else None)
    assert listing(case.settings.directory) == before
    assert found.advice.endswith(".") and "\n" not in found.advice and SCRATCH_PREFIX not in str(found.as_dict())
    return found


def listing(directory):
    """Names, modes, times and contents of everything below a directory."""
    found = {}
    for base, _directories, names in os.walk(directory or "/nowhere"):
        for name in names:
            path = os.path.join(base, name)
            state = os.lstat(path)
            with open(path, "rb") as stream:
                found[path] = (state.st_mode, state.st_ino, state.st_mtime_ns, stream.read())
    return found


def level(found: Diagnosis, check: str) -> int:
    """The level of the one finding of that check."""
    (one,) = [finding for finding in found.findings if finding.check == f"doctor {check}"]
    return one.level


def text(found: Diagnosis, check: str) -> str:
    """The text of the one finding of that check."""
    (one,) = [finding for finding in found.findings if finding.check == f"doctor {check}"]
    return one.text


@pytest.fixture()
def lock_holder():
    """Starts processes that hold the lock of a directory."""
    running = []

    def start(directory):
        process = subprocess.Popen([sys.executable, "-c", HOLD, directory], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True,
                                   env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        running.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in running:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.fixture()
def mounted(tmp_path):
    """Mounts a tmpfs with those options; the test is left out where that is not allowed."""
    places = []

    def mount(options):
        place = tmp_path / f"mount-{len(places)}"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode=0700,{options}", "tmpfs", str(place)],
                              capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip("nothing can be mounted here")
        places.append(place)
        return str(place)

    yield mount
    for place in places:
        subprocess.run(["umount", str(place)], check=True)


@contextlib.contextmanager
def acting(uid):
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def test_all_is_well(site):
    site.backup()
    site.backup("config")
    found = examine(case_of(site))
    assert {finding.level for finding in found.findings} == {OK}, found.findings
    assert (found.problems, found.exit_code) == (0, 0)
    trial = found.trial
    assert found.advice == (f"Nothing is wrong: the trial backup of {units.format_bytes(trial.size_bytes)} was made and"
                            f" verified in {units.format_seconds(trial.seconds)}.")
    assert trial.size_bytes == os.path.getsize(site.database) and 0 < trial.archive_bytes < trial.size_bytes
    key = keys.show(site.key_file).key_id
    assert (trial.kind, trial.encrypted, trial.key_id, trial.verified) == ("database", True, key, "restore")
    assert key in text(found, "key") and "opens with the key " + key in text(found, "key archives")
    assert "journal mode wal" in text(found, f"database {site.database}")
    assert "--level restore' proves it in full" in text(found, "archive config")
    document = json.loads(json.dumps(found.as_dict()))
    assert set(document) == {"problems", "advice", "findings", "trial"} and document["trial"]["kind"] == "database"
    assert {tuple(sorted(finding)) for finding in document["findings"]} == {("check", "state", "text", "title")}
    assert {finding["state"] for finding in document["findings"]} == {LEVEL_NAMES[OK]}


def test_without_a_trial_nothing_is_called_proven(site):
    site.backup()
    found = examine(case_of(site), trial=False)
    assert found.trial is None and found.exit_code == 0
    assert found.advice == "Nothing that was looked at is wrong, and no trial backup was made (leave out --no-trial)."


def test_configuration_alone_is_tried_too(site):
    case = case_of(site, databases=(), key_file=None)
    found = examine(case)
    assert (found.trial.kind, found.trial.files, found.trial.encrypted) == ("config", 1, False)
    assert found.trial.verified == "checksums" and found.exit_code == 0


def test_nothing_is_configured(site):
    found = examine(case_of(site, databases=(), config_paths=(), uploads_paths=()))
    assert level(found, "trial") == WARNING and found.exit_code == 0 and "no trial backup was made" in found.advice
    found = examine(case_of(site, databases=(), config_paths=(), fragments=("/etc/app-maintenance/backup.json",)))
    assert level(found, "configuration") == CRITICAL and found.exit_code == 2


@pytest.mark.parametrize("changes, told", [
    ({"directory": None}, "no directory of archives is configured"), ({"application": "No Name"}, "cannot be the name"),
    ({"config_paths": ("/etc/../x",)}, "not absolute and plain")])
def test_a_configuration_that_cannot_work(site, changes, told):
    found = examine(case_of(site, **changes))
    assert level(found, "configuration") == CRITICAL and told in text(found, "configuration")
    assert found.exit_code == 2 and found.trial is None


def test_a_configuration_that_cannot_be_read(site):
    error = UsageError("/etc/app-maintenance/backup.json", "this is not JSON", "Run the role that writes this file")
    found = examine(replace(case_of(site, databases=(), config_paths=()), unread=error))
    assert (found.exit_code, found.trial) == (2, None)
    assert found.advice == ("Run the role that writes this file (/etc/app-maintenance/backup.json: this is not JSON).")


def test_the_directory_is_missing(site):
    shutil.rmtree(site.archives)
    found = examine(case_of(site))
    assert (found.problems, found.exit_code) == (1, 4) and level(found, "trial") == UNKNOWN
    assert found.advice == ("Create it, mount what belongs there, or correct the path "
                            f"({site.archives}: the directory of the archives does not exist).")
    assert not os.path.lexists(site.archives)


def test_a_file_in_the_place_of_the_directory(site):
    os.rmdir(site.archives)
    with open(site.archives, "w", encoding="utf-8"):
        pass
    found = examine(case_of(site))
    assert found.exit_code == 4 and "this is not a directory" in text(found, "directory")


def test_others_may_exchange_the_archives(site):
    os.chmod(site.archives, 0o777)
    found = examine(case_of(site))
    assert (found.exit_code, found.problems) == (4, 1) and found.advice.startswith("Run 'chmod go-w' on it")


@pytest.mark.needs("root")
def test_the_directory_belongs_to_somebody_else(site):
    os.chown(site.archives, STRANGER, STRANGER)
    found = examine(case_of(site))
    assert found.exit_code == 4 and "chown root" in found.advice and "nobody" in text(found, "directory")


@pytest.mark.needs("root")
def test_the_file_system_is_read_only(site, mounted):
    found = examine(case_of(site, directory=mounted("ro")))
    assert found.exit_code == 4 and "mounted read-only" in text(found, "directory")
    assert found.advice.startswith("Mount it read-write")


@pytest.mark.needs("root")
def test_there_is_no_room(site, mounted):
    small = mounted("size=96k")
    found = examine(case_of(site, directory=small))
    assert (found.exit_code, found.trial) == (4, None) and level(found, "room") == CRITICAL
    free = os.statvfs(small).f_bfree * os.statvfs(small).f_frsize
    size = os.path.getsize(site.database)
    missing = units.format_bytes(size + size // 2 - free)
    assert found.advice.startswith(f"Free {missing} on {small}, then run 'app-maintenance backup --kind database'")
    assert "not tried" in text(found, "trial") and os.listdir(small) == []


@pytest.mark.needs("root")
def test_room_for_a_small_archive_and_none_for_the_trial(site, mounted):
    """The newest archive says that the next is small; a trial cannot know, for it begins without any."""
    site.backup(key_file=None)
    (name,) = site.names()
    size, archive = os.path.getsize(site.database), os.path.getsize(os.path.join(site.archives, name))
    assert archive < size // 4
    small = mounted(f"size={(size + size // 4) // 4096 * 4096 + 3 * 4096 + archive}")
    for each in (name, name + ".json"):
        shutil.copy(os.path.join(site.archives, each), small)
    found = examine(case_of(site, directory=small, key_file=None))
    assert level(found, "room") == OK and level(found, "trial") == UNKNOWN and found.exit_code == 1
    assert "Trial backup is unknown: Free " in found.advice


@pytest.mark.needs("root")
def test_inodes_are_used_up(site, mounted):
    found = examine(case_of(site, directory=mounted("nr_inodes=40")))
    assert found.exit_code == 4 and level(found, "inodes") == CRITICAL and level(found, "room") == OK


def test_a_configured_file_is_missing(site):
    os.unlink(os.path.join(site.home, ".env"))
    found = examine(case_of(site))
    path = os.path.join(site.home, ".env")
    assert found.exit_code == 3 and level(found, f"file {path}") == CRITICAL and "does not exist" in found.advice
    assert level(examine(case_of(site, config_paths=(), optional_config_paths=(path,))), "files") == OK


@pytest.mark.needs("root")
def test_what_its_own_user_may_not_read(site):
    """The archives belong to the user who looks, so that he makes the backups, and what he lacks is a fault."""
    place = tempfile.mkdtemp()
    try:
        os.chmod(place, 0o755)
        for name in ("archives", "uploads"):
            os.mkdir(os.path.join(place, name), 0o700)
            os.chown(os.path.join(place, name), STRANGER, STRANGER)
        with open(os.path.join(place, "uploads", "jane@example.org"), "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), 0o600)
        uploads = os.path.join(place, "uploads")
        case = case_of(site, directory=os.path.join(place, "archives"), databases=(), config_paths=(),
                       uploads_paths=(uploads,), key_file=None)
        with acting(STRANGER):
            found = examine(case)
        assert text(found, f"file {uploads}") == f"{uploads}: permission denied for 1 of the files there"
        assert found.exit_code == 3 and "jane" not in json.dumps(found.as_dict())
    finally:
        shutil.rmtree(place)


@pytest.mark.needs("root")
def test_another_user_is_told_to_be_root(site):
    place = tempfile.mkdtemp()
    try:
        os.chmod(place, 0o755)
        public = type(site)(place)
        public.backup()
        os.chmod(public.database, 0o600)
        with acting(STRANGER):
            found = examine(case_of(public))
    finally:
        shutil.rmtree(place)
    assert (found.problems, found.exit_code, found.trial) == (0, 1, None)
    assert {finding.level for finding in found.findings} <= {OK, UNKNOWN}
    unknown = ("directory", "lock", "key", "records", "trial", f"database {public.database}",
               f"file {os.path.join(public.home, '.env')}")
    assert [level(found, check) for check in unknown] == [UNKNOWN] * len(unknown)
    assert "run it as root" in found.advice.casefold()


def test_the_database_is_missing(site):
    os.unlink(site.database)
    found = examine(case_of(site))
    assert (found.exit_code, found.trial) == (3, None) and not os.path.lexists(site.database)
    assert level(found, f"database {site.database}") == level(found, "trial") == CRITICAL
    assert "the database is missing" in found.advice


def test_the_database_is_damaged_at_its_head(site):
    with open(site.database, "r+b") as stream:
        stream.write(b"\0" * 8192)
    found = examine(case_of(site))
    assert found.exit_code == 3 and level(found, f"database {site.database}") == CRITICAL


def test_the_database_is_damaged_within(site):
    """Only the trial finds it, which checks every page."""
    with open(site.database, "r+b") as stream:
        stream.seek(4096 * 4)
        stream.write(b"\xff" * 4096)
    case = case_of(site)
    assert examine(case, trial=False).problems == 0
    found = examine(case)
    assert (found.exit_code, found.problems) == (3, 1) and level(found, f"database {site.database}") == OK
    assert "the database is damaged" in text(found, "trial") and "restore the newest good archive" in found.advice


def test_a_restore_was_interrupted(site):
    directory, base = os.path.split(site.database)
    journal = os.path.join(directory, f".{base}{RESTORE_JOURNAL_SUFFIX}")
    with open(journal, "w", encoding="utf-8") as stream:
        stream.write("{}")
    found = examine(case_of(site), trial=False)
    assert found.exit_code == 7 and journal in text(found, f"database {site.database}")
    assert found.advice == (f"Wait until the restore of {site.database} has ended, or run the same restore again to "
                            "end it.")


def test_a_process_keeps_the_database_locked(site, holder):
    site.sql("PRAGMA journal_mode=DELETE")
    pid = holder(site.database, "BEGIN EXCLUSIVE")
    found = examine(case_of(site), trial=False)
    assert found.exit_code == 7 and f"process {pid} (" in text(found, f"database {site.database}")


def test_the_application_has_the_database_open(site, holder):
    pid = holder(site.database)
    found = examine(case_of(site))
    assert found.exit_code == 0 and f"open in process {pid} (" in text(found, f"database {site.database}")


def test_the_key_is_missing(site):
    site.backup()
    os.unlink(site.key_file)
    found = examine(case_of(site))
    assert (found.exit_code, found.trial) == (5, None) and level(found, "key") == CRITICAL
    assert found.advice.startswith("Put the key back from its escrow")


def test_the_key_is_readable_by_others(site):
    os.chmod(site.key_file, 0o644)
    found = examine(case_of(site))
    assert found.exit_code == 5 and "mode 0644" in text(found, "key") and "0400" in found.advice


def test_the_key_is_another_one(site):
    site.backup()
    old = keys.show(site.key_file).key_id
    os.unlink(site.key_file)
    keys.create(site.key_file)
    found = examine(case_of(site))
    assert found.exit_code == 5 and level(found, "key") == OK and level(found, "key archives") == CRITICAL
    assert found.advice == f"Put the key {old} back from its escrow, beside the key file as {site.key_file}.{old}."
    assert found.trial is not None


def test_no_key_is_configured_for_encrypted_archives(site):
    site.backup()
    found = examine(case_of(site, key_file=None))
    assert found.exit_code == 5 and "is encrypted, and no key is configured" in text(found, "key")


def test_a_rotated_key_and_a_lost_older_one(site):
    site.backup()
    old = keys.show(site.key_file).key_id
    keys.rotate(site.key_file)
    found = examine(case_of(site))
    assert level(found, "key archives") == OK and "1 older ones" in text(found, "key")
    site.backup()
    os.unlink(f"{site.key_file}.{old}")
    found = examine(case_of(site))
    assert level(found, "key archives") == WARNING and old in text(found, "key archives")
    assert found.exit_code == 0 and found.advice.startswith(f"Put the key {old} back from its escrow")


def test_the_lock_is_held(site, lock_holder):
    site.backup()
    process = lock_holder(site.archives)
    found = examine(case_of(site))
    assert found.exit_code == 7 and level(found, "lock") == CRITICAL
    assert f"process {process.pid} (app-maintenance" in text(found, "lock") and str(process.pid) in found.advice
    assert found.trial is not None, "the trial needs no lock of the catalog"
    found = examine(case_of(site, lock_timeout_seconds=3600.0))
    assert level(found, "lock") == WARNING and found.exit_code == 0
    process.kill()
    process.wait(timeout=30)
    assert os.path.getsize(os.path.join(site.archives, CATALOG_LOCK)) > 0
    assert level(examine(case_of(site)), "lock") == OK


def test_the_lock_names_a_process_that_does_not_have_it(site):
    """Its number went to another process after a crash."""
    with open(os.path.join(site.archives, CATALOG_LOCK), "w", encoding="utf-8") as stream:
        json.dump({"pid": os.getpid(), "command": "x", "started_at": "2026-11-24T05:47:10Z"}, stream)
    assert level(examine(case_of(site)), "lock") == OK


def test_a_holder_that_had_no_room_to_write_down_who_it_is(site, lock_holder):
    process = lock_holder(site.archives)
    os.truncate(os.path.join(site.archives, CATALOG_LOCK), 0)
    found = examine(case_of(site))
    assert found.exit_code == 7 and f"process {process.pid} (python" in text(found, "lock")
    process.kill()
    process.wait(timeout=30)
    assert level(examine(case_of(site)), "lock") == OK


def test_a_directory_in_the_place_of_the_lock(site):
    os.mkdir(os.path.join(site.archives, CATALOG_LOCK))
    found = examine(case_of(site))
    assert found.exit_code == 4 and level(found, "lock") == CRITICAL


def test_what_a_killed_run_left(site):
    site.backup()
    scratch = os.path.join(site.archives, SCRATCH_PREFIX + "1")
    os.mkdir(scratch, 0o700)
    for path in (os.path.join(scratch, "copy"), os.path.join(site.archives, ".a.tar.gz.1" + TEMPORARY_SUFFIX)):
        with open(path, "wb") as stream:
            stream.write(b"x" * 5000)
    before = listing(site.archives)
    found = doctor.diagnose(case_of(site), LOOKS, attempt)
    assert level(found, "leftovers") == WARNING and "(10.0 kB)" in text(found, "leftovers")
    assert found.exit_code == 0 and found.trial is not None and listing(site.archives) == before


def test_the_last_run_failed_and_its_cause_is_gone(site):
    site.backup()
    status.update_status(site.archives, "app", "database", last_outcome="failed", last_attempt_at=units.utc_now(),
                         last_error="/backups: no space is left on the device")
    found = examine(case_of(site))
    assert (found.exit_code, found.problems) == (1, 1) and "no space is left" in text(found, "record database")
    assert found.advice.startswith("Run 'app-maintenance backup --kind database' and look at what it says; the trial")
    assert found.advice.endswith(", so that now it should work.")
    site.backup(force=True)
    assert examine(case_of(site)).exit_code == 0


def test_the_backup_is_too_old(site):
    site.backup()
    status.update_status(site.archives, "app", "database", current_as_of=units.utc_now() - dt.timedelta(days=62))
    found = examine(case_of(site))
    assert found.exit_code == 6 and "62 d 0 h ago" in text(found, "record database")
    status.update_status(site.archives, "app", "database", current_as_of=units.utc_now() + dt.timedelta(days=1))
    found = examine(case_of(site))
    assert found.exit_code == 1 and found.problems == 0 and "clock" in found.advice


def test_no_backup_was_ever_made(site):
    found = examine(case_of(site, fragments=("/etc/app-maintenance/backup.json",)))
    assert found.exit_code == 6 and level(found, "record database") == CRITICAL
    assert level(found, "record config") == CRITICAL
    assert all(not finding.check.endswith(" logs") for finding in found.findings), "no logs are configured"
    assert "no timer" in text(found, "schedule") and level(found, "schedule") == WARNING


def test_the_archives_are_gone(site):
    site.backup()
    for name in site.names():
        os.unlink(os.path.join(site.archives, name))
    found = examine(case_of(site))
    assert found.exit_code == 6 and "the archives are gone" in text(found, "record database")


def test_the_newest_archive_is_truncated(site):
    path = site.backup().archive
    os.truncate(path, os.path.getsize(path) - 10)
    found = examine(case_of(site))
    assert found.exit_code in (5, 6) and level(found, "archive database") == CRITICAL
    assert "bytes and has" in text(found, "archive database")


def test_the_newest_archive_did_not_verify(site):
    path = site.backup(key_file=None).archive
    with open(path, "r+b") as stream:
        stream.seek(os.path.getsize(path) // 2)
        stream.write(b"\0" * 64)
    site.verify(key_file=None)
    found = examine(case_of(site, key_file=None))
    assert found.exit_code == 6 and "it did not verify" in text(found, "archive database")


def test_an_archive_of_which_nothing_is_written_down(site):
    path = site.backup().archive
    os.unlink(path + ".json")
    found = examine(case_of(site))
    assert level(found, "archive database") == WARNING and found.exit_code == 0
    assert found.advice.startswith(f"Run 'app-maintenance verify {os.path.basename(path)}'; otherwise all is well")
    os.unlink(os.path.join(site.archives, "app-database.status.json"))
    assert level(examine(case_of(site)), "record database") == WARNING


def test_an_archive_that_was_never_verified(site):
    site.backup(verify=False)
    found = examine(case_of(site))
    assert level(found, "archive database") == WARNING and "never verified" in text(found, "archive database")


def test_the_base_of_an_increment_is_gone(site):
    base = site.backup(strategy="incremental").archive
    site.sql("INSERT INTO drafts(content) VALUES ('one more')")
    made = site.backup(strategy="incremental")
    assert made.base == os.path.basename(base)
    assert examine(case_of(site)).exit_code == 0
    os.unlink(base)
    found = examine(case_of(site))
    assert found.exit_code == 6 and f"{os.path.basename(base)}, which is gone" in text(found, "archive database")


def program(directory, name, script, monkeypatch):
    """A program of that name that is found first: systemd itself is asked on booted hosts, here its words are."""
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


def systemctl(timer="active", enabled="enabled", service="inactive"):
    """A script that answers as ``systemctl show`` does for a timer and its service."""
    return ("printf '%s\\n' 'Id=app-backup-database.timer' LoadState=loaded "
            f"ActiveState={timer} UnitFileState={enabled} 'NextElapseUSecRealtime=Sat 2026-11-28 02:00:00 UTC' '' "
            f"Id=app-backup-database.service LoadState=loaded ActiveState={service} Result=exit-code "
            "ExecMainStatus=4 UnitFileState=static\n")


@pytest.fixture()
def timed(site, tmp_path):
    """A site with a backup and a timer."""
    site.backup()
    for name in ("units", "systemd"):
        (tmp_path / name).mkdir()
    (tmp_path / "units" / "app-backup-database.timer").write_text("[Timer]\n")
    return site


@pytest.mark.parametrize("timer, enabled, expected, told", [
    ("active", "enabled", OK, "next 2026-11-28T02:00:00Z"),
    ("active", "disabled", WARNING, "will not come back"),
    ("inactive", "enabled", CRITICAL, "nothing starts the job"), ("failed", "enabled", CRITICAL, "failed, enabled")])
def test_a_timer(timed, tmp_path, monkeypatch, timer, enabled, expected, told):
    program(tmp_path / "bin", "systemctl", systemctl(timer, enabled), monkeypatch)
    found = examine(case_of(timed), trial=False)
    assert level(found, "timer app-backup-database.timer") == expected
    assert told in text(found, "timer app-backup-database.timer")
    assert found.exit_code == (1 if expected == CRITICAL else 0)
    if expected == CRITICAL:
        assert found.advice == "Run 'systemctl enable --now app-backup-database.timer'."


def test_a_job_that_failed_tells_its_last_lines(timed, tmp_path, monkeypatch):
    program(tmp_path / "bin", "systemctl", systemctl(service="failed"), monkeypatch)
    program(tmp_path / "bin", "journalctl", "echo \"$@\" >\"$0.asked\"\nprintf -- '-- Boot 1 --\\n'\n"
            "for n in 1 2 3; do printf 'line %s of jane@example.org\\n' $n; done\n", monkeypatch)
    state = tmp_path / "state" / "app-maintenance" / "failures"
    state.mkdir(parents=True)
    write_failure(state, "backup-database", "2100-01-01T00:00:00Z")
    found = examine(case_of(timed))
    lines = text(found, "unit app-backup-database.service").split("\n")
    assert lines == ["failed (exit-code, exit status 4)", *(f"line {n} of (an address)" for n in (1, 2, 3))]
    asked = (tmp_path / "bin" / "journalctl.asked").read_text()
    assert "--identifier app-backup-database --lines 10 " in asked
    assert "line 1" not in text(found, "failure app-backup-database"), "once is enough"
    assert found.exit_code == 1 and "systemctl start app-backup-database.service" in found.advice


def test_systemd_that_does_not_answer_is_unknown(timed, tmp_path, monkeypatch):
    program(tmp_path / "bin", "systemctl", "echo no bus >&2\nexit 1\n", monkeypatch)
    found = examine(case_of(timed))
    assert level(found, "schedule") == UNKNOWN and "no bus" in text(found, "schedule") and found.exit_code == 1
    assert level(found, "record database") == OK, "the other looks were made"
    os.rmdir(tmp_path / "systemd")
    found = examine(case_of(timed))
    assert level(found, "schedule") == CRITICAL and "does not run systemd" in text(found, "schedule")


def write_failure(directory, job, failed_at, **changes):
    """What roles/application/templates/on-failure.sh.j2 writes."""
    record = {"application": "app", "job": job, "unit": f"app-{job}.service", "host": "h", "failed_at": failed_at,
              "result": "exit-code", "exit_status": 4, **changes}
    (directory / f"{job}.json").write_text(json.dumps(record))


def test_failures_that_were_recorded(site, tmp_path, monkeypatch):
    program(tmp_path / "bin", "journalctl", "exit 1\n", monkeypatch)
    site.backup()
    site.backup("config")
    state = tmp_path / "state" / "app-maintenance" / "failures"
    state.mkdir(parents=True)
    write_failure(state, "backup-database", "2020-01-01T00:00:00Z")
    write_failure(state, "backup-config", "2100-01-01T00:00:00Z", result="a text of jane@example.org")
    write_failure(state, "verify", "2100-01-01T00:00:00Z")
    (state / "odd.json").write_text("[]")
    found = examine(case_of(site))
    assert level(found, "failure app-backup-database") == OK
    assert "succeeded since" in text(found, "failure app-backup-database")
    assert level(found, "failure app-backup-config") == CRITICAL
    assert text(found, "failure app-backup-config") == "2100-01-01T00:00:00Z, unknown, exit status 4"
    assert level(found, "failure app-verify") == level(found, "failure odd.json") == WARNING
    assert found.exit_code == 1
    assert found.advice == "Run 'app-maintenance backup --kind config' and look at what it says."


def test_entries_of_cron(site, tmp_path, monkeypatch):
    site.backup()
    (tmp_path / "cron.d").mkdir()
    entry = tmp_path / "cron.d" / "app-backup-database"
    entry.write_text("0 2 * * * root true\n")
    entry.chmod(0o666)
    found = examine(case_of(site))
    assert level(found, "cron app-backup-database") == CRITICAL and found.exit_code == 1
    assert "chmod 0644" in found.advice
    entry.chmod(0o644)
    # A process of that name: as the kernel tells it, cron runs.
    cron = tmp_path / "cron"
    shutil.copy(shutil.which("sleep"), cron)
    running = subprocess.Popen([str(cron), "300"])
    try:
        found = examine(case_of(site))
        assert level(found, "cron") == OK and (found.exit_code == 0) == (os.geteuid() == 0)
    finally:
        running.kill()
        running.wait(timeout=30)
    monkeypatch.setattr(doctor_schedule, "_CRON_DAEMONS", frozenset({"no-such-daemon"}))
    found = examine(case_of(site))
    assert level(found, "cron") == CRITICAL and "no cron daemon runs" in text(found, "cron")


def test_a_job_that_both_start(timed, tmp_path, monkeypatch):
    program(tmp_path / "bin", "systemctl", systemctl(), monkeypatch)
    (tmp_path / "cron.d").mkdir()
    (tmp_path / "cron.d" / "app-backup-database").write_text("")
    found = examine(case_of(timed), trial=False)
    assert level(found, "schedule") == WARNING and "both a timer and an entry of cron" in text(found, "schedule")


def test_a_look_that_fails_keeps_no_other_from_running(site):
    def broken(_case):
        yield doctor.well("first", "First", "was told")
        raise KeyError("users")

    def refuses(_case):
        raise PermissionError(13, "Permission denied", "/x")

    looks = {"broken": broken, "refuses": refuses, "last": lambda _case: [doctor.well("last", "Last", "was told")]}
    found = doctor.diagnose(case_of(site), looks)
    assert [finding.level for finding in found.findings] == [OK, UNKNOWN, UNKNOWN, OK]
    assert text(found, "broken") == "unexpected KeyError: 'users'" and found.exit_code == 1
    assert found.advice == "No fault was found, but Broken is unknown: Report this as a defect."
    found = doctor.diagnose(case_of(site), {}, lambda *_arguments: 1 / 0)
    assert level(found, "trial") == UNKNOWN and found.trial is None


def test_the_most_fundamental_problem_comes_first(site):
    def rows(_case):
        yield doctor.problem("a", "A", "", "Late", 6, doctor.SYMPTOM)
        yield doctor.problem("b", "B", "", "Trial", 3, doctor.TRIAL)
        yield doctor.problem("c", "C", "", "Early", 7)
        yield doctor.problem("d", "D", "", "Early too", 4)

    found = doctor.diagnose(case_of(site), {"rows": rows})
    assert (found.advice, found.exit_code, found.problems) == ("Early.", 7, 4)


@given(name=st.text(min_size=1, max_size=80), around=st.sampled_from(["", "mail of {} ", "{}: "]))
def test_no_name_of_an_upload_is_told(name, around):
    case = Case(Settings(uploads_paths=("/data/uploads/",)), "x", units.utc_now())
    error = SourceError(f"/data/uploads/1/{name}", "it cannot be read", "Correct it")
    row = doctor.refused(case, "x", "X", error)
    found = doctor.diagnose(case, {"x": lambda _case: [row]})
    assert found.findings[0].text == "/data/uploads/...: it cannot be read"
    assert found.advice == "Correct it (/data/uploads/...: it cannot be read)."
    told = doctor.diagnose(case, {"x": lambda _case: [doctor.well("x", "X", around.format("a.b@uni.example.org"))]})
    assert "@" not in told.findings[0].text


def test_names_of_units_are_no_addresses(site):
    row = doctor.well("x", "X", "app-maintenance-failure@app.service failed")
    assert doctor.diagnose(case_of(site), {"x": lambda _case: [row]}).findings[0].text == row.finding.text


def test_a_signal_ends_the_trial_and_leaves_nothing(site):
    class Stop(BaseException):
        """As the command's own is."""

    def progress(_phase, _done, _total):
        raise Stop

    before = listing(site.archives)
    with pytest.raises(Stop):
        doctor.diagnose(case_of(site), LOOKS, attempt, progress)
    assert listing(site.archives) == before and os.listdir(site.archives) == []


def test_a_trial_beside_a_backup_that_runs(site):
    """A run takes only what nobody has locked for a leftover of a killed one."""
    seen = []

    def progress(phase, _done, _total):
        if not seen:
            seen.append(site.backup(force=True).outcome)

    found = doctor.diagnose(case_of(site), LOOKS, attempt, progress)
    assert seen == ["created"] and found.trial is not None and level(found, "trial") == OK
    assert len(site.names()) == 1


def test_a_writer_goes_on_while_the_doctor_looks(site):
    with contextlib.closing(sqlite3.connect(site.database, timeout=0, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO drafts(content) VALUES ('meanwhile')")
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                code = doctor.diagnose(case_of(site), LOOKS, attempt).exit_code
            finally:
                os._exit(code)
        try:
            ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        writer.execute("COMMIT")
    assert ended == 0
