# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trends: when something is full, and when that cannot be told."""

from __future__ import annotations

import datetime as dt
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.trends import full_at, slope_per_day

NOW = dt.datetime(2026, 11, 24, 5, 47, tzinfo=dt.timezone.utc)
GIGABYTE = 1e9


def series_of(days: float, value, every_minutes: float = 30.0) -> list[tuple[float, float]]:
    """``value(days ago)`` up to NOW."""
    count = int(days * 1440 / every_minutes)
    return [(NOW.timestamp() - 60 * every_minutes * number, value(number * every_minutes / 1440))
            for number in range(count, -1, -1)]


def days_until(series: list[tuple[float, float]], limit: float) -> float:
    when = full_at(series, limit)
    assert when is not None
    return (when - NOW).total_seconds() / 86400


@pytest.mark.parametrize("days", [1.0, 2.5, 8.0, 30.0, 400.0])
def test_a_straight_line_meets_its_limit(days):
    free = series_of(days, lambda ago: 20 * GIGABYTE + ago * 2 * GIGABYTE, 60.0)
    size = series_of(days, lambda ago: 4 * GIGABYTE - ago * 0.005 * GIGABYTE, 60.0)
    assert days_until(free, 0.0) == pytest.approx(10.0, rel=1e-3)
    if days >= 30:
        assert days_until(size, 10 * GIGABYTE) == pytest.approx(1200.0, rel=1e-3)
    assert slope_per_day(free) == pytest.approx(-2 * GIGABYTE, rel=1e-3)


def test_single_leaps_do_not_bend_it():
    noise = random.Random(7)

    def free(ago: float) -> float:
        leap = -15 * GIGABYTE if 3 < ago < 3.2 or 11 < ago < 11.1 else 0.0
        return 30 * GIGABYTE + ago * GIGABYTE + leap + noise.uniform(-0.2, 0.2) * GIGABYTE

    assert days_until(series_of(20, free), 0.0) == pytest.approx(30, rel=0.05)


def test_a_wave_of_days_is_no_growth():
    assert full_at(series_of(14, lambda ago: 5 + math.sin(ago * 2 * math.pi)), 100.0) is None


@pytest.mark.parametrize("series", [
    pytest.param([], id="none"), pytest.param([(0.0, 1.0)], id="one"),
    pytest.param([(0.0, 1.0), (90_000.0, 2.0)], id="two"),
    pytest.param(series_of(0.9, lambda ago: 5 - ago), id="22 hours"),
    pytest.param(series_of(10, lambda ago: 5.0), id="flat"),
    pytest.param(series_of(10, lambda ago: 0.1 * ago), id="shrinks"),
    pytest.param(series_of(10, lambda ago: 5.0 - ago * 1e-6), id="in a thousand years"),
    pytest.param(series_of(1, lambda ago: 5.0 - ago * 0.05), id="too far for what is known"),
    pytest.param(series_of(10, lambda ago: float("nan")), id="no number"),
])
def test_where_nothing_can_be_told_nothing_is(series):
    assert full_at(series, 10.0) is None


def test_noise_alone_is_no_trend():
    found = []
    for seed in range(20):
        noise = random.Random(seed)
        found.append(full_at(series_of(10, lambda ago, noise=noise: noise.gauss(50.0, 1.0)), 0.0))
    assert found.count(None) >= 18


def test_what_came_to_its_limit_is_full_now():
    when = full_at(series_of(10, lambda ago: 11.0 - ago), 10.0)
    assert when is not None and abs((when - NOW).total_seconds()) < 1


def test_what_left_its_limit_behind_does_not_come_to_it():
    assert full_at(series_of(10, lambda ago: 50.0 - ago), 10.0) is None


@given(st.lists(st.tuples(st.floats(0, 1e10), st.floats(allow_nan=True, allow_infinity=True)), max_size=40),
       st.floats(-1e15, 1e15))
def test_no_series_breaks_it(points, limit):
    found = full_at(sorted(points, key=lambda pair: pair[0]), limit)
    assert found is None or found.tzinfo is not None
