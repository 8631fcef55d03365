# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict reading of JSON that may come from anybody: exact types, no unknown or repeated fields, no huge numbers."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any, Callable, NoReturn, Optional, TypeVar

_T = TypeVar("_T")
Check = Callable[[Any, str], _T]
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_HEX = re.compile(r"[0-9a-f]*", re.ASCII)
# Honest records need two or three times more. What is denser costs a hundred times its own size in memory.
_BYTES_A_CONTAINER = 64
_BYTES_A_VALUE = 10
_UNCOUNTED = 1000
_STRING_OR_MARK = re.compile(rb'"[^"]*"|[\[{,]')
PATH_LIMIT_BYTES = 4095
TEXT_LIMIT_CHARACTERS = 65536


class Invalid(ValueError):
    """What is wrong, beginning with the field: ``databases[0].size is missing``."""


def parse_json(data: bytes) -> Any:
    """The value of a UTF-8 JSON text. Raises Invalid, also for repeated keys, NaN and over-long whole numbers, and
    before it is parsed for a text of almost nothing but brackets and commas, which would take gigabytes of memory."""
    if _is_dense(data):
        raise Invalid("it has more lists, objects and values than its size explains")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_int=_integer,
                          parse_constant=_no_constant)
    except Invalid:
        raise
    except (ValueError, RecursionError) as error:
        raise Invalid(f"it is not JSON ({error})") from error


def _is_dense(data: bytes) -> bool:
    """Whether there are too many values for so few bytes. Brackets and commas in texts do not count, but are looked
    for only where all of them together would be too many."""
    if not _too_many(data.count(b"[") + data.count(b"{"), data.count(b","), len(data)):
        return False
    containers = values = 0
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    for found in _STRING_OR_MARK.finditer(plain):
        mark = plain[found.start():found.start() + 1]
        containers += mark in b"[{"
        values += mark == b","
        if _too_many(containers, values, found.start()):
            return True
    return False


def _too_many(containers: int, values: int, size: int) -> bool:
    return (containers > _UNCOUNTED + size // _BYTES_A_CONTAINER) or (values > _UNCOUNTED + size // _BYTES_A_VALUE)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Invalid("a field occurs twice in one object")
    return result


def _integer(text: str) -> int:
    if len(text) > 20:
        raise Invalid("a number is too large")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise Invalid(f"{text} is not a number")


class Fields:
    """The fields of one JSON object, each taken once; ``end`` refuses what is left."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Invalid(f"{where or 'it'} must be an object")
        self._left: dict[str, Any] = dict(value)
        self._where = where + "." if where else ""

    def take(self, name: str, check: Check[_T]) -> _T:
        """The checked value of a field that must be there."""
        if name not in self._left:
            raise Invalid(f"{self._where}{name} is missing")
        return check(self._left.pop(name), self._where + name)

    def end(self) -> None:
        """Raises Invalid when a field was not taken."""
        for name in self._left:
            raise Invalid(f"{self._where}{_short(name)} is not a field of this version")


def text(value: Any, where: str) -> str:
    """Any text without NUL."""
    if not isinstance(value, str) or "\0" in value or len(value) > TEXT_LIMIT_CHARACTERS:
        raise Invalid(f"{where} must be text")
    return value


def integer(least: int, most: int) -> Check[int]:
    """A whole number between the two, both included."""
    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Invalid(f"{where} must be a whole number from {least} to {most}")
        return value
    return check


size = integer(0, 2**63 - 1)
user_or_group_id = integer(0, 2**32 - 1)
permissions = integer(0, 0o7777)
signed_32 = integer(-2**31, 2**31 - 1)


def flag(value: Any, where: str) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Invalid(f"{where} must be true or false")
    return value


def hexadecimal(digits: int) -> Check[str]:
    """Exactly so many lower-case hexadecimal digits."""
    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or len(value) != digits or not _HEX.fullmatch(value):
            raise Invalid(f"{where} must be {digits} hexadecimal digits")
        return value
    return check


sha256 = hexadecimal(64)


def one_of(*choices: str) -> Check[str]:
    """One of the given words."""
    def check(value: Any, where: str) -> str:
        if not isinstance(value, str) or value not in choices:
            raise Invalid(f"{where} must be one of {', '.join(choices)}")
        return value
    return check


def instant(value: Any, where: str) -> str:
    """A UTC instant to the second: ``2026-11-24T05:47:10Z``."""
    try:
        if isinstance(value, str) and _INSTANT.fullmatch(value) and datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ"):
            return value
    except ValueError:
        pass
    raise Invalid(f"{where} must be a time like 2026-11-24T05:47:10Z")


def file_name(value: Any, where: str) -> str:
    """The name of one file: encodable, no slash, not ``.`` or ``..``, at most 255 bytes."""
    if isinstance(value, str) and encodable(value) and 0 < len(_encoded(value)) <= 255 and value not in (".", "..") \
            and "/" not in value and "\0" not in value:
        return value
    raise Invalid(f"{where} must be a file name")


def absolute_path(value: Any, where: str) -> str:
    """An absolute path in its shortest form: no empty part, no ``.``, no ``..``; not the root itself."""
    if isinstance(value, str) and value.startswith("/") and is_clean_relative(value[1:]):
        return value
    raise Invalid(f"{where} must be an absolute path in its shortest form")


def is_clean_relative(value: str) -> bool:
    """Whether a relative path cannot lead anywhere else, and is written in one way only."""
    return (encodable(value) and "\0" not in value and len(_encoded(value)) <= PATH_LIMIT_BYTES
            and all(part not in ("", ".", "..") for part in value.split("/")))


def encodable(value: str) -> bool:
    """Whether text stands for exactly one sequence of bytes in a file name (UTF-8, other bytes as U+DC80 to U+DCFF)."""
    try:
        return _encoded(value).decode("utf-8", "surrogateescape") == value
    except UnicodeEncodeError:
        return False


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def optional(check: Check[_T]) -> Check[Optional[_T]]:
    """null or what ``check`` wants."""
    return lambda value, where: None if value is None else check(value, where)


def items(check: Check[_T]) -> Check[tuple[_T, ...]]:
    """A list of what ``check`` wants."""
    def check_all(value: Any, where: str) -> tuple[_T, ...]:
        if not isinstance(value, list):
            raise Invalid(f"{where} must be a list")
        return tuple(check(item, f"{where}[{index}]") for index, item in enumerate(value))
    return check_all


def mapping(check: Check[_T]) -> Check[dict[str, _T]]:
    """An object of any keys whose values ``check`` wants."""
    def check_all(value: Any, where: str) -> dict[str, _T]:
        if not isinstance(value, dict):
            raise Invalid(f"{where} must be an object")
        return {key: check(item, f"{where}.{_short(key)}") for key, item in value.items()}
    return check_all


def nothing(value: Any, where: str) -> None:
    """null."""
    if value is not None:
        raise Invalid(f"{where} must be null in this version")


def _short(value: str) -> str:
    return value if len(value) <= 60 else value[:57] + "..."
