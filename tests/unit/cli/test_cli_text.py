# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ages, counts, tables."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.text import age, aged, count, table

NOW = datetime(2026, 11, 24, 5, 47, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize("seconds, text", [
    (0, "0 s"), (-30, "0 s"), (-61, "in the future"), (89, "89 s"), (90, "1 min"), (89 * 60, "89 min"),
    (90 * 60, "1 h"), (47 * 3600, "47 h"), (48 * 3600, "2 days"), (86400 * 400, "400 days"),
])
def test_age_has_one_unit(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_aged_names_the_instant_in_utc() -> None:
    there = datetime(2026, 11, 24, 3, 47, 10, tzinfo=timezone(timedelta(hours=1)))
    assert aged(there, NOW) == "2026-11-24T02:47:10Z (3 h ago)"
    assert aged(NOW + timedelta(days=2), NOW) == "2026-11-26T05:47:10Z (in the future)"


def test_count_groups_digits_and_knows_one() -> None:
    assert [count(n, "row") for n in (0, 1, 1234)] == ["0 rows", "1 row", "1,234 rows"]
    assert count(2, "entry", "entries") == "2 entries"


def test_table_aligns_and_ends_no_line_in_a_space() -> None:
    assert table(("NAME", "SIZE", "NOTE"), [("a", "15.2 MB", ""), ("longer", "9 B", "x")], right={1}) == [
        "NAME       SIZE  NOTE",
        "a       15.2 MB",
        "longer      9 B  x",
    ]
