# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``look``: what only root sees, written for the monitor."""

from __future__ import annotations

import argparse

from ...jobs.health import examine_health
from ...jobs.health_application import found_providers
from ...jobs.health_checks import LOCAL_CHECKS
from ...monitor.look import Look, write_look
from ...units import utc_now
from ..context import Context
from ..output import Line, Mark

SUMMARY = "look at what only root sees, for the monitor"
DESCRIPTION = """\
Looks at the database, the service, storage, memory, processors, jobs and
backups, and writes what it found into a file that the monitor reads. It needs
no network, and the monitor needs no rights."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--output", metavar="FILE", required=True,
                        help="where to write it; the group of its directory may read it")


def run(context: Context) -> int:
    """Writes the file. Exit code 0 whatever was found."""
    settings, now = context.settings(), utc_now()
    report = examine_health(settings, now, LOCAL_CHECKS)
    write_look(context.options.output, Look(now, report.findings, found_providers(settings)))
    context.output.show(report.as_dict(), [Line(f"{len(report.findings)} findings in {context.options.output}",
                                                Mark.GOOD)])
    return 0
