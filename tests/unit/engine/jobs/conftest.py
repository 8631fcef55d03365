# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small application with its archives, and what tests ask of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.files import sha256_file
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import (
    health_application,
    health_database,
    keys,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.backup import BackupRequest, run_backup
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.collect import FileSource
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import run_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_plan import RestoreRequest
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.verify import VerifyRequest, run_verify

ROWS = 400


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch):
    """How fast this machine is decides no test: what is to run out of time is given none by its own test."""
    for module, name in ((health_application, "BUDGET_SECONDS"), (health_application, "ROLLBACK_READ_SECONDS"),
                         (health_database, "ROWS_SECONDS"), (health_database, "ROLLBACK_READ_SECONDS")):  # fmt: skip
        monkeypatch.setattr(module, name, 60.0)


class Site:
    """An application below ``root``: a WAL database, configuration, uploads, and a directory of archives."""

    def __init__(self, root):
        self.root = str(root)
        self.home = os.path.join(self.root, "app")
        self.database = os.path.join(self.home, "data", "app.db")
        self.archives = os.path.join(self.root, "archives")
        self.key_file = os.path.join(self.root, "secure", "backup.key")
        os.makedirs(os.path.join(self.home, "data", "uploads", "1"))
        os.mkdir(self.archives, 0o700)
        self.write(".env", "SECRET_KEY=x\n", 0o600)
        self.write("data/uploads/1/essay.txt", "an essay\n", 0o640)
        connection = sqlite3.connect(self.database)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT)")
        connection.executemany("INSERT INTO drafts(content) VALUES (?)", [(f"draft {i} " * 20,) for i in range(ROWS)])
        connection.commit()
        connection.close()
        keys.create(self.key_file)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(path, mode)
        return path

    def sql(self, statement, *values):
        connection = sqlite3.connect(self.database, isolation_level=None)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def rows(self, path=None):
        """SHA-256 over every row, by SELECT alone: independent of the engine."""
        connection = sqlite3.connect(f"file:{path or self.database}?mode=ro", uri=True)
        try:
            digest = hashlib.sha256()
            for row in connection.execute("SELECT * FROM drafts ORDER BY id"):
                digest.update(repr(row).encode())
            return digest.hexdigest()
        finally:
            connection.close()

    def request(self, kind="database", **changes):
        sources = (FileSource(os.path.join(self.home, ".env"), "config"),
                   FileSource(os.path.join(self.home, "data", "uploads"), "uploads", required=False),
                   FileSource(os.path.join(self.home, "logs"), "logs", required=False))
        return replace(BackupRequest("app", kind, self.archives, (self.database,), sources, self.key_file), **changes)

    def backup(self, kind="database", check=False, **changes):
        return run_backup(self.request(kind, **changes), check=check)

    def verify(self, **changes):
        return run_verify(replace(VerifyRequest("app", self.archives, key_file=self.key_file), **changes))

    def restore_request(self, **changes):
        # Where the tests run, process 1 may belong to another container and cannot be looked into.
        return replace(RestoreRequest("app", self.archives, key_file=self.key_file, accept_unknown_holders=True),
                       **changes)

    def restore(self, check=False, **changes):
        return run_restore(self.restore_request(**changes), check=check)

    def names(self):
        """The archives, oldest first."""
        return sorted(name for name in os.listdir(self.archives) if ".tar." in name and not name.endswith(".json"))

    def tree(self, directory=None):
        """Every path below ``directory`` (default: the application) with its content's digest and mode, but for the
        index and the empty log that SQLite makes beside a WAL database that is read."""
        found = {}
        for base, folders, files in os.walk(directory or self.home):
            for name in folders + files:
                path = os.path.join(base, name)
                status = os.lstat(path)
                if name.endswith("-shm") or (name.endswith("-wal") and status.st_size == 0):
                    continue
                content = sha256_file(path) if name in files and os.path.isfile(path) else None
                found[os.path.relpath(path, directory or self.home)] = (status.st_mode, content)
        return found


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def holder():
    """Starts processes that have a database open until the test ends; the function gives their pid."""
    running = []

    def start(path, statement="SELECT count(*) FROM drafts"):
        program = ("import sqlite3, sys\n"
                   "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
                   "connection.execute(sys.argv[2]).fetchall()\n"
                   "print('open', flush=True)\n"
                   "sys.stdin.read()\n")
        process = subprocess.Popen([sys.executable, "-c", program, path, statement], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout.readline() == "open\n"
        return process.pid

    yield start
    for process in running:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def flip(path, offset, bit=0):
    """Flips one bit of a file."""
    with open(path, "r+b") as stream:
        stream.seek(offset)
        byte = stream.read(1)[0]
        stream.seek(offset)
        stream.write(bytes([byte ^ (1 << bit)]))


EVERYTHING = ("databases", "config", "uploads", "logs")


def damage(site) -> None:
    """The database is overwritten; nothing of it can be read."""
    with open(site.database, "r+b") as stream:
        stream.write(b"\0" * 8192)


def stale_sidecars(site, names=("-wal", "-shm")) -> dict:
    """Sidecars of another database of equal schema, left beside the destroyed one."""
    other = os.path.join(site.root, "other.db")
    connection = sqlite3.connect(other, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT)")
    connection.execute("INSERT INTO drafts(content) VALUES ('a stale row')")
    kept = {}
    for name in names:
        shutil.copyfile(other + name, site.database + name)
        kept[name] = open_bytes(site.database + name)
    connection.close()
    return kept


def open_bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()
