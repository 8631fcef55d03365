# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``doctor``: why backups fail, and what to do next."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Optional

from ...config import Settings, wholly_right
from ...errors import UsageError
from ...jobs.doctor import Case, Diagnosis, diagnose
from ...jobs.doctor_checks import LOOKS
from ...jobs.doctor_trial import attempt
from ...units import utc_now
from ..context import Context, application_of, full_path
from ..output import Line
from ..plugin import LEVEL_MARKS

SUMMARY = "why backups fail, with a trial backup and what to do"
DESCRIPTION = """\
Looks at everything that a backup needs: configuration, directory, room,
permissions, databases, key, lock, schedule, records and archives. Then it makes
a backup for trial, which is verified and removed again. The last line says what
to do next, and the exit code is that of the most fundamental problem (0: none;
1 also where something could not be told). Nothing is changed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--no-trial", action="store_true", help="look only, make no backup for trial")


def run(context: Context) -> int:
    """Prints what was found. The exit code is that of the first problem, 0 when all is well."""
    settings, unread = _settings(context)
    case = Case(settings, context.program, utc_now(), unread)
    with context.progress() as progress:
        found = diagnose(case, LOOKS, None if context.options.no_trial else attempt, progress)
    context.output.show(found.as_dict(), lines(found))
    return found.exit_code


def _settings(context: Context) -> tuple[Settings, Optional[UsageError]]:
    """The configuration; where it cannot be read, what the command line names, and why."""
    try:
        return wholly_right(context.settings()), None
    except UsageError as error:
        options = context.options
        return Settings(application=options.application or application_of(context.program),
                        directory=full_path(options.directory), key_file=full_path(options.key_file)), error


def lines(found: Diagnosis) -> Iterator[Line]:
    """One line a finding, what a job has said below it, and the advice at the end."""
    for finding in found.findings:
        text, *more = finding.text.split("\n")
        yield Line(f"{finding.title}: {text}", LEVEL_MARKS[finding.level])
        for line in more:
            yield Line(line, indent=1)
    yield Line()
    yield Line(found.advice)
