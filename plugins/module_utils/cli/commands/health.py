# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``health``: the application and its host at a glance (Monitoring Plugins: exit codes 0 to 3)."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ...errors import MaintenanceError
from ...jobs.health import HealthReport, examine_health
from ...jobs.health_checks import CHECKS
from ...jobs.report import LEVEL_NAMES, OK, worst
from ...units import utc_now
from ..context import Context
from ..output import Line, Output
from ..parser import STATUS_EXIT_CODES
from ..plugin import LEVEL_MARKS, plugin_text, report_unknown

SUMMARY = "look at the application and its host, for monitoring"
DESCRIPTION = """\
Looks at the database, mail, AI providers, storage, memory, processors, pages,
the service, jobs and backups, all at once, and ends as the Monitoring Plugins
do. What cannot be told is unknown, never well. What is well with single jobs
and locks is shown with --verbose."""
EXIT_CODES = STATUS_EXIT_CODES
_PROVIDER = "AI Provider "
_DETAILS = ("size", "timer", "unit", "locks", "open", "escrow")


def configure(parser: argparse.ArgumentParser) -> None:
    """This command has no options of its own."""


def run(context: Context) -> int:
    """Prints the report. Exit code 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    found = examine_health(context.settings(), utc_now(), CHECKS)
    context.output.show(found.as_dict(), lines(found))
    return found.level


def failed(output: Output, error: MaintenanceError) -> int:
    """What an error means to monitoring: the plugin's line, and UNKNOWN."""
    return report_unknown(output, "HEALTH", error)


def lines(found: HealthReport) -> Iterator[Line]:
    """One line a finding, as the guide shows them; the summary of a monitoring plugin stands first where something is
    not well."""
    if found.level != OK:
        yield Line(plugin_text(f"HEALTH {LEVEL_NAMES[found.level]}: {found.application}: {found.summary}"))
    providers = [finding for finding in found.findings if finding.check.startswith("provider ")]
    for finding in found.findings:
        inside = finding in providers
        if inside and finding is providers[0]:
            yield Line("AI Providers:", LEVEL_MARKS[worst(one.level for one in providers)])
        title = finding.title[len(_PROVIDER):] if inside and finding.title.startswith(_PROVIDER) else finding.title
        quiet = finding.level == OK and finding.check.split(" ")[0] in _DETAILS
        figures = ", ".join(f"{name}={value:g}" for name, value in finding.figures.items())
        yield Line(plugin_text(f"{title}: {finding.text}"), LEVEL_MARKS[finding.level], indent=int(inside),
                   detail=quiet)
        if figures:
            yield Line(figures, indent=1, detail=True)
    yield Line(f"looked at in {found.seconds:.1f} s", detail=True)
