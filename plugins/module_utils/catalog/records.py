# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small JSON records that lie beside archives (sidecars, status), read with distrust.

They are advisory: whatever is wrong with one, the reader says ValueError and the caller goes on without it.
"""

from __future__ import annotations

import json
import os
import stat
from datetime import datetime, timezone
from typing import Any, Optional

from ..archive import fields
from ..archive.fields import Fields, parse_json
from ..errors import printable
from ..units import iso

MAX_RECORD_BYTES = 1 << 20
_MAX_TEXT_CHARACTERS = 2000


def to_second(moment: datetime) -> datetime:
    """The aware instant as a record keeps it: in UTC, fractions of a second cut off."""
    return moment.astimezone(timezone.utc).replace(microsecond=0)


def short_text(text: str) -> str:
    """A message as a record keeps it: printable, at most 2000 characters."""
    return printable(text)[:_MAX_TEXT_CHARACTERS]


def parse_instant(text: str) -> datetime:
    """The aware instant that ``units.iso`` wrote. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def instant(value: Any, where: str) -> datetime:
    """A check as ``archive.fields`` has them: an instant as ``units.iso`` writes it."""
    return parse_instant(fields.instant(value, where))


def optional_iso(moment: Optional[datetime]) -> Optional[str]:
    """ISO 8601 in UTC, or None for None."""
    return None if moment is None else iso(moment)


def dump(record: dict[str, Any]) -> bytes:
    """A record as indented ASCII JSON with a newline at its end."""
    return (json.dumps(record, indent=2, allow_nan=False) + "\n").encode("ascii")


def headed(record: Fields, form: str, version: int) -> Fields:
    """The record, which has to be of this format and version. Raises ValueError."""
    record.take("format", fields.one_of(form))
    record.take("schema_version", fields.integer(version, version))
    return record


def load(path: str) -> Fields:
    """The record in the regular file ``path``. Raises ValueError for anything else, unreadable files included."""
    try:
        # Without O_NONBLOCK the open of a FIFO in that place would wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("not a regular file")
            data = stream.read(MAX_RECORD_BYTES + 1)
    except OSError as error:
        raise ValueError(str(error)) from error
    if len(data) > MAX_RECORD_BYTES:
        raise ValueError("larger than a record may be")
    return Fields(parse_json(data), "")
