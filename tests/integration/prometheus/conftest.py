# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes what these tests share importable."""

from __future__ import annotations

import sys
from pathlib import Path

# pytest's importlib mode puts no directory of tests on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))
