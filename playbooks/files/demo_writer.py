# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration application as a process: it writes, answers on a port, and is started, paused and stopped.

Writer and commands talk through two small files beside the database: `writer.json`, which the writer replaces after
each commit, and `writer.pause`, which asks it to rest. `demo_application.py` is the command; it needs this file beside
it.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable
from urllib.parse import quote

from demo_content import ACCOUNTS, Prose, chain_link, stamp

BUSY_TIMEOUT_SECONDS = 0.1  # the application's own: a longer lock by anybody else is a failed request
PAGES_BETWEEN_CHECKPOINTS = 1000  # SQLite's default, which the application uses
PAUSE_POLL_SECONDS = 0.02
CONTROL_POLL_SECONDS = 0.05


class DemoError(Exception):
    """An expected failure; reads "subject: cause. next step." in one line."""

    def __init__(self, subject: object, cause: str, next_step: str) -> None:
        super().__init__(f"{subject}: {cause}. {next_step}.")


class Home:
    """The paths of one application. `database` is a file name below `data/`, or a full path."""

    def __init__(self, top: str, database: str = "feedforward.db") -> None:
        self.top = Path(top).absolute()
        self.data = self.top / "data"
        self.database = self.data / database
        self.state = self.data / "writer.json"
        self.pause = self.data / "writer.pause"
        self.log = self.top / "logs" / "writer.log"


def connect(database: Path, mode: str, timeout_seconds: float = BUSY_TIMEOUT_SECONDS) -> sqlite3.Connection:
    """Opens an existing database (`mode` ro or rw: a missing one is an error, never a new empty file)."""
    uri = f"file:{quote(str(database))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=timeout_seconds, isolation_level=None, check_same_thread=False)


def start_ticks(pid: int) -> int | None:
    """When a process began, in clock ticks after boot (proc(5), stat field 22): with the pid it names one process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def read_state(home: Home) -> dict[str, Any]:
    """The writer's last word, or {} when there is none."""
    try:
        state = json.loads(home.state.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DemoError(home.state, f"cannot be read ({error})", "Remove it when no writer runs") from error
    return state if isinstance(state, dict) else {}


def writer_pid(home: Home) -> int | None:
    """The pid of the running writer of this home, or None; a recycled pid is not taken for it."""
    state = read_state(home)
    pid, began = state.get("pid"), state.get("started_ticks")
    return pid if isinstance(pid, int) and began is not None and start_ticks(pid) == began else None


def replace_file(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(0o644)
    os.replace(temporary, path)


class Writer:
    """Commits to the database at a steady rate until it is told to stop."""

    def __init__(self, home: Home, rate: float, seconds: float | None) -> None:
        self.home, self.interval, self.lifetime = home, 1 / rate, seconds
        self.stopped = threading.Event()
        self.prose = Prose(random.Random())
        self.commits = self.failed = self.last_commit = 0
        self.last_error: str | None = None
        self.port: int | None = None
        try:
            self.db = connect(home.database, "rw")
            self.last_commit = self.db.execute("SELECT coalesce(max(commit_number), 0) FROM demo_ledger").fetchone()[0]
            self.students = [row[0] for row in self.db.execute("SELECT email FROM users WHERE role = 'student'")]
            self.wal = self.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        except sqlite3.Error as error:
            next_step = "See that `build` made it and that nobody holds a lock on it"
            raise DemoError(home.database, f"cannot be opened ({error})", next_step) from error
        # SQLite would checkpoint at the end of a commit. Done just before one instead (see `run`), a killed writer
        # practically always leaves rows that are in -wal only.
        self.db.execute("PRAGMA wal_autocheckpoint = 0")

    def say(self, state: str, request: str | None = None) -> None:
        record = {
            "pid": os.getpid(), "started_ticks": start_ticks(os.getpid()), "state": state, "commits": self.commits,
            "failed": self.failed, "last_commit": self.last_commit, "last_error": self.last_error,
            "port": self.port, "pause": request,
        }  # fmt: skip
        replace_file(self.home.state, json.dumps(record) + "\n")

    def requested_pause(self) -> str | None:
        try:
            return self.home.pause.read_text("utf-8") or None
        except OSError:
            return None

    def run(self) -> None:
        """Returns after SIGTERM, SIGINT or the end of its lifetime; no transaction is open then."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopped.set())
        self.home.pause.unlink(missing_ok=True)
        began = due = time.monotonic()
        while not self.stopped.is_set() and (self.lifetime is None or time.monotonic() - began < self.lifetime):
            request = self.requested_pause()
            if request:
                self.say("paused", request)
                while self.requested_pause() == request and not self.stopped.wait(PAUSE_POLL_SECONDS):
                    pass
                continue
            self.checkpoint()
            self.commit()
            self.say("running")
            due = max(due + self.interval, time.monotonic())
            self.stopped.wait(max(0.0, due - time.monotonic()))
        self.db.close()
        self.home.pause.unlink(missing_ok=True)
        self.say("stopped")

    def checkpoint(self) -> None:
        if self.wal and self.commits % 100 == 99:
            try:
                pages = Path(f"{self.home.database}-wal").stat().st_size // 4096
                if pages > PAGES_BETWEEN_CHECKPOINTS:
                    self.db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            except (OSError, sqlite3.Error) as error:
                self.last_error = str(error)

    def commit(self) -> None:
        """One request's worth of work in one transaction; a refusal is counted, as the application answers HTTP 500."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            number = self.ledger_entry()
            self.work(number)
            self.db.execute("COMMIT")
        except sqlite3.Error as error:
            self.failed, self.last_error = self.failed + 1, str(error)
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            return
        self.commits, self.last_commit = self.commits + 1, number

    def ledger_entry(self) -> int:
        newest = "SELECT commit_number, chain FROM demo_ledger ORDER BY commit_number DESC LIMIT 1"
        previous, chain = self.db.execute(newest).fetchone() or (0, "")
        debit, credit = random.sample(range(1, ACCOUNTS + 1), 2)
        entry = (previous + 1, debit, credit, random.randint(1, 100))
        self.db.execute("INSERT INTO demo_ledger VALUES (?,?,?,?,?)", (*entry, chain_link(chain, *entry)))
        move = "UPDATE demo_accounts SET balance = balance + ? WHERE id = ?"
        self.db.executemany(move, [(-entry[3], debit), (entry[3], credit)])
        return entry[0]

    def work(self, number: int) -> None:
        """By turns: a draft is handed in, goes into work, gets its feedback, and somebody signs in."""
        now, turn = stamp(datetime.now()), number % 4
        if turn == 0:
            essay = self.prose.text(random.randint(8, 20))
            self.db.execute(
                "INSERT INTO drafts VALUES (NULL,1,?,?,?,1,?,?,'submitted','',0)",
                (random.choice(self.students), 1, essay, now, len(essay.split())),
            )
        elif turn == 1:
            row = self.db.execute("SELECT max(id) FROM drafts WHERE status = 'submitted'").fetchone()
            self.db.execute("UPDATE drafts SET status = 'processing' WHERE id = ?", row)
        elif turn == 2:
            row = self.db.execute("SELECT max(id) FROM drafts WHERE status = 'processing'").fetchone()
            self.db.execute("UPDATE drafts SET status = 'feedback_ready' WHERE id = ?", row)
            self.db.execute(
                "INSERT INTO model_runs SELECT NULL, id, 1, 1, ?, 'Give feedback.' || char(10) || content, '{}',"
                " 'complete', NULL, 1.5 FROM drafts WHERE id = ?",
                (now, *row),
            )
        else:
            self.db.execute("UPDATE system_config SET value = ? WHERE key = 'last_sign_in'", (now,))


class Pages(BaseHTTPRequestHandler):
    """`/landing` reads the database; as in the application, an unknown page leads to an error page that answers 200."""

    database: Path

    def do_GET(self) -> None:
        if self.path == "/landing":
            try:
                with closing(connect(self.database, "ro")) as db:
                    users = db.execute("SELECT count(*) FROM users").fetchone()[0]
                self.answer(200, f"FeedForward demonstration: {users} users\n")
            except sqlite3.Error as error:
                self.answer(500, f"The database does not answer: {error}\n")
        elif self.path == "/error/404":
            self.answer(200, "This page does not exist\n")
        else:
            self.answer(303, "", location="/error/404")

    def answer(self, status: int, text: str, location: str | None = None) -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        print(f"{self.address_string()} {format % args}", flush=True)


@contextmanager
def only_writer(home: Home) -> Iterator[None]:
    """Holds the lock that makes this process the one writer of its home; it is let go however the process ends."""
    try:
        # Read-only is enough for flock, and so a file that root left behind does not keep the application out.
        lock = os.open(home.data / "writer.lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DemoError(home.data, f"cannot be written to ({error.strerror})", "Make it with `build` first") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DemoError(home.top, "a writer runs already", f"Stop it with `stop {home.top}`") from error
    finally:
        os.close(lock)


def serve(home: Home, port: int) -> int:
    """Answers on a local port from now on (0: any free one) and returns the port."""
    handler = type("HomePages", (Pages,), {"database": home.database})
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        raise DemoError(f"port {port}", f"cannot be used ({error})", "Choose another with --http") from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def run(home: Home, rate: float, port: int | None, seconds: float | None) -> None:
    """The program of the unit feedforward.service, in the foreground."""
    with only_writer(home):
        writer = Writer(home, rate, seconds)
        writer.port = None if port is None else serve(home, port)
        print(f"writing to {home.database} at {rate:g} commits a second", flush=True)
        writer.run()
        print(f"stopped after {writer.commits} commits, {writer.failed} failed", flush=True)


def wait_for(condition: Callable[[], bool], alive: Callable[[], bool], deadline_seconds: float) -> bool:
    """True as soon as `condition` holds; False when the deadline passes or the process dies first."""
    end = time.monotonic() + deadline_seconds
    while not condition():
        if not alive() or time.monotonic() > end:
            return condition()
        time.sleep(CONTROL_POLL_SECONDS)
    return True


def running_pid(home: Home) -> int:
    pid = writer_pid(home)
    if pid is None:
        raise DemoError(home.top, "no writer runs here", f"Start one with `start {home.top}`")
    return pid


def start(home: Home, options: list[str], deadline_seconds: float) -> dict[str, Any]:
    """Starts `run` as a process of its own that outlives the caller; returns once it has committed."""
    if (pid := writer_pid(home)) is not None:
        raise DemoError(home.top, f"a writer runs already (pid {pid})", f"Stop it with `stop {home.top}`")
    command = [sys.executable, str(Path(__file__).with_name("demo_application.py")), "run", str(home.top), *options]
    try:
        with open(home.log, "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
    except OSError as error:
        raise DemoError(home.log, f"cannot be written ({error.strerror})", "Make it with `build` first") from error

    def works() -> bool:
        state = read_state(home)
        return state.get("pid") == process.pid and state.get("commits", 0) > 0

    if not wait_for(works, lambda: process.poll() is None, deadline_seconds):
        if process.poll() is None:
            process.terminate()
        words = home.log.read_text("utf-8", "replace").splitlines()[-1:]
        raise DemoError(home.top, f"the writer did not begin to commit ({' '.join(words)})", f"More is in {home.log}")
    return read_state(home)


def pause(home: Home, deadline_seconds: float) -> dict[str, Any]:
    """Returns the state once the writer rests with no transaction open; on a timeout the request is withdrawn."""
    pid, token = running_pid(home), f"{os.getpid()}-{time.time_ns()}"
    replace_file(home.pause, token)

    def rests() -> bool:
        return read_state(home).get("pause") == token

    if not wait_for(rests, lambda: writer_pid(home) == pid, deadline_seconds):
        home.pause.unlink(missing_ok=True)
        raise DemoError(home.top, f"the writer (pid {pid}) did not rest in {deadline_seconds:g} s", "Look at its log")
    return read_state(home)


def resume(home: Home, deadline_seconds: float) -> dict[str, Any]:
    """Returns the state once the writer commits again."""
    pid = running_pid(home)
    home.pause.unlink(missing_ok=True)

    def writes() -> bool:
        return read_state(home).get("state") == "running"

    if not wait_for(writes, lambda: writer_pid(home) == pid, deadline_seconds):
        raise DemoError(home.top, f"the writer (pid {pid}) did not resume in {deadline_seconds:g} s", "Look at its log")
    return read_state(home)


def stop(home: Home, deadline_seconds: float, number: int = signal.SIGTERM) -> dict[str, Any]:
    """Ends the recorded writer, and no other process, and returns its last state; nothing to do when none runs."""
    recorded = read_state(home).get("pid")
    try:
        handle = os.pidfd_open(recorded) if isinstance(recorded, int) else None
    except OSError:
        handle = None
    if handle is not None:
        try:
            # The handle cannot come to mean another process; what it means is looked at after it was taken.
            if writer_pid(home) == recorded:
                signal.pidfd_send_signal(handle, number)
                if not select.select([handle], [], [], deadline_seconds)[0]:
                    cause = f"the writer (pid {recorded}) did not end in {deadline_seconds:g} s"
                    raise DemoError(home.top, cause, f"Its own words are in {home.log}")
        finally:
            os.close(handle)
    state = read_state(home)
    if state and state["state"] != "stopped" and writer_pid(home) is None:
        state["state"] = "killed"
    return state
