# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of the on-host command: one JSON fragment a role, read together, unknown keys refused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from .alerting import Alerting, alerting
from .errors import UsageError, printable
from .watch import Watch, watch

DEFAULT_MAX_AGE_HOURS: Mapping[str, float] = {"database": 25.0, "config": 192.0, "logs": 192.0, "full": 192.0}


@dataclass(frozen=True)
class Settings:
    """What the roles configured on this host; ``directory`` is where it was read (None: nothing was).

    Each of ``file_references`` is database, query and base of ``jobs.references.FileReference``. Sizes are bytes,
    ``retention_days`` days (0: for ever), ``max_age_hours`` hours a kind of archive may be old before ``status`` calls
    it missing. ``health`` is what is watched beyond that, ``alerts`` who is told of it: where one of the two was wrong,
    whoever uses either gets the UsageError.
    """

    application: str = ""
    databases: tuple[str, ...] = ()
    config_paths: tuple[str, ...] = ()
    optional_config_paths: tuple[str, ...] = ()
    uploads_paths: tuple[str, ...] = ()
    logs_paths: tuple[str, ...] = ()
    file_references: tuple[tuple[str, str, str], ...] = ()
    service: Optional[str] = None
    directory: Optional[str] = None
    key_file: Optional[str] = None
    compression: str = "gzip"
    compression_level: Optional[int] = None
    strategy: str = "full"
    chain_limit: int = 7
    workers: Optional[int] = None
    retention_days: int = 30
    keep_last: int = 7
    deadline_seconds: float = 3600.0
    lock_timeout_seconds: float = 600.0
    max_age_hours: Mapping[str, float] = field(default_factory=lambda: dict(DEFAULT_MAX_AGE_HOURS))
    safety_days: int = 7
    health: Watch = field(default_factory=Watch)
    alerts: Alerting = field(default_factory=Alerting)
    fragments: tuple[str, ...] = ()


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("a text that is not empty")
    return value


def _optional_text(value: Any) -> Optional[str]:
    return None if value is None or value == "" else _text(value)


def _path(value: Any) -> str:
    text = _text(value)
    if not os.path.isabs(text):
        raise ValueError("a full path")
    return text


def _optional_path(value: Any) -> Optional[str]:
    return None if value is None or value == "" else _path(value)


def _paths(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("a list of full paths")
    return tuple(_path(item) for item in value)


def _references(value: Any) -> tuple[tuple[str, str, str], ...]:
    if not isinstance(value, list) or any(not isinstance(item, dict) for item in value):
        raise ValueError("a list of objects with database, query and base")
    for item in value:
        if set(item) != {"database", "query", "base"}:
            raise ValueError("a list of objects with database, query and base")
    return tuple((_path(item["database"]), _text(item["query"]), _path(item["base"])) for item in value)


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value
    return convert


def _optional_workers(value: Any) -> Optional[int]:
    return None if value is None else _whole(1, 1024)(value)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 10 ** 9:
        raise ValueError("a number of seconds")
    return float(value)


def _compression(value: Any) -> str:
    if value not in ("gzip", "zstd"):
        raise ValueError("gzip or zstd")
    return str(value)


def _strategy(value: Any) -> str:
    if value not in ("full", "differential", "incremental"):
        raise ValueError("full, differential or incremental")
    return str(value)


def _hours(value: Any) -> dict[str, float]:
    if not isinstance(value, dict) or set(value) - set(DEFAULT_MAX_AGE_HOURS):
        raise ValueError("a mapping of database, config, logs or full to hours")
    for number in value.values():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or number <= 0:
            raise ValueError("a mapping to hours above 0")
    return {kind: float(number) for kind, number in value.items()}


_KEYS: dict[str, Callable[[Any], Any]] = {
    "application": _text, "databases": _paths, "config_paths": _paths, "optional_config_paths": _paths,
    "uploads_paths": _paths, "logs_paths": _paths, "file_references": _references, "service": _optional_text,
    "directory": _path, "key_file": _optional_path, "compression": _compression, "compression_level": _whole(0, 19),
    "strategy": _strategy, "chain_limit": _whole(1, 1000),
    "workers": _optional_workers, "retention_days": _whole(0, 36500), "keep_last": _whole(1, 100000),
    "deadline_seconds": _seconds, "lock_timeout_seconds": _seconds, "max_age_hours": _hours,
    "safety_days": _whole(0, 36500), "health": watch, "alerts": alerting,
}
_OF_THE_MONITOR = ("health", "alerts")


class _Wrong:
    """In the place of a part that is wrong: whoever asks it for anything gets the error."""

    def __init__(self, error: UsageError) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        # Python itself asks for such names, and takes an AttributeError for a no.
        if name.startswith("__"):
            raise AttributeError(name)
        raise self.error


def load_settings(directory: str) -> Settings:
    """Reads every ``*.json`` of ``directory``, in the order of their names. Raises UsageError: the directory or
    every fragment is missing, a file is not a JSON object, a key is unknown, stands in two files, or holds the
    wrong type. A wrong value of ``health`` or ``alerts`` is raised by whoever uses it: backups are made beside it."""
    merged: dict[str, Any] = {}
    wrong: dict[str, Any] = {}
    origin: dict[str, str] = {}
    fragments = _fragments(directory)
    for path in fragments:
        for key, value in _read(path).items():
            if key in origin:
                raise UsageError(path, f"the key {key!r} already stands in {origin[key]}",
                                 "Remove it from one of the two")
            try:
                merged[key] = _converted(path, key, value)
            except UsageError as error:
                if key not in _OF_THE_MONITOR:
                    raise
                wrong.update(dict.fromkeys(_OF_THE_MONITOR, _Wrong(error)))
            origin[key] = path
    return Settings(fragments=fragments, **{**merged, **wrong})


def wholly_right(settings: Settings) -> Settings:
    """The settings. Raises the UsageError of a part that is wrong, which others get when they use it."""
    parts: tuple[Any, ...] = (settings.health, settings.alerts)
    for part in parts:
        if isinstance(part, _Wrong):
            raise part.error
    return settings


def fragment_problem(path: str) -> Optional[str]:
    """What is wrong with one fragment, wherever it lies: for the role that is about to put it in place. None: nothing.

    The sentence names neither the file nor a value, which may be a secret.
    """
    try:
        for key, value in _read(path).items():
            _converted(path, key, value)
    except UsageError as error:
        return printable(error.cause)
    return None


def _converted(path: str, key: str, value: Any) -> Any:
    if key not in _KEYS:
        raise UsageError(path, f"the key {key!r} is unknown",
                         "Remove it, or deploy a command that knows it: both come from one collection")
    try:
        return _KEYS[key](value)
    except ValueError as error:
        raise UsageError(path, f"the value of {key!r} should be {error}",
                         "Correct it, or run the role that writes this file") from None


def _fragments(directory: str) -> tuple[str, ...]:
    try:
        names: list[str] = sorted(name for name in os.listdir(directory)
                                  if name.endswith(".json") and not name.startswith("."))
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise UsageError(directory, f"the configuration cannot be read: {error.strerror}",
                         "Run as root, or as a user who may read it") from None
    if not names:
        raise UsageError(directory, "there is no configuration here",
                         "Run the roles of feedforward.maintenance, or name --directory, --key-file and --application")
    return tuple(os.path.join(directory, name) for name in names)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            value = json.loads(stream.read().decode("utf-8"))
    except OSError as error:
        raise UsageError(path, f"it cannot be read: {error.strerror}",
                         "Run as root, or as a user who may read it") from None
    except ValueError as error:
        raise UsageError(path, f"this is not JSON: {error}", "Run the role that writes this file") from None
    if not isinstance(value, dict):
        raise UsageError(path, "this is not a JSON object", "Run the role that writes this file")
    return value
