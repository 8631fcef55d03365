# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``fault_writer.py DATABASE RATE ACKNOWLEDGED``: an application that writes, as an own process.

It commits ``RATE`` times a second (0: as fast as it can) with a busy timeout of 100 ms until its standard input ends,
and appends a line to ``ACKNOWLEDGED`` after each: the number of the commit and its milliseconds, or ``failed``.
"""

from __future__ import annotations

import hashlib
import select
import sqlite3
import sys
import time
from pathlib import Path

BUSY_TIMEOUT_SECONDS = 0.1


def main(path: str, rate: float, acknowledged: str) -> None:
    """Writes until standard input ends."""
    database = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)
    began, number = time.monotonic(), 0
    with Path(acknowledged).open("a", encoding="ascii") as told:
        while not select.select([sys.stdin], [], [], 0)[0]:
            if rate:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            number += 1
            before = time.monotonic()
            try:
                entry = commit(database)
                told.write(f"{entry} {(time.monotonic() - before) * 1000:.3f}\n")
            except sqlite3.OperationalError:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                told.write("failed\n")
            told.flush()
    database.close()


def commit(database: sqlite3.Connection) -> int:
    """Two entries of the ledger that cancel out, and a revised essay; returns the number of the last entry."""
    database.execute("BEGIN IMMEDIATE")
    number, chain = database.execute("SELECT number, chain FROM ledger ORDER BY number DESC LIMIT 1").fetchone()
    for amount in (number, -number):
        number += 1
        chain = hashlib.sha256(f"{chain}{amount}".encode()).hexdigest()
        database.execute("INSERT INTO ledger VALUES (?, ?, ?)", (number, amount, chain))
    database.execute("UPDATE essays SET content = substr(content, 2) || ? WHERE id = ?", (number % 10, number % 30 + 1))
    database.execute("COMMIT")
    return int(number)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
