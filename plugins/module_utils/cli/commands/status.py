# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``status``: how the backups stand, for monitoring (Monitoring Plugins: exit codes 0 to 3, one summary line first)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ...errors import MaintenanceError
from ...jobs import report
from ...jobs.report import LEVEL_NAMES, StatusReport
from ...units import utc_now
from ..context import Context
from ..output import Line, Output
from ..parser import STATUS_EXIT_CODES
from ..plugin import LEVEL_MARKS, plugin_text, report_unknown

SUMMARY = "how the backups stand, for monitoring"
DESCRIPTION = """\
Says whether each kind of backup is current, by the records of its runs, and
ends as the Monitoring Plugins do. A backup that is missing or too old is
critical, not only one that failed."""
EXIT_CODES = STATUS_EXIT_CODES


def configure(parser: argparse.ArgumentParser) -> None:
    """This command has no options of its own."""


def run(context: Context) -> int:
    """Prints the report. Exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    settings = context.settings()
    found = report.status(settings, utc_now())
    context.output.show(found.as_dict(), lines(settings.application, found))
    return found.level


def failed(output: Output, error: MaintenanceError) -> int:
    """What an error means to monitoring: the plugin's line, and UNKNOWN."""
    return report_unknown(output, "BACKUP", error)


def lines(application: str, found: StatusReport) -> Iterator[Line]:
    """The summary, then one line for each kind and each further finding."""
    yield Line(plugin_text(f"BACKUP {LEVEL_NAMES[found.level]}: {application}: {found.summary}"))
    for level, text in found.lines:
        yield Line(plugin_text(text), LEVEL_MARKS[level])
