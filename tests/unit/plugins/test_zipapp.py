# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as one file: the same bytes from the same sources, and a version that can be read without running it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

from ansible_collections.feedforward.maintenance.plugins.plugin_utils.zipapp import (
    COMMENT_BYTES,
    build_zipapp,
    collect_engine,
    version_in,
)

MEMBERS = {"__main__.py": b"from maintenance.a import x\nprint(x)\n", "maintenance/__init__.py": b"",
           "maintenance/a.py": b"x = 'it runs'\n"}


def test_collects_the_engine_and_nothing_else(tmp_path):
    (tmp_path / "cli" / "__pycache__").mkdir(parents=True)
    (tmp_path / "cli" / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"x")
    for name in ("cli/__init__.py", "cli/main.py", "errors.py", "face.py", "notes.txt", "cli/face.py"):
        (tmp_path / name).write_text(f"# {name}\n")
    members = collect_engine(str(tmp_path))
    assert sorted(members) == ["__main__.py", "maintenance/__init__.py", "maintenance/cli/__init__.py",
                               "maintenance/cli/face.py", "maintenance/cli/main.py", "maintenance/errors.py"]
    assert members["maintenance/cli/main.py"] == b"# cli/main.py\n"


def test_same_bytes_whatever_the_order_the_times_and_the_umask(tmp_path):
    first = build_zipapp(MEMBERS, interpreter="/usr/bin/python3", version="1.0.0")
    old_umask = os.umask(0o077)
    try:
        second = build_zipapp(dict(reversed(MEMBERS.items())), interpreter="/usr/bin/python3", version="1.0.0")
    finally:
        os.umask(old_umask)
    assert first == second
    assert first.startswith(b"#!/usr/bin/python3\n")
    path = tmp_path / "command"
    path.write_bytes(first)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(MEMBERS)
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_any_difference_is_another_file():
    build = build_zipapp(MEMBERS, interpreter="/usr/bin/python3", version="1.0.0")
    assert build != build_zipapp(MEMBERS, interpreter="/usr/bin/python3.11", version="1.0.0")
    assert build != build_zipapp(MEMBERS, interpreter="/usr/bin/python3", version="1.0.1")
    assert build != build_zipapp({**MEMBERS, "maintenance/a.py": b"x = 1\n"}, interpreter="/usr/bin/python3",
                                 version="1.0.0")


def test_it_runs(tmp_path):
    path = tmp_path / "command"
    path.write_bytes(build_zipapp(MEMBERS, interpreter=sys.executable, version="1.0.0"))
    path.chmod(0o700)
    done = subprocess.run([path], check=True, capture_output=True, text=True)
    assert done.stdout == "it runs\n"


def test_the_version_is_read_from_the_end():
    build = build_zipapp(MEMBERS, interpreter="/usr/bin/python3", version="2.10.0-dev0")
    assert version_in(build[-COMMENT_BYTES:]) == "2.10.0-dev0"
    assert version_in(b"#!/bin/sh\necho feedforward.maintenance 9.9.9\nexit 0\n") is None
    assert version_in(b"") is None
