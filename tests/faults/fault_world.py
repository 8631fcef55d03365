# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application that is attacked, with its archives, and what must hold whatever happens to it.

The promises, each checked after every single fault:

1. every archive with a final name verifies in full;
2. the newest good archive from before the fault is there and restores;
3. the live database is sound and holds every row that was committed;
4. after a restore that was interrupted it is wholly the old or wholly the new one, at the latest when the next run has
   resolved the journal, without which the application cannot start, and the next run finishes the job;
5. no temporary file outlives the next run;
6. the exit code and the status file tell the truth.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fault_writer import transact

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import create_key, load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import load_settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.backup import (
    request_from_settings,
    run_backup,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.check import check_archive
from ansible_collections.feedforward.maintenance.plugins.plugin_utils.zipapp import build_zipapp, collect_engine

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = "app"
PROGRAM = f"{APPLICATION}-maintenance"
LIMIT_SECONDS = 60
TEMPORARY = (".maintenance-scratch-", ".maintenance-tmp")
JOURNAL = ".app.db.restore-journal"
ESSAY_CHARACTERS = 9000


@dataclass(frozen=True)
class Ended:
    """How the command ended: its exit code (negative: the signal), and what it said."""

    code: int
    output: str
    errors: str

    @property
    def traceback(self) -> bool:
        """Whether a person saw one."""
        return "Traceback" in self.output + self.errors


@dataclass(frozen=True)
class Before:
    """What stood before the fault: archives by name with the SHA-256 of their files, the name of the newest, and the
    digest of the database's rows."""

    archives: dict[str, str]
    newest: str
    rows: str


class World:
    """One application below ``root``, which belongs to this test alone. ``build`` makes it, ``keep`` notes its state,
    ``reset`` brings that back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.live = root / "live"
        self._kept = root / "kept"
        self.database = self.live / "data" / "app.db"
        self.archives = self.live / "archives"
        self.key_file = self.live / "secure" / "backup.key"
        self.etc = self.live / "etc"
        self.program = root / PROGRAM

    def build(self, *, journal_mode: str = "wal", **settings: object) -> World:
        """The database, the key, the configuration (``settings`` on top), a full archive, and an increment on it; the
        database has gone on since then."""
        self.database.parent.mkdir(parents=True)
        self.archives.mkdir(mode=0o700)
        self.etc.mkdir()
        self.key_file.parent.mkdir(mode=0o700)
        create_key(str(self.key_file))
        make_database(self.database, journal_mode)
        self.configure(**settings)
        self.program.write_bytes(program())
        self.program.chmod(0o755)
        self.backup()
        commit(self.database, 1)
        self.backup()
        commit(self.database, 2)
        return self

    def configure(self, **settings: object) -> None:
        """The configuration of the command, with ``settings`` on top."""
        configuration = {"application": APPLICATION, "databases": [str(self.database)], "key_file": str(self.key_file),
                         "directory": str(self.archives), "lock_timeout_seconds": 0, "strategy": "incremental",
                         **settings}  # fmt: skip
        (self.etc / "application.json").write_text(json.dumps(configuration), encoding="utf-8")

    def backup_of_the_past(self, days: int) -> None:
        """One archive that was made ``days`` ago, by the command under another clock."""
        ended = self.command("backup", prefix=("env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-f", f"-{days}d"))
        assert ended.code == 0, ended

    def backup(self) -> None:
        """One good archive of kind database, by the engine in this process."""
        made = run_backup(request_from_settings(load_settings(str(self.etc)), "database"))
        assert made.outcome == "created" and made.verified, made

    def keep(self) -> Before:
        """Notes what is there now, for ``reset``, and what the promises are about."""
        archives = {path.name: sha256(path) for path in self.final_archives()}
        # Before the copy: whoever reads a WAL database leaves an empty log and an index beside it.
        rows = rows_digest(self.database)
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.live, self._kept, symlinks=True)
        return Before(archives, max(archives), rows)

    def reset(self) -> None:
        """Everything as it was when ``keep`` was called."""
        empty(self.live)
        shutil.copytree(self._kept, self.live, symlinks=True, dirs_exist_ok=True)

    def line(self, *words: str) -> list[str]:
        """The command line that a timer would have."""
        return [sys.executable, str(self.program), *words, "--config", str(self.etc)]

    def command(self, *words: str, prefix: Sequence[str] = ()) -> Ended:
        """Runs the installed command, as a timer does."""
        done = subprocess.run([*prefix, *self.line(*words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=LIMIT_SECONDS)  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def elsewhere(self) -> Path:
        """Where a database is restored to that is not to replace the live one; nothing is there yet."""
        place = self.root / "elsewhere"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return place / "app.db"

    def final_archives(self) -> list[Path]:
        """Files with the final name of an archive."""
        return sorted(path for path in self.archives.iterdir()
                      if path.name.startswith(f"{APPLICATION}-") and path.name.endswith((".enc", ".gz", ".zst")))

    def leftovers(self) -> list[str]:
        """Temporary files anywhere in this world."""
        return sorted(str(path.relative_to(self.live)) for path in self.live.rglob("*")
                      if path.name.startswith(TEMPORARY[0]) or path.name.endswith(TEMPORARY[1]))

    def status(self) -> dict[str, object]:
        """The status record of the kind database; empty where there is none."""
        path = self.archives / f"{APPLICATION}-database.status.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def broken_archives(self, before: Before, *, restores: bool = True) -> list[str]:
        """Promises 1 and 2."""
        ring = load_ring(str(self.key_file))
        broken = []
        for path in self.final_archives():
            verdict = check_archive(str(path), ring, level="checksums")
            if verdict.verdict != "passed":
                broken.append(f"{path.name} has its final name and does not verify: {verdict.problems}")
        newest = self.archives / before.newest
        if not newest.exists() or sha256(newest) != before.archives[before.newest]:
            return [*broken, f"{before.newest}, the newest good archive, is gone or changed"]
        if restores:
            verdict = check_archive(str(newest), ring, level="restore", scratch=str(self.root))
            if verdict.verdict != "passed":
                broken.append(f"{before.newest} does not restore any more: {verdict.problems}")
        return broken

    def broken_database(self, *rows: str) -> list[str]:
        """Promise 3: sound, and its rows are those of one of the digests."""
        try:
            problems = integrity(self.database)
            if problems:
                return [f"the live database is damaged: {problems[:2]}"]
            found = rows_digest(self.database)
        except sqlite3.Error as error:
            return [f"the live database cannot be read: {error}"]
        return [] if found in rows else ["the live database has other rows than were committed"]

    def broken_status(self, before: Before) -> list[str]:
        """Promise 6, as far as the record goes: it names an archive that is there, and no temporary one."""
        try:
            status = self.status()
        except ValueError as error:
            return [f"the status file is damaged: {error}"]
        name = status.get("newest_archive")
        if not isinstance(name, str) or not (self.archives / name).exists():
            return [f"the status file names {name}, which is not there"]
        if status.get("last_outcome") == "created" and name not in {path.name for path in self.final_archives()}:
            return ["the status file calls a backup created that has no archive"]
        if name < before.newest:
            return [f"the status file names {name}, older than {before.newest}"]
        return []

    def broken_leftovers(self) -> list[str]:
        """Promise 5, to be asked after the next run."""
        return [f"{found} outlives the next run" for found in self.leftovers()]


def empty(directory: Path) -> None:
    """Removes what is in it; the directory itself may be where something is mounted."""
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


Fresh = Callable[[], World]
"""Builds a world of its own."""


@cache
def program() -> bytes:
    """The zipapp that is installed on a host."""
    members = collect_engine(str(ROOT / "plugins" / "module_utils"))
    return bytes(build_zipapp(members, interpreter=sys.executable, version="1.0.0"))


def make_database(path: Path, journal_mode: str) -> None:
    """A small database with everything that pages can be: tables with overflow chains, an index, free pages, and a
    ledger whose entries add up to nothing."""
    rng = random.Random(7)
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute(f"PRAGMA journal_mode={journal_mode}")
        database.execute("CREATE TABLE essays (id INTEGER PRIMARY KEY, author INTEGER, content TEXT)")
        database.execute("CREATE INDEX essays_author ON essays (author)")
        database.execute("CREATE TABLE ledger (number INTEGER PRIMARY KEY, amount INTEGER, chain TEXT)")
        database.execute("BEGIN")
        for number in range(40):
            text = " ".join(rng.choice(WORDS) for _word in range(rng.randrange(20, ESSAY_CHARACTERS // 6)))
            database.execute("INSERT INTO essays (author, content) VALUES (?, ?)", (number % 7, text))
        database.execute("COMMIT")
        database.execute("DELETE FROM essays WHERE id % 9 = 0")
        commit(path, 0)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


WORDS = ("essay", "draft", "because", "evidence", "paragraph", "argument", "the", "of", "and", "however", "claim")


def commit(path: Path, number: int) -> None:
    """One transaction of an application that connects for each."""
    database = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        transact(database, number)
    finally:
        database.close()


def commit_into_log(path: Path, number: int) -> None:
    """The same, after which the application was killed: the transaction is in the write-ahead log alone."""
    log = Path(f"{path}-wal")
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("SELECT count(*) FROM essays").fetchone()
        commit(path, number)
        kept = {file: file.read_bytes() for file in (path, log)}
    finally:
        holder.close()
    for file, content in kept.items():
        file.write_bytes(content)
    Path(f"{path}-shm").unlink(missing_ok=True)


def enlarge(path: Path) -> None:
    """So large that a copy takes several steps, between which the application is at work."""
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute("CREATE TABLE ballast (content BLOB)")
        for _mebibyte in range(9):
            database.execute("INSERT INTO ballast VALUES (zeroblob(1 << 20))")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def set_mode(path: Path, mode: str) -> None:
    """Another journal mode."""
    database = sqlite3.connect(path, isolation_level=None)
    (found,) = database.execute(f"PRAGMA journal_mode={mode}").fetchone()
    database.close()
    assert found == mode


def sql(path: Path, *statements: str) -> list:
    """The rows of the last statement."""
    database = sqlite3.connect(path, isolation_level=None)
    try:
        return [database.execute(statement).fetchall() for statement in statements][-1]
    finally:
        database.close()


def rows_digest(path: Path) -> str:
    """SHA-256 of all rows, read as the application would read them."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        digest = hashlib.sha256()
        for table in ("essays", "ledger"):
            for values in database.execute(f"SELECT * FROM {table} ORDER BY 1"):
                digest.update(repr(values).encode())
        return digest.hexdigest()
    finally:
        database.close()


def integrity(path: Path) -> list[str]:
    """What ``integrity_check`` and the ledger complain about."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        found = [str(line) for (line,) in database.execute("PRAGMA integrity_check") if line != "ok"]
        (total,) = database.execute("SELECT sum(amount) FROM ledger").fetchone()
        return found or ([f"the ledger adds up to {total}"] if total else [])
    finally:
        database.close()


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_root() -> bool:
    """Whether owners and mounts can be tried."""
    return os.geteuid() == 0
