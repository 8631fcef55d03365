# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules sqlite_verify and sqlite_backup_info on real archives, good and damaged."""

from __future__ import annotations

import json
import os

import pytest
from module_support import task, tree, write


@pytest.fixture
def catalog(ansible, database, archives, key_file):
    """Options of a catalog with two archives, of which the second has one row more."""
    options = {"destination": archives, "key_file": key_file}
    ansible.module("sqlite_backup", {**options, "databases": [str(database)]})
    write(database, "INSERT INTO drafts (content) VALUES ('one more')")
    ansible.module("sqlite_backup", {**options, "databases": [str(database)]})
    return {"directory": archives, "key_file": key_file}


def names(archives):
    """File names of the archives, oldest first."""
    return sorted(p.name for p in archives.iterdir() if p.name.endswith(".enc"))


def test_four_states(ansible, catalog, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    states = ansible.four_states("sqlite_verify", {**catalog, "archive": "all", "level": "restore", "scratch": scratch})
    assert [state["changed"] for state in states] == [False] * 4
    assert [state["passed"] for state in states] == [True] * 4
    assert [[a["recorded"] for a in state["archives"]] for state in states] == [
        [False, False], [True, True], [True, True], [False, False]]
    assert [a["databases"][0]["rows_total"] for a in states[1]["archives"]] == [500, 501]
    assert states[1]["archives"][1]["databases"][0]["rows"] == {"drafts": 501, "empty": 0}
    assert tree(scratch) == {}
    checksums = ansible.module("sqlite_verify", {**catalog, "level": "checksums"})
    assert [(a["verdict"], a["level"]) for a in checksums["archives"]] == [("passed", "checksums")]


def test_check_mode_records_nothing(ansible, catalog, archives):
    before = tree(archives)
    assert ansible.module("sqlite_verify", catalog, check=True)["passed"] is True
    assert tree(archives) == before


def test_damage_fails_and_is_recorded(ansible, catalog, archives):
    newest = archives / names(archives)[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)

    failing, asking, oldest = ansible.play([
        task("sqlite_verify", catalog), task("sqlite_verify", {**catalog, "fail_on_damage": False}),
        task("sqlite_verify", {**catalog, "archive": "oldest"})]).results
    assert failing["failed"] is True
    assert str(newest) in failing["msg"]
    assert "\n" not in failing["msg"]
    assert failing["archives"][0]["verdict"] == "failed"
    assert asking["failed"] is False
    assert asking["passed"] is False
    assert asking["archives"][0]["problems"]
    assert oldest["passed"] is True

    info = ansible.module("sqlite_backup_info", catalog)
    assert [archive["verified"] for archive in info["archives"]] == [True, False]


def test_an_archive_without_its_key_is_unknown(ansible, catalog):
    result = ansible.module("sqlite_verify", {"directory": catalog["directory"], "fail_on_damage": False})
    assert result["passed"] is False
    assert result["archives"][0]["verdict"] == "unknown"
    assert result["archives"][0]["recorded"] is False


def test_before_picks_an_earlier_archive(ansible, catalog, archives):
    first, second = names(archives)
    info = ansible.module("sqlite_backup_info", catalog)
    result = ansible.module("sqlite_verify", {**catalog, "before": info["archives"][0]["stamp"]})
    assert [archive["name"] for archive in result["archives"]] == [first]
    assert second != first


def test_bad_input_is_one_line_with_the_next_step(ansible, catalog, tmp_path):
    ansible.refused("sqlite_verify", [({**catalog, **change}, kind, words) for change, kind, words in [
        ({"archive": "feedforward-database-20200101T000000Z.tar.gz.enc"}, "ArchiveError", ["20200101T000000Z"]),
        ({"archive": "/nonexistent/a.tar.gz"}, "ArchiveError", ["/nonexistent/a.tar.gz"]),
        ({"application": "other"}, "ArchiveError", [str(catalog["directory"])]),
        ({"key_file": "/nonexistent/key"}, "KeyFileError", ["/nonexistent/key"]),
        ({"scratch": "/nonexistent"}, "UsageError", ["/nonexistent"]),
        ({"before": "the day before yesterday"}, "UsageError", ["the day before yesterday"]),
        ({"directory": "/nonexistent"}, "DestinationError", ["/nonexistent"]),
    ]])


def test_info_four_states(ansible, catalog, archives):
    (archives / "feedforward-database-notes.txt").write_text("not an archive")
    before = tree(archives)
    states = ansible.four_states("sqlite_backup_info", catalog)
    assert all({**state, "invocation": None} == {**states[0], "invocation": None} for state in states)
    assert tree(archives) == before
    info = states[0]
    assert info["changed"] is False
    assert info["count"] == 2
    assert [archive["name"] for archive in info["archives"]] == names(archives)
    assert info["total_bytes"] == sum((archives / name).stat().st_size for name in names(archives))
    assert info["newest"]["database"]["name"] == names(archives)[-1]
    assert info["newest"]["full"] is None
    assert info["status"]["database"]["last_outcome"] == "created"
    assert info["status"]["full"] is None


def test_info_of_some_kinds_and_of_an_empty_directory(ansible, catalog, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    some, none = ansible.play([task("sqlite_backup_info", {**catalog, "kinds": ["full"]}),
                               task("sqlite_backup_info", {"directory": empty})]).results
    assert some["archives"] == []
    assert list(some["newest"]) == ["full"]
    assert none["count"] == 0
    assert none["total_bytes"] == 0
    assert os.listdir(empty) == []


def test_info_without_sidecars(ansible, catalog, archives):
    for name in names(archives):
        os.unlink(archives / f"{name}.json")
    info = ansible.module("sqlite_backup_info", catalog)
    assert [archive["sequence"] for archive in info["archives"]] == [1, 2]
    assert [archive["sidecar"] for archive in info["archives"]] == [None, None]


def test_info_of_a_missing_directory(ansible, key_file):
    ansible.refused("sqlite_backup_info", [
        ({"directory": "/nonexistent"}, "DestinationError", ["/nonexistent"]),
        ({"directory": key_file}, "DestinationError", [str(key_file), "not a directory"])])
    assert key_file.read_text().strip() not in json.dumps(ansible.module("sqlite_backup_info", {
        "directory": key_file.parent, "key_file": key_file}))
