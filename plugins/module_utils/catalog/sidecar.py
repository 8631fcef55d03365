# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidecar ``<archive>.json``: what is known of an archive without opening it.

A sidecar is advisory: it can be rebuilt from its archive, and one that is missing, damaged, of a newer schema or
of another archive (name or size differ) counts as missing.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Optional

from ..archive import fields
from ..archive.fields import Fields
from ..archive.manifest import PARTS, Manifest
from ..errors import InternalError
from ..files import atomic_write
from ..units import iso
from .names import KINDS, parse_name
from .records import dump, headed, instant, load, optional_iso, parse_instant, short_text, to_second

SIDECAR_FORMAT = "feedforward-maintenance sidecar"
SIDECAR_SCHEMA_VERSION = 1
LEVELS = ("checksums", "integrity", "restore")
VERIFICATIONS = ("passed", "failed")
SIDECAR_PARTS = ("databases", *PARTS)


@dataclass(frozen=True)
class DatabaseSummary:
    """One database of an archive: bytes, pages, content digest (hexadecimal) and the sum of its tables' rows."""

    name: str
    size: int
    page_count: int
    content_sha256: str
    rows_total: int

    def as_dict(self) -> dict[str, Any]:
        """The fields under their names."""
        return {"name": self.name, "size": self.size, "page_count": self.page_count,
                "content_sha256": self.content_sha256, "rows_total": self.rows_total}


@dataclass(frozen=True)
class Sidecar:
    """``size`` and ``sha256`` are those of the archive as it is stored; instants are aware, in UTC, to the second.

    ``base`` is the archive that an increment was made on. ``verification`` is None until a verification has judged the
    archive; ``damage`` tells what a failed one found.
    """

    name: str
    application: str
    kind: str
    sequence: int
    created_at: datetime
    size: int
    sha256: str
    content_id: str
    encrypted: bool
    key_id: Optional[str]
    databases: tuple[DatabaseSummary, ...]
    parts: tuple[str, ...]
    base: Optional[str] = None
    verified_at: Optional[datetime] = None
    verified_level: Optional[str] = None
    verification: Optional[str] = None
    damage: Optional[str] = None
    schema_version: int = SIDECAR_SCHEMA_VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "created_at", to_second(self.created_at))
        if self.verified_at is not None:
            object.__setattr__(self, "verified_at", to_second(self.verified_at))
        if self.damage is not None:
            object.__setattr__(self, "damage", short_text(self.damage))

    @classmethod
    def from_manifest(cls, manifest: Manifest, *, size: int, sha256: str) -> Sidecar:
        """The sidecar of the stored archive of ``size`` bytes and that digest, not verified yet."""
        parts = ["databases"] if manifest.databases else []
        parts += [part for part in PARTS if any(file.part == part for file in manifest.files)]
        return cls(
            name=manifest.name, application=manifest.application, kind=manifest.kind, sequence=manifest.sequence,
            created_at=parse_instant(manifest.created_at), size=size, sha256=sha256, content_id=manifest.content_id,
            encrypted=manifest.encrypted, key_id=manifest.key_id, parts=tuple(parts),
            base=manifest.base.name if manifest.base else None,
            databases=tuple(
                DatabaseSummary(database.name, database.size, database.page_count, database.content_sha256,
                                sum(database.rows.values())) for database in manifest.databases),
        )

    def as_dict(self) -> dict[str, Any]:
        """The record as it stands in the file."""
        return {
            "format": SIDECAR_FORMAT,
            "schema_version": self.schema_version,
            "name": self.name,
            "application": self.application,
            "kind": self.kind,
            "sequence": self.sequence,
            "created_at": iso(self.created_at),
            "size": self.size,
            "sha256": self.sha256,
            "content_id": self.content_id,
            "encrypted": self.encrypted,
            "key_id": self.key_id,
            "databases": [database.as_dict() for database in self.databases],
            "parts": list(self.parts),
            "base": self.base,
            "verified_at": optional_iso(self.verified_at),
            "verified_level": self.verified_level,
            "verification": self.verification,
            "damage": self.damage,
        }


def sidecar_path(archive_path: str) -> str:
    """The path of an archive's sidecar."""
    return archive_path + ".json"


def read_sidecar(archive_path: str) -> Optional[Sidecar]:
    """The sidecar of the archive ``archive_path``, or None (see above). Never raises for what lies on the disk."""
    sidecar = described_sidecar(archive_path)
    try:
        status = os.lstat(archive_path)
    except OSError:
        return None
    fits = sidecar is not None and stat.S_ISREG(status.st_mode) and sidecar.size == status.st_size
    return sidecar if fits else None


def described_sidecar(archive_path: str) -> Optional[Sidecar]:
    """What was once written about the archive of this name, whatever became of the file since: evidence of damage,
    and of nothing good. None where nothing valid is there."""
    try:
        sidecar = _parse(load(sidecar_path(archive_path)))
    except (OSError, ValueError):
        return None
    return sidecar if sidecar.name == os.path.basename(archive_path) else None


def write_sidecar(archive_path: str, sidecar: Sidecar) -> None:
    """Writes the sidecar of ``archive_path`` atomically, mode 0600.

    Raises DestinationError; InternalError for a sidecar that ``read_sidecar`` would not take back.
    """
    record = sidecar.as_dict()
    try:
        sound = _parse(Fields(record, "")) == sidecar and sidecar.name == os.path.basename(archive_path)
    except ValueError:
        sound = False
    if not sound:
        raise InternalError(sidecar_path(archive_path), "the description of the archive contradicts itself",
                            "Report this as a defect, with the command that was run")
    atomic_write(sidecar_path(archive_path), dump(record))


def _parse(record: Fields) -> Sidecar:
    """A validated record. Raises ValueError. Fields that a later version added are passed over."""
    headed(record, SIDECAR_FORMAT, SIDECAR_SCHEMA_VERSION)
    sidecar = Sidecar(
        name=record.take("name", fields.file_name),
        application=record.take("application", fields.text),
        kind=record.take("kind", fields.one_of(*KINDS)),
        sequence=record.take("sequence", fields.size),
        created_at=record.take("created_at", instant),
        size=record.take("size", fields.integer(1, 2**63 - 1)),
        sha256=record.take("sha256", fields.sha256),
        content_id=record.take("content_id", fields.sha256),
        encrypted=record.take("encrypted", fields.flag),
        key_id=record.take("key_id", fields.optional(fields.hexadecimal(8))),
        databases=record.take("databases", fields.items(_parse_database)),
        parts=record.take("parts", fields.items(fields.one_of(*SIDECAR_PARTS))),
        base=record.take("base", fields.optional(fields.file_name)),
        verified_at=record.take("verified_at", fields.optional(instant)),
        verified_level=record.take("verified_level", fields.optional(fields.one_of(*LEVELS))),
        verification=record.take("verification", fields.optional(fields.one_of(*VERIFICATIONS))),
        damage=record.take("damage", fields.optional(fields.text)),
    )
    _check_consistent(sidecar)
    return sidecar


def _parse_database(value: Any, where: str) -> DatabaseSummary:
    record = Fields(value, where)
    return DatabaseSummary(
        name=record.take("name", fields.file_name),
        size=record.take("size", fields.size),
        page_count=record.take("page_count", fields.size),
        content_sha256=record.take("content_sha256", fields.sha256),
        rows_total=record.take("rows_total", fields.size),
    )


def _check_consistent(sidecar: Sidecar) -> None:
    parsed = parse_name(sidecar.name)
    if parsed is None or (parsed.application, parsed.kind, parsed.encrypted) != (
            sidecar.application, sidecar.kind, sidecar.encrypted):
        raise ValueError("the name contradicts the other fields")
    if sidecar.encrypted != (sidecar.key_id is not None):
        raise ValueError("a key id is there if, and only if, the archive is encrypted")
    judgement = (sidecar.verification, sidecar.verified_at, sidecar.verified_level)
    if None in judgement and judgement != (None, None, None):
        raise ValueError("half a verification")
    if sidecar.damage is not None and sidecar.verification != "failed":
        raise ValueError("damage without a failed verification")


def sidecar_of(manifest: Manifest, *, size: int, sha256: str, verified_at: Optional[datetime],
               level: Optional[str]) -> Sidecar:
    """The sidecar that belongs to an archive of ``size`` bytes whose manifest was read or just written."""
    sidecar = Sidecar.from_manifest(manifest, size=size, sha256=sha256)
    if verified_at is None:
        return sidecar
    return replace(sidecar, verified_at=verified_at, verified_level=level, verification="passed")
