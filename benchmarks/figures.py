# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, percentiles and ratios; nothing here runs or reads anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """One run of one operation. ``bytes`` are those that it added to the disk (None: it adds none)."""

    megabytes: float
    subject: str
    operation: str
    round: int
    seconds: float
    cpu_seconds: float
    max_rss_bytes: int
    bytes: int | None = None
    check_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Summary:
    """The medians of the runs of one operation, with the least and the most seconds."""

    runs: int
    seconds: float
    least_seconds: float
    most_seconds: float
    max_rss_bytes: float
    bytes: float | None
    check_seconds: float | None


Key = tuple[float, str, str]
Summaries = dict[Key, Summary]


def summarise(measurements: Iterable[Measurement]) -> Summaries:
    """Summaries by size in megabytes, subject and operation."""
    groups: dict[Key, list[Measurement]] = {}
    for one in measurements:
        groups.setdefault((one.megabytes, one.subject, one.operation), []).append(one)
    return {key: _summary(group) for key, group in groups.items()}


def _summary(group: Sequence[Measurement]) -> Summary:
    seconds = [one.seconds for one in group]
    return Summary(len(group), median(seconds), min(seconds), max(seconds), median(one.max_rss_bytes for one in group),
                   median_of_known(one.bytes for one in group), median_of_known(one.check_seconds for one in group))


def median_of_known(values: Iterable[float | None]) -> float | None:
    """The median of those that are not None; None when there is none."""
    known = [value for value in values if value is not None]
    return median(known) if known else None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (above 0, to 1) of ``values`` do not exceed (nearest rank)."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def ratio(value: float | None, reference: float | None) -> float | None:
    """``value`` by ``reference``; None where one of them is not known."""
    return None if value is None or not reference else value / reference
