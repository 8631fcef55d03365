# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, percentiles and ratios."""

from __future__ import annotations

import pytest

from ansible_collections.feedforward.maintenance.benchmarks.figures import Measurement, percentile, ratio, summarise


def measured(seconds: float, stored: int | None = None, *, subject: str = "restic", number: int = 0) -> Measurement:
    return Measurement(540.0, subject, "first backup", number, seconds, seconds, 1000 + number, stored)


def test_one_slow_run_does_not_move_the_median() -> None:
    summary = summarise([measured(2.0, 10), measured(900.0, 30, number=1), measured(3.0, 20, number=2)])
    found = summary[540.0, "restic", "first backup"]
    assert (found.runs, found.seconds, found.least_seconds, found.most_seconds) == (3, 3.0, 2.0, 900.0)
    assert (found.bytes, found.max_rss_bytes, found.check_seconds) == (20, 1001, None)


def test_subjects_are_not_mixed() -> None:
    summaries = summarise([measured(1.0), measured(5.0, subject="borg")])
    assert {key[1]: one.seconds for key, one in summaries.items()} == {"restic": 1.0, "borg": 5.0}


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentiles_by_nearest_rank(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize(("value", "reference", "expected"), [(3.0, 6.0, 0.5), (None, 6.0, None), (3.0, None, None),
                                                              (3.0, 0, None), (0, 6.0, 0.0)])
def test_a_ratio_needs_both(value: float | None, reference: float | None, expected: float | None) -> None:
    assert ratio(value, reference) == expected
