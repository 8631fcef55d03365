# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of configuration and uploads, and of everything onto a bare host."""


from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import errors
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.collect import FileSource
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import undo_restore

from .conftest import EVERYTHING, Site, open_bytes


def test_everything_comes_back_onto_a_bare_host(site: Site) -> None:
    site.write("logs/app.log", "started\n")
    site.backup("full")
    rows, before = site.rows(), site.tree()
    shutil.rmtree(site.home)
    result = site.restore(parts=EVERYTHING)
    assert site.rows() == rows
    after = site.tree()
    for name in (".env", "data/uploads/1/essay.txt", "logs/app.log", "data/uploads", "data/uploads/1"):
        assert after[name] == before[name]
    assert any("was missing and was made" in warning for warning in result.warnings)
    assert not site.restore(parts=EVERYTHING).changed


def test_files_are_replaced_with_a_safety_copy_and_undone_with_the_database(site: Site) -> None:
    site.backup("full")
    site.write(".env", "SECRET_KEY=newer\n", 0o600)
    site.write("data/uploads/1/later.txt", "later\n")
    site.sql("DELETE FROM drafts WHERE id = 1")
    rows, before = site.rows(), site.tree()
    result = site.restore(parts=EVERYTHING)
    assert open_bytes(os.path.join(site.home, ".env")) == b"SECRET_KEY=x\n"
    assert os.path.exists(os.path.join(site.home, "data/uploads/1/later.txt"))
    undo_restore(result.safety_copy, accept_unknown_holders=True)
    after = site.tree()
    assert site.rows() == rows and after[".env"] == before[".env"]


def test_only_configuration_needs_no_stopped_database(site: Site, holder) -> None:
    site.backup("config")
    os.unlink(os.path.join(site.home, ".env"))
    holder(site.database)
    result = site.restore(parts=("config",))
    assert result.changed and open_bytes(os.path.join(site.home, ".env")) == b"SECRET_KEY=x\n"
    undone = undo_restore(result.safety_copy)
    assert undone.changed and not os.path.exists(os.path.join(site.home, ".env"))


def test_a_file_where_a_directory_should_be_is_refused(site: Site) -> None:
    site.backup("full")
    shutil.rmtree(os.path.join(site.home, "data/uploads"))
    site.write("data/uploads", "a file\n")
    with pytest.raises(errors.RestoreError, match="something else"):
        site.restore(parts=EVERYTHING)


def test_a_required_file_source_is_restored_to_its_own_path(site: Site) -> None:
    extra = site.write("config/settings.yml", "a: 1\n", 0o640)
    site.backup("config", files=(FileSource(extra, "config"),))
    os.unlink(extra)
    site.restore(parts=("config",))
    assert open_bytes(extra) == b"a: 1\n" and os.stat(extra).st_mode & 0o777 == 0o640


@pytest.mark.parametrize("place", ["data/uploads", "data/app.db"])
def test_links_of_another_user_do_not_lead_a_restore_astray(site: Site, place: str) -> None:
    """A user who may write to the uploads puts a link where a directory was."""
    site.backup("full")
    path, outside = os.path.join(site.home, place), os.path.join(site.root, "outside")
    os.rename(path, outside)
    os.symlink(outside, path)
    own = os.geteuid() != 0
    if not own:
        os.lchown(path, 65534, 65534)
    site.sql("DELETE FROM drafts WHERE id = 1")
    before = site.tree(site.root)
    if own:
        assert site.restore(parts=EVERYTHING).changed
        return
    with pytest.raises(errors.RestoreError, match="symbolic link"):
        site.restore(parts=EVERYTHING)
    assert site.tree(site.root) == before
