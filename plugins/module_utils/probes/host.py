# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of this machine, as the kernel gives them: file systems, memory, processors. All functions raise OSError, and
ValueError where the kernel's text is not what proc(5) says."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Room:
    """A file system that holds ``path``: bytes, and files (inodes; 0 where it does not count them)."""

    path: str
    size_bytes: int
    free_bytes: int
    files: int
    free_files: int

    @property
    def used_percent(self) -> float:
        """As df(1) counts it: of what an ordinary user could use."""
        return 100.0 * (1.0 - self.free_bytes / self.size_bytes) if self.size_bytes else 0.0

    @property
    def used_files_percent(self) -> float:
        """Of the inodes."""
        return 100.0 * (1.0 - self.free_files / self.files) if self.files else 0.0


@dataclass(frozen=True)
class Memory:
    """Bytes; ``available`` is what could be used without swapping (MemAvailable of proc(5))."""

    total_bytes: int
    available_bytes: int

    @property
    def used_percent(self) -> float:
        """What is not available."""
        return 100.0 * (1.0 - self.available_bytes / self.total_bytes)


@dataclass(frozen=True)
class Processors:
    """``busy_percent`` over the interval, of all processors together; ``load`` the average of the last minute."""

    count: int
    busy_percent: float
    load: float


def rooms(paths: Sequence[str]) -> tuple[Room, ...]:
    """One for each file system that holds one of ``paths``, named by the first of them."""
    found: dict[int, Room] = {}
    for path in paths:
        place = path
        while not os.path.exists(place):
            place = os.path.dirname(place)
        device = os.stat(place).st_dev
        if device not in found:
            usage = os.statvfs(place)
            reserved = usage.f_bfree - usage.f_bavail
            found[device] = Room(path, (usage.f_blocks - reserved) * usage.f_frsize, usage.f_bavail * usage.f_frsize,
                                 usage.f_files, usage.f_favail)
    return tuple(found.values())


def memory() -> Memory:
    """Of the machine, or of the control group that this process is confined to, whichever is the less."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        kibibytes = {name: int(rest.split()[0]) for name, _colon, rest in (line.partition(":") for line in lines)}
    total, available = kibibytes["MemTotal"] << 10, kibibytes["MemAvailable"] << 10
    limit, used = _group_limit("memory.max"), _group_limit("memory.current")
    if limit is not None and used is not None and limit < total:
        return Memory(limit, max(0, min(available, limit - used)))
    return Memory(total, available)


def _group_limit(name: str) -> Optional[int]:
    """A figure of the root of the control groups that this process sees; None where there is none, or no limit."""
    try:
        with open(f"/sys/fs/cgroup/{name}", encoding="ascii") as stream:
            text = stream.read().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def processors(seconds: float) -> Processors:
    """Watches for ``seconds``."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    total, idle = after[0] - before[0], after[1] - before[1]
    return Processors(os.cpu_count() or 1, 100.0 * (1.0 - idle / total) if total > 0 else 0.0, os.getloadavg()[0])


def _ticks() -> tuple[int, int]:
    """All ticks, and the idle ones (waiting for a disk included), since the machine started."""
    with open("/proc/stat", encoding="ascii") as stream:
        fields = [int(text) for text in stream.readline().split()[1:9]]
    return sum(fields), fields[3] + fields[4]
