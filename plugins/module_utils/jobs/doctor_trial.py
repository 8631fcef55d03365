# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trial backup of ``jobs.doctor``: a real one, into a directory of its own that is gone at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Optional

from ..archive.keys import load_ring
from ..errors import ArchiveError, MaintenanceError, from_oserror
from ..files import free_bytes, scratch_directory
from ..units import Progress, format_bytes, format_seconds
from .backup import BackupResult, request_from_settings, run_backup
from .check import check_archive
from .doctor import TRIAL, Case, Row, Trial, noted, problem, refused, unclear, well
from .doctor_checks import room_needed
from .gather import UNKNOWN_RATIO
from .report import CRITICAL

_TITLE = "Trial backup"
_WARNINGS_SHOWN = 5


def attempt(case: Case, rows: Sequence[Row],
            progress: Optional[Progress] = None) -> tuple[Sequence[Row], Optional[Trial]]:
    """Makes a backup as configured (databases, else the configuration) beside the archives, verifies it, and removes
    it: the catalog, its lock and its records stay as they are. Not tried where ``rows`` or the room forbid it."""
    settings, directory = case.settings, case.settings.directory
    kind = "database" if settings.databases else "config"
    if any(row.level == CRITICAL and row.finding.check in ("doctor configuration", "doctor directory", "doctor room")
           for row in rows):
        return (unclear("trial", _TITLE, "not tried, because of what is said above"),), None
    if directory is None or not (settings.databases or settings.config_paths):
        return (noted("trial", _TITLE, "not tried: no database and no file is configured",
                      "Run this command where the application is configured"),), None
    raw, archive = room_needed(settings)
    needed, free = raw + max(archive, int(raw * UNKNOWN_RATIO)), free_bytes(directory)
    if free < needed:
        advice = f"Free {format_bytes(needed - free)} on {directory}, then run it again"
        return (unclear("trial", _TITLE, f"not tried: it needs about {format_bytes(needed)}, and {format_bytes(free)} "
                        "are free", advice),), None
    scratch = ""
    try:
        with scratch_directory(directory) as scratch:
            result, trial = _make(case, kind, scratch, progress)
    except OSError as error:
        failure = from_oserror(error, str(error.filename or directory), "making the trial backup")
        return (refused(case, "trial", _TITLE, _elsewhere(failure, scratch, directory), TRIAL),), None
    except MaintenanceError as error:
        return (refused(case, "trial", _TITLE, _elsewhere(error, scratch, directory), TRIAL),), None
    if trial is None:
        return (problem("trial", _TITLE, f"nothing was made: {result.reason}", "Name what is to be backed up in the "
                        "configuration", MaintenanceError.exit_code, TRIAL),), None
    text = (f"{format_bytes(trial.size_bytes)} as an archive of {format_bytes(trial.archive_bytes)}, "
            + (f"encrypted with the key {trial.key_id}" if trial.encrypted else "not encrypted")
            + f", made and verified ({trial.verified}) in {format_seconds(trial.seconds)}, and removed")
    return [well("trial", _TITLE, text), *(noted("trial", _TITLE, warning)
                                           for warning in result.warnings[:_WARNINGS_SHOWN])], trial


def _make(case: Case, kind: str, scratch: str, progress: Optional[Progress]) -> tuple[BackupResult, Optional[Trial]]:
    began = time.monotonic()
    request = request_from_settings(case.settings, kind, destination=scratch, force=True, prune=False, strategy="full",
                                    lock_timeout_seconds=0.0)
    result = run_backup(request, progress=progress)
    if result.archive is None or result.archive_bytes is None or not result.verified:
        return result, None
    ring = load_ring(request.key_file) if request.key_file else None
    # What the configuration holds is secret, and is not unpacked; a database is, as its snapshot was.
    level = "restore" if kind == "database" else "checksums"
    checked = check_archive(result.archive, ring, level=level, scratch=scratch, progress=progress,
                            workers=request.workers)
    if checked.verdict != "passed":
        raise checked.error or ArchiveError(result.archive, f"it does not verify: {'; '.join(checked.problems)}",
                                            "Check the memory and the disk of this host")
    return result, Trial(kind, result.size_bytes, result.archive_bytes, result.files, result.encrypted, result.key_id,
                         level, round(time.monotonic() - began, 3))


def _elsewhere(error: MaintenanceError, scratch: str, directory: str) -> MaintenanceError:
    """The error without the name of the scratch directory, which is gone when somebody reads of it."""
    if not scratch:
        return error
    parts = [part.replace(scratch, directory) for part in (error.subject, error.cause, error.next_step)]
    return type(error)(*parts)
