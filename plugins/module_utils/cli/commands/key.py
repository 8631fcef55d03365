# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``key``: create, rotate, show. The key itself is never printed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from ...errors import UsageError
from ...jobs import keys
from ...jobs.keys import KeyResult
from ...units import parse_time, utc_now
from ..context import Context
from ..output import Line, Mark
from ..parser import one_of
from ..text import aged

SUMMARY = "create or rotate the key, or show its id"
DESCRIPTION = """\
The key that encrypts the archives. 'create' makes one where there is none,
'rotate' makes a new one and keeps the old beside it, so that older archives
stay readable, 'show' names the ids. The key itself is never printed."""

ACTIONS = ("create", "rotate", "show")


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("action", type=one_of(*ACTIONS), metavar="{" + ",".join(ACTIONS) + "}", help="what to do")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, write nothing")


def run(context: Context) -> int:
    """Runs the job and prints ids. Exit code 0."""
    options = context.options
    key_file = context.settings().key_file
    if key_file is None:
        raise UsageError("--key-file", "no key file is configured", "Name it with --key-file")
    if options.action == "show":
        result = keys.show(key_file)
    else:
        act = keys.create if options.action == "create" else keys.rotate
        result = act(key_file, check=options.dry_run)
    context.output.show(result.as_dict(), lines(result, dry_run=options.dry_run))
    return 0


def lines(result: KeyResult, *, dry_run: bool) -> Iterator[Line]:
    """The ids for a person."""
    if result.changed and dry_run:
        yield Line(f"To be {result.action}: the key {result.key_file}")
    elif result.changed:
        yield Line(f"Key {result.action}: {result.key_file}, id {result.key_id}", Mark.GOOD)
    else:
        made = f", made {aged(parse_time(result.created_at), utc_now())}" if result.created_at else ""
        yield Line(f"Key: {result.key_file}, id {result.key_id}{made}", Mark.GOOD)
    for key_id in result.key_ids[1:]:
        yield Line(f"older key {key_id}, which still reads its archives", indent=1)
    if result.changed and not dry_run:
        yield Line("Keep a copy of it elsewhere: without the key its archives cannot be read", Mark.WARNING)
