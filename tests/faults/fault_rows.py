# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an attack found: one row of the table for each kind of fault."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    """``tried`` faults of one kind; ``ended`` counts how they ended, in words; ``broken`` holds what must never
    happen, one sentence each, with enough to repeat it; ``figures`` were measured, by title, and decide nothing."""

    attack: str
    fault: str
    tried: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    figures: dict[str, str] = field(default_factory=dict)

    def count(self, end: str, broken: Sequence[str] = ()) -> None:
        """One more fault, how it ended, and what it broke."""
        self.tried += 1
        self.ended[end] += 1
        self.broken += broken

    @property
    def endings(self) -> str:
        """How the faults ended, most frequent first."""
        return ", ".join(f"{count:,} {end}" for end, count in self.ended.most_common())


@contextmanager
def row(attack: str, fault: str) -> Iterator[Row]:
    """A row whose seconds are counted."""
    made, began = Row(attack, fault), time.monotonic()
    try:
        yield made
    finally:
        made.seconds = time.monotonic() - began


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal, and below them everything that was broken."""
    lines = []
    attack = ""
    for one in rows:
        if one.attack != attack:
            attack = one.attack
            lines += ["", attack]
        verdict = f"BROKEN {len(one.broken)}" if one.broken else "held"
        lines.append(f"  {one.tried:>7,}  {one.fault:58} {verdict:9} {one.seconds:6.0f} s  {one.endings}")
        if one.figures:
            lines.append(f"{'':11}{'; '.join(f'{title}: {figure}' for title, figure in one.figures.items())}")
    broken = [f"BROKEN: {one.attack}: {one.fault}: {sentence}" for one in rows for sentence in one.broken]
    total = f"{sum(one.tried for one in rows):,} faults, {len(broken)} broke a promise"
    return "\n".join([*lines, "", *broken, total])


def save(rows: Sequence[Row], path: Path) -> None:
    """The rows as JSON, for the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = [{**vars(one), "ended": dict(one.ended)} for one in rows]
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> list[Row]:
    """What ``save`` wrote."""
    return [Row(**{**one, "ended": Counter(one["ended"])}) for one in json.loads(path.read_text(encoding="utf-8"))]
