# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is and how it stands: the catalog as facts, and the status that monitoring reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Optional

from ..archive.keys import load_ring
from ..catalog.catalog import Catalog
from ..catalog.names import KINDS
from ..catalog.status import StatusRecord, read_status
from ..config import Settings
from ..errors import MaintenanceError, UsageError
from ..files import journal_path
from ..units import format_bytes, format_seconds, iso
from .privacy import without_names

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
LEVEL_NAMES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def worst(levels: Iterable[int]) -> int:
    """CRITICAL outweighs UNKNOWN: what is known to be bad is not hidden by what is not known. UNKNOWN of nothing."""
    return max(levels, key=(OK, WARNING, UNKNOWN, CRITICAL).index, default=UNKNOWN)


@dataclass(frozen=True)
class CatalogInfo:
    """``archives`` oldest first, as ``catalog.entries.Entry.as_dict`` gives them; ``newest`` by kind (None: there is
    none); ``status`` by kind the status record or None; sizes in bytes."""

    application: str
    directory: str
    archives: tuple[dict[str, Any], ...]
    count: int
    total_bytes: int
    newest: dict[str, Optional[dict[str, Any]]]
    status: dict[str, Optional[dict[str, Any]]]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def catalog_info(application: str, destination: str, kinds: Optional[Sequence[str]] = None,
                 key_file: Optional[str] = None) -> CatalogInfo:
    """The archives of ``application`` in ``destination``; with a key also those without a sidecar are put in order.

    Reads only. Raises UsageError, KeyFileError, DestinationError.
    """
    wanted = tuple(kinds or KINDS)
    unknown = [kind for kind in wanted if kind not in KINDS]
    if unknown:
        raise UsageError(f"kind {unknown[0]!r}", "this kind of backup is unknown", f"Use one of {', '.join(KINDS)}")
    ring = load_ring(key_file) if key_file else None
    catalog = Catalog(destination, application)
    entries = [entry for entry in catalog.entries(None, ring) if entry.kind in wanted]
    newest = {kind: next((e.as_dict() for e in reversed(entries) if e.kind == kind), None) for kind in wanted}
    records = {kind: read_status(destination, application, kind) for kind in wanted}
    return CatalogInfo(application, destination, tuple(entry.as_dict() for entry in entries), len(entries),
                       sum(entry.size for entry in entries), newest,
                       {kind: record.as_dict() if record else None for kind, record in records.items()})


@dataclass(frozen=True)
class StatusReport:
    """``level`` by the Monitoring Plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; ``lines`` pairs of level and text,
    one a kind and one for each further finding. ``kinds`` has what is known of each kind; its ``figures`` are
    ``age_seconds``, ``verified_age_seconds``, ``size_bytes``, ``failed`` and ``verification_failed`` (1 or 0)."""

    level: int
    summary: str
    lines: tuple[tuple[int, str], ...]
    kinds: dict[str, dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        return {"level": self.level, "state": LEVEL_NAMES[self.level], "summary": self.summary,
                "lines": [{"level": level, "state": LEVEL_NAMES[level], "text": text} for level, text in self.lines],
                "kinds": self.kinds}


def status(settings: Settings, now: datetime) -> StatusReport:
    """How the backups stand by their records: a run that failed, is missing or too old, a failed verification, an
    interrupted restore. Never raises for what it finds: what cannot be told is UNKNOWN."""
    if not settings.directory:
        return _report([(UNKNOWN, "no directory of archives is configured")], {})
    lines: list[tuple[int, str]] = []
    kinds: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        if kind not in settings.max_age_hours:
            continue
        try:
            entry = Catalog(settings.directory, settings.application).latest((kind,))
            record = read_status(settings.directory, settings.application, kind)
        except (MaintenanceError, OSError) as error:
            lines.append((UNKNOWN, without_names(f"{kind}: {error}", settings.uploads_paths)))
            continue
        level, text = _kind_line(kind, record, entry.name if entry else None, entry.size if entry else 0,
                                 settings.max_age_hours[kind], now)
        lines.append((level, without_names(text, settings.uploads_paths)))
        kinds[kind] = {"level": level, "newest": entry.as_dict() if entry else None,
                       "record": record.as_dict() if record else None,
                       "figures": _figures(record, entry.size if entry else None, now)}
    for database in settings.databases:
        path = journal_path(os.path.realpath(database))
        if os.path.lexists(path):
            lines.append((CRITICAL, f"an interrupted restore waits at {path}: run the restore again"))
    return _report(lines, kinds)


def _figures(record: Optional[StatusRecord], size: Optional[int], now: datetime) -> dict[str, float]:
    """What is known of a kind in numbers: ages in seconds, the size of the newest archive in bytes, and 1 or 0 for a
    run or a verification that failed last."""
    figures = {} if size is None else {"size_bytes": float(size)}
    if record is None:
        return figures
    for name, moment in (("age_seconds", record.current_as_of), ("verified_age_seconds", record.last_verified_at)):
        # What has nothing to back up any more does not grow old.
        if moment is not None and now >= moment and record.last_outcome != "nothing":
            figures[name] = (now - moment).total_seconds()
    if record.last_outcome is not None:
        figures["failed"] = float(record.last_outcome == "failed")
    if record.last_verification is not None:
        figures["verification_failed"] = float(record.last_verification == "failed")
    return figures


def _kind_line(kind: str, record: Optional[StatusRecord], newest: Optional[str], size: int, max_age_hours: float,
               now: datetime) -> tuple[int, str]:
    if record is None or record.last_attempt_at is None:
        if newest is None:
            return CRITICAL, f"{kind}: no backup has been made yet"
        return UNKNOWN, f"{kind}: {newest} is there, but no record of its run"
    if record.last_outcome == "failed":
        return CRITICAL, f"{kind}: the last run ({iso(record.last_attempt_at)}) failed: {record.last_error}"
    if record.last_outcome == "nothing":
        return OK, f"{kind}: nothing to back up at {iso(record.last_attempt_at)}"
    if newest is None:
        return CRITICAL, f"{kind}: the archives are gone: {record.newest_archive} was the newest"
    if record.newest_archive != newest:
        return WARNING, f"{kind}: the newest archive is {newest}, and the record names {record.newest_archive}"
    if record.last_verification == "failed":
        return CRITICAL, f"{kind}: {record.last_verified_archive} did not verify"
    if record.current_as_of is None:
        return UNKNOWN, f"{kind}: the record does not say how current the backup is"
    age_seconds = (now - record.current_as_of).total_seconds()
    if age_seconds < -300:
        return UNKNOWN, f"{kind}: current as of {iso(record.current_as_of)}, which the clock calls the future"
    text = f"{kind}: current as of {iso(record.current_as_of)} ({format_seconds(max(age_seconds, 0.0))} ago), " \
           f"{newest}, {format_bytes(size)}"
    if age_seconds > max_age_hours * 3600:
        return CRITICAL, f"{text}: more than {max_age_hours:g} hours"
    if record.last_verified_at is None:
        return WARNING, f"{text}, never verified"
    return OK, f"{text}, verified {iso(record.last_verified_at)}"


def _report(lines: list[tuple[int, str]], kinds: dict[str, dict[str, Any]]) -> StatusReport:
    level = worst(found for found, _text in lines)
    bad = [text for found, text in lines if found != OK]
    summary = bad[0] if bad else f"{len(lines)} kinds of backup are current"
    return StatusReport(level, summary if lines else "no kind of backup is configured", tuple(lines), kinds)
