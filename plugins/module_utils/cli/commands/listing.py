# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``list``: what archives there are."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ...catalog.names import KINDS
from ...jobs.report import CatalogInfo, catalog_info
from ...units import format_bytes, parse_time, utc_now
from ..context import Context, archive_directory
from ..output import Line
from ..parser import one_of
from ..text import age, aged, count, table

SUMMARY = "list the archives with age, size, key and verification"
DESCRIPTION = """\
Lists the archives of the application, the oldest first: what they are, how
old, how large, with which key they are encrypted, and when they were last
verified."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--kind", action="append", type=one_of(*KINDS), metavar="KIND",
                        help=f"only this kind, may be repeated: {', '.join(KINDS)}")


def run(context: Context) -> int:
    """Prints the catalog. Exit code 0, also where it is empty."""
    settings = context.settings()
    found = catalog_info(settings.application, archive_directory(settings), context.options.kind, settings.key_file)
    context.output.show(found.as_dict(), lines(found, utc_now()))
    return 0


def lines(found: CatalogInfo, now: datetime) -> Iterator[Line]:
    """The catalog for a person."""
    if found.archives:
        rows = [_row(archive, now) for archive in found.archives]
        for text in table(("ARCHIVE", "KIND", "HOLDS", "AGE", "SIZE", "KEY", "VERIFIED"), rows, right={3, 4}):
            yield Line(text)
    yield Line(f"{count(found.count, 'archive')} of {found.application}, {format_bytes(found.total_bytes)}, "
               f"in {found.directory}")
    for kind, record in found.status.items():
        if record and record["current_as_of"]:
            yield Line(f"{kind}: current as of {aged(parse_time(record['current_as_of']), now)}", detail=True)


def _row(archive: Mapping[str, Any], now: datetime) -> tuple[str, ...]:
    sidecar: Mapping[str, Any] = archive["sidecar"] or {}
    key = sidecar.get("key_id") or ("unknown" if archive["encrypted"] else "none")
    holds = "changes" if archive["base"] else "all" if archive["sequence"] is not None else "unknown"
    return (archive["name"], archive["kind"], holds, age(parse_time(archive["stamp"]), now),
            format_bytes(archive["size_bytes"]), key, _verified(sidecar, now))


def _verified(sidecar: Mapping[str, Any], now: datetime) -> str:
    if not sidecar.get("verification"):
        return "never"
    when = age(parse_time(sidecar["verified_at"]), now)
    text = f"{sidecar['verified_level']}, {when if when == 'in the future' else when + ' ago'}"
    return text if sidecar["verification"] == "passed" else f"FAILED {text}"
