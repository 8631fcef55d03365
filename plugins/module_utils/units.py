# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes, durations and instants, as text and back."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Callable

from .errors import UsageError

Progress = Callable[[str, int, int], None]
"""Called as ``progress(phase, done_bytes, total_bytes)``; must be quick and may raise to stop the job."""

_STAMP = re.compile(r"\A\d{8}T\d{6}Z\Z", re.ASCII)


def format_bytes(count: int) -> str:
    """``count`` bytes in decimal units with one digit, as the guide prints them: ``15.2 MB``."""
    if abs(count) < 1000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        size /= 1000.0
        if abs(size) < 999.95 or unit == "PB":
            return f"{size:.1f} {unit}"
    raise AssertionError("unreachable")


def format_seconds(seconds: float) -> str:
    """A duration: ``0.42 s``, ``3.4 s``, ``2 min 5 s``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds < 0:
        return "-" + format_seconds(-seconds)
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = int(seconds + 0.5)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(timezone.utc)


def stamp(moment: datetime) -> str:
    """An aware instant as it stands in archive names: ``20261124T054710Z`` (UTC, seconds cut off)."""
    return moment.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")


def parse_stamp(text: str) -> datetime:
    """The instant that ``stamp`` wrote. Raises ValueError for anything else."""
    if not _STAMP.match(text):
        raise ValueError(f"{text!r} is not a UTC stamp")
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def iso(moment: datetime) -> str:
    """An aware instant by ISO 8601 in UTC, to the second: ``2026-11-24T05:47:10Z``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """An instant that a person wrote: ISO 8601 with or without a zone (without: local time), a date (its end:
    midnight that follows), or a stamp. Raises UsageError for anything else."""
    text = text.strip()
    try:
        return parse_stamp(text)
    except ValueError:
        pass
    try:
        if re.match(r"\A\d{4}-\d\d-\d\d\Z", text, re.ASCII):
            return (datetime.fromisoformat(text) + timedelta(days=1)).astimezone()
        if not re.match(r"\A\d{4}-\d\d-\d\d[T ]", text, re.ASCII):
            raise ValueError("newer Pythons read more forms than 3.9, and one form is enough")
        moment = datetime.fromisoformat(re.sub(r"[zZ]\Z", "+00:00", text))
        return moment.astimezone() if moment.tzinfo is None else moment
    except (ValueError, OverflowError, OSError):
        raise UsageError(text or "(empty time)", "this is not a time",
                         "Write it like 2026-11-24T05:47:10Z, 2026-11-24 05:47 (local time) or 2026-11-24") from None
