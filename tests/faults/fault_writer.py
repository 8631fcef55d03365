# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``fault_writer.py DATABASE RATE TOLD``: an application that writes, as an own process.

It commits ``RATE`` times a second (0: as fast as it can) with a busy timeout of 100 ms until its standard input ends,
and appends a line to the file ``TOLD`` after each: see ``Attempt``.
"""

from __future__ import annotations

import hashlib
import select
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path

BUSY_TIMEOUT_SECONDS = 0.1


@dataclass(frozen=True)
class Attempt:
    """One commit: the number of the last ``entry`` of the ledger (0: the write failed), when it ``ended`` by the
    monotonic clock, which all processes share, how long it took, and the size of the write-ahead log afterwards."""

    entry: int
    ended: float
    milliseconds: float
    log_bytes: int

    @property
    def began(self) -> float:
        """By the same clock."""
        return self.ended - self.milliseconds / 1000

    def line(self) -> str:
        """For the file."""
        return f"{self.entry} {self.ended:.6f} {self.milliseconds:.3f} {self.log_bytes}\n"


def attempts(told: Path) -> list[Attempt]:
    """What the writer has told so far; a line that it is just writing is left out."""
    lines = [line.split() for line in told.read_text(encoding="ascii").splitlines(keepends=True) if line[-1] == "\n"]
    return [Attempt(int(line[0]), float(line[1]), float(line[2]), int(line[3])) for line in lines]


def main(path: str, rate: float, told: str) -> None:
    """Writes until standard input ends."""
    database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
    log = Path(f"{path}-wal")
    began, number = time.monotonic(), 0
    with Path(told).open("a", encoding="ascii") as stream:
        while not select.select([sys.stdin], [], [], 0)[0]:
            if rate:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            number += 1
            before = time.monotonic()
            try:
                entry = transact(database, number)
            except sqlite3.OperationalError:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                entry = 0
            after = time.monotonic()
            log_bytes = log.stat().st_size if log.exists() else 0
            stream.write(Attempt(entry, after, (after - before) * 1000, log_bytes).line())
            stream.flush()
    database.close()


def transact(database: sqlite3.Connection, number: int) -> int:
    """One transaction of the application: two entries of the ledger that cancel out, chained by digest, and a revised
    essay, which one by ``number``. Returns the number of the last entry."""
    database.execute("BEGIN IMMEDIATE")
    last = database.execute("SELECT number, chain FROM ledger ORDER BY number DESC LIMIT 1").fetchone()
    entry, chain = last or (0, "")
    for amount in (number + 1, -number - 1):
        entry += 1
        chain = hashlib.sha256(f"{chain}{amount}".encode()).hexdigest()
        database.execute("INSERT INTO ledger VALUES (?, ?, ?)", (entry, amount, chain))
    database.execute("UPDATE essays SET content = substr(content, 2) || ? WHERE id = ?", (number % 10, number % 30 + 1))
    database.execute("COMMIT")
    return int(entry)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
