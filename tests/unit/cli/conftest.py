# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the command's face share: a terminal, a small application, the command itself."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import stat
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils import version
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import create_key
from ansible_collections.feedforward.maintenance.plugins.module_utils.catalog.names import archive_name
from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.main import main
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import iso
from ansible_collections.feedforward.maintenance.plugins.plugin_utils import zipapp

_END = "\x00"
DEADLINE_SECONDS = 60.0
PROGRAM = "feedforward-maintenance"


class Terminal:
    """A real pseudo-terminal: ``stdin`` and ``stream`` are the program's side, the rest is the person's."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.stdin = os.fdopen(os.dup(slave), "r", encoding="utf-8")
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.resize(100)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def shown(self) -> str:
        """Everything that was written until now, newlines as the terminal got them."""
        self.stream.write(_END)
        self.stream.flush()
        text = b""
        while not text.endswith(_END.encode()):
            text += os.read(self.master, 65536)
        return text.decode()[:-1]

    def close(self) -> None:
        self.stdin.close()
        self.stream.close()
        os.close(self.master)


@pytest.fixture()
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()


class Outcome(NamedTuple):
    """What one run of the command left."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which is exactly one JSON document."""
        return json.loads(self.out)


class Host:
    """A small application with its configuration, and the command run in this process.

    The database is in WAL mode and ``writer`` keeps it open, so that its newest rows are in the ``-wal``.
    """

    def __init__(self, root: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.capture = capture
        self.database = root / "data" / "users.db"
        self.env = root / "env"
        self.backups = root / "backups"
        self.key = root / "secure" / "backup.key"
        self.config = root / "etc"
        for directory in (self.database.parent, self.backups, self.config):
            directory.mkdir()
        self.backups.chmod(0o700)
        self.env.write_text("SECRET_KEY=quiet\n")
        self.writer: Optional[sqlite3.Connection] = sqlite3.connect(self.database)
        self.write("PRAGMA journal_mode=WAL", "CREATE TABLE users(email TEXT PRIMARY KEY, name TEXT)",
                   "CREATE TABLE drafts(id INTEGER PRIMARY KEY, content TEXT)")
        self.add_users(3)
        self.configure()

    def configure(self, **changes: Any) -> None:
        application = {"application": "feedforward", "databases": [str(self.database)], "config_paths": [str(self.env)],
                       "logs_paths": [str(self.root / "logs")]}
        backup = {"directory": str(self.backups), "key_file": str(self.key), "lock_timeout_seconds": 0, "keep_last": 1}
        for name, fragment in (("application", application), ("backup", backup)):
            merged = {**fragment, **{key: value for key, value in changes.items() if key in fragment}}
            (self.config / f"{name}.json").write_text(json.dumps(merged))
        rest = {key: value for key, value in changes.items() if key not in {**application, **backup}}
        (self.config / "more.json").write_text(json.dumps(rest))

    def make_key(self) -> str:
        return create_key(str(self.key)).id

    def write(self, *statements: str) -> None:
        assert self.writer is not None
        for statement in statements:
            self.writer.execute(statement)
        self.writer.commit()

    def add_users(self, number: int) -> None:
        assert self.writer is not None
        first = self.writer.execute("SELECT count(*) FROM users").fetchone()[0]
        self.writer.executemany("INSERT INTO users VALUES (?, ?)",
                                [(f"{first + n}@example.org", "A Student") for n in range(number)])
        self.writer.commit()

    def stop(self) -> None:
        """The application ends: nobody holds the database any more."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def users(self) -> int:
        """Rows of the table ``users`` as they are now."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM users").fetchone()[0])

    def run(self, *arguments: str) -> Outcome:
        """Runs the command in this process with the configuration of this host."""
        return self.bare("--config", str(self.config), *arguments)

    def bare(self, *arguments: str) -> Outcome:
        """Runs the command in this process with the given words alone."""
        self.capture.readouterr()
        code = main(arguments)
        out, err = self.capture.readouterr()
        return Outcome(code, out, err)

    def backup(self, *arguments: str) -> dict[str, Any]:
        """A backup that is made, as JSON."""
        done = self.run("backup", "--json", *arguments)
        assert done.code == 0, done.err
        result: dict[str, Any] = done.json()
        return result

    def archives(self) -> list[Path]:
        return sorted(path for path in self.backups.iterdir() if ".tar.gz" in path.name and path.suffix != ".json")

    def age(self, archive: Path, days: int) -> Path:
        """Gives an archive and its sidecar a stamp ``days`` ago; the new path."""
        kind = archive.name.split("-")[1]
        moment = datetime.now(timezone.utc) - timedelta(days=days)
        renamed = archive.with_name(archive_name("feedforward", kind, moment, archive.suffix == ".enc"))
        archive.rename(renamed)
        sidecar = Path(f"{archive}.json")
        fields = {**json.loads(sidecar.read_text()), "name": renamed.name, "created_at": iso(moment)}
        Path(f"{renamed}.json").write_text(json.dumps(fields))
        sidecar.unlink()
        return renamed

    def restore(self, *arguments: str) -> Outcome:
        """A restore by somebody who may not look into every process of this machine."""
        return self.run("restore", "--accept-unknown-holders", *arguments)


@pytest.fixture()
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Host]:
    monkeypatch.setattr(sys, "argv", [f"/usr/local/bin/{PROGRAM}"])
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    made = Host(tmp_path, capsys)
    made.make_key()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The executable file that hosts get."""
    module_utils = Path(version.__file__).parent
    path = tmp_path_factory.mktemp("bin") / PROGRAM
    path.write_bytes(zipapp.build_zipapp(zipapp.collect_engine(str(module_utils)), interpreter=sys.executable,
                                         version=version.VERSION))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture()
def waited() -> Callable[[subprocess.Popen[str], Callable[[], object], str], None]:
    """Polls until a condition holds, while a process runs and a minute has not gone by."""
    def wait(process: subprocess.Popen[str], condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert process.poll() is None, f"ended with {process.returncode} before {what}"
            assert time.monotonic() < end, f"no {what} within {DEADLINE_SECONDS} s"
            time.sleep(0.005)
    return wait
