# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the module tests: Ansible, a database, an archive directory, a key."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

# pytest's importlib mode puts no directory of tests on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from escrow_support import Escrow
from module_support import Ansible, link_collection

link_collection()


@pytest.fixture
def ansible(tmp_path):
    """Ansible, with a private directory of its own."""
    work = tmp_path / "controller"
    work.mkdir()
    return Ansible(work)


@pytest.fixture
def database(tmp_path):
    """A small WAL database of an application."""
    directory = tmp_path / "application"
    directory.mkdir()
    path = directory / "feedforward.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE drafts (id INTEGER PRIMARY KEY, content TEXT)")
    connection.execute("CREATE TABLE empty (id INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO drafts (content) VALUES (?)", [(f"essay {n} " * 40,) for n in range(500)])
    connection.commit()
    connection.close()
    path.chmod(0o600)
    return path


@pytest.fixture
def archives(tmp_path):
    """An empty directory for archives."""
    directory = tmp_path / "archives"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture
def key_file(tmp_path):
    """A key file, made by the engine."""
    from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import create_key

    path = tmp_path / "secure" / "backup.key"
    create_key(str(path))
    return path


@pytest.fixture
def escrow(ansible, tmp_path):
    """No key anywhere yet."""
    return Escrow(ansible, tmp_path)


@pytest.fixture
def escrowed(escrow):
    """A key that lies on the host and in escrow."""
    assert escrow.play({}).changed == [True]
    return escrow
