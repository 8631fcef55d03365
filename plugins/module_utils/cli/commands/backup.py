# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``backup``: one archive of one kind, verified, then the old ones pruned."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from ...archive.codecs import METHODS
from ...catalog.names import KINDS
from ...jobs.backup import BackupResult, request_from_settings, run_backup
from ...jobs.increment import STRATEGIES
from ...units import format_bytes, format_seconds
from ..context import Context
from ..output import Line, Mark
from ..parser import one_of, whole_number
from ..text import count

SUMMARY = "make an archive, verify it, prune old ones"
DESCRIPTION = """\
Takes a consistent snapshot of the live databases and writes a verified
archive of one kind. Where nothing changed since the newest good archive, none
is written and only its freshness is recorded."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--kind", type=one_of(*KINDS), default="database", metavar="KIND",
                        help=f"what the archive holds: {', '.join(KINDS)} (default: database)")
    parser.add_argument("--compression", type=one_of(*METHODS), metavar="METHOD",
                        help="gzip, or zstd, which is several times faster (default: as configured, else gzip)")
    parser.add_argument("--level", type=whole_number(0), metavar="N",
                        help="level of the compression (default: as configured, else 6 for gzip and 2 for zstd)")
    parser.add_argument("--strategy", type=one_of(*STRATEGIES), metavar="STRATEGY",
                        help=f"for the kind database: {', '.join(STRATEGIES)} (default: as configured, else full)")
    parser.add_argument("--chain-limit", type=whole_number(1), metavar="N",
                        help="archives from one full one to the next (default: as configured, else 7)")
    parser.add_argument("--force", action="store_true", help="write an archive although nothing changed")
    parser.add_argument("--no-prune", action="store_true", help="remove no old archive afterwards")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")


def run(context: Context) -> int:
    """Runs the job and prints its result. Exit code 0."""
    options = context.options
    given: dict[str, Any] = {}
    if options.compression is not None:
        # The configured level is one of the configured method.
        given = {"compression": options.compression, "level": None}
    for name in ("level", "strategy", "chain_limit"):
        if getattr(options, name) is not None:
            given[name] = getattr(options, name)
    request = request_from_settings(context.settings(), options.kind, force=options.force,
                                    prune=not options.no_prune, **given)
    with context.progress() as progress:
        result = run_backup(request, check=options.dry_run, progress=progress)
    context.output.show(result.as_dict(), lines(result, dry_run=options.dry_run))
    return 0


def lines(result: BackupResult, *, dry_run: bool) -> Iterator[Line]:
    """The result for a person."""
    yield _headline(result, dry_run)
    for snapshot in result.snapshots:
        yield from _snapshot_lines(snapshot)
    if result.files:
        yield Line(f"Files: {result.files:,}", Mark.GOOD)
    yield Line(f"Content: {format_bytes(result.size_bytes)}, id {result.content_id}", detail=True)
    if result.base:
        yield Line(f"Increment on {result.base}, which it needs to be restored", Mark.GOOD)
    if result.full_because:
        yield Line(f"Full, and no increment: {result.full_because}", detail=True)
    if result.sha256:
        yield Line(f"SHA-256 of the archive: {result.sha256}", detail=True)
    for path in result.missing_files:
        yield Line(f"Missing, though a row names it: {path}", detail=True)
    for path in result.absent:
        yield Line(f"Absent, which is allowed: {path}", detail=True)
    if result.pruned:
        yield Line(f"{'To be pruned' if dry_run else 'Pruned'}: {count(len(result.pruned), 'old archive')}", Mark.GOOD)
        for name in result.pruned:
            yield Line(name, indent=1, detail=True)
    if result.prune_refused:
        yield Line(f"Nothing was pruned: {result.prune_refused}", Mark.WARNING)
    for warning in result.warnings:
        yield Line(warning, Mark.WARNING)
    yield Line(f"Time: {format_seconds(result.seconds)}", detail=True)


def _headline(result: BackupResult, dry_run: bool) -> Line:
    if result.outcome == "nothing":
        return Line(f"Nothing to back up: {result.reason}", Mark.WARNING)
    if result.outcome == "unchanged":
        return Line(f"Unchanged: {result.archive} ({result.reason})", Mark.GOOD)
    if dry_run:
        return Line(f"To be made: an archive of the kind {result.kind} ({result.reason})")
    facts = [format_bytes(result.archive_bytes or 0),
             f"encrypted with key {result.key_id}" if result.encrypted else "not encrypted",
             "verified" if result.verified else "not verified"]
    return Line(f"Archive: {result.archive} ({', '.join(facts)})", Mark.GOOD)


def _snapshot_lines(snapshot: Mapping[str, Any]) -> Iterator[Line]:
    yield Line(f"Database {snapshot['name']}: {format_bytes(snapshot['size'])}, "
               f"{count(snapshot['rows_total'], 'row')}, as of {snapshot['taken_at']}", Mark.GOOD)
    yield Line(f"from {snapshot['source']}, {count(snapshot['page_count'], 'page')} of {snapshot['page_size']} bytes, "
               f"journal mode {snapshot['journal_mode']}", indent=1, detail=True)
    yield Line(f"snapshot {format_seconds(snapshot['seconds'])}, check {format_seconds(snapshot['check_seconds'])}, "
               f"writers waited at most {format_seconds(snapshot['stall_seconds'])}, "
               f"{count(snapshot['restarts'], 'restart')}", indent=1, detail=True)
    if snapshot["wal_bytes_peak"]:
        wal = [format_bytes(snapshot[f"wal_bytes_{when}"]) for when in ("before", "peak", "after")]
        yield Line(f"WAL {wal[0]} before, {wal[1]} at most, {wal[2]} after", indent=1, detail=True)
