# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sqlite_info on real databases."""

from __future__ import annotations

import os
import sqlite3

from module_support import task, tree


def test_four_states(ansible, database):
    before = database.read_bytes()
    states = ansible.four_states("sqlite_info", {"path": database})
    info = states[0]
    assert [state["changed"] for state in states] == [False] * 4
    assert all({**state, "invocation": None} == {**info, "invocation": None} for state in states)
    assert database.read_bytes() == before
    assert info["database"] == str(database)
    assert info["size_bytes"] == len(before) == info["page_size"] * info["page_count"]
    assert info["journal_mode"] == "wal"
    assert [(table["name"], table["rows"]) for table in info["tables"]] == [("drafts", 500), ("empty", 0)]
    assert info["tables"][0]["bytes"] > info["tables"][1]["bytes"] > 0
    assert info["integrity"] == "not checked"
    assert info["mode"] == "0600"
    assert info["sqlite_version"] == sqlite3.sqlite_version
    assert "owner" not in info


def test_integrity_on_request(ansible, database, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    quick, full = ansible.play([
        task("sqlite_info", {"path": database, "integrity": "quick", "rows": False}),
        task("sqlite_info", {"path": database, "integrity": "full", "scratch": scratch})]).results
    assert quick["integrity"] == full["integrity"] == "ok"
    assert quick["tables"][0]["rows"] is None
    assert tree(scratch) == {}


def test_damage_is_a_finding_and_no_failure(ansible, database, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open(database, "r+b") as stream:
        stream.seek(5 * 4096)
        stream.write(b"\xff" * 4096)
    result = ansible.module("sqlite_info", {"path": database, "integrity": "full", "scratch": scratch})
    assert result["failed"] is False
    assert result["problems"]
    assert result["integrity"] == "; ".join(result["problems"])


def test_bad_input_is_one_line_with_the_next_step(ansible, database, tmp_path):
    text, empty, linked = tmp_path / "text.db", tmp_path / "empty.db", tmp_path / "linked.db"
    text.write_bytes(b"no database at all " * 100)
    empty.touch()
    os.link(database, linked)
    ansible.refused("sqlite_info", [
        ({"path": tmp_path / "missing.db"}, "SourceError", ["missing.db"]),
        ({"path": text}, "SourceError", [str(text)]),
        ({"path": empty}, "SourceError", [str(empty)]),
        ({"path": tmp_path}, "SourceError", [str(tmp_path)]),
        ({"path": linked}, "SourceError", [str(linked), "hard link"]),
        ({"path": text, "integrity": "full", "scratch": "/nonexistent"}, "SourceError", [str(text)]),
    ])
    assert not (tmp_path / "missing.db").exists()


def test_a_full_check_needs_a_scratch_directory(ansible, database):
    assert "scratch" in ansible.module("sqlite_info", {"path": database, "integrity": "full"})["msg"]
