# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scheduled jobs of this collection on this host: their units, how systemd sees them, and their failures, which the
hook of role application writes down."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional

from . import programs

UNIT_DIRECTORY = "/etc/systemd/system"
STARTERS = ("timer", "path")
"""Units that wait, for a time or for a change, to start the service of their name."""

_MARK = "# Role: feedforward.maintenance._schedule"
_UNIT_BYTES = 1 << 16
_RECORD_BYTES = 1 << 16
_PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "NextElapseUSecRealtime",
               "ExecMainStartTimestamp", "ExecMainExitTimestamp", "ExecMainStatus")
_STAMP = re.compile(r"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? UTC")
_UNIT_NAME = re.compile(r"[A-Za-z0-9_.@:-]{1,250}\.service")


@dataclass(frozen=True)
class State:
    """A unit as systemd sees it, in its words. ``next_at``: when a timer elapses next; ``ended_at``: when the main
    process of a service ended last, since the host started, ``started_at``: when it had begun, and ``exit_status`` how
    it ended. Instants are aware."""

    name: str
    load: str
    active: str
    sub: str
    result: str
    enabled: str
    next_at: Optional[datetime] = None
    ended_at: Optional[datetime] = None
    exit_status: str = ""
    started_at: Optional[datetime] = None


@dataclass(frozen=True)
class Failure:
    """What the hook wrote down when ``unit`` failed last; ``failed_at`` is aware."""

    unit: str
    failed_at: datetime
    result: str
    exit_status: Optional[int]


@dataclass(frozen=True)
class Records:
    """``failures``, one a job, and ``unreadable``: the paths of records that are none."""

    failures: tuple[Failure, ...] = ()
    unreadable: tuple[str, ...] = ()


def own_units(application: str, directory: str = UNIT_DIRECTORY) -> tuple[str, ...]:
    """The names of the timers, path units and services that the role _schedule made, sorted. Other units of that
    prefix, and those of an application whose name begins the same way, are none of ours. Raises OSError."""
    command = re.compile(rf"^ExecStart=.*/{re.escape(application)}-maintenance[\"\s]", re.MULTILINE)
    found = []
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        job, _dot, kind = name.rpartition(".")
        if name.startswith(f"{application}-") and kind in ("service", *STARTERS):
            service = _text(os.path.join(directory, f"{job}.service"))
            # A timer whose service is gone is ours as well, and not well.
            ours = command.search(service) if service else kind in STARTERS
            if ours and _MARK in _text(os.path.join(directory, name)):
                found.append(name)
    return tuple(found)


def _text(path: str) -> str:
    """Empty where there is no such file."""
    try:
        return _read(path, _UNIT_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _read(path: str, limit_bytes: int) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is not a regular file")
        return stream.read(limit_bytes)


def states(names: Sequence[str]) -> dict[str, State]:
    """The units of these names, by name. Raises OSError where systemctl cannot be run or does not answer in time."""
    if not names:
        return {}
    # In UTC there is no zone to know, and the older systemd has no option for it.
    return parse_states(programs.answer(
        ["systemctl", "show", "--no-pager", "--property", ",".join(_PROPERTIES), "--", *names], TZ="UTC", LC_ALL="C"))


def parse_states(shown: str) -> dict[str, State]:
    """What ``systemctl show`` prints in UTC: a block of NAME=VALUE for each unit, with an empty line between them."""
    found = {}
    for block in re.split(r"\n{2,}", shown):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        name = values.get("Id", "")
        if name:
            found[name] = State(
                name, values.get("LoadState", ""), values.get("ActiveState", ""), values.get("SubState", ""),
                values.get("Result", ""), values.get("UnitFileState", ""),
                instant(values.get("NextElapseUSecRealtime", "")), instant(values.get("ExecMainExitTimestamp", "")),
                values.get("ExecMainStatus", ""), instant(values.get("ExecMainStartTimestamp", "")))
    return found


def instant(text: str) -> Optional[datetime]:
    """What systemctl prints in UTC, aware; None for what is no instant: n/a, infinity or nothing at all."""
    found = _STAMP.fullmatch(text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def failures(directory: str) -> Records:
    """What lies in ``directory``, in the order of the names. Raises OSError where it may not be read."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return Records()
    found, unreadable = [], []
    for name in names:
        if name.endswith(".json") and not name.startswith("."):
            path = os.path.join(directory, name)
            try:
                failure = _failure(_read(path, _RECORD_BYTES))
            except FileNotFoundError:
                continue
            if failure is None:
                unreadable.append(path)
            else:
                found.append(failure)
    return Records(tuple(found), tuple(unreadable))


def _failure(data: bytes) -> Optional[Failure]:
    try:
        record = json.loads(data)
        if not isinstance(record, Mapping):
            return None
        failed_at = datetime.strptime(str(record.get("failed_at")), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except (ValueError, RecursionError):
        return None
    unit, status = str(record.get("unit")), record.get("exit_status")
    if not _UNIT_NAME.fullmatch(unit):
        return None
    result = str(record.get("result"))
    number = status if isinstance(status, int) and not isinstance(status, bool) else None
    return Failure(unit, failed_at, result if re.fullmatch(r"[a-z-]{1,40}", result) else "unknown", number)
