# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A writer like the application: small rows, a busy timeout of 100 ms, SQLite's own checkpoints.

``writer.py DATABASE COMMITS`` commits fifty times a second and prints JSON: ``latencies_ms`` of all commits, ``failed``
(those that met a lock for longer than the timeout), and ``checkpoint_ms`` of the commits that emptied the log.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from pathlib import Path

COMMITS_PER_SECOND = 50
BUSY_TIMEOUT_SECONDS = 0.1
ROW_CHARACTERS = 800


def main(path: str, commits: int) -> None:
    """Writes ``commits`` rows at their times; one that is late is not skipped."""
    database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS bench_events (id INTEGER PRIMARY KEY, detail TEXT)")
    latencies, checkpoints, failed = [], [], 0
    restarts = log_restarts(path)
    began = time.monotonic()
    for number in range(commits):
        time.sleep(max(0.0, began + number / COMMITS_PER_SECOND - time.monotonic()))
        before = time.monotonic()
        try:
            database.execute("INSERT INTO bench_events (detail) VALUES (?)", (f"{number:08d}" * (ROW_CHARACTERS // 8),))
        except sqlite3.OperationalError:
            failed += 1
        latencies.append((time.monotonic() - before) * 1000)
        # The log begins anew at the commit after the one that emptied it.
        if log_restarts(path) != restarts and number:
            restarts = log_restarts(path)
            checkpoints.append(latencies[-2])
    database.close()
    json.dump({"latencies_ms": latencies, "failed": failed, "checkpoint_ms": checkpoints}, sys.stdout)


def log_restarts(path: str) -> bytes:
    """How often the log began anew: bytes 12 to 15 of it (https://www.sqlite.org/fileformat2.html#the_wal_file)."""
    log = Path(path + "-wal")
    if not log.exists():
        return b""
    with log.open("rb") as stream:
        return stream.read(16)[12:]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
