# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups: what is written, what is not, and what is said about it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import open_archive, read_manifest
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.sidecar import read_sidecar
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.status import read_status
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import backup as backup_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import keys
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.backup import request_from_settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.collect import FileSource
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.references import FileReference

from .conftest import ROWS, Site, flip


def test_the_first_run_makes_one_verified_archive_with_every_row(site: Site) -> None:
    result = site.backup()
    assert (result.changed, result.outcome, result.verified, result.sequence) == (True, "created", True, 1)
    assert site.names() == [os.path.basename(result.archive)]
    manifest = read_manifest(result.archive, load_ring(site.key_file))
    assert manifest.databases[0].rows == {"drafts": ROWS}
    assert manifest.content_id == result.content_id
    assert os.stat(result.archive).st_mode & 0o777 == 0o600


def test_uncheckpointed_rows_are_in_the_archive_pitfall_4(site: Site, holder) -> None:
    holder(site.database, "INSERT INTO drafts(content) VALUES ('only in the log')")
    assert os.path.getsize(site.database + "-wal") > 0
    result = site.backup()
    assert read_manifest(result.archive, load_ring(site.key_file)).databases[0].rows == {"drafts": ROWS + 1}


def test_a_second_run_writes_nothing_but_the_freshness_record(site: Site) -> None:
    first = site.backup()
    before = site.tree(site.archives)
    status = read_status(site.archives, "app", "database")
    second = site.backup()
    assert (second.changed, second.outcome, second.archive) == (False, "unchanged", first.archive)
    after = site.tree(site.archives)
    archive = os.path.basename(first.archive)
    assert before[archive] == after[archive] and set(before) == set(after)
    assert read_status(site.archives, "app", "database").current_as_of >= status.current_as_of
    assert second.before == second.after


def test_check_mode_predicts_the_same_content_and_writes_no_archive(site: Site) -> None:
    predicted = site.backup(check=True)
    assert site.names() == [] and read_status(site.archives, "app", "database") is None
    assert [name for name in os.listdir(site.archives) if "scratch" in name] == []
    real = site.backup()
    assert (predicted.changed, predicted.outcome, predicted.content_id) == (True, "created", real.content_id)
    assert predicted.sequence == real.sequence == 1
    assert predicted.after["content_id"] == real.after["content_id"]
    again = site.backup(check=True)
    assert (again.changed, again.outcome) == (False, "unchanged")


def test_one_changed_row_makes_a_new_archive_that_names_the_one_before(site: Site) -> None:
    first = site.backup()
    site.sql("UPDATE drafts SET content = 'changed' WHERE id = 7")
    second = site.backup()
    assert (second.outcome, second.sequence) == ("created", 2)
    assert second.before == {"archive": os.path.basename(first.archive), "base": None, "content_id": first.content_id,
                             "key_id": first.key_id}
    assert read_manifest(second.archive, load_ring(site.key_file)).previous == os.path.basename(first.archive)


def test_force_makes_an_archive_of_equal_content(site: Site) -> None:
    first, second = site.backup(), site.backup(force=True)
    assert second.changed and second.content_id == first.content_id and len(site.names()) == 2


def test_each_kind_holds_its_parts(site: Site) -> None:
    site.write("logs/app.log", "started\n")
    parts = {}
    for kind in ("database", "config", "logs", "full"):
        manifest = read_manifest(site.backup(kind).archive, load_ring(site.key_file))
        parts[kind] = (len(manifest.databases), {file.part for file in manifest.files})
    assert parts == {"database": (1, set()), "config": (0, {"config"}), "logs": (0, {"logs"}),
                     "full": (1, {"config", "uploads", "logs"})}


def test_a_kind_without_content_makes_no_archive_and_says_so(site: Site) -> None:
    result = site.backup("logs")
    assert (result.changed, result.outcome, result.archive) == (False, "nothing", None)
    assert result.absent == (os.path.join(site.home, "logs"),)
    assert site.names() == [] and read_status(site.archives, "app", "logs").last_outcome == "nothing"


def test_a_changed_file_makes_a_new_archive_and_a_touched_one_does_not(site: Site) -> None:
    site.backup("config")
    os.utime(os.path.join(site.home, ".env"), (1, 1))
    assert site.backup("config").outcome == "unchanged"
    site.write(".env", "SECRET_KEY=y\n", 0o600)
    assert site.backup("config").outcome == "created"
    os.chmod(os.path.join(site.home, ".env"), 0o640)
    assert site.backup("config").outcome == "created"


def test_a_rotated_key_makes_a_new_archive_and_old_ones_still_verify(site: Site) -> None:
    first = site.backup()
    keys.rotate(site.key_file)
    second = site.backup()
    assert second.outcome == "created" and second.key_id != first.key_id
    assert site.verify(archive="all").passed


def test_an_unencrypted_archive_is_read_by_tar(site: Site, tmp_path) -> None:
    result = site.backup(key_file=None)
    subprocess.run(["tar", "xzf", result.archive, "-C", tmp_path], check=True)
    assert site.rows(os.path.join(tmp_path, "databases", "app.db")) == site.rows()
    assert result.key_id is None and not result.encrypted


def test_a_damaged_newest_archive_does_not_stand_for_today(site: Site) -> None:
    first = site.backup()
    flip(first.archive, os.path.getsize(first.archive) // 2)
    second = site.backup()
    assert second.outcome == "created" and "does not verify" in second.reason
    assert site.verify(archive="latest").passed


def test_a_lost_sidecar_is_made_again(site: Site) -> None:
    first = site.backup()
    sidecar = read_sidecar(first.archive)
    os.unlink(first.archive + ".json")
    assert site.backup().outcome == "unchanged"
    rebuilt = read_sidecar(first.archive)
    assert (rebuilt.sha256, rebuilt.sequence, rebuilt.content_id) == (sidecar.sha256, 1, sidecar.content_id)


def test_a_forged_sidecar_does_not_hide_damage(site: Site) -> None:
    """The sidecar says verified; the archive is another one of equal size."""
    first = site.backup()
    flip(first.archive, 5000)
    assert read_sidecar(first.archive).verification == "passed"
    assert site.backup().outcome == "created"


def test_a_missing_database_is_an_error_and_stays_missing_pitfall_22(site: Site) -> None:
    missing = os.path.join(site.home, "data", "other.db")
    with pytest.raises(errors.SourceError, match=missing):
        site.backup(databases=(missing,))
    assert not os.path.exists(missing)
    assert read_status(site.archives, "app", "database").last_outcome == "failed"
    assert site.names() == []


def test_a_damaged_database_makes_no_archive_and_prunes_none_pitfall_26(site: Site) -> None:
    good = site.backup()
    page = 4096
    with open(site.database, "r+b") as stream:
        stream.seek(page * 3)
        stream.write(b"\xff" * page)
    with pytest.raises(errors.SourceError, match="damaged"):
        site.backup(retention_days=1, keep_last=1)
    assert site.names() == [os.path.basename(good.archive)]
    assert site.verify(archive="latest").passed
    status = read_status(site.archives, "app", "database")
    assert status.last_outcome == "failed" and "damaged" in status.last_error
    assert not [name for name in os.listdir(site.archives) if name.startswith(".maintenance-scratch")]


@pytest.mark.parametrize("content, cause", [
    (b"", "empty"), (b"not a database, but long enough to have a header" * 40, "SQLite"),
    (os.urandom(8192), "SQLite")])
def test_what_is_no_database_is_refused(site: Site, content: bytes, cause: str) -> None:
    other = os.path.join(site.home, "data", "other.db")
    with open(other, "wb") as stream:
        stream.write(content)
    with pytest.raises(errors.SourceError, match=cause) as raised:
        site.backup(databases=(other,))
    assert other in str(raised.value) and site.names() == []


def test_a_missing_destination_is_named(site: Site) -> None:
    missing = os.path.join(site.root, "nowhere")
    with pytest.raises(errors.DestinationError, match=missing):
        site.backup(destination=missing)
    assert not os.path.exists(missing)


def test_a_missing_required_file_is_an_error(site: Site) -> None:
    os.unlink(os.path.join(site.home, ".env"))
    with pytest.raises(errors.SourceError, match=r"\.env"):
        site.backup("full")
    assert site.names() == []


@pytest.mark.parametrize("change, error", [
    (lambda site: os.unlink(site.key_file), errors.KeyFileError),
    (lambda site: os.chmod(site.key_file, 0o444), errors.KeyFileError),
    (lambda site: open(site.key_file, "wb").close() if os.chmod(site.key_file, 0o600) is None else None,
     errors.KeyFileError)])
def test_a_bad_key_file_stops_the_run(site: Site, change, error) -> None:
    change(site)
    with pytest.raises(error, match="backup.key"):
        site.backup()
    assert site.names() == []


def test_two_runs_at_once_second_is_refused_and_the_archive_of_the_first_is_whole(site: Site) -> None:
    program = ("import fcntl, sys\nstream = open(sys.argv[1], 'a')\nfcntl.flock(stream, fcntl.LOCK_EX)\n"
               "print('locked', flush=True)\nsys.stdin.read()\n")
    lock = os.path.join(site.archives, ".maintenance.lock")
    process = subprocess.Popen([sys.executable, "-c", program, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(errors.BusyError, match="archives"):
            site.backup()
        assert site.names() == []
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()
    assert site.backup().outcome == "created"


def test_what_a_killed_run_left_is_removed_by_the_next(site: Site) -> None:
    scratch = os.path.join(site.archives, ".maintenance-scratch-0123456789abcdef")
    os.makedirs(os.path.join(scratch, "databases"))
    temporary = os.path.join(site.archives, ".app-database-20260101T000000Z.tar.gz.enc.0a1b2c3d.maintenance-tmp")
    open(temporary, "wb").close()
    own = os.path.join(site.archives, "notes.txt")
    open(own, "w").close()
    site.backup(check=True)
    assert os.path.exists(scratch) and os.path.exists(temporary)
    site.backup()
    assert not os.path.exists(scratch) and not os.path.exists(temporary) and os.path.exists(own)


def _at(monkeypatch, moment: datetime) -> None:
    monkeypatch.setattr(backup_module, "utc_now", lambda: moment)


def test_retention_keeps_the_newest_verified_whatever_their_age(site: Site, monkeypatch) -> None:
    start = datetime(2026, 1, 1, 2, tzinfo=timezone.utc)
    for day in range(6):
        _at(monkeypatch, start + timedelta(days=day * 10))
        site.sql("UPDATE drafts SET content = ? WHERE id = 1", f"day {day}")
        predicted = site.backup(check=True, retention_days=15, keep_last=2)
        real = site.backup(retention_days=15, keep_last=2)
        assert predicted.pruned == real.pruned
    stamps = [name.split("-")[2][:8] for name in site.names()]
    assert stamps == ["20260210", "20260220"]


def test_a_clock_that_jumped_removes_nothing_and_says_so(site: Site, monkeypatch) -> None:
    start = datetime(2026, 1, 1, 2, tzinfo=timezone.utc)
    for day in range(3):
        _at(monkeypatch, start + timedelta(days=day))
        site.sql("UPDATE drafts SET content = ? WHERE id = 1", f"day {day}")
        site.backup(retention_days=5, keep_last=1)
    for jump in (timedelta(days=400), timedelta(days=-400)):
        _at(monkeypatch, start + jump)
        site.sql("UPDATE drafts SET content = ? WHERE id = 1", f"jump {jump}")
        result = site.backup(retention_days=5, keep_last=1)
        assert result.pruned == () and result.prune_refused
    assert len(site.names()) == 5
    # The order is that of the sequence: the newest is the one that the last run made.
    assert site.verify(archive="latest").archives[0].path == result.archive


def test_fifteen_failed_nights_leave_every_archive_pitfall_19(site: Site, monkeypatch) -> None:
    start = datetime(2026, 1, 1, 2, tzinfo=timezone.utc)
    _at(monkeypatch, start)
    site.backup(retention_days=3, keep_last=1)
    names = site.names()
    os.rename(site.database, site.database + ".away")
    for day in range(1, 16):
        _at(monkeypatch, start + timedelta(days=day))
        with pytest.raises(errors.SourceError):
            site.backup(retention_days=3, keep_last=1)
    assert site.names() == names


def test_the_key_and_the_archives_are_never_collected(site: Site) -> None:
    sources = (FileSource(site.root, "config"),)
    result = site.backup("config", files=sources)
    with open_archive(result.archive, load_ring(site.key_file)) as reader:
        paths = {info.entry.path for info, _stream in reader.members()}
    assert site.key_file not in paths and site.database not in paths
    assert not any(path.startswith(site.archives) for path in paths)
    assert os.path.join(site.home, ".env") in paths


def test_two_databases_of_one_name_are_kept_apart(site: Site) -> None:
    other = os.path.join(site.home, "other", "app.db")
    os.makedirs(os.path.dirname(other))
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT)")
    connection.commit()
    connection.close()
    result = site.backup(databases=(site.database, other))
    manifest = read_manifest(result.archive, load_ring(site.key_file))
    assert [(d.name, d.source) for d in manifest.databases] == [("app.db", site.database), ("app.db-2", other)]


@pytest.mark.parametrize("changes, word", [
    ({"kind": "weekly"}, "weekly"), ({"level": 12}, "12"), ({"databases": ()}, "database"),
    ({"databases": ("data/app.db",)}, "absolute"), ({"destination": "archives"}, "absolute"),
    ({"keep_last": 0}, "keep_last"),
    ({"retention_days": -1}, "retention_days"), ({"files": (FileSource("a/../b", "config"),)}, "absolute"),
    ({"files": (FileSource("/etc", "stuff"),)}, "stuff"), ({"application": "No Such/Name"}, "application")])
def test_bad_requests_are_refused_by_one_sentence(site: Site, changes, word: str) -> None:
    with pytest.raises(errors.UsageError, match=word) as raised:
        site.backup(**changes) if "kind" not in changes else site.backup(changes["kind"])
    assert "\n" not in str(raised.value) and site.names() == []


def test_an_archive_that_was_not_verified_prunes_nothing(site: Site, monkeypatch) -> None:
    start = datetime(2026, 1, 1, 2, tzinfo=timezone.utc)
    _at(monkeypatch, start)
    site.backup()
    _at(monkeypatch, start + timedelta(days=9))
    site.sql("UPDATE drafts SET content = 'new' WHERE id = 1")
    result = site.backup(verify=False, retention_days=1, keep_last=1)
    assert not result.verified and result.pruned == () and "not verified" in result.prune_refused
    assert len(site.names()) == 2


@pytest.mark.parametrize("key", [True, False])
def test_zstd_from_the_backup_to_the_restore(site: Site, key) -> None:
    before = site.rows()
    key_file = site.key_file if key else None
    made = site.backup("full", compression="zstd", key_file=key_file)
    assert made.archive.endswith(".tar.zst.enc" if key else ".tar.zst") and made.verified
    again = site.backup("full", compression="zstd", key_file=key_file)
    assert (again.outcome, again.archive) == ("unchanged", made.archive)
    assert site.verify(archive=made.archive, level="restore", key_file=key_file).passed
    site.sql("DELETE FROM drafts")
    assert site.restore(archive=made.archive, key_file=key_file).changed
    assert site.rows() == before


def test_another_compression_makes_no_archive_of_the_same_content(site: Site) -> None:
    first = site.backup()
    assert site.backup(compression="zstd").outcome == "unchanged"
    assert site.backup(compression="zstd", force=True).sequence == first.sequence + 1
    assert [name[name.index(".tar"):] for name in site.names()] == [".tar.gz.enc", ".tar.zst.enc"]
    assert site.verify(archive="latest").archives[0].name.endswith(".tar.zst.enc")


@pytest.mark.parametrize(("changes", "cause"), [
    ({"compression": "xz"}, "unknown"), ({"level": 10}, "0 to 9"), ({"compression": "zstd", "level": 0}, "1 to 19")])
def test_an_impossible_compression_is_refused_before_anything_is_read(site: Site, changes, cause) -> None:
    with pytest.raises(errors.UsageError, match=cause):
        site.backup(databases=("/nowhere/app.db",), **changes)
    assert os.listdir(site.archives) == []


def test_the_request_of_the_configuration(site: Site) -> None:
    settings = Settings(application="app", databases=(site.database,), config_paths=(site.home + "/.env",),
                        uploads_paths=(site.home + "/data/uploads",), directory=site.archives, key_file=site.key_file,
                        compression_level=1)
    result = backup_module.run_backup(request_from_settings(settings, "full", lock_timeout_seconds=0.0))
    assert result.files == 2 and result.outcome == "created"
    with pytest.raises(errors.UsageError, match="directory"):
        request_from_settings(Settings(application="app"), "full")


def test_a_configuration_file_that_is_a_link_is_archived_by_its_content(site: Site) -> None:
    real = site.write("shared/production.env", "SECRET_KEY=linked\n", 0o600)
    path = os.path.join(site.home, ".env")
    os.unlink(path)
    os.symlink(real, path)
    site.backup("config")
    os.unlink(path)
    site.restore(parts=("config",))
    with open(path, encoding="utf-8") as stream:
        assert stream.read() == "SECRET_KEY=linked\n"


def _references(site: Site) -> tuple[FileReference, ...]:
    site.sql("CREATE TABLE submission_files(id INTEGER PRIMARY KEY, path TEXT)")
    for path in ("1/essay.txt", "1/lost.txt", "", None, os.path.join(site.home, "data", "uploads", "2", "gone.txt")):
        site.sql("INSERT INTO submission_files(path) VALUES (?)", path)
    uploads = os.path.join(site.home, "data", "uploads")
    return (FileReference(site.database, "SELECT path FROM submission_files", uploads),)


def test_files_that_rows_name_and_that_are_not_there_are_told_pitfall_21(site: Site) -> None:
    references = _references(site)
    uploads = os.path.join(site.home, "data", "uploads")
    result = site.backup("full", references=references)
    assert result.missing_files == (uploads + "/1/lost.txt", uploads + "/2/gone.txt")
    assert any("2 files that the database names are missing" in warning for warning in result.warnings)
    assert read_manifest(result.archive, load_ring(site.key_file)).warnings == tuple(
        warning for warning in result.warnings if "missing" in warning)
    site.write("data/uploads/1/lost.txt", "found\n")
    site.write("data/uploads/2/gone.txt", "found\n")
    assert site.backup("full", references=references).missing_files == ()
    assert site.backup("database", references=references).missing_files == ()


def test_references_that_cannot_be_followed_are_refused(site: Site) -> None:
    good = _references(site)[0]
    for change, word in (({"database": "/nowhere.db"}, "nowhere"), ({"base": "uploads"}, "full path"),
                         ({"query": "SELECT no_such_column FROM drafts"}, "no_such_column"),
                         ({"query": "DELETE FROM drafts"}, "query")):
        with pytest.raises(errors.UsageError, match=word):
            site.backup("full", references=(replace(good, **change),))
    assert site.names() == [] and site.sql("SELECT count(*) FROM drafts") == [(ROWS,)]


@pytest.mark.parametrize("kinds", [("database", "full"), ("full", "database")])
def test_content_that_came_back_gets_an_archive_where_another_kind_holds_what_was_between(site: Site, kinds) -> None:
    """As by a restore: otherwise 'restore latest' would bring back what was between."""
    whole = site.rows()
    site.backup(kinds[0])
    site.sql("DELETE FROM drafts WHERE id = 1")
    site.backup(kinds[1])
    site.sql("INSERT INTO drafts(id, content) VALUES (1, ?)", "draft 0 " * 20)
    assert site.rows() == whole
    again = site.backup(kinds[0], check=True), site.backup(kinds[0])
    assert [result.outcome for result in again] == ["created", "created"]
    assert "is newer and holds another content" in again[1].reason
    assert site.backup(kinds[0]).outcome == "unchanged"
    os.unlink(site.database)
    site.restore()
    assert site.rows() == whole


def test_another_kind_with_the_same_content_is_no_reason_for_an_archive(site: Site) -> None:
    for kind in ("config", "database", "full"):
        assert site.backup(kind).outcome == "created"
    for kind in ("config", "database", "full"):
        assert site.backup(kind).outcome == "unchanged", kind
    site.write(".env", "SECRET_KEY=y\n", 0o600)
    site.backup("full")
    site.write(".env", "SECRET_KEY=x\n", 0o600)
    assert [site.backup(kind).outcome for kind in ("database", "config")] == ["unchanged", "created"]
