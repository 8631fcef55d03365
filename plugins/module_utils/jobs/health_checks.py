# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks of ``jobs.health``: those at the host and at the backups stand here, and the tables of all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta

from ..catalog.names import KINDS
from ..config import Settings
from ..probes import host, service
from ..units import format_bytes, iso
from .health import Check, Finding
from .health_application import ai, errors, journal, work
from .health_database import databases, locks
from .health_network import email, pages, providers
from .health_units import timers, units
from .report import CRITICAL, OK, UNKNOWN, WARNING, status

# A file system of which less is free, of its bytes or of its inodes, is full, however large it is.
_FULL_PERCENT = 2.0
# How long a restart by systemd is a warning.
_RESTART_TOLD = timedelta(hours=1)


def _storage(settings: Settings, _now: datetime) -> Iterator[Finding]:
    places = [*settings.databases, *([settings.directory] if settings.directory else []), "/"]
    rooms = host.rooms(places)
    for room in rooms:
        title = f"Storage of {room.path}" if len(rooms) > 1 else "Storage"
        limits = settings.health
        free = f"{format_bytes(room.free_bytes)} free ({100 - room.used_percent:.0f}%)"
        figures = {"size_bytes": float(room.size_bytes), "free_bytes": float(room.free_bytes),
                   "used_percent": room.used_percent, "used_files_percent": room.used_files_percent}
        # A file system that is not twice as large as the limit could hardly have so much free.
        if room.size_bytes > 2 * limits.disk_free_bytes and room.free_bytes < limits.disk_free_bytes:
            level, text = CRITICAL, f"{free}, less than {format_bytes(limits.disk_free_bytes)}"
        elif room.used_percent > 100 - _FULL_PERCENT:
            level, text = CRITICAL, f"{free}, less than {_FULL_PERCENT:g} %"
        elif room.used_files_percent > 100 - _FULL_PERCENT:
            level, text = CRITICAL, f"{free}, but less than {_FULL_PERCENT:g} % of its inodes are free"
        elif room.used_percent > limits.disk_warning_percent:
            level, text = WARNING, f"{free}, more than {limits.disk_warning_percent:g} % are used"
        elif room.used_files_percent > limits.files_warning_percent:
            level, text = WARNING, f"{free}, but {room.used_files_percent:.0f} % of its inodes are used"
        else:
            level, text = OK, free
        yield Finding(level, f"storage {room.path}", title, text, figures)


def _memory(settings: Settings, _now: datetime) -> Iterator[Finding]:
    found = host.memory()
    bad = found.used_percent > settings.health.memory_critical_percent
    used = found.total_bytes - found.available_bytes
    yield Finding(CRITICAL if bad else OK, "memory", "Memory", f"{format_bytes(used)} used ({found.used_percent:.0f}%)"
                  + (f", more than {settings.health.memory_critical_percent:g} %" if bad else ""),
                  {"used_bytes": float(used), "total_bytes": float(found.total_bytes),
                   "used_percent": found.used_percent})


def _processors(settings: Settings, _now: datetime) -> Iterator[Finding]:
    found = host.processors(settings.health.cpu_seconds)
    bad = found.busy_percent > settings.health.cpu_warning_percent
    yield Finding(WARNING if bad else OK, "cpu", "CPU", f"{found.busy_percent:.0f}% average load"
                  + (f", more than {settings.health.cpu_warning_percent:g} %" if bad else ""),
                  {"busy_percent": found.busy_percent, "load": found.load, "processors": float(found.count)})


def _service(settings: Settings, now: datetime) -> Iterator[Finding]:
    if settings.service is None:
        return
    title = f"Service {settings.service}"
    if not os.path.isdir("/run/systemd/system"):
        yield Finding(UNKNOWN, "service", title, "this host does not run systemd")
        return
    unit = service.unit(settings.service)
    figures = {"restarts": float(unit.restarts)}
    if unit.load != "loaded":
        yield Finding(CRITICAL, "service", title, f"systemd has no such unit ({unit.load})", figures)
        return
    if unit.active not in ("active", "reloading"):
        yield Finding(CRITICAL, "service", title, f"it is {unit.active} ({unit.sub}, {unit.result})", figures)
        return
    level, text = OK, unit.active
    if unit.restarts:
        text += f", restarted {unit.restarts} times by systemd"
        text += f", last at {iso(unit.started_at)}" if unit.started_at is not None else ""
        # systemd counts until somebody restarts it by hand: what always stands is no news when it breaks down again.
        level = OK if unit.started_at is not None and now - unit.started_at > _RESTART_TOLD else WARNING
    yield Finding(level, "service", title, text, figures)
    for path in settings.databases if unit.main_pid else ():
        yield from _open_database(path, unit)


def _open_database(path: str, unit: service.Unit) -> Iterator[Finding]:
    """A service that goes on in a file that was moved away or removed loses everything that it writes."""
    check, title = f"open {path}", f"{path} as {unit.name} has it open"
    try:
        found = service.open_file(service.processes_of(unit.main_pid or 0), path)
    except PermissionError:
        yield Finding(UNKNOWN, check, title, "its processes may not be looked into: run as root")
        return
    if found.deleted:
        yield Finding(CRITICAL, check, title, "it still has a file open that was removed or replaced: what it writes "
                      "is lost. Restart it")
    elif found.same:
        yield Finding(OK, check, title, "the same file")


def _backups(settings: Settings, now: datetime) -> Iterator[Finding]:
    if settings.directory is None:
        yield Finding(UNKNOWN, "backups", "Backups", "no directory of archives is configured")
        return
    report = status(settings, now)
    for level, text in report.lines:
        kind = text.partition(":")[0]
        figures = report.kinds.get(kind, {}).get("figures", {})
        yield Finding(level, f"backup {kind if kind in KINDS else 'restore'}", "Backup", text, figures)


def _escrow(settings: Settings, _now: datetime) -> Iterator[Finding]:
    """What the role says that knows: a host cannot see its controller."""
    if settings.key_file is None or settings.health.key_escrowed is None:
        return
    if settings.health.key_escrowed:
        yield Finding(OK, "escrow", "Backup key", "it is in escrow")
    else:
        yield Finding(WARNING, "escrow", "Backup key", f"{settings.key_file} lies on this host only, and without it no "
                      "backup can be read: bring it into escrow")


# Whoever runs these has the rights of the database's owner and needs no network,
LOCAL_CHECKS: dict[str, Check] = {
    "database": databases, "ai": ai, "storage": _storage, "memory": _memory, "cpu": _processors, "service": _service,
    "locks": locks, "work": work, "backups": _backups, "escrow": _escrow, "timers": timers, "units": units,
    "journal": journal, "errors": errors,
}
# and whoever runs these has the network and needs no rights.
NETWORK_CHECKS: dict[str, Check] = {"pages": pages, "mail": email, "providers": providers}

_GUIDE_ORDER = ("database", "mail", "providers", "ai", "storage", "memory", "cpu", "pages")
CHECKS: dict[str, Check] = {
    **{name: {**LOCAL_CHECKS, **NETWORK_CHECKS}[name] for name in _GUIDE_ORDER}, **LOCAL_CHECKS, **NETWORK_CHECKS}
"""All of them, in the order of the guide's sample, and then the rest."""
