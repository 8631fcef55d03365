# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is watched, and from where on it is bad: the part ``health`` of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Callable, Optional

GIGABYTE = 10 ** 9
_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:-]{0,59}")
_SELECT = re.compile(r"\s*select\b", re.IGNORECASE)
_LOGIN = re.compile(r"https?://[^/?#]*@")
_MAY_BE_ZERO = ("quick_check_seconds",)


@dataclass(frozen=True)
class Endpoint:
    """A page that has to answer: ``status`` is the one expected, ``contains`` a text that its body must hold (empty:
    none), ``verify_tls`` whether its certificate has to be good."""

    url: str
    status: int = 200
    contains: str = ""
    verify_tls: bool = True


@dataclass(frozen=True)
class Provider:
    """A provider of AI models, asked whether it answers at all. Where ``trusted`` is False (the address stands in the
    application's database) only its scheme, host and port are used, and only if they lead to a public address."""

    name: str
    url: str
    trusted: bool = True


@dataclass(frozen=True)
class Watch:
    """Bytes, milliseconds, per cent, minutes, days. The defaults are those of FeedForward's maintenance guide where it
    names a figure. ``database_*_bytes`` are the three sizes at which it wants to know of the database's growth.

    ``quick_check_seconds``: how long SQLite's quick check of a database of up to ``quick_check_bytes`` may take in each
    run; 0: none is made. ``lock_warning_percent``: the share of a second in which somebody held the write lock.
    ``database_providers``: whether providers that the application's database names are asked, too, and
    ``provider_private`` whether they may be in a private network. Of the calls of AI models, ``ai_error_percent`` may
    fail, and ``ai_error_minimum`` have to before it counts. Work is stuck after ``stuck_minutes``, and forgotten after
    ``stuck_days``; ``work_query`` is one SELECT, without WITH and without views, that gives the number of stuck pieces
    and the age of the oldest in seconds, for applications other than FeedForward. A timer is late
    ``timer_grace_minutes`` after its time. ``access_log``: the reverse proxy's, in the common or combined log format,
    of which the last ``error_window_minutes`` are read; bad are ``error_minimum`` answers of 5xx that are more than
    ``error_rate_percent``. ``key_escrowed``: whether the backups' key also lies elsewhere; None: nobody said so.
    """

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
    quick_check_seconds: float = 2.0
    quick_check_bytes: int = 64_000_000
    lock_warning_percent: float = 50.0
    providers: tuple[Provider, ...] = ()
    database_providers: bool = True
    provider_private: bool = False
    provider_timeout_seconds: float = 10.0
    ai_error_percent: float = 20.0
    ai_error_minimum: int = 5
    stuck_minutes: float = 60.0
    stuck_days: float = 7.0
    work_query: str = ""
    timer_grace_minutes: float = 10.0
    access_log: str = ""
    error_window_minutes: float = 15.0
    error_rate_percent: float = 0.1
    error_minimum: int = 5
    key_escrowed: Optional[bool] = None


def watch(value: Any) -> Watch:
    """The configured part. Raises ValueError, whose text says what it should be."""
    given = _object(value, {field.name for field in fields(Watch)})
    checks: dict[str, Callable[[Any], Any]] = {
        "endpoints": lambda item: tuple(_endpoint(one) for one in _list("endpoints", item)),
        "providers": lambda item: tuple(_provider(one) for one in _list("providers", item)),
        "database_providers": lambda item: _switch("database_providers", item),
        "provider_private": lambda item: _switch("provider_private", item),
        "key_escrowed": lambda item: None if item is None else _switch("key_escrowed", item),
        "access_log": lambda item: _text("access_log", item, re.compile(r"/[^\x00]*"), "a full path, or empty"),
        "work_query": lambda item: _text("work_query", item, _SELECT, "one SELECT, or empty"),
    }
    return Watch(**{name: checks[name](item) if name in checks else _number(name, item)
                    for name, item in given.items()})


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"an object whose {name} are a list")
    return value


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"an object whose {name} is true or false")
    return value


def _text(name: str, value: Any, pattern: re.Pattern[str], wanted: str) -> str:
    if not isinstance(value, str) or "\0" in value or (value and not pattern.match(value)):
        raise ValueError(f"an object whose {name} is {wanted}")
    return value


def _provider(value: Any) -> Provider:
    given = _object(value, {"name", "url"})
    name, url = given.get("name"), given.get("url")
    if not isinstance(name, str) or not _PROVIDER_NAME.fullmatch(name):
        raise ValueError("an object with providers whose name is of letters, digits and . _ : - and spaces")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ValueError("an object with providers whose url begins with http:// or https://")
    return Provider(name, url)


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
    if _LOGIN.match(given["url"]):
        # The address stands on the page that everybody may read, and this word in the journal.
        raise ValueError("an object with endpoints whose url has no user and no password: logins are not sent; remove "
                         "them")
    return Endpoint(**given)


def _object(value: Any, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object")
    unknown = sorted(set(value) - known)
    if unknown:
        raise ValueError(f"an object without {unknown[0]!r}")
    return value


def _number(name: str, value: Any) -> Any:
    whole = name == "attempts" or name.endswith(("_bytes", "_minimum"))
    good = not isinstance(value, bool) and isinstance(value, int if whole else (int, float))
    if not good or not (0 < value < 10 ** 18 or (value == 0 and name in _MAY_BE_ZERO)):
        wanted = "of at least 0" if name in _MAY_BE_ZERO else "above 0"
        raise ValueError(f"an object whose {name} is a {'whole ' if whole else ''}number {wanted}")
    return value
