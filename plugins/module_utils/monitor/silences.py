# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences: for the time of planned work nothing is told of some checks, or of all. Each ends by itself, and one that
nobody ended is told of, for it may be work that nobody finished."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Optional

from ..archive import fields
from ..archive.fields import Fields
from ..catalog.records import MAX_RECORD_BYTES, dump, headed, instant, load, optional_iso, to_second
from ..errors import BusyError, DestinationError, UsageError, from_oserror, printable
from ..files import atomic_write
from ..jobs.health import Finding
from ..jobs.report import OK, WARNING
from ..units import format_seconds, iso, stamp

SILENCES_FORMAT = "feedforward-maintenance silences"
SILENCES_SCHEMA_VERSION = 1
LONGEST = timedelta(days=7)
KEPT = timedelta(days=30)
"""How long an ended silence stays in the file."""
NEVER_SILENCED = ("silence", "outbox", "monitor")
"""First words of the checks that tell of the alerts themselves."""

_LOCK_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.05
_REASON_CHARACTERS, _WHO_CHARACTERS, _CHECK_CHARACTERS, _MOST_CHECKS = 200, 100, 4200, 100


@dataclass(frozen=True)
class Silence:
    """Instants are aware, in UTC, to the second; ``ended`` None: nobody has ended it. ``checks`` are beginnings of
    names of checks (``page``, ``unit feedforward-``); none: all."""

    id: str
    reason: str
    who: str
    begins: datetime
    ends: datetime
    checks: tuple[str, ...] = ()
    ended: Optional[datetime] = None

    def holds(self, now: datetime) -> bool:
        """Whether it keeps anything quiet at ``now``. Before its beginning (the clock was put back) it does not."""
        return self.ended is None and self.begins <= to_second(now) < self.ends

    def as_dict(self) -> dict[str, Any]:
        """The silence as it stands in the file."""
        return {"id": self.id, "reason": self.reason, "who": self.who, "begins": iso(self.begins),
                "ends": iso(self.ends), "checks": list(self.checks), "ended": optional_iso(self.ended)}


@dataclass(frozen=True)
class Silences:
    """All that are kept, oldest first. ``problem``: a sentence on why the file cannot be used; then none holds."""

    kept: tuple[Silence, ...] = ()
    problem: str = ""

    def __iter__(self) -> Iterator[Silence]:
        return iter(self.kept)


def open_silence(path: str, *, reason: str, who: str, now: datetime, duration: timedelta,
                 checks: Sequence[str] = ()) -> Silence:
    """Begins a silence of ``duration`` (1 second to LONGEST) in the file ``path``. What is there and cannot be used is
    begun anew. Raises UsageError, BusyError, DestinationError."""
    reason, who = _short(reason, _REASON_CHARACTERS), _short(who, _WHO_CHARACTERS)
    checks = tuple(printable(check).strip() for check in checks)
    if not reason:
        raise UsageError("silence", "it has no reason", "Say what the work is")
    if not timedelta(seconds=1) <= duration <= LONGEST:
        raise UsageError("silence", f"it may last from 1 second to {LONGEST.days} days",
                         "Choose a shorter time, and open another silence where the work takes longer")
    if len(checks) > _MOST_CHECKS or not all(0 < len(check) <= _CHECK_CHARACTERS for check in checks):
        raise UsageError("silence", f"its checks are at most {_MOST_CHECKS} beginnings of names, none of them empty",
                         "Name the checks as 'feedforward-maintenance health --json' shows them, or none for all")
    for check in checks:
        if _never_silenced(check):
            raise UsageError(check, "this check tells of the alerts themselves and cannot be silenced",
                             "Leave it out")
    begins = to_second(now)
    silence = Silence(f"{stamp(now)}-{secrets.token_hex(3)}", reason, who, begins, to_second(begins + duration),
                      checks)
    with _locked(path) as directory:
        _write(path, (*read_silences(path).kept, silence), now, directory)
    return silence


def end_silence(path: str, wanted: str, now: datetime) -> tuple[Silence, ...]:
    """Ends those that nobody has ended and whose id or reason is ``wanted``; they are given back. Raises UsageError
    where there is none, BusyError, DestinationError."""
    moment, reason = to_second(now), _short(wanted, _REASON_CHARACTERS)
    with _locked(path) as directory:
        found = read_silences(path)
        if found.problem:
            raise DestinationError(path, found.problem, "Remove the file; no silence holds")
        ended = {one.id: replace(one, ended=moment) for one in found.kept
                 if one.ended is None and reason in (one.id, one.reason)}
        if not ended:
            raise UsageError(wanted or "silence", "no open silence has this id or reason",
                             "List the open ones and end one of them")
        _write(path, tuple(ended.get(one.id, one) for one in found.kept), now, directory)
    return tuple(ended.values())


def read_silences(path: str) -> Silences:
    """What is in the file ``path``: none where there is no file."""
    try:
        record = headed(load(path), SILENCES_FORMAT, SILENCES_SCHEMA_VERSION)
        kept = record.take("silences", fields.items(_silence))
        record.end()
    except ValueError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return Silences()
        cause = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        return Silences(problem=printable(f"the file of the silences cannot be used: {cause}"))
    return Silences(kept)


def is_silenced(silences: Silences, check: str, now: datetime) -> bool:
    """Whether nothing is to be told of ``check`` at the aware instant ``now``."""
    return not _never_silenced(check) and any(
        one.holds(now) and (not one.checks or check.startswith(one.checks)) for one in silences.kept)


def findings(silences: Silences, now: datetime) -> tuple[Finding, ...]:
    """One for each silence that holds (OK), or is over and was not ended (WARNING), or was ended too late within the
    last day (OK); and one for a file that cannot be used (WARNING)."""
    found = [Finding(WARNING, "silence", "Silences", f"{silences.problem}; none holds")] if silences.problem else []
    for one in silences.kept:
        check, title = f"silence {one.id}", f"Silence {one.id}"
        if one.holds(now):
            of_what = "all checks" if not one.checks else ", ".join(one.checks)
            found.append(Finding(OK, check, title, f"{one.reason} ({one.who}): nothing is told of {of_what} until "
                                 f"{iso(one.ends)}"))
        elif one.ended is None and now >= one.ends:
            found.append(Finding(WARNING, check, title, f"{one.reason} ({one.who}): it was over at {iso(one.ends)} and "
                                 "nobody ended it. Was the work finished? If so, end the silence"))
        elif one.ended is not None and one.ended >= one.ends and now - one.ended < timedelta(days=1):
            found.append(Finding(OK, check, title, f"{one.reason} ({one.who}): ended at {iso(one.ended)}, "
                                 f"{format_seconds((one.ended - one.ends).total_seconds())} late"))
    return tuple(found)


def _never_silenced(check: str) -> bool:
    return check.partition(" ")[0] in NEVER_SILENCED


def _short(text: str, characters: int) -> str:
    return printable(" ".join(text.split()))[:characters].strip()


def _silence(value: Any, where: str) -> Silence:
    record = Fields(value, where)
    silence = Silence(
        record.take("id", fields.text), record.take("reason", fields.text), record.take("who", fields.text),
        record.take("begins", instant), record.take("ends", instant), record.take("checks", fields.items(fields.text)),
        record.take("ended", fields.optional(instant)))
    record.end()
    if silence.ends - silence.begins > LONGEST or "" in silence.checks:
        raise fields.Invalid(f"{where} lasts too long, or silences more than it says")
    return silence


def _write(path: str, silences: Sequence[Silence], now: datetime, directory: os.stat_result) -> None:
    kept = [one for one in silences if one.ended is None or now - one.ended < KEPT]
    data = dump({"format": SILENCES_FORMAT, "schema_version": SILENCES_SCHEMA_VERSION,
                 "silences": [one.as_dict() for one in kept]})
    if len(data) > MAX_RECORD_BYTES:
        raise UsageError(path, "it holds too many silences", "End those whose work is finished")
    # Root opens silences, and the monitor, whose directory this is, has to read them.
    owner = {"uid": directory.st_uid, "gid": directory.st_gid} if os.geteuid() == 0 else {}
    atomic_write(path, data, mode=0o640, **owner)


@contextmanager
def _locked(path: str) -> Iterator[os.stat_result]:
    """Holds the directory of ``path`` by flock(2), and gives its status: a lock file of root's would be none that the
    monitor may open."""
    directory = os.path.dirname(path) or "."
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise from_oserror(error, directory, "taking the lock of the silences") from error
    try:
        _wait_for(handle, directory)
        yield os.fstat(handle)
    finally:
        os.close(handle)


def _wait_for(handle: int, directory: str) -> None:
    deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError(directory, "another process changes the silences "
                                f"(waited {format_seconds(_LOCK_TIMEOUT_SECONDS)})", "Run again") from None
        except OSError as error:
            raise from_oserror(error, directory, "taking the lock of the silences") from error
        time.sleep(_POLL_SECONDS)
