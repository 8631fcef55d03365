# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of text for people: ages, counts, aligned tables. Pure functions, ASCII only."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Optional

from ..units import iso


def count(number: int, noun: str, plural: Optional[str] = None) -> str:
    """``1 row``, ``1,234 rows``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def age(moment: datetime, now: datetime) -> str:
    """How long ago an aware ``moment`` was, in one unit: ``45 s``, ``12 min``, ``3 h``, ``5 days``; a moment
    more than a minute ahead of ``now`` is ``in the future``."""
    seconds = (now - moment).total_seconds()
    if seconds < -60:
        return "in the future"
    if seconds < 90:
        return f"{max(0, int(seconds))} s"
    if seconds < 90 * 60:
        return f"{int(seconds // 60)} min"
    if seconds < 48 * 3600:
        return f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86400)} days"


def aged(moment: datetime, now: datetime) -> str:
    """An instant with its age: ``2026-11-24T05:47:10Z (3 h ago)``."""
    text = age(moment, now)
    return f"{iso(moment)} ({text if text == 'in the future' else text + ' ago'})"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: AbstractSet[int] = frozenset()) -> list[str]:
    """Lines of a table, columns two spaces apart and as wide as their widest cell.

    ``right`` holds the numbers (from 0) of the columns that are aligned on the right. No line ends in a space.
    """
    everything = [list(headings)] + [list(row) for row in rows]
    widths = [max(len(row[column]) for row in everything) for column in range(len(headings))]
    return ["  ".join(cell.rjust(width) if column in right else cell.ljust(width)
                      for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in everything]
