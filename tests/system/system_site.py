# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application with its archives on this machine, and everything that must survive a run that fails."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

APPLICATION = "app"
PROGRAM = f"{APPLICATION}-maintenance"
DRAFTS = 300
WAIT_SECONDS = 60.0
LEFTOVERS = (".maintenance-scratch-", ".maintenance-tmp", ".restore-journal", ".before-restore-")
STATE = (".status.json", ".maintenance.lock", ".maintenance-status.lock")
HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("open", flush=True)
sys.stdin.read()
"""


class Site:
    """The application ``app`` in ``home``, its configuration for the command, and one archive of kind full.

    ``stack`` is closed at the end of the test: processes and mounts of an arrangement go there.
    """

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self.stack = stack
        self.home = root / "app"
        self.database = self.home / "data" / "app.db"
        self.uploads = self.home / "data" / "uploads"
        self.env = self.home / ".env"
        self.archives = root / "archives"
        self.key_file = root / "secure" / "backup.key"
        self.etc = root / "etc"
        self.scratch = root / "scratch"
        self.settings = {
            "application.json": {
                "application": APPLICATION,
                "databases": [str(self.database)],
                "config_paths": [str(self.env)],
                "uploads_paths": [str(self.uploads)],
            },
            "backup.json": {
                "directory": str(self.archives),
                "key_file": str(self.key_file),
                "lock_timeout_seconds": 0,
            },
        }

    def build(self) -> Site:
        """Files, rows, key and configuration; no archive yet."""
        self.uploads.mkdir(parents=True, exist_ok=True)
        self.archives.mkdir(mode=0o700, exist_ok=True)
        self.scratch.mkdir(exist_ok=True)
        self.etc.mkdir()
        self.env.write_text("SECRET_KEY=x\n")
        self.env.chmod(0o600)
        (self.uploads / "essay.txt").write_text("an essay\n")
        self.sql(
            "PRAGMA journal_mode=WAL",
            "CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT)",
            "BEGIN",
            *[f"INSERT INTO drafts(content) VALUES ('{f'draft {n} ' * 20}')" for n in range(DRAFTS)],
            "COMMIT",
        )
        make_key(self.key_file, seed=1)
        self.configure()
        return self

    def configure(self, **changes) -> None:
        """Writes the configuration of the command, with ``changes`` in backup.json."""
        self.settings["backup.json"].update(changes)
        for name, content in self.settings.items():
            (self.etc / name).write_text(json.dumps(content))

    def sql(self, *statements: str) -> list:
        """The rows of the last statement, after the others on the same connection."""
        connection = sqlite3.connect(self.database, isolation_level=None)
        try:
            return [connection.execute(statement).fetchall() for statement in statements][-1]
        finally:
            connection.close()

    def archive(self, kind: str = "full") -> Path:
        """The newest archive by name."""
        return self.archives / [name for name in self.names() if name.startswith(f"{APPLICATION}-{kind}-")][-1]

    def names(self) -> list[str]:
        """The archives, by their names in order."""
        return sorted(p.name for p in self.archives.iterdir() if p.name.endswith((".tar.gz", ".tar.gz.enc")))

    def grow(self, megabytes: int) -> None:
        """Rows that do not compress."""
        noise = random.Random(megabytes)
        blobs = [noise.randbytes(1 << 20).hex() for _number in range(megabytes)]
        self.sql(
            "CREATE TABLE IF NOT EXISTS files(id INTEGER PRIMARY KEY, content BLOB)",
            *[f"INSERT INTO files(content) VALUES (x'{blob}')" for blob in blobs],
            "PRAGMA wal_checkpoint(TRUNCATE)",
        )

    def holder(self, path: Path, *statements: str) -> subprocess.Popen:
        """A process of the application that has the database open until it is released or the test ends."""
        command = [sys.executable, "-c", HOLDER, str(path), *statements]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.stack.callback(release, process)
        assert process.stdout.readline() == "open\n"
        return process

    def status(self, kind: str) -> dict:
        """The status record of a kind; empty where there is none."""
        path = self.archives / f"{APPLICATION}-{kind}.status.json"
        return json.loads(path.read_text()) if path.is_file() else {}

    def sidecar(self, archive: Path) -> dict:
        """The sidecar of an archive."""
        return json.loads(Path(f"{archive}.json").read_text())

    def belongings(self) -> dict:
        """Everything that a failing run must leave as it is: path -> mode and digest; the rows of the database.

        Not here: the lock and status files, which have tests of their own, what a verdict of a verification moves in
        a sidecar, and the index and empty log that SQLite makes beside a WAL database that is read.
        """
        found = {}
        for path in sorted(self.root.rglob("*")):
            name, status = path.name, path.lstat()
            if name.endswith((*STATE, "-shm", ".enc.json", ".gz.json")) or (
                name.endswith("-wal") and status.st_size == 0
            ):
                continue
            content = hashlib.sha256(read(path)).hexdigest() if path.is_file() and not path.is_symlink() else None
            found[str(path.relative_to(self.root))] = (oct(status.st_mode), content)
        return found

    def leftovers(self) -> list[str]:
        """What a run should have removed."""
        return [str(path) for path in self.root.rglob("*") if any(mark in path.name for mark in LEFTOVERS)]


def read(path: Path) -> bytes:
    """The bytes of a file, also of one whose mode keeps its owner out."""
    try:
        return path.read_bytes()
    except PermissionError:
        mode = path.stat().st_mode & 0o7777
        path.chmod(0o600)
        try:
            return path.read_bytes()
        finally:
            path.chmod(mode)


def make_key(path: Path, seed: int) -> Path:
    """A key file as the command makes it, of known bytes."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_text(base64.b64encode(random.Random(seed).randbytes(32)).decode() + "\n")
    path.chmod(0o400)
    return path


def release(process: subprocess.Popen) -> None:
    """Lets a holder end, and waits for it."""
    process.stdin.close()
    process.wait(timeout=WAIT_SECONDS)
    process.stdout.close()


def wait_for(condition, process: subprocess.Popen | None = None):
    """The first true value of ``condition``, looked at again and again; ``process`` must live meanwhile."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError(f"{condition} did not come true within {WAIT_SECONDS} s")


def powerless() -> list[str]:
    """The start of a command line that obeys the modes of files: root without any capability, else nothing."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
