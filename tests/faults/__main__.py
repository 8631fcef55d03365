# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make faults``: tries faults of every kind, prints what became of them, and keeps the figures."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from system_faces import link_collection

link_collection()

import argparse
import itertools
import tempfile
from collections.abc import Sequence

from fault_attacks import ATTACKS, LONG, SHORT, TEST
from fault_page import page
from fault_rows import Row, save, table
from fault_world import ROOT, World

RESULTS = ROOT / ".build" / "faults"
PAGE = ROOT / "docs" / "reliability.md"


def main(arguments: Sequence[str]) -> int:
    """Exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"some of {', '.join(ATTACKS)}")
    parser.add_argument("--long", action="store_true", help="the whole table, for hours")
    parser.add_argument("--test", action="store_true", help="a few faults of every kind")
    options = parser.parse_args(arguments)
    budget = LONG if options.long else TEST if options.test else SHORT
    unknown = set(options.attacks) - set(ATTACKS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        numbers = itertools.count()

        def fresh() -> World:
            return World(Path(place) / f"world-{next(numbers)}").build()

        for name in options.attacks or ATTACKS:
            for one in ATTACKS[name].run(fresh, budget):
                rows.append(one)
                print(table([one]), flush=True)
    print("\n" + "=" * 100 + table(rows))
    if not options.test:
        save(rows, RESULTS / ("long.json" if options.long else "short.json"))
    if not options.test and not options.attacks:
        PAGE.write_text(page(rows), encoding="utf-8")
    return 1 if any(one.broken for one in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
