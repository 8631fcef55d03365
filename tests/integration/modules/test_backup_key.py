# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module backup_key: rings of real keys, of which no result ever tells more than ids."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time

from module_support import task, tree


def key_id(path):
    """The id by its definition: first 8 hexadecimal digits of SHA-256 of the 32 bytes."""
    return hashlib.sha256(base64.b64decode(path.read_text())).hexdigest()[:8]


def test_present_four_states(ansible, tmp_path):
    path = tmp_path / "secure" / "backup.key"
    checked, ran, again, checked_again = ansible.four_states("backup_key", {"key_file": path})
    assert [state["changed"] for state in (checked, ran, again, checked_again)] == [True, True, False, False]
    assert checked["key_id"] is None
    assert ran["key_id"] == again["key_id"] == checked_again["key_id"] == key_id(path)
    assert ran["key_ids"] == [key_id(path)]
    assert checked["diff"] == {"before": {"key_id": None, "key_ids": []},
                               "after": {"key_id": "(new)", "key_ids": ["(new)"]}}
    assert ran["diff"]["after"]["key_id"] == key_id(path)
    assert again["diff"]["before"] == again["diff"]["after"]
    assert path.stat().st_mode & 0o7777 == 0o400
    assert path.parent.stat().st_mode & 0o7777 == 0o700
    assert len(base64.b64decode(path.read_text())) == 32


def test_check_mode_makes_nothing(ansible, tmp_path, key_file):
    ansible.play([task("backup_key", {"key_file": tmp_path / "new" / "backup.key"}, check=True),
                  task("backup_key", {"key_file": key_file, "state": "rotated"}, check=True)])
    assert not (tmp_path / "new").exists()
    assert [p.name for p in key_file.parent.iterdir()] == ["backup.key"]


def test_rotation_keeps_the_old_key(ansible, key_file):
    old_id, old = key_id(key_file), key_file.read_bytes()
    checked, ran, listed = ansible.play([
        task("backup_key", {"key_file": key_file, "state": "rotated"}, check=True),
        task("backup_key", {"key_file": key_file, "state": "rotated"}),
        task("backup_key", {"key_file": key_file, "state": "listed"})]).results
    assert checked["changed"] is ran["changed"] is True
    assert listed["changed"] is False
    assert ran["key_ids"] == listed["key_ids"] == [key_id(key_file), old_id]
    assert checked["diff"]["after"] == {"key_id": "(new)", "key_ids": ["(new)", old_id]}
    assert key_file.with_name(f"backup.key.{old_id}").read_bytes() == old
    assert key_file.read_bytes() != old


def test_rotation_by_age_four_states(ansible, key_file):
    options = {"key_file": key_file, "state": "rotated", "rotate_older_than_days": 30}
    assert ansible.module("backup_key", options)["changed"] is False
    aged = time.time() - 31 * 86400
    os.utime(key_file, (aged, aged))
    states = ansible.four_states("backup_key", options)
    assert [state["changed"] for state in states] == [True, True, False, False]
    assert len(states[-1]["key_ids"]) == 2


def test_no_key_in_any_result_or_output(ansible, key_file):
    run = ansible.play([task("backup_key", {"key_file": key_file, "state": state})
                        for state in ("listed", "present", "rotated")], arguments=["-vvv"])
    said = run.output + json.dumps(run.results)
    for _mode, content in tree(key_file.parent).values():
        assert content.decode().strip() not in said
        assert base64.b64decode(content).hex() not in said


def test_bad_input_is_one_line_with_the_next_step(ansible, tmp_path, key_file):
    short, readable = tmp_path / "short.key", tmp_path / "readable.key"
    short.write_text("c2hvcnQ=\n")
    short.chmod(0o400)
    readable.write_bytes(key_file.read_bytes())
    readable.chmod(0o440)
    ansible.refused("backup_key", [
        ({"key_file": tmp_path / "missing", "state": "listed"}, "KeyFileError", ["missing", "does not exist"]),
        ({"key_file": tmp_path / "missing", "state": "rotated"}, "KeyFileError", ["missing", "does not exist"]),
        ({"key_file": short}, "KeyFileError", [str(short), "32 bytes"]),
        ({"key_file": readable}, "KeyFileError", [str(readable), "0440"]),
        ({"key_file": tmp_path}, "KeyFileError", [str(tmp_path), "not a regular file"]),
        ({"key_file": key_file / "below"}, "KeyFileError", [str(key_file / "below")]),
    ])
    assert short.read_text() == "c2hvcnQ=\n"
