# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``restore``: the plan, the question, the restore; or the undoing of one."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Sequence

from ...catalog.names import KINDS
from ...config import Settings
from ...errors import UsageError
from ...jobs.restore import RestoreResult, apply_restore, refuse_holders, refuse_without_room, undo_restore
from ...jobs.restore_plan import ALL_PARTS, RestoreRequest, plan_restore
from ...units import utc_now
from ..confirm import confirm
from ..context import Context, archive_argument, full_path, time_argument
from ..parser import octal_mode, one_of, whole_number
from .restore_text import plan_lines, result_lines, undo_plan_lines

SUMMARY = "put a database, or everything, back from an archive"
DESCRIPTION = """\
Verifies the archive in full, shows the plan, asks, and swaps the restored
files in; what was there is kept in a safety copy beside it. Stop the
application first: a database that a process holds open is refused. Databases
are restored unless --part or --everything says otherwise."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    which = parser.add_argument_group("which archive")
    which.add_argument("archive", nargs="?", metavar="ARCHIVE", help="latest, a name, or a path (default: latest)")
    which.add_argument("--before", metavar="TIME", help="the newest archive made at this time or earlier")
    which.add_argument("--kind", type=one_of(*KINDS), metavar="KIND", help=f"of this kind: {', '.join(KINDS)}")
    what = parser.add_argument_group("what and where to")
    parts = what.add_mutually_exclusive_group()
    parts.add_argument("--part", action="append", type=one_of(*ALL_PARTS), metavar="PART",
                       help=f"only this, may be repeated: {', '.join(ALL_PARTS)}")
    parts.add_argument("--everything", action="store_true", help="databases and all files of the archive")
    what.add_argument("--database", action="append", default=[], metavar="NAME",
                      help="only this database of the archive, may be repeated")
    what.add_argument("--to", metavar="PATH", help="another path for the one database")
    what.add_argument("--owner", metavar="USER", help="owner of what is restored (default: as it is there, or was)")
    what.add_argument("--group", metavar="GROUP", help="its group")
    what.add_argument("--mode", type=octal_mode, metavar="MODE", help="its mode, octal")
    what.add_argument("--undo", metavar="SAFETY", help="put back the safety copy in this directory instead")
    how = parser.add_argument_group("how")
    how.add_argument("--dry-run", action="store_true", help="show the plan and stop")
    how.add_argument("--yes", action="store_true", help="replace a live database without asking")
    how.add_argument("--safety-days", type=whole_number(0), metavar="N", help="how long safety copies are kept")
    how.add_argument("--accept-unknown-holders", action="store_true",
                     help="go on although some processes cannot be looked into; one known to hold it still stops")
    how.add_argument("--allow-older-schema", action="store_true",
                     help="replace a database by one of an older schema version")


def run(context: Context) -> int:
    """Plans, asks, restores, reports. Exit code 0."""
    if context.options.undo is not None:
        return _undo(context)
    options = context.options
    settings = context.settings()
    request = _request(options, settings)
    with context.progress() as progress:
        plan = plan_restore(request, verify=options.dry_run or not options.yes, progress=progress)
    if options.dry_run:
        context.output.show(plan.as_dict(), plan_lines(plan, utc_now()))
        return 0
    context.output.lines(plan_lines(plan, utc_now()))
    refuse_without_room(plan)
    refuse_holders(plan.database_targets, request.accept_unknown_holders)
    replaced = [step for step in plan.steps if step.action == "replace"]
    if replaced and not options.yes:
        _confirm(context, [step.target for step in replaced if step.kind == "database"], settings.application)
    with context.progress() as progress:
        result = apply_restore(plan, progress=progress)
    _show(context, result, request.safety_days)
    return 0


def _request(options: argparse.Namespace, settings: Settings) -> RestoreRequest:
    parts: tuple[str, ...] = tuple(options.part or ("databases",))
    return RestoreRequest(
        application=settings.application, destination=settings.directory,
        archive=archive_argument(options.archive or "latest"), before=time_argument(options.before),
        kind=options.kind, databases=tuple(options.database), target=full_path(options.to),
        parts=ALL_PARTS if options.everything else parts, key_file=settings.key_file,
        safety_days=settings.safety_days if options.safety_days is None else options.safety_days,
        owner=options.owner, group=options.group, mode=options.mode,
        accept_unknown_holders=options.accept_unknown_holders, allow_older_schema=options.allow_older_schema)


def _confirm(context: Context, databases: Sequence[str], application: str) -> None:
    """Asks for the name of the one database that is replaced, else for the application's."""
    if len(databases) == 1:
        confirm(context.output, context.stdin, os.path.basename(databases[0]), databases[0])
    else:
        confirm(context.output, context.stdin, application, application)


def _undo(context: Context) -> int:
    options = context.options
    for name in ("archive", "before", "kind", "part", "everything", "database", "to", "owner", "group", "mode"):
        if getattr(options, name):
            raise UsageError("restore --undo", f"it does not go together with {name!r}",
                             "Undo a restore, or restore an archive")
    settings = context.settings(optional=True)
    safety_copy = os.path.abspath(options.undo)
    plan = undo_restore(safety_copy, check=True, accept_unknown_holders=options.accept_unknown_holders)
    if options.dry_run:
        context.output.show(plan.as_dict(), undo_plan_lines(plan))
        return 0
    context.output.lines(undo_plan_lines(plan))
    targets = [step["target"] for step in plan.steps if step["kind"] == "database"]
    refuse_holders(targets, options.accept_unknown_holders)
    if plan.changed and not options.yes:
        _confirm(context, targets, settings.application)
    _show(context, undo_restore(safety_copy, accept_unknown_holders=options.accept_unknown_holders),
          settings.safety_days)
    return 0


def _show(context: Context, result: RestoreResult, safety_days: int) -> None:
    undo = f"{context.program} restore --undo {shlex.quote(result.safety_copy)}" if result.safety_copy else None
    context.output.show(result.as_dict(), result_lines(result, undo, safety_days))
