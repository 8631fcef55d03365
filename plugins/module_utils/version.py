# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's version, alone in its file: the controller reads it without loading the engine."""

from __future__ import annotations

VERSION = "1.0.0"
"""The same as in galaxy.yml, which no host has; a test compares the two."""
