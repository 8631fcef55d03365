# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's user works against root: while a job runs he puts a link to root's files where a directory of his
was. He does so before each single operation in turn, so that no race is left to chance."""

from __future__ import annotations

import glob
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Callable, Optional

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import read_manifest
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.status import read_status
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import (
    DestinationError,
    MaintenanceError,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.snapshot import take
from ansible_collections.feedforward.maintenance.tests.unit.engine.jobs.conftest import Site

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what another user may not do to root: needs root")

STRANGER = 65534
EVERYTHING = ("databases", "config", "uploads")
OPERATIONS = frozenset({"open", "sqlite3.connect", *(f"os.{name}" for name in (
    "listdir", "scandir", "mkdir", "rename", "remove", "rmdir", "chown", "chmod", "link"))})
_at: Optional[Callable[[], None]] = None


def _hook(event: str, _arguments: object) -> None:
    if _at is not None and event in OPERATIONS:
        _at()


sys.addaudithook(_hook)


class Exchange:
    """Puts a link to ``victim`` in the place of the directory ``place``, a pattern, before operation ``moment``."""

    def __init__(self, place: str, victim: str, moment: Optional[int]) -> None:
        self.place, self.victim, self.moment, self.count = place, victim, moment, 0

    def __enter__(self) -> Exchange:
        globals()["_at"] = self.step
        return self

    def __exit__(self, *_error: object) -> None:
        globals()["_at"] = None

    def step(self) -> None:
        self.count += 1
        if self.count - 1 == self.moment:
            globals()["_at"] = None
            for place in glob.glob(self.place):
                if os.path.isdir(place) and not os.path.islink(place):
                    os.rename(place, f"{place}.away")
                    os.symlink(self.victim, place)
                    os.lchown(place, STRANGER, STRANGER)


def given_away(site: Site) -> None:
    """The application's files belong to its user."""
    for base, folders, files in os.walk(site.home):
        for name in (".", *folders, *files):
            os.lchown(os.path.join(base, name), STRANGER, STRANGER)


def state(directory: str) -> dict[str, tuple[int, int, int, Optional[bytes]]]:
    """Owner, mode and content of everything below, and of the directory itself."""
    found = {}
    for base, folders, files in os.walk(directory):
        for name in (".", *folders, *files):
            path = os.path.normpath(os.path.join(base, name))
            status = os.lstat(path)
            content = Path(path).read_bytes() if name in files else None
            found[path] = (status.st_uid, status.st_gid, status.st_mode, content)
    return found


@pytest.fixture
def tmp_path():
    """Where another user can go as well: what he cannot reach he cannot exchange."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture
def victim(tmp_path, site):
    """A directory of root's with a secret, and with the names that the application's files have."""
    path = tmp_path / "victim"
    path.mkdir(mode=0o755)
    for name in ("app.db", "app.db-wal", "essay.txt", "secret.txt"):
        (path / name).write_bytes(b"root's own")
        (path / name).chmod(0o600)
    (path / "1").mkdir()
    (path / "1" / "essay.txt").write_bytes(b"root's own")
    return str(path)


@pytest.mark.parametrize("place", ["data/uploads", "data/uploads/1"])
def test_a_backup_never_takes_what_only_root_may_read(site, victim, place):
    given_away(site)
    place = os.path.join(site.home, place)
    before = state(victim)
    with Exchange(place, victim, None) as exchange:
        site.backup("full", force=True)
    for moment in range(exchange.count):
        with Exchange(place, victim, moment):
            try:
                made = site.backup("full", force=True).archive
            except MaintenanceError:
                made = None
        if os.path.islink(place):
            os.unlink(place)
            os.rename(f"{place}.away", place)
        if made is not None:
            files = read_manifest(made, load_ring(site.key_file)).files
            assert not [file.path for file in files if "secret" in file.path or file.size == len(b"root's own")], moment
        assert state(victim) == before, moment


@pytest.mark.parametrize("place", ["data/uploads", "data/uploads/1", "data"])
def test_a_restore_never_changes_what_is_not_the_applications(site, victim, place, tmp_path):
    given_away(site)
    site.backup("full")
    kept = str(tmp_path / "kept")
    site.sql("DELETE FROM drafts WHERE id = 1")
    os.unlink(os.path.join(site.home, "data/uploads/1/essay.txt"))
    given_away(site)
    shutil.copytree(site.home, kept, symlinks=True)
    place = os.path.join(site.home, place)
    before = state(victim)
    with Exchange(place, victim, None) as exchange:
        assert site.restore(parts=EVERYTHING).changed
    outcomes = set()
    for moment in range(exchange.count):
        shutil.rmtree(site.home)
        shutil.copytree(kept, site.home, symlinks=True)
        given_away(site)
        with Exchange(place, victim, moment):
            try:
                outcomes.add(site.restore(parts=EVERYTHING).action)
            except MaintenanceError as error:
                outcomes.add(type(error).__name__)
        assert state(victim) == before, moment
    assert len(outcomes) > 1, outcomes


def test_a_backup_into_a_directory_of_another_user_is_refused(site):
    """He could exchange the scratch directory under root's hands, and remove every archive."""
    os.chown(site.archives, STRANGER, STRANGER)
    before = site.tree(site.archives)
    with pytest.raises(DestinationError, match="it belongs to nobody, who may exchange and remove what lies in it"):
        site.backup(force=True)
    assert {name for name in site.tree(site.archives) if "status" not in name and "lock" not in name} == set(before)
    assert "may exchange" in (read_status(site.archives, "app", "database").last_error or "")


def test_a_copy_is_never_written_over_a_file_that_took_its_place(site, victim, tmp_path):
    """SQLite opens the copy by its path, a moment after the copy was made."""
    given_away(site)
    os.mkdir(os.path.join(victim, "databases"))
    shutil.copy(site.database, os.path.join(victim, "databases", "app.db"))
    before = state(victim)
    scratch = tmp_path / "scratch"
    os.chown(tmp_path, STRANGER, STRANGER)
    with Exchange(str(scratch), victim, None) as exchange:
        scratch.mkdir()
        take(site.database, str(scratch), "app.db")
    outcomes = set()
    for moment in range(exchange.count):
        for path in glob.glob(f"{scratch}*"):
            os.unlink(path) if os.path.islink(path) else shutil.rmtree(path)
        scratch.mkdir()
        with Exchange(str(scratch), victim, moment):
            try:
                take(site.database, str(scratch), "app.db")
                outcomes.add("taken")
            except MaintenanceError as error:
                outcomes.add(error.cause)
        assert state(victim) == before, moment
    assert {"taken", "another file took the place of the one that was just made"} < outcomes
