# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``prune``: retention, by itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ...catalog.names import KINDS
from ...jobs.prune import PruneRequest, PruneResult, run_prune
from ..context import Context, archive_directory
from ..output import Line, Mark
from ..parser import one_of, whole_number
from ..text import count

SUMMARY = "remove archives that retention lets go"
DESCRIPTION = """\
Removes archives that are older than the retention. The newest verified
archives of each kind stay whatever the clock says, and nothing is removed of
a kind whose newest backup failed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--kind", action="append", type=one_of(*KINDS), metavar="KIND",
                        help=f"only this kind, may be repeated: {', '.join(KINDS)}")
    parser.add_argument("--retention-days", type=whole_number(0), metavar="N", help="0 keeps for ever")
    parser.add_argument("--keep-last", type=whole_number(1), metavar="N",
                        help="verified archives of each kind that stay whatever their age")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, remove nothing")


def run(context: Context) -> int:
    """Runs the job and prints what went. Exit code 0, also where pruning refused: the lines say why."""
    options = context.options
    settings = context.settings()
    request = PruneRequest(
        application=settings.application, destination=archive_directory(settings),
        kinds=tuple(options.kind) if options.kind else KINDS,
        retention_days=settings.retention_days if options.retention_days is None else options.retention_days,
        keep_last=settings.keep_last if options.keep_last is None else options.keep_last,
        key_file=settings.key_file, lock_timeout_seconds=settings.lock_timeout_seconds)
    result = run_prune(request, check=options.dry_run)
    context.output.show(result.as_dict(), lines(result, dry_run=options.dry_run))
    return 0


def lines(result: PruneResult, *, dry_run: bool) -> Iterator[Line]:
    """What went and what stays, for a person."""
    for kind, reason in result.refused:
        yield Line(f"{kind}: nothing was removed: {reason}", Mark.WARNING)
    verb = "To be removed" if dry_run else "Removed"
    yield Line(f"{verb}: {count(len(result.removed), 'archive')}; {len(result.kept)} stay", Mark.GOOD)
    for name in result.removed:
        yield Line(name, indent=1)
    for name, reason in result.kept:
        yield Line(f"{name} stays: {reason}", indent=1, detail=True)
