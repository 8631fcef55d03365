# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site on file systems of its own: every test here mounts, and needs root."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# pytest's importlib mode puts no directory of tests on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from mounting import Mounts


@pytest.fixture
def mounts(bare_site):
    """Mounts below the site, whether it was built already or is about to be."""
    return Mounts(bare_site)
