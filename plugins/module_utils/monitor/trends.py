# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is filling up, and when it will be full: a straight line that single leaps do not bend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from statistics import median
from typing import Optional

LEAST_SECONDS = 86400
FARTHEST_DAYS = 3650
FARTHEST_SPANS = 60
_MOST_BUCKETS = 60
_LEAST_BUCKETS = 6
_CERTAINTY = 1.96
"""In standard deviations: of twenty series that only waver, nineteen are seen through."""


def slope_per_day(series: Sequence[tuple[float, float]]) -> Optional[float]:
    """How much the values of ``series`` (seconds since 1970, value; in order) grow in a day: the median of the slopes
    between any two of its medians of a day, of shorter times where it is young (Theil and Sen). None: it tells of less
    than 24 hours."""
    return _slope(_medians(series))


def full_at(series: Sequence[tuple[float, float]], limit: float) -> Optional[datetime]:
    """When a value that grows, or shrinks, comes to ``limit`` if it goes on like that (UTC); the time of its last value
    where that is beyond it already, in its direction.

    None: there are less than 24 hours of it, it does not move towards the limit, it wavers more than it moves (the test
    of Mann and Kendall), or it would take more than FARTHEST_DAYS or FARTHEST_SPANS times as long as it is known.
    """
    buckets = _medians(series)
    slope = _slope(buckets)
    if not slope or not _is_steady(buckets):
        return None
    # From where it stands now, not from where the line would have it.
    days = (limit - series[-1][1]) / slope
    began_beyond = (limit - series[0][1]) * slope <= 0
    known_days = (series[-1][0] - series[0][0]) / 86400
    if began_beyond or not days <= min(FARTHEST_DAYS, FARTHEST_SPANS * known_days):
        return None
    return datetime.fromtimestamp(series[-1][0], timezone.utc) + timedelta(days=max(0.0, days))


def _medians(series: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Days since 1970 and medians of equally long times; none where there is too little."""
    if len(series) < _LEAST_BUCKETS or series[-1][0] - series[0][0] < LEAST_SECONDS:
        return []
    span = series[-1][0] - series[0][0]
    length = max(span / _MOST_BUCKETS, min(86400.0, span / _LEAST_BUCKETS))
    buckets: dict[int, list[tuple[float, float]]] = {}
    for at, value in series:
        if math.isfinite(value):
            buckets.setdefault(int((at - series[0][0]) // length), []).append((at, value))
    return [(median(at for at, _value in found) / 86400, median(value for _at, value in found))
            for found in buckets.values()]


def _slopes(buckets: Sequence[tuple[float, float]]) -> list[float]:
    return [(other[1] - one[1]) / (other[0] - one[0])
            for number, one in enumerate(buckets) for other in buckets[number + 1:] if other[0] > one[0]]


def _slope(buckets: Sequence[tuple[float, float]]) -> Optional[float]:
    slopes = _slopes(buckets)
    return median(slopes) if slopes else None


def _is_steady(buckets: Sequence[tuple[float, float]]) -> bool:
    count = len(buckets)
    surplus = abs(sum((slope > 0) - (slope < 0) for slope in _slopes(buckets)))
    return surplus > _CERTAINTY * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
