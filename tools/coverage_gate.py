# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fails when tests took too few of the engine's branches. Usage: coverage_gate.py REPORT (of ``coverage json``)"""

from __future__ import annotations

import json
import sys
from pathlib import Path

LEAST_PERCENT = 90.0


def main(path: str) -> int:
    """Print the share of branches taken and compare it with the least that is accepted; returns the exit status."""
    totals = json.loads(Path(path).read_text(encoding="utf-8"))["totals"]
    taken, known = totals["covered_branches"], totals["num_branches"]
    percent = 100.0 * taken / known
    print(f"Tests took {taken} of {known} branches: {percent:.1f} % (at least {LEAST_PERCENT})")
    return 0 if percent >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
