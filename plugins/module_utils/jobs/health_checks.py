# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks of ``jobs.health``, and what each of them calls good."""

from __future__ import annotations

import http.client
import os
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Optional

from ..config import Settings
from ..errors import MaintenanceError
from ..probes import host, service, web
from ..sqlite.contents import pragma
from ..sqlite.source import examine, open_reader
from ..units import format_bytes, format_seconds, iso
from ..watch import Endpoint
from .health import Check, Finding
from .report import CRITICAL, OK, UNKNOWN, WARNING, status

_MOST_PROBES = 8
_BACK_OFF_SECONDS = 1.0


def _pages(settings: Settings, now: datetime) -> Iterator[Finding]:
    endpoints = settings.health.endpoints
    with ThreadPoolExecutor(min(_MOST_PROBES, len(endpoints) or 1)) as pool:
        for findings in pool.map(lambda endpoint: tuple(_page(settings, endpoint, now)), endpoints):
            yield from findings


def _page(settings: Settings, endpoint: Endpoint, now: datetime) -> Iterator[Finding]:
    check, title = f"page {endpoint.url}", f"Page {endpoint.url}"
    try:
        answer, problem = _asked(settings, endpoint)
    except ValueError as error:
        yield Finding(UNKNOWN, check, title, str(error))
        return
    if answer is None or problem:
        yield Finding(CRITICAL, check, title, problem)
    else:
        milliseconds = answer.seconds * 1000
        slow = milliseconds > settings.health.response_warning_ms
        target = milliseconds > settings.health.response_target_ms
        text = f"{answer.status} in {milliseconds:.0f} ms"
        if slow or target:
            limit = settings.health.response_warning_ms if slow else settings.health.response_target_ms
            text += f", {'more than' if slow else 'above the target of'} {limit:g} ms"
        yield Finding(WARNING if slow else OK, check, title, text, {"response_ms": milliseconds})
    if answer is not None and answer.certificate_ends is not None:
        yield _certificate(settings, endpoint, answer.certificate_ends, now)


def _asked(settings: Settings, endpoint: Endpoint) -> tuple[Optional[web.Answer], str]:
    """The last answer, and what is wrong with it; tried again after a pause that doubles."""
    answer, problem = None, ""
    for attempt in range(settings.health.attempts):
        if attempt:
            time.sleep(_BACK_OFF_SECONDS * 2 ** (attempt - 1))
        try:
            answer = web.ask(endpoint.url, timeout_seconds=settings.health.timeout_seconds, verify=endpoint.verify_tls)
        except (OSError, http.client.HTTPException) as error:
            problem = _refusal(error, settings.health.timeout_seconds)
            continue
        problem = _difference(endpoint, answer)
        if not problem:
            break
    return answer, problem


def _refusal(error: Exception, timeout_seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {format_seconds(timeout_seconds)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, OSError):
        return f"no connection: {error.strerror or error}"
    return f"the answer is no HTTP ({type(error).__name__})"


def _difference(endpoint: Endpoint, answer: web.Answer) -> str:
    if answer.status != endpoint.status:
        where = f", to {answer.location}" if answer.location else ""
        return f"it answers {answer.status}{where}, and {endpoint.status} is expected"
    if endpoint.contains and endpoint.contains.encode() not in answer.body:
        return f"it answers {answer.status} without the text that is expected"
    return ""


def _certificate(settings: Settings, endpoint: Endpoint, ends: datetime, now: datetime) -> Finding:
    days = (ends - now).total_seconds() / 86400
    level = (CRITICAL if days < settings.health.certificate_critical_days
             else WARNING if days < settings.health.certificate_warning_days else OK)
    return Finding(level, f"certificate {endpoint.url}", f"Certificate of {endpoint.url}",
                   f"good until {iso(ends)}, {days:.0f} days", {"certificate_days": days})


def _databases(settings: Settings, _now: datetime) -> Iterator[Finding]:
    if not settings.databases:
        yield Finding(UNKNOWN, "database", "Database", "none is configured")
    for path in settings.databases:
        yield from _database(settings, path)


def _database(settings: Settings, path: str) -> Iterator[Finding]:
    check, title = f"database {path}", "Database" if len(settings.databases) == 1 else f"Database {path}"
    try:
        source = examine(path)
        began = time.monotonic()
        with open_reader(source) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            milliseconds = (time.monotonic() - began) * 1000
            journal_mode, free_pages = pragma(connection, "journal_mode"), pragma(connection, "freelist_count")
    except MaintenanceError as error:
        yield Finding(CRITICAL, check, title, str(error))
        return
    size, limits = source.size, settings.health
    level, note = OK, ""
    if size >= limits.database_critical_bytes:
        level, note = CRITICAL, f", more than {format_bytes(limits.database_critical_bytes)}"
    elif size >= limits.database_notice_bytes:
        step = limits.database_warning_bytes if size >= limits.database_warning_bytes else limits.database_notice_bytes
        level, note = WARNING, f", more than {format_bytes(step)}"
    figures = {"size_bytes": float(size), "wal_bytes": float(source.wal_bytes), "query_ms": milliseconds,
               "free_pages": float(free_pages)}
    yield Finding(level, check, title, f"Connected ({format_bytes(size)}){note}", figures)
    slow = milliseconds > limits.query_target_ms
    yield Finding(WARNING if slow else OK, f"query {path}", f"{title}, query", f"{milliseconds:.1f} ms"
                  + (f", above the target of {limits.query_target_ms:g} ms" if slow else ""))
    if journal_mode == "wal":
        large = source.wal_bytes > limits.wal_warning_bytes
        yield Finding(WARNING if large else OK, f"log {path}", f"{title}, write-ahead log",
                      format_bytes(source.wal_bytes)
                      + (": a reader that does not end may keep it from being emptied" if large else ""))


def _storage(settings: Settings, _now: datetime) -> Iterator[Finding]:
    places = [*settings.databases, *([settings.directory] if settings.directory else []), "/"]
    rooms = host.rooms(places)
    for room in rooms:
        title = f"Storage of {room.path}" if len(rooms) > 1 else "Storage"
        limits = settings.health
        free = f"{format_bytes(room.free_bytes)} free ({100 - room.used_percent:.0f}%)"
        figures = {"free_bytes": float(room.free_bytes), "used_percent": room.used_percent,
                   "used_files_percent": room.used_files_percent}
        # A file system that is not twice as large as the limit could hardly have so much free.
        if room.size_bytes > 2 * limits.disk_free_bytes and room.free_bytes < limits.disk_free_bytes:
            level, text = CRITICAL, f"{free}, less than {format_bytes(limits.disk_free_bytes)}"
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
                  {"used_bytes": float(used), "used_percent": found.used_percent})


def _processors(settings: Settings, _now: datetime) -> Iterator[Finding]:
    found = host.processors(settings.health.cpu_seconds)
    bad = found.busy_percent > settings.health.cpu_warning_percent
    yield Finding(WARNING if bad else OK, "cpu", "CPU", f"{found.busy_percent:.0f}% in use, load {found.load:.2f} on "
                  f"{found.count}" + (f", more than {settings.health.cpu_warning_percent:g} %" if bad else ""),
                  {"busy_percent": found.busy_percent, "load": found.load, "processors": float(found.count)})


def _service(settings: Settings, _now: datetime) -> Iterator[Finding]:
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
    restarted = f", restarted {unit.restarts} times by systemd" if unit.restarts else ""
    yield Finding(WARNING if unit.restarts else OK, "service", title, f"{unit.active}{restarted}", figures)
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
        yield Finding(level, f"backup {kind}", "Backup", text)


CHECKS: dict[str, Check] = {
    "pages": _pages, "database": _databases, "service": _service, "storage": _storage, "memory": _memory,
    "cpu": _processors, "backups": _backups,
}
