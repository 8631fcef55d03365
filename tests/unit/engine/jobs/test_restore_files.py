# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of configuration and uploads, and of everything onto a bare host."""


from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

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


ODD_NAMES = {
    b"essay-\xff\xfe.txt": b"an essay\n", b"caf\xe9/\x80": b"inside\n", b"caf\xe9/\xc3\xa9": b"\xe9 and \xff\n",
    b"caf\xe9/" + b"\xff" * 255: b"long\n", "\u8bba".encode() * 85: b"of another script\n", b"line\nbreak-\xe9": b""}


def put_odd_names(site: Site) -> bytes:
    """The directory of uploads, with files and a directory whose names are no text."""
    uploads = os.fsencode(os.path.join(site.home, "data", "uploads"))
    for name, content in ODD_NAMES.items():
        path = os.path.join(uploads, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content)
    os.chmod(os.path.join(uploads, b"caf\xe9"), 0o710)
    os.chmod(os.path.join(uploads, b"essay-\xff\xfe.txt"), 0o640)
    return uploads


def contents(uploads: bytes) -> dict:
    return {name: open_bytes(os.path.join(uploads, name)) for name in ODD_NAMES}


def application(site: Site) -> dict:
    """Its tree without safety copies."""
    return {name: row for name, row in site.tree().items() if ".before-restore-" not in name}


@pytest.mark.parametrize("keyed", [True, False])
def test_names_that_are_no_text_come_back_byte_for_byte(site: Site, keyed: bool) -> None:
    uploads = put_odd_names(site)
    key = {} if keyed else {"key_file": None}
    made = site.backup("full", **key)
    assert (made.outcome, made.files, made.skipped, made.warnings) == ("created", 2 + len(ODD_NAMES), (), ())
    for level in ("checksums", "integrity", "restore"):
        assert site.verify(level=level, **key).passed
    assert site.backup("full", **key).outcome == "unchanged"
    before = site.tree()
    shutil.rmtree(uploads)
    assert site.restore(parts=EVERYTHING, **key).changed
    assert application(site) == before and contents(uploads) == ODD_NAMES
    assert not site.restore(parts=EVERYTHING, **key).changed


def test_a_restore_over_names_that_are_no_text_is_undone(site: Site) -> None:
    uploads = put_odd_names(site)
    site.backup("full")
    for name in ODD_NAMES:
        with open(os.path.join(uploads, name), "ab") as stream:
            stream.write(b"and more\n")
    before = site.tree()
    result = site.restore(parts=EVERYTHING)
    assert contents(uploads) == ODD_NAMES
    undo_restore(result.safety_copy, accept_unknown_holders=True)
    assert contents(uploads) == {name: content + b"and more\n" for name, content in ODD_NAMES.items()}
    assert application(site) == before


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_command_tells_of_names_that_are_no_text(site: Site, locale: str) -> None:
    uploads = put_odd_names(site)
    os.symlink("elsewhere", os.path.join(uploads, b"link-\xff"))
    etc = os.path.join(site.root, "etc")
    os.mkdir(etc)
    for name, fragment in (("application", {"application": "app", "databases": [site.database],
                                            "uploads_paths": [os.fsdecode(uploads)]}),
                           ("backup", {"directory": site.archives, "key_file": site.key_file})):
        with open(os.path.join(etc, f"{name}.json"), "w", encoding="utf-8") as stream:
            json.dump(fragment, stream)

    def command(*words: str) -> bytes:
        """What it printed: text that every reader of UTF-8 can read, without control characters."""
        code = ("import sys\n"
                "from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.main import main\n"
                "sys.exit(main())\n")
        ended = subprocess.run([sys.executable, "-c", code, "--config", etc, *words], capture_output=True, check=False,
                               env={**os.environ, "LC_ALL": locale})
        assert ended.returncode == 0, ended.stderr
        assert (ended.stdout + ended.stderr).decode("utf-8").replace("\n", "").isprintable()
        return ended.stdout

    def damage() -> None:
        shutil.rmtree(os.path.join(uploads, b"caf\xe9"))
        with open(os.path.join(uploads, b"essay-\xff\xfe.txt"), "wb") as stream:
            stream.write(b"other\n")

    restore = ("restore", "--everything", "--yes", "--accept-unknown-holders", "--verbose")
    assert b"link-\\udcff was left out" in command("backup", "--kind", "full", "--verbose")
    made = json.loads(command("backup", "--kind", "full", "--force", "--json"))
    assert [os.fsencode(path) for path, _why in made["skipped"]] == [os.path.join(uploads, b"link-\xff")]
    command("verify", "--kind", "full", "--level", "restore", "--verbose")
    json.loads(command("verify", "--kind", "full", "--json"))
    command("list", "--verbose")
    damage()
    assert b"essay-\\udcff\\udcfe.txt" in command("restore", "--everything", "--dry-run", "--verbose")
    plan = json.loads(command("restore", "--everything", "--dry-run", "--json"))
    assert os.path.join(uploads, b"essay-\xff\xfe.txt") in [os.fsencode(step["target"]) for step in plan["steps"]]
    assert b"essay-\\udcff\\udcfe.txt" in command(*restore)
    assert contents(uploads) == ODD_NAMES
    damage()
    result = json.loads(command(*restore, "--json"))
    assert os.path.join(uploads, b"caf\xe9/\x80") in [os.fsencode(step["target"]) for step in result["steps"]]
    assert contents(uploads) == ODD_NAMES
    undone = command("restore", "--undo", result["safety_copy"], "--yes", "--accept-unknown-holders", "--verbose")
    assert b"essay-\\udcff\\udcfe.txt" in undone
    assert not os.path.exists(os.path.join(uploads, b"caf\xe9/\x80"))
