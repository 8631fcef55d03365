# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is watched, and from where on it is bad: the part ``health`` of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Callable

GIGABYTE = 10 ** 9


@dataclass(frozen=True)
class Endpoint:
    """A page that has to answer: ``status`` is the one expected, ``contains`` a text that its body must hold (empty:
    none), ``verify_tls`` whether its certificate has to be good."""

    url: str
    status: int = 200
    contains: str = ""
    verify_tls: bool = True


@dataclass(frozen=True)
class Watch:
    """Bytes, milliseconds, per cent, days. The defaults are those of FeedForward's maintenance guide where it names a
    figure. ``database_*_bytes`` are the three sizes at which it wants to know of the database's growth."""

    endpoints: tuple[Endpoint, ...] = ()
    timeout_seconds: float = 30.0
    attempts: int = 3
    response_target_ms: float = 200.0
    response_warning_ms: float = 500.0
    certificate_warning_days: float = 21.0
    certificate_critical_days: float = 7.0
    query_target_ms: float = 50.0
    database_notice_bytes: int = 5 * GIGABYTE
    database_warning_bytes: int = 8 * GIGABYTE
    database_critical_bytes: int = 10 * GIGABYTE
    wal_warning_bytes: int = GIGABYTE
    disk_free_bytes: int = 10 * GIGABYTE
    disk_warning_percent: float = 85.0
    files_warning_percent: float = 90.0
    memory_critical_percent: float = 90.0
    cpu_warning_percent: float = 80.0
    cpu_seconds: float = 1.0
    deadline_seconds: float = 90.0


def watch(value: Any) -> Watch:
    """The configured part. Raises ValueError, whose text says what it should be."""
    given = _object(value, {field.name for field in fields(Watch)})
    numbers: dict[str, Any] = {name: _number(name, item) for name, item in given.items() if name != "endpoints"}
    endpoints = given.get("endpoints", [])
    if not isinstance(endpoints, list):
        raise ValueError("an object whose endpoints are a list")
    return Watch(endpoints=tuple(_endpoint(item) for item in endpoints), **numbers)


def _endpoint(value: Any) -> Endpoint:
    given = _object(value, {field.name for field in fields(Endpoint)})
    wanted: dict[str, Callable[[Any], bool]] = {
        "url": lambda item: isinstance(item, str) and item.startswith(("http://", "https://")),
        "status": lambda item: isinstance(item, int) and not isinstance(item, bool) and 100 <= item <= 599,
        "contains": lambda item: isinstance(item, str), "verify_tls": lambda item: isinstance(item, bool)}
    wrong = sorted(name for name, item in given.items() if not wanted[name](item))
    if wrong or "url" not in given:
        raise ValueError(f"an object with endpoints of url (http or https), status (100 to 599), contains and "
                         f"verify_tls; look at {wrong[0] if wrong else 'url'}")
    return Endpoint(**given)


def _object(value: Any, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object")
    unknown = sorted(set(value) - known)
    if unknown:
        raise ValueError(f"an object without {unknown[0]!r}")
    return value


def _number(name: str, value: Any) -> Any:
    whole = name == "attempts" or name.endswith("_bytes")
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not 0 < value < 10 ** 18:
        raise ValueError(f"an object whose {name} is a {'whole ' if whole else ''}number above 0")
    return value
