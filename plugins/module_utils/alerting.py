# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told when something is not well, by which ways and how often: the part ``alerts`` of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Callable, Optional

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+@[^\s@<>,;:\"()\\\x00-\x1f\x7f]+")
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]+")
_APPRISE_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\x00-\x1f\x7f]+")
SECURITIES = ("starttls", "tls", "none")


@dataclass(frozen=True)
class Mail:
    """A server that takes mail (RFC 5321, 8314). ``security``: starttls, tls (from the first byte on) or none;
    ``user`` empty: no login. A login is never tried over a connection without TLS."""

    server: str
    sender: str
    recipients: tuple[str, ...]
    port: int = 587
    security: str = "starttls"
    user: str = ""
    password: str = field(default="", repr=False)
    timeout_seconds: float = 30.0


@dataclass(frozen=True)
class Alerting:
    """``mail`` None: none is sent. ``webhooks`` take the alert as JSON by POST, ``apprise`` are URLs of that program;
    ``heartbeat`` is asked for after every run that did all of its work, so that its owner notices when none does. The
    URLs hold secrets.

    A state has to be found ``confirm_runs`` times in a row before it is told. What changed ``flap_changes`` times
    within ``flap_hours`` is told once as unsteady, and again when it has kept still for as long. ``unknown_silent``:
    checks (the first word of their names) whose being unknown is nothing to tell. ``directory`` is where the monitor
    keeps its state, its queue and its history.
    """

    mail: Optional[Mail] = None
    webhooks: tuple[str, ...] = field(default=(), repr=False)
    apprise: tuple[str, ...] = field(default=(), repr=False)
    heartbeat: str = field(default="", repr=False)
    directory: str = ""
    confirm_runs: int = 2
    reminder_hours: float = 24.0
    flap_changes: int = 5
    flap_hours: float = 2.0
    unknown_silent: tuple[str, ...] = ()
    dashboard_url: str = ""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the configured ways: ``mail``, ``webhook-1``, ``apprise-1``, numbered in their order."""
        return (*(("mail",) if self.mail else ()), *(f"webhook-{n}" for n in range(1, len(self.webhooks) + 1)),
                *(f"apprise-{n}" for n in range(1, len(self.apprise) + 1)))


@dataclass(frozen=True)
class Message:
    """What is sent: ``text`` and ``html`` say the same; ``payload`` is it for programs (JSON). ``id`` is unique and
    may stand in a file name and in a Message-ID."""

    id: str
    created: datetime
    subject: str
    text: str
    html: str
    payload: Mapping[str, Any]


def alerting(value: Any) -> Alerting:
    """The configured part. Raises ValueError, whose text says what it should be."""
    given = _object(value, Alerting, "an object")
    checks: dict[str, Callable[[Any], Any]] = {
        "mail": lambda item: None if item is None else _mail(item),
        "webhooks": lambda item: _texts(item, _URL, "webhooks is a list of http or https addresses"),
        "apprise": lambda item: _texts(item, _APPRISE_URL, "apprise is a list of URLs of Apprise"),
        "heartbeat": lambda item: _text(item, _URL, "heartbeat is an http or https address, or empty"),
        "dashboard_url": lambda item: _text(item, _URL, "dashboard_url is an http or https address, or empty"),
        "directory": lambda item: _text(item, re.compile(r"/[^\x00]*"), "directory is a full path"),
        "unknown_silent": lambda item: _texts(item, re.compile(r"[a-z]+"), "unknown_silent is a list of checks"),
    }
    return Alerting(**{name: checks.get(name, _number(name))(item) for name, item in given.items()})


def _mail(value: Any) -> Mail:
    given = _object(value, Mail, "an object whose mail is an object")
    wanted: dict[str, Callable[[Any], bool]] = {
        "server": lambda item: isinstance(item, str) and re.fullmatch(r"[A-Za-z0-9._:-]+", item) is not None,
        "sender": _is_address,
        "recipients": lambda item: isinstance(item, list) and bool(item) and all(_is_address(one) for one in item),
        "port": lambda item: isinstance(item, int) and not isinstance(item, bool) and 0 < item < 65536,
        "security": lambda item: item in SECURITIES,
        "user": lambda item: isinstance(item, str), "password": lambda item: isinstance(item, str),
        "timeout_seconds": _is_positive,
    }
    wrong = sorted(name for name, item in given.items() if not wanted[name](item))
    wrong += [name for name in ("server", "sender", "recipients") if name not in given]
    if wrong:
        raise ValueError("an object whose mail has server, sender, recipients (addresses), and may have port, security "
                         f"(starttls, tls, none), user, password, timeout_seconds; look at {wrong[0]}")
    if given.get("user") and given.get("security") == "none":
        raise ValueError("an object whose mail logs in by TLS only: choose security starttls or tls")
    return Mail(**{**given, "recipients": tuple(given["recipients"])})


def _is_address(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 320 and _ADDRESS.fullmatch(value) is not None


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 10 ** 9


def _number(name: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        whole = name in ("confirm_runs", "flap_changes")
        if not _is_positive(value) or (whole and not isinstance(value, int)):
            raise ValueError(f"an object whose {name} is a {'whole ' if whole else ''}number above 0")
        return value
    return check


def _text(value: Any, pattern: re.Pattern[str], wanted: str) -> str:
    if not isinstance(value, str) or (value and not pattern.fullmatch(value)):
        raise ValueError(f"an object whose {wanted}")
    return value


def _texts(value: Any, pattern: re.Pattern[str], wanted: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and pattern.fullmatch(item) for item in value):
        raise ValueError(f"an object whose {wanted}")
    return tuple(value)


def _object(value: Any, kind: type, wanted: str) -> Mapping[str, Any]:
    known = {one.name for one in fields(kind)}
    if not isinstance(value, dict) or set(value) - known:
        unknown = sorted(set(value) - known) if isinstance(value, dict) else []
        raise ValueError(wanted + (f" without {unknown[0]!r}" if unknown else ""))
    return value
