# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a message that waits: one JSON object with the message and the ways that are owed it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Optional

from .. import directories
from ..alerting import Message
from ..errors import InternalError

LONGEST_REST = timedelta(hours=6)
_FORMAT = 1
_MOST_BYTES = 16 << 20
_TEXTS = ("id", "subject", "text", "html")


@dataclass(frozen=True)
class Owed:
    """How often the way was there and did not take the message, how often of these for good, when to try again (aware;
    None: at once), and to whom by mail (none: to all; else others have it)."""

    failures: int = 0
    refusals: int = 0
    not_before: Optional[datetime] = None
    recipients: tuple[str, ...] = ()

    def rests(self, now: datetime) -> bool:
        """Whether it is too early; a clock that was set back does not make it wait for ever."""
        return self.not_before is not None and now < self.not_before <= now + LONGEST_REST


@dataclass(frozen=True)
class Letter:
    """A message, and what is owed of it by the names of ways."""

    message: Message
    owed: Mapping[str, Owed]


def file_name(message: Message, ending: str) -> str:
    """Names sort by the time of the message: ``20261124T054710000000Z-<id><ending>``."""
    moment = message.created.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%S%fZ")
    return f"{moment}-{re.sub('[^A-Za-z0-9._-]', '-', message.id)[:100]}{ending}"


def dump(letter: Letter) -> bytes:
    """The file's content. Raises InternalError for a message without a time zone, and for a payload that is no
    JSON."""
    message = letter.message
    record = {"format": _FORMAT, "created": message.created.isoformat(),
              **{name: getattr(message, name) for name in _TEXTS}, "payload": dict(message.payload),
              "owed": {channel: {"failures": one.failures, "refusals": one.refusals,
                                 "not_before": one.not_before.isoformat() if one.not_before else None,
                                 "recipients": list(one.recipients)}
                       for channel, one in letter.owed.items()}}
    try:
        if message.created.tzinfo is None:
            raise ValueError("its time has no zone")
        return json.dumps(record, allow_nan=False, indent=1).encode("ascii") + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InternalError(f"message {message.id}", f"it cannot be written as JSON: {error}",
                            "Report this as a defect") from error


def load(path: str) -> Letter:
    """Raises OSError where the file cannot be read, ValueError where it is not what ``dump`` wrote."""
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise ValueError("it is no message of this format")
    payload, owed = record.get("payload"), record.get("owed")
    texts: dict[str, Any] = {name: record.get(name) for name in _TEXTS}
    if not isinstance(payload, dict) or not isinstance(owed, dict) or not all(
            isinstance(text, str) for text in texts.values()):
        raise ValueError("a part of the message is missing")
    message = Message(created=_moment(record.get("created")), payload=payload, **texts)
    return Letter(message, {channel: _owed(one) for channel, one in owed.items()})


def dump_refused(refused: Mapping[str, str]) -> bytes:
    """The file of who is refused for good, with the reply of the server to each."""
    return json.dumps(dict(refused), indent=1).encode("ascii") + b"\n"


def load_refused(path: str) -> dict[str, str]:
    """What ``dump_refused`` wrote; nobody where it cannot be read: it is written anew with the next message."""
    try:
        record = read_json(path)
    except (OSError, ValueError):
        return {}
    if not isinstance(record, dict) or not all(isinstance(reply, str) for reply in record.values()):
        return {}
    return record


def read_json(path: str) -> Any:
    """The JSON in a file of bounded size. Raises OSError, ValueError."""
    with directories.open_file(path) as stream:
        data = bytearray()
        while len(data) <= _MOST_BYTES:
            piece = stream.read(_MOST_BYTES + 1 - len(data))
            if not piece:
                break
            data += piece
    if len(data) > _MOST_BYTES:
        raise ValueError("it is too large")
    try:
        return json.loads(data, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _owed(value: Any) -> Owed:
    if not isinstance(value, dict) or not all(_is_count(value.get(name)) for name in ("failures", "refusals")):
        raise ValueError("what is owed cannot be understood")
    until = value.get("not_before")
    # Earlier versions owed a mail to all or to nobody.
    recipients = value.get("recipients", [])
    if not isinstance(recipients, list) or not all(isinstance(one, str) for one in recipients):
        raise ValueError("whom it is owed cannot be understood")
    return Owed(value["failures"], value["refusals"], None if until is None else _moment(until), tuple(recipients))


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10 ** 9


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    if moment is None or moment.tzinfo is None:
        raise ValueError("a time is missing or has no zone")
    return moment
