# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action runtime: the command that it installs runs, and an unchanged collection transfers nothing."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile

import pytest
from module_support import ROOT, task, tree


@pytest.fixture
def options(tmp_path):
    """Options that install the command and a copy."""
    for name in ("bin", "copies"):
        (tmp_path / name).mkdir()
    return {"dest": tmp_path / "bin" / "feedforward-maintenance", "interpreter": sys.executable,
            "copies": [str(tmp_path / "copies" / "feedforward-maintenance")]}


def test_four_states(ansible, options):
    states = ansible.four_states("runtime", options)
    checked, ran, again, _checked_again = states
    assert [state["changed"] for state in states] == [True, True, False, False]
    assert checked["diff"] == ran["diff"]
    assert [change["before"] for change in ran["diff"]] == [{"sha256": None, "version": None}] * 2
    assert ran["diff"][0]["after"] == {"sha256": ran["sha256"], "version": ran["version"]}
    assert again["diff"] == []
    for path in (options["dest"], *options["copies"]):
        with open(path, "rb") as stream:
            assert hashlib.sha256(stream.read()).hexdigest() == ran["sha256"] == checked["sha256"]
        assert os.stat(path).st_mode & 0o7777 == 0o755


def test_check_mode_writes_nothing(ansible, options, tmp_path):
    before = tree(tmp_path / "bin")
    ansible.module("runtime", options, check=True)
    assert tree(tmp_path / "bin") == before == {}


def test_the_command_backs_up_with_nothing_of_ansible(ansible, options, database, archives, tmp_path):
    ansible.module("runtime", options)
    configuration = tmp_path / "configuration"
    configuration.mkdir()
    (configuration / "application.json").write_text(json.dumps(
        {"application": "feedforward", "databases": [str(database)]}))
    (configuration / "backup.json").write_text(json.dumps({"directory": str(archives), "key_file": None}))
    done = subprocess.run([options["dest"], "backup", "--config", str(configuration), "--json"], capture_output=True,
                          text=True, check=False, env={"PATH": os.environ["PATH"]}, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "created"
    with zipfile.ZipFile(options["dest"]) as archive:
        sources = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "maintenance/face.py" not in sources
    assert not [name for name, text in sources.items() if "import ansible" in text or "from ansible" in text]


def test_another_version_and_a_foreign_file_are_replaced(ansible, options, tmp_path):
    first = ansible.module("runtime", options)
    content = options["dest"].read_bytes()
    options["dest"].write_bytes(content.replace(first["version"].encode(), b"0.0.1"))
    with open(options["copies"][0], "w", encoding="utf-8") as stream:
        stream.write("#!/bin/sh\necho this must not be run\n")
    second = ansible.module("runtime", options)
    assert second["changed"] is True
    assert [change["before"]["version"] for change in second["diff"]] == ["0.0.1", None]
    assert options["dest"].read_bytes() == content
    with open(options["copies"][0], "rb") as stream:
        assert stream.read() == content


def test_only_the_mode_differs(ansible, options):
    ansible.module("runtime", options)
    options["dest"].chmod(0o700)
    states = ansible.four_states("runtime", options)
    assert [state["changed"] for state in states] == [True, True, False, False]
    assert options["dest"].stat().st_mode & 0o7777 == 0o755


def test_bad_options(ansible, options, tmp_path):
    directory, relative, interpreter, missing = ansible.play([
        task("runtime", {**options, **change}) for change in (
            {"dest": tmp_path}, {"dest": "bin/maintenance"}, {"interpreter": "python3"},
            {"dest": tmp_path / "missing" / "maintenance"})]).results
    assert f"{tmp_path}: this is a directory" in directory["msg"]
    assert "not absolute" in relative["msg"]
    assert "full path" in interpreter["msg"]
    assert str(tmp_path / "missing") in missing["msg"]
    assert all(result["failed"] for result in (directory, relative, interpreter, missing))


def test_the_version_is_that_of_the_collection(ansible, options):
    version = ansible.module("runtime", options, check=True)["version"]
    assert f"\nversion: {version}\n" in (ROOT / "galaxy.yml").read_text()
