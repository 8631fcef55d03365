# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real databases, real processes beside them, and engine code run with another identity."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

PEER = Path(__file__).with_name("peer.py")
ENGINE = "ansible_collections.feedforward.maintenance.plugins.module_utils"
STRANGER = 54321
"""A user id that has no name and no process."""


class Peer:
    """A process with a connection; see peer.py."""

    def __init__(self, path, *arguments, timeout=5.0):
        self.process = subprocess.Popen(
            [sys.executable, str(PEER), os.fspath(path), str(timeout), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self.pid = json.loads(self.process.stdout.readline())["ready"]

    def sql(self, statement):
        """Its rows; an error of SQLite is an AssertionError here."""
        answer = self.ask(statement)
        assert "rows" in answer, answer
        return answer["rows"]

    def ask(self, statement):
        self.process.stdin.write(json.dumps(statement) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        """Closes its input, waits, and returns what it printed at last."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        last = self.process.stdout.read()
        self.process.stdout.close()
        self.process.wait(timeout=60)
        return json.loads(last) if last.strip() else None


class Ledger(Peer):
    """A process that commits transfers without a pause."""

    def __init__(self, path, counter, timeout):
        self.counter = counter
        counter.write_bytes(bytes(8))
        super().__init__(path, "ledger", counter, timeout=timeout)
        assert self.await_commits(1)

    @property
    def commits(self):
        return int.from_bytes(self.counter.read_bytes()[:8], "big")

    def await_commits(self, number, seconds=30.0):
        """Whether there are so many commits before the time is up."""
        deadline = time.monotonic() + seconds
        while self.commits < number:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        return True


@pytest.fixture
def peer():
    """Starts peers; all are ended with the test."""
    peers = []

    def start(path, *arguments, **options):
        peers.append(Peer(path, *arguments, **options))
        return peers[-1]

    yield start
    for one in peers:
        if one.process.poll() is None:
            one.kill()
        elif not one.process.stdout.closed:
            one.end()


@pytest.fixture
def ledger(tmp_path):
    """Starts the writer of a ledger database; it is ended with the test."""
    writers = []

    def start(path, timeout=0.1):
        writers.append(Ledger(path, tmp_path / f"commits-{len(writers)}", timeout))
        return writers[-1]

    yield start
    for one in writers:
        if one.process.poll() is None:
            one.kill()


class Databases:
    """Makes databases and looks into them. Connections are closed at once: the engine wants none in its process."""

    def make(self, path, *, journal="wal", page_size=4096, rows=50, before="", after=""):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(
                f"PRAGMA page_size = {page_size}; {before}; PRAGMA journal_mode = {journal};"
                "CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT); CREATE INDEX by_content ON drafts(content);"
                "CREATE TABLE courses(code TEXT PRIMARY KEY) WITHOUT ROWID; CREATE TABLE empty(a)")
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO drafts(content) VALUES (?)",
                                   ((f"draft {n} " + "essay " * 20,) for n in range(rows)))
            connection.execute("INSERT INTO courses VALUES ('LING-101'), ('LING-102')")
            connection.execute("COMMIT")
            connection.executescript(after)
        return path

    def make_ledger(self, path, *, journal="wal", filler_bytes=0):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(
                f"PRAGMA journal_mode = {journal}; PRAGMA synchronous = OFF; BEGIN;"
                "CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER);"
                "CREATE TABLE commits(n INTEGER); INSERT INTO commits VALUES (0);"
                "CREATE TABLE log(n INTEGER PRIMARY KEY, note TEXT); CREATE TABLE filler(b BLOB)")
            connection.executemany("INSERT INTO accounts(balance) VALUES (?)", [(1000,)] * 100)
            connection.executemany("INSERT INTO filler VALUES (randomblob(100000))", [()] * (filler_bytes // 100_000))
            connection.execute("COMMIT")
        return path

    def query(self, path, statement):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            return connection.execute(statement).fetchall()

    def run(self, path, script):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.executescript(script)

    def consistent_commits(self, path):
        """The number of commits that the copy of a ledger holds, after proof that it holds all of each."""
        assert self.query(path, "SELECT sum(balance) FROM accounts") == [(100_000,)]
        [(commits,)] = self.query(path, "SELECT n FROM commits")
        assert self.query(path, "SELECT count(*), coalesce(max(n), 0) FROM log") == [(commits, commits)]
        return commits


@pytest.fixture
def databases():
    return Databases()


@pytest.fixture
def scratch(tmp_path):
    path = tmp_path / "scratch"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def open_directory():
    """A directory that every user can reach, unlike those of pytest."""
    path = Path(tempfile.mkdtemp(prefix="maintenance-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


class Outcome:
    def __init__(self, completed):
        self.completed = completed
        self.lines = completed.stdout.splitlines()

    @property
    def result(self):
        assert self.completed.returncode == 0, self.completed.stderr
        return json.loads(self.lines[-1])


class Engine:
    """Runs engine code in another process, which prints its result as JSON in the last line."""

    root = os.geteuid() == 0

    def run(self, code, *arguments, uid=None, without=()):
        """``uid`` takes effect (where this is root) after the imports, so that the interpreter need not be reachable
        for that user; ``without`` names capabilities that root does not have there."""
        become = f"os.setgroups([]); os.setgid({uid}); os.setuid({uid})\n" if uid is not None and self.root else ""
        program = (
            "import json, os, sys, sqlite3\n"
            f"from {ENGINE} import errors\n"
            f"from {ENGINE}.sqlite import check, digest, holders, inspect, snapshot, source\n"
            "def attempt(function, *arguments, **options):\n"
            "    try:\n"
            "        return function(*arguments, **options)\n"
            "    except errors.MaintenanceError as error:\n"
            "        print(json.dumps(error.as_dict()))\n"
            "        sys.exit(0)\n" + become + code)
        prefix = []
        if without and self.root:
            dropped = ",".join(f"-{name}" for name in without)
            prefix = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
        return Outcome(subprocess.run([*prefix, sys.executable, "-c", program, *map(str, arguments)], timeout=120,
                                      capture_output=True, text=True, encoding="utf-8", check=False))


@pytest.fixture(scope="session")
def engine():
    return Engine()


@pytest.fixture
def small_filesystem(tmp_path):
    """Mounts a tmpfs of so many bytes and returns its path; None where this process may not mount."""
    mounted = []

    def mount(size_bytes):
        path = tmp_path / f"small-{len(mounted)}"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)],
                              capture_output=True, check=False)
        if done.returncode != 0:
            return None
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", str(path)], check=True)
