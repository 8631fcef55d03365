# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalog as facts, the status, retention by hand, and keys."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import Settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import backup as backup_module
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import keys
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.prune import PruneRequest, run_prune
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
    catalog_info,
    status,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_journal import journal_path

from .conftest import Site, flip


def settings(site: Site, **changes) -> Settings:
    known = Settings(application="app", databases=(site.database,), directory=site.archives, key_file=site.key_file,
                     max_age_hours={"database": 25.0})
    return replace(known, **changes)


def now() -> datetime:
    return datetime.now(timezone.utc)


def test_the_catalog_as_facts(site: Site) -> None:
    first, second, full = site.backup(), site.backup(force=True), site.backup("full")
    info = catalog_info("app", site.archives, key_file=site.key_file)
    paths = (first.archive, second.archive, full.archive)
    assert info.count == 3 and info.total_bytes == sum(map(os.path.getsize, paths))
    assert info.newest["database"]["path"] == second.archive and info.newest["config"] is None
    assert info.status["full"]["last_outcome"] == "created"
    assert [a["verified"] for a in info.archives] == [True, True, True]
    assert catalog_info("app", site.archives, ["full"]).count == 1
    assert catalog_info("other", site.archives).count == 0
    with pytest.raises(errors.UsageError):
        catalog_info("app", site.archives, ["weekly"])
    with pytest.raises(errors.DestinationError):
        catalog_info("app", site.archives + "/no")


def test_status_is_ok_after_a_good_run(site: Site) -> None:
    site.backup()
    report = status(settings(site), now())
    assert report.level == OK and "database: current as of" in report.lines[0][1]
    assert report.as_dict()["state"] == "OK"


def test_status_of_a_host_without_any_backup_is_critical(site: Site) -> None:
    report = status(settings(site), now())
    assert report.level == CRITICAL and "no backup has been made" in report.summary


def test_status_of_an_old_backup_is_critical_and_an_unchanged_run_makes_it_current(site: Site) -> None:
    site.backup()
    later = now() + timedelta(hours=26)
    assert status(settings(site), later).level == CRITICAL
    assert status(settings(site, max_age_hours={"database": 27.0}), later).level == OK


def test_status_after_a_failed_run_is_critical_and_names_the_cause(site: Site) -> None:
    site.backup()
    os.rename(site.database, site.database + ".away")
    with pytest.raises(errors.SourceError):
        site.backup()
    report = status(settings(site), now())
    assert report.level == CRITICAL and site.database in report.summary


def test_status_notices_vanished_archives_and_failed_verifications(site: Site) -> None:
    first = site.backup()
    second = site.backup(force=True)
    os.unlink(second.archive)
    assert status(settings(site), now()).level == WARNING
    os.unlink(first.archive)
    assert status(settings(site), now()).level == CRITICAL
    third = site.backup()
    flip(third.archive, 100)
    site.verify()
    assert "did not verify" in status(settings(site), now()).summary


def test_status_notices_an_interrupted_restore(site: Site) -> None:
    site.backup()
    with open(journal_path(site.database), "w", encoding="utf-8") as stream:
        stream.write("{}")
    report = status(settings(site), now())
    assert report.level == CRITICAL and "interrupted restore" in report.summary


def test_status_says_unknown_rather_than_ok(site: Site) -> None:
    assert status(Settings(application="app"), now()).level == UNKNOWN
    assert status(settings(site, directory=site.archives + "/no"), now()).level == UNKNOWN
    assert status(settings(site, max_age_hours={}), now()).level == UNKNOWN
    site.backup()
    assert status(settings(site), now() - timedelta(days=2)).level == UNKNOWN
    os.unlink(os.path.join(site.archives, "app-database.status.json"))
    assert status(settings(site), now()).level == UNKNOWN


def test_status_of_an_unverified_archive_is_a_warning(site: Site) -> None:
    site.backup(verify=False)
    assert status(settings(site), now()).level == WARNING


def test_a_kind_with_nothing_to_back_up_is_ok(site: Site) -> None:
    site.backup("logs")
    assert status(settings(site, max_age_hours={"logs": 192.0}), now()).level == OK


def _months(site: Site, monkeypatch, count: int) -> None:
    for month in range(1, count + 1):
        monkeypatch.setattr(backup_module, "utc_now", lambda month=month: datetime(2026, month, 1, tzinfo=timezone.utc))
        site.backup(force=True, prune=False)
    monkeypatch.undo()


def test_prune_predicts_removes_and_has_nothing_left_to_do(site: Site, monkeypatch) -> None:
    _months(site, monkeypatch, 5)
    site.backup(force=True, prune=False)
    request = PruneRequest("app", site.archives, retention_days=30, keep_last=2)
    predicted, real = run_prune(request, check=True), run_prune(request)
    assert predicted == real and real.changed and len(real.removed) == 4
    assert [name.split("-")[2][:6] for name in site.names()] == ["202605", now().strftime("%Y%m")]
    assert not run_prune(request).changed


def test_prune_after_a_failed_backup_removes_nothing(site: Site, monkeypatch) -> None:
    _months(site, monkeypatch, 3)
    assert run_prune(PruneRequest("app", site.archives, retention_days=1, keep_last=1)).refused
    os.unlink(site.database)
    with pytest.raises(errors.SourceError):
        site.backup()
    result = run_prune(PruneRequest("app", site.archives, retention_days=1, keep_last=1))
    assert not result.changed and dict(result.refused)["database"] and len(site.names()) == 3


def test_prune_refuses_an_unknown_kind(site: Site) -> None:
    with pytest.raises(errors.UsageError, match="weekly"):
        run_prune(PruneRequest("app", site.archives, kinds=("weekly",)))


def test_keys_are_made_once_rotated_and_never_shown(site: Site) -> None:
    fresh = os.path.join(site.root, "new", "backup.key")
    predicted = keys.create(fresh, check=True)
    assert predicted.changed and predicted.key_id is None and not os.path.exists(fresh)
    made = keys.create(fresh)
    assert made.changed and not keys.create(fresh).changed
    assert os.stat(fresh).st_mode & 0o777 == 0o400
    assert keys.rotate(fresh, check=True).changed and keys.show(fresh).key_id == made.key_id
    rotated = keys.rotate(fresh)
    assert rotated.key_ids == (rotated.key_id, made.key_id) and rotated.key_id != made.key_id
    with open(fresh, encoding="ascii") as stream:
        secret = stream.read().strip()
    for result in (made, rotated, keys.show(fresh)):
        assert secret not in repr(result) and secret not in str(result.as_dict())
