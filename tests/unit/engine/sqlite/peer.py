# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another process with a connection to a database, as the application is one.

Usage: peer.py DATABASE BUSY_TIMEOUT_SECONDS [ledger COUNTER_FILE]. Without "ledger" it runs one statement for each line
of standard input (a JSON string) and answers with one JSON line. With it, it commits transfers as fast as it can
until standard input ends, counts commits in COUNTER_FILE (8 bytes), and then prints its figures as JSON.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import time

TRANSFER = (
    "BEGIN IMMEDIATE",
    "UPDATE accounts SET balance = balance - 1 WHERE id = 1 + abs(random()) % 100",
    "UPDATE accounts SET balance = balance + 1 WHERE id = 1 + abs(random()) % 100",
    "UPDATE commits SET n = n + 1",
    "INSERT INTO log SELECT n, hex(randomblob(200)) FROM commits",
    "COMMIT",
)


def obey(connection: sqlite3.Connection) -> None:
    for line in sys.stdin:
        try:
            answer = {"rows": connection.execute(json.loads(line)).fetchall()}
        except sqlite3.Error as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def transfer(connection: sqlite3.Connection, counter: int) -> None:
    stop = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    commits, busy, longest = 0, 0, 0.0
    while not stop.is_set():
        began = time.monotonic()
        try:
            for statement in TRANSFER:
                connection.execute(statement)
            commits += 1
            os.pwrite(counter, commits.to_bytes(8, "big"), 0)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            busy += 1
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        longest = max(longest, time.monotonic() - began)
    print(json.dumps({"commits": commits, "busy": busy, "longest_seconds": longest}), flush=True)


def main() -> None:
    connection = sqlite3.connect(sys.argv[1], timeout=float(sys.argv[2]), isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    print(json.dumps({"ready": os.getpid()}), flush=True)
    if sys.argv[3:4] == ["ledger"]:
        transfer(connection, os.open(sys.argv[4], os.O_RDWR | os.O_CREAT, 0o600))
    else:
        obey(connection)
    connection.close()


main()
