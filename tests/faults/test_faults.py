# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few faults of every kind, none of which breaks a promise."""

from __future__ import annotations

import itertools

import pytest
from fault_attacks import ATTACKS, TEST
from fault_page import page
from fault_rows import Row, load, save, table
from fault_world import World


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.needs(*attack.needs)) for name, attack in ATTACKS.items()]
)
def test_nothing_is_lost_and_nothing_is_called_good_that_is_not(name, tmp_path):
    numbers = itertools.count()
    rows = list(ATTACKS[name].run(lambda: World(tmp_path / f"world-{next(numbers)}").build(), TEST))
    assert rows and all(one.tried for one in rows)
    assert not any(one.broken for one in rows), table(rows)


def test_figures_are_shown_and_survive_the_file(tmp_path):
    rows = [Row("An attack", "one fault", tried=2, figures={"p50": "3 ms"}), Row("An attack", "another")]
    save(rows, tmp_path / "rows.json")
    assert load(tmp_path / "rows.json") == rows
    assert "p50: 3 ms" in table(rows)
    assert "| fault | p50 |\n|---|--:|\n| one fault | 3 ms |\n\n" in page(rows)
    assert "p50" not in page(rows[1:])
