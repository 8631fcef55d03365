# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The results of one run as they stand in results.json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .figures import Measurement, Summaries, summarise

REFERENCE_MEGABYTES = 540.0


@dataclass
class Results:
    """``skipped`` is by size, subject and operation; ``not_measured`` by the name of a whole part; ``fleet`` is what
    benchmarks/fleet.py left, a list of verdicts."""

    machine: dict[str, Any] = field(default_factory=dict)
    rounds: int = 0
    seed: int = 0
    complete: bool = False
    measurements: list[Measurement] = field(default_factory=list)
    skipped: dict[tuple[float, str, str], str] = field(default_factory=dict)
    baseline_rss_bytes: float | None = None
    writers: dict[str, Any] | None = None
    month: dict[str, Any] | None = None
    fleet: list[dict[str, Any]] = field(default_factory=list)
    not_measured: dict[str, str] = field(default_factory=dict)

    def summaries(self) -> Summaries:
        """The medians."""
        return summarise(self.measurements)

    def sizes(self) -> list[float]:
        """The sizes that were measured, in megabytes."""
        return sorted({one.megabytes for one in self.measurements} | {key[0] for key in self.skipped})

    def reference(self) -> float | None:
        """The size at which targets are judged: 540 MB, else the largest below it, else the smallest."""
        sizes = self.sizes()
        return max((size for size in sizes if size <= REFERENCE_MEGABYTES), default=min(sizes, default=None))

    def save(self, path: Path) -> None:
        """Writes everything, and the medians for whoever reads the file."""
        document = asdict(self)
        document["skipped"] = [[*key, reason] for key, reason in self.skipped.items()]
        document["medians"] = [{"megabytes": size, "subject": subject, "operation": operation, **asdict(summary)}
                               for (size, subject, operation), summary in self.summaries().items()]
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def load_results(path: Path) -> Results:
    """What ``save`` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["medians"]
    document["measurements"] = [Measurement(**one) for one in document["measurements"]]
    document["skipped"] = {(size, subject, operation): reason
                           for size, subject, operation, reason in document["skipped"]}
    return Results(**document)


def load_fleet(path: Path) -> list[dict[str, Any]]:
    """The verdicts of the measurement on booted hosts (target, limit, value, reason); none where it was not run."""
    if not path.exists():
        return []
    verdicts: Sequence[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["verdicts"]
    return list(verdicts)
