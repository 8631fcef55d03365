# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault harness as tests: a few faults of every kind. ``make faults`` and ``make faults-long`` try many."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# pytest's importlib mode puts no directory of tests on the path.
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from system_faces import link_collection

link_collection()

import pytest
from fault_world import World


@pytest.fixture
def world(tmp_path):
    """An application with a full archive and an increment, and a commit since then."""
    return World(tmp_path / "world").build()
