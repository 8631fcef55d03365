# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``<directory>/<application>-<kind>.status.json``: what the last runs of one kind came to.

Alerts on age read it: an unchanged database makes no new archive, but moves ``current_as_of``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Optional

from ..archive import fields
from ..archive.fields import Fields
from ..files import atomic_write
from .lock import status_lock
from .names import validate_application, validate_kind
from .records import dump, headed, instant, load, optional_iso, short_text, to_second
from .sidecar import VERIFICATIONS

STATUS_FORMAT = "feedforward-maintenance status"
STATUS_SCHEMA_VERSION = 1
OUTCOMES = ("created", "unchanged", "nothing", "failed")

_INSTANTS = ("last_attempt_at", "last_success_at", "current_as_of", "last_verified_at", "last_restore_test_at")
_TEXTS = ("last_error", "newest_archive", "content_id", "last_verified_archive")


@dataclass(frozen=True)
class StatusRecord:
    """Instants are aware, in UTC, to the second; None means "never" or "not known".

    ``current_as_of`` is the instant of the newest snapshot whose content a good archive holds.
    """

    application: str
    kind: str
    last_attempt_at: Optional[datetime] = None
    last_outcome: Optional[str] = None
    last_error: Optional[str] = None
    last_success_at: Optional[datetime] = None
    current_as_of: Optional[datetime] = None
    newest_archive: Optional[str] = None
    content_id: Optional[str] = None
    last_verified_at: Optional[datetime] = None
    last_verified_archive: Optional[str] = None
    last_verification: Optional[str] = None
    last_restore_test_at: Optional[datetime] = None

    def __post_init__(self) -> None:
        for field in _INSTANTS:
            if getattr(self, field) is not None:
                object.__setattr__(self, field, to_second(getattr(self, field)))
        if self.last_error is not None:
            object.__setattr__(self, "last_error", short_text(self.last_error))
        if self.last_outcome not in (None, *OUTCOMES) or self.last_verification not in (None, *VERIFICATIONS):
            raise ValueError(f"unknown outcome {self.last_outcome!r} or verification {self.last_verification!r}")

    def as_dict(self) -> dict[str, Any]:
        """The record as it stands in the file."""
        record: dict[str, Any] = {"format": STATUS_FORMAT, "schema_version": STATUS_SCHEMA_VERSION}
        for field, value in vars(self).items():
            record[field] = optional_iso(value) if field in _INSTANTS else value
        return record


def status_path(directory: str, application: str, kind: str) -> str:
    """The path of a status record. Raises UsageError for an impossible application or kind."""
    return os.path.join(directory, f"{validate_application(application)}-{validate_kind(kind)}.status.json")


def read_status(directory: str, application: str, kind: str) -> Optional[StatusRecord]:
    """The record, or None where it is missing, damaged, of a newer schema or of something else."""
    try:
        return _parse(load(status_path(directory, application, kind)), application, kind)
    except ValueError:
        return None


def update_status(directory: str, application: str, kind: str, **changes: Any) -> StatusRecord:
    """Sets the given fields of StatusRecord, keeps the others, and returns the new record.

    Safe without the catalog's lock (a run that did not get it records its failure too). A damaged record is
    begun anew. Raises DestinationError and BusyError; TypeError and ValueError for fields and values that do
    not exist.
    """
    path = status_path(directory, application, kind)
    with status_lock(directory):
        old = read_status(directory, application, kind) or StatusRecord(application, kind)
        new = replace(old, **changes)
        atomic_write(path, dump(new.as_dict()))
    return new


def _parse(record: Fields, application: str, kind: str) -> StatusRecord:
    headed(record, STATUS_FORMAT, STATUS_SCHEMA_VERSION)
    values: dict[str, Any] = {field: record.take(field, fields.optional(instant)) for field in _INSTANTS}
    for field in (*_TEXTS, "last_outcome", "last_verification"):
        values[field] = record.take(field, fields.optional(fields.text))
    return StatusRecord(record.take("application", fields.one_of(application)),
                        record.take("kind", fields.one_of(kind)), **values)
