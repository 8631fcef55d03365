# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A FeedForward-like application to try backups on: it builds itself, keeps writing, proves its state, and breaks.

Needs Python 3.9 on Linux and, beside it, demo_content.py (what it holds) and demo_writer.py (the running process).
Exit status: 0 done, 1 `check` found something wrong, 2 wrong use, 3 anything else that was expected to be possible.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # beside this file there may be no room, or no right, for __pycache__
try:
    import demo_content
    import demo_writer
    from demo_writer import DemoError, Home
except ImportError as missing:
    sys.exit(f"{__file__}: {missing}. Copy demo_content.py and demo_writer.py beside it.")

DEADLINE_SECONDS = 20.0
SIDECARS = ("-wal", "-shm", "-journal")


def build(home: Home, megabytes: int, seed: int, journal_mode: str, today: str | None) -> dict[str, Any]:
    """Makes the application in a directory that has none yet; the database gets its name last, when it is whole."""
    try:
        day = datetime.fromisoformat(today) if today else datetime.now()
    except ValueError as error:
        raise DemoError("--today", f"{today} is not a date", "Give it as YYYY-MM-DD") from error
    now = day.replace(hour=9, minute=0, second=0, microsecond=0)
    places = [home.top / name for name in (".env", ".sesskey", "data", "config", "logs")]
    for path in (home.database, *places):
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            raise DemoError(path, "exists already", "Choose an empty place: nothing there is overwritten")
    home.database.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    unfinished = home.database.with_name(f"{home.database.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as db:
            unfinished.chmod(0o600)
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            db.execute("BEGIN")
            demo_content.Builder(db, random.Random(seed), now).fill(megabytes)
            if db.in_transaction:
                db.execute("COMMIT")
            db.execute("PRAGMA synchronous = FULL")
            db.execute(f"PRAGMA journal_mode = {journal_mode}")
        demo_content.write_files(home.top, home.database, random.Random(seed), now)
        os.replace(unfinished, home.database)
    finally:
        unfinished.unlink(missing_ok=True)
    return {"home": str(home.top), "database": str(home.database), "size_bytes": home.database.stat().st_size}


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """One read transaction on a database. Root reads as the owner, so that -wal and -shm stay the owner's."""
    try:
        owner = database.stat()
    except OSError as error:
        raise DemoError(database, f"cannot be read ({error.strerror})", "Name an existing database") from error
    as_owner = os.geteuid() == 0 and owner.st_uid != 0
    try:
        if as_owner:
            os.setegid(owner.st_gid)
            os.seteuid(owner.st_uid)
        with closing(demo_writer.connect(database, "ro", timeout_seconds=DEADLINE_SECONDS)) as db:
            db.text_factory = bytearray  # tells TEXT from BLOB, and takes text that is not UTF-8
            db.execute("BEGIN")
            yield db
    except sqlite3.Error as error:
        raise DemoError(database, f"cannot be read ({error})", "Restore it from a backup") from error
    finally:
        if as_owner:
            os.seteuid(0)
            os.setegid(0)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def row_digest(row: tuple[Any, ...]) -> bytes:
    """SHA-256 of a row: for each value its type's letter, its length and its bytes."""
    digest = hashlib.sha256()
    for value in row:
        body = value if isinstance(value, (bytes, bytearray)) else b"" if value is None else repr(value).encode()
        digest.update(b"%s%d:" % (type(value).__name__[:5].encode(), len(body)))
        digest.update(body)
    return digest.digest()


def read_content(db: sqlite3.Connection) -> tuple[dict[str, int], str]:
    """Rows of each table, and a SHA-256 over all rows that does not depend on where SQLite keeps them."""
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY name")
    rows, content = {}, hashlib.sha256()
    for table in [bytes(row[0]).decode() for row in names.fetchall()]:
        digests = sorted(row_digest(row) for row in db.execute(f"SELECT * FROM {quoted(table)}"))
        rows[table] = len(digests)
        content.update(f"{table}:{len(digests)}\n".encode())
        content.update(b"".join(digests))
    return rows, content.hexdigest()


def read_ledger(db: sqlite3.Connection, commit: int | None) -> tuple[dict[str, Any], list[str]]:
    """What the ledger says, and what contradicts it. `head` stands for the whole history up to the last commit."""
    problems, chain, chain_at = [], "", None
    balances = dict.fromkeys(range(1, demo_content.ACCOUNTS + 1), demo_content.OPENING_BALANCE)
    last = 0
    entries = db.execute("SELECT commit_number, debit, credit, amount, chain FROM demo_ledger ORDER BY commit_number")
    for number, debit, credit, amount, recorded in entries:
        chain = demo_content.chain_link(chain, number, debit, credit, amount)
        if number != last + 1 or bytes(recorded).decode() != chain:
            problems.append(f"the ledger breaks after commit {last}")
            break
        balances[debit] -= amount
        balances[credit] += amount
        last = number
        chain_at = chain if number == commit else chain_at
    held = dict(db.execute("SELECT id, balance FROM demo_accounts").fetchall())
    total = sum(held.values())
    if total != demo_content.ACCOUNTS * demo_content.OPENING_BALANCE:
        problems.append(f"the accounts hold {total} in all instead of {sum(balances.values())}")
    if held != balances:
        problems.append("the accounts are not of the same moment as the ledger")
    return {"commits": last, "head": chain, "sum": total, "chain_at": chain_at}, problems


def check(home: Home, commit: int | None) -> dict[str, Any]:
    """Reads everything by SELECT, in one transaction; `problems` is empty for a sound and consistent database."""
    with reading(home.database) as db:
        integrity = [bytes(row[0]).decode() for row in db.execute("PRAGMA integrity_check")]
        ledger, problems = read_ledger(db, commit)
        rows, content = read_content(db)
    if integrity != ["ok"]:
        problems = [f"integrity: {line}" for line in integrity] + problems
    return {
        "database": str(home.database), "integrity": "ok" if integrity == ["ok"] else "damaged", "ledger": ledger,
        "rows": rows, "rows_total": sum(rows.values()), "content_sha256": content, "problems": problems,
    }  # fmt: skip


def destroy(home: Home, how: str, leave_stale_wal: bool, kill_writer: bool) -> dict[str, Any]:
    """The disaster. With `leave_stale_wal` a -wal and -shm stay that SQLite would replay into a database put there."""
    if kill_writer:
        demo_writer.stop(home, DEADLINE_SECONDS, signal.SIGKILL)
    if demo_writer.writer_pid(home) is not None:
        raise DemoError(home.top, "the writer still runs", f"Stop it with `stop {home.top}`, or add --kill-writer")
    try:
        owner = home.database.stat()
    except OSError as error:
        raise DemoError(home.database, f"cannot be read ({error.strerror})", "It is destroyed already") from error
    with tempfile.TemporaryDirectory(dir=home.data, prefix=".disaster-") as scratch:
        stale = make_stale_wal(home.database, Path(scratch)) if leave_stale_wal else {}
        for suffix in SIDECARS:
            Path(f"{home.database}{suffix}").unlink(missing_ok=True)
        if how == "remove":
            home.database.unlink()
        else:
            garbage = random.Random(0).randbytes(1_000_000) if how == "overwrite" else b""
            home.database.write_bytes(garbage)
        for suffix, path in stale.items():
            if os.geteuid() == 0:
                os.chown(path, owner.st_uid, owner.st_gid)
            path.chmod(0o600)
            os.replace(path, f"{home.database}{suffix}")
    return {"database": str(home.database), "how": how, "stale_wal": leave_stale_wal}


def make_stale_wal(database: Path, scratch: Path) -> dict[str, Path]:
    """A whole and valid -wal with its -shm, of a moment at which nobody was approved and an account was one too rich.

    Only rows that keep their size and place are touched: replayed into a restored database, it shows wrong rows, and
    `integrity_check` still says ok.
    """
    copy = scratch / "moment.db"
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        with closing(demo_writer.connect(database, "rw")) as source:
            source.backup(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("BEGIN")
        db.execute("UPDATE users SET approved = 0")
        db.execute("UPDATE demo_accounts SET balance = balance + 1 WHERE id = 1")
        db.execute("COMMIT")
        # Copied while the connection is open: closing it would empty the -wal into the database.
        made = {suffix: scratch / f"stale{suffix}" for suffix in ("-wal", "-shm")}
        for suffix, path in made.items():
            shutil.copyfile(f"{copy}{suffix}", path)
    return made


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="demo_application.py", description=(__doc__ or "").splitlines()[0])
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("home", metavar="HOME", help="directory of the application")
        database_help = "file name below HOME/data, or a full path (default: %(default)s)"
        sub.add_argument("--database", default="feedforward.db", help=database_help)
        sub.add_argument("--json", action="store_true", help="print the result as one JSON object")
        return sub

    sub = command("build", "make database, secrets, uploads and logs")
    sub.add_argument("--megabytes", type=positive(int), default=50, help="size of the database (default: %(default)s)")
    sub.add_argument("--seed", type=int, default=1, help="the same seed gives the same rows (default: %(default)s)")
    sub.add_argument("--journal-mode", choices=("wal", "delete", "truncate", "persist"), default="wal")
    sub.add_argument("--today", metavar="YYYY-MM-DD", help="day on which the history ends (default: today)")
    for name, text in (("run", "write until SIGTERM, in the foreground"), ("start", "write in the background")):
        sub = command(name, text)
        sub.add_argument("--rate", type=positive(float), default=20.0, help="commits a second (default: %(default)s)")
        sub.add_argument("--http", type=int, metavar="PORT", help="also answer GET /landing on this local port")
        sub.add_argument("--seconds", type=positive(float), help="end by itself after so long (default: never)")
    for name, text in (
        ("pause", "let the writer rest, with no transaction open"),
        ("resume", "let it write again"),
        ("stop", "end the writer and wait for it"),
    ):
        command(name, text)
    for name in ("start", "pause", "resume", "stop"):
        sub = commands.choices[name]
        sub.add_argument("--deadline", type=positive(float), default=DEADLINE_SECONDS, metavar="SECONDS")
    sub = command("check", "prove the state: integrity, ledger, rows and a hash of all content")
    sub.add_argument("--commit", type=int, metavar="N", help="also give the ledger's chain at this commit")
    sub = command("destroy", "lose the database")
    sub.add_argument("--how", choices=("overwrite", "truncate", "remove"), default="overwrite")
    sub.add_argument("--leave-stale-wal", action="store_true", help="leave -wal and -shm of another moment beside it")
    sub.add_argument("--kill-writer", action="store_true", help="kill -9 the writer first")
    return top


def positive(kind: type) -> Any:
    def convert(text: str) -> Any:
        value = kind(text)
        if not 0 < value < 1e6:
            raise ValueError
        return value

    convert.__name__ = "positive number"
    return convert


def perform(options: argparse.Namespace) -> dict[str, Any]:
    home = Home(options.home, options.database)
    if options.command == "build":
        return build(home, options.megabytes, options.seed, options.journal_mode, options.today)
    if options.command == "run":
        demo_writer.run(home, options.rate, options.http, options.seconds)
        return demo_writer.read_state(home)
    if options.command == "start":
        passed = ["--database", options.database, "--rate", str(options.rate)]
        passed += ["--http", str(options.http)] if options.http is not None else []
        passed += ["--seconds", str(options.seconds)] if options.seconds is not None else []
        return demo_writer.start(home, passed, options.deadline)
    if options.command == "check":
        return check(home, options.commit)
    if options.command == "destroy":
        return destroy(home, options.how, options.leave_stale_wal, options.kill_writer)
    return {"pause": demo_writer.pause, "resume": demo_writer.resume, "stop": demo_writer.stop}[options.command](
        home, options.deadline
    )


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    os.umask(0o027)
    try:
        result = perform(options)
    except DemoError as error:
        print(f"demo_application.py: {error}", file=sys.stderr)
        return 3
    except (OSError, sqlite3.Error) as error:
        text = f"{options.home}: {error}. See that it can be written and has room."
        print(f"demo_application.py: {text}", file=sys.stderr)
        return 3
    if options.json:
        print(json.dumps(result))
    elif options.command == "check":
        print(f"{result['rows_total']} rows, commit {result['ledger']['commits']}, content {result['content_sha256']}")
        print("\n".join(result["problems"]) or "sound and consistent")
    else:
        known = [f"{name} {value}" for name, value in result.items() if value is not None]
        print(", ".join(known) or "no writer has run here")
    return 1 if result.get("problems") else 0


if __name__ == "__main__":
    sys.exit(main())
