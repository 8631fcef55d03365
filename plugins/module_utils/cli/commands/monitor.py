# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``monitor``: one run of what the timer starts every few minutes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import nullcontext

from ...jobs.report import LEVEL_NAMES, OK
from ...monitor.run import MonitorRun, as_the_monitor, places_of, run_monitor
from ...units import utc_now
from ..context import Context
from ..output import Line, Mark
from ..plugin import LEVEL_MARKS
from ..text import count

SUMMARY = "look at everything, tell what changed, write metrics and the dashboard"
DESCRIPTION = """\
What the timer of the role monitoring runs: takes what root saw, asks the pages,
the mail server and the AI providers, sends an alert where something changed,
and writes metrics and the dashboard. It runs as a user without rights, also
where root starts it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """This command has no options of its own."""


def run(context: Context) -> int:
    """One run. Exit code 0 whatever was found; 1 where the run itself could not do all of its work."""
    settings = context.settings()
    places = places_of(settings)
    # Without a state nobody is known to act as, and the run itself says that it is missing.
    with as_the_monitor(places) if os.path.isdir(places.state) else nullcontext():
        done = run_monitor(settings, utc_now())
    context.output.show(done.as_dict(), lines(done))
    return 1 if done.problems else 0


def lines(done: MonitorRun) -> Iterator[Line]:
    """What is new, what was sent, and what could not be done."""
    report = done.report
    yield Line(f"{report.application}: {LEVEL_NAMES[report.level]}: {report.summary}", LEVEL_MARKS[report.level])
    for event in done.events:
        yield Line(f"{event.kind}: {event.title}: {event.text}", LEVEL_MARKS[event.level], indent=1)
    if done.delivery.sent:
        yield Line(f"{count(done.delivery.sent, 'message')} sent", Mark.GOOD)
    for channel, reason in done.delivery.failures:
        if reason not in done.problems:
            yield Line(f"{channel}: {reason}", Mark.WARNING)
    if done.delivery.waiting:
        yield Line(f"{count(done.delivery.waiting, 'message')} wait to be sent", Mark.WARNING)
    for problem in done.problems:
        yield Line(problem, Mark.BAD)
    for finding in report.findings:
        if finding.level != OK:
            yield Line(f"{finding.title}: {finding.text}", LEVEL_MARKS[finding.level], indent=1, detail=True)
