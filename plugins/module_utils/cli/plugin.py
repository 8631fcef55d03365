# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands for monitoring share (Monitoring Plugins: https://www.monitoring-plugins.org/doc/guidelines.html)."""

from __future__ import annotations

from ..errors import MaintenanceError
from ..jobs.report import LEVEL_NAMES, UNKNOWN
from .output import Line, Mark, Output

LEVEL_MARKS = (Mark.GOOD, Mark.WARNING, Mark.BAD, Mark.UNKNOWN)


def plugin_text(text: str) -> str:
    """A line for Monitoring Plugins, in which a bar would begin performance data."""
    return text.replace("|", "/")


def report_unknown(output: Output, service: str, error: MaintenanceError) -> int:
    """What an error means to monitoring: the plugin's line, and UNKNOWN."""
    output.lines([Line(plugin_text(f"{service} {LEVEL_NAMES[UNKNOWN]}: {error}"))])
    return UNKNOWN
