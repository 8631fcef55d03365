# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``verify``: a verdict on archives, on each database in them, with the rows counted."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime

from ...catalog.names import KINDS
from ...jobs.check import LEVELS
from ...jobs.verify import ArchiveVerdict, VerifyRequest, VerifyResult, run_verify
from ...units import format_bytes, format_seconds, parse_time, utc_now
from ..context import Context, archive_argument, full_path, time_argument
from ..output import Line, Mark
from ..parser import one_of
from ..text import aged, count

SUMMARY = "judge archives: passed, failed or unknown"
DESCRIPTION = """\
Reads archives from end to end and judges them. Levels: 'checksums' compares
every byte with the digests, 'integrity' also opens the databases and counts
their rows, 'restore' unpacks everything and writes to the copy. An archive
that cannot be judged, for want of its key say, is 'unknown', which is no
success."""

_MARKS = {"passed": Mark.GOOD, "failed": Mark.BAD, "unknown": Mark.UNKNOWN}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("archive", nargs="?", default="latest", metavar="ARCHIVE",
                        help="latest or oldest (of each kind), all, a name, or a path (default: latest)")
    parser.add_argument("--kind", action="append", type=one_of(*KINDS), metavar="KIND",
                        help=f"only this kind, may be repeated: {', '.join(KINDS)}")
    parser.add_argument("--level", type=one_of(*LEVELS), default="integrity", metavar="LEVEL",
                        help=f"{', '.join(LEVELS)} (default: integrity)")
    parser.add_argument("--before", metavar="TIME", help="only archives made at this time or earlier")
    parser.add_argument("--scratch", metavar="DIR", help="where to unpack (default: beside the archive)")
    parser.add_argument("--no-record", action="store_true", help="leave the verdict out of the catalog")


def run(context: Context) -> int:
    """Runs the job and prints the verdicts; what did not pass is one line on standard error as well. Exit code 0 when
    all passed, 6 when an archive failed or cannot be read, 5 when only a key is missing."""
    options = context.options
    settings = context.settings()
    request = VerifyRequest(
        application=settings.application, destination=settings.directory, archive=archive_argument(options.archive),
        kinds=tuple(options.kind) if options.kind else None, level=options.level, key_file=settings.key_file,
        scratch=full_path(options.scratch), record=not options.no_record, before=time_argument(options.before),
        workers=settings.workers)
    with context.progress() as progress:
        result = run_verify(request, progress=progress)
    context.output.show(result.as_dict(), lines(result, utc_now()))
    failure = result.failure()
    if failure is None:
        return 0
    context.output.tell(failure)
    return failure.exit_code


def lines(result: VerifyResult, now: datetime) -> Iterator[Line]:
    """The verdicts for a person."""
    for archive in result.archives:
        yield from _archive_lines(archive, now)
    if len(result.archives) > 1:
        counts = {verdict: sum(a.verdict == verdict for a in result.archives) for verdict in _MARKS}
        yield Line(f"{count(len(result.archives), 'archive')}: "
                   + ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number))


def _archive_lines(archive: ArchiveVerdict, now: datetime) -> Iterator[Line]:
    made = f", made {aged(parse_time(archive.created_at), now)}" if archive.created_at else ""
    yield Line(f"{archive.name}: {archive.verdict} by {archive.level}, {format_bytes(archive.size_bytes)}{made}",
               _MARKS[archive.verdict])
    for problem in archive.problems:
        yield Line(problem, _MARKS[archive.verdict], indent=1)
    for database in archive.databases:
        mark = Mark.BAD if database["problems"] else _MARKS[archive.verdict]
        yield Line(f"{database['name']}: {count(database['rows_total'], 'row')} "
                   f"in {count(len(database['rows']), 'table')}", mark, indent=1)
        for table, rows in sorted(database["rows"].items()):
            yield Line(f"{table}: {count(rows, 'row')}", indent=2, detail=True)
    if archive.files:
        yield Line(count(archive.files, "file"), _MARKS[archive.verdict], indent=1)
    for warning in archive.warnings:
        yield Line(warning, Mark.WARNING, indent=1)
    if archive.sha256:
        yield Line(f"SHA-256 {archive.sha256}", indent=1, detail=True)
    yield Line(f"{f'key {archive.key_id}' if archive.key_id else 'no key'}, "
               f"{'recorded' if archive.recorded else 'not recorded'}, {format_seconds(archive.seconds)}",
               indent=1, detail=True)
