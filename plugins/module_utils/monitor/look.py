# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root saw, handed to the monitor: the process that looks into databases has no network, and the one that has the
network has no right to look into anything."""

from __future__ import annotations

import math
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..archive import fields
from ..archive.fields import Fields, Invalid, parse_json
from ..catalog.records import dump, headed, instant
from ..files import atomic_write
from ..jobs.health import Finding
from ..units import format_seconds, iso

LOOK_FORMAT = "feedforward-maintenance look"
LOOK_SCHEMA_VERSION = 1
LOOK_LIMIT_BYTES = 4 << 20
FRESH_SECONDS = 600.0
"""Older than two runs: whoever should have written a new one did not."""


@dataclass(frozen=True)
class Look:
    """``providers`` are pairs of name and address that the application's database names; ``written_at`` is aware."""

    written_at: datetime
    findings: tuple[Finding, ...]
    providers: tuple[tuple[str, str], ...] = ()


def write_look(path: str, look: Look) -> None:
    """Replaces ``path`` (mode 0640: the group of its directory may read it). Raises DestinationError."""
    atomic_write(path, dump({
        "format": LOOK_FORMAT, "schema_version": LOOK_SCHEMA_VERSION, "written_at": iso(look.written_at),
        "providers": [list(pair) for pair in look.providers],
        "findings": [finding_record(finding) for finding in look.findings]}), mode=0o640)


def read_look(path: str, now: datetime) -> Look:
    """What was written last. Raises ValueError, whose text says why it cannot be used: missing, not readable, not
    what was written, or older than FRESH_SECONDS."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError(f"{path} is not a regular file")
            data = stream.read(LOOK_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: the look of root has not run") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    try:
        look = _parse(Fields(parse_json(data[:LOOK_LIMIT_BYTES]), ""))
    except Invalid as error:
        raise ValueError(f"{path} is not what was written: {error}") from None
    age_seconds = (now - look.written_at).total_seconds()
    if not -FRESH_SECONDS <= age_seconds <= FRESH_SECONDS:
        told = format_seconds(abs(age_seconds))
        raise ValueError(f"{path} is {told} old" if age_seconds > 0 else f"{path} is of a time that is {told} ahead")
    return look


def finding_record(finding: Finding) -> dict[str, Any]:
    """A finding as a record keeps it. A figure that is no number is left out."""
    return {"level": finding.level, "check": finding.check, "title": finding.title, "text": finding.text,
            "figures": _finite(finding.figures), "counts": _finite(finding.counts)}


def _finite(numbers: Any) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _parse(record: Fields) -> Look:
    headed(record, LOOK_FORMAT, LOOK_SCHEMA_VERSION)
    look = Look(record.take("written_at", instant), record.take("findings", fields.items(_finding)),
                record.take("providers", fields.items(_provider)))
    record.end()
    return look


def _finding(value: Any, where: str) -> Finding:
    record = Fields(value, where)
    finding = Finding(
        record.take("level", fields.integer(0, 3)), record.take("check", fields.text),
        record.take("title", fields.text), record.take("text", fields.text),
        record.take("figures", fields.mapping(_number)), record.take("counts", fields.mapping(_number)))
    record.end()
    return finding


def _provider(value: Any, where: str) -> tuple[str, str]:
    pair = fields.items(fields.text)(value, where)
    if len(pair) != 2:
        raise Invalid(f"{where} must be a name and an address")
    return pair[0], pair[1]


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Invalid(f"{where} must be a number")
    return float(value)
