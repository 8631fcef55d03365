# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A unit of systemd, as systemctl tells it, and what its processes have open."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from . import programs
from .units import instant

_PROPERTIES = ("LoadState", "ActiveState", "SubState", "MainPID", "NRestarts", "Result",
               "ActiveEnterTimestamp")
_DELETED = " (deleted)"


@dataclass(frozen=True)
class Unit:
    """``load``, ``active``, ``sub`` and ``result`` in systemd's words; ``main_pid`` None: no process; ``restarts``
    since somebody started it; ``started_at``: when it became active last, aware, None where that is not known."""

    name: str
    load: str
    active: str
    sub: str
    result: str
    main_pid: Optional[int]
    restarts: int
    started_at: Optional[datetime] = None


@dataclass(frozen=True)
class OpenFile:
    """Whether processes have the file of a path open, and whether one has a deleted file of that path open instead."""

    same: bool
    deleted: bool


def unit(name: str) -> Unit:
    """The unit of that name. Raises OSError where systemctl cannot be run or does not answer in time."""
    command = ["systemctl", "show", "--property", ",".join(_PROPERTIES), "--", name]
    shown = programs.answer(command, TZ="UTC", LC_ALL="C")
    found = dict(line.partition("=")[::2] for line in shown.splitlines())
    pid = int(found.get("MainPID") or 0)
    return Unit(name, found.get("LoadState", ""), found.get("ActiveState", ""), found.get("SubState", ""),
                found.get("Result", ""), pid or None, int(found.get("NRestarts") or 0),
                instant(found.get("ActiveEnterTimestamp", "")))


def processes_of(main_pid: int) -> tuple[int, ...]:
    """The process and everything in its control group. Raises OSError."""
    with open(f"/proc/{main_pid}/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
        groups = [line.rstrip("\n").split(":", 2) for line in lines]
    path = next((path for number, controllers, path in groups if not controllers), None)
    if path is None or path == "/":
        return (main_pid,)
    try:
        with open(f"/sys/fs/cgroup{path}/cgroup.procs", encoding="ascii") as lines:
            found = tuple(int(line) for line in lines)
    except OSError:
        return (main_pid,)
    return found or (main_pid,)


def open_file(pids: Sequence[int], path: str) -> OpenFile:
    """What these processes have open of ``path``. Raises PermissionError where one cannot be looked into, OSError."""
    real = os.path.realpath(path)
    try:
        wanted: Optional[os.stat_result] = os.stat(real)
    except FileNotFoundError:
        wanted = None
    same = deleted = False
    for pid in pids:
        directory = f"/proc/{pid}/fd"
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            continue
        for name in names:
            try:
                link = os.readlink(f"{directory}/{name}")
                if link == real + _DELETED:
                    deleted = True
                elif wanted is not None and link.startswith("/"):
                    same = same or os.path.samestat(os.stat(f"{directory}/{name}"), wanted)
            except FileNotFoundError:
                # Closed meanwhile.
                continue
    return OpenFile(same, deleted)
