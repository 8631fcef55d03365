# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one command and writes what it took: ``launcher.py RESULT_FILE COMMAND [ARGUMENT]...``.

A process of its own, and a small one: Linux counts the memory of the parent at the moment of the start as the child's.
The result is JSON: seconds, cpu_seconds, max_rss_bytes (of the largest process of the command), status.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(result_file: str, command: list[str]) -> None:
    """Runs ``command`` with our standard streams and reports to ``result_file``."""
    began = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    _child, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - began
    with open(result_file, "w", encoding="utf-8") as stream:
        json.dump({"seconds": seconds, "cpu_seconds": usage.ru_utime + usage.ru_stime,
                   "max_rss_bytes": usage.ru_maxrss * 1024, "status": os.waitstatus_to_exitcode(status)}, stream)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
