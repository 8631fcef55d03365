# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the script that ansible-test downloads to put pip into its environments: uses Python's own copy."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: ensurepip turns pip's configuration off for the rest of the process it runs in.
subprocess.check_call([sys.executable, "-m", "ensurepip"])
packages = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *packages]))
