# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of archives: ``<application>-<kind>-<UTC stamp>.tar.gz`` (or ``.tar.zst``), and ``.enc`` when encrypted.

A kind holds no dash, so that a name has one reading even where the application's name holds dashes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from ..archive.codecs import SUFFIXES
from ..archive.manifest import KINDS
from ..errors import UsageError
from ..units import parse_stamp, stamp

__all__ = ["KINDS", "ArchiveName", "archive_name", "parse_name", "validate_application", "validate_kind"]

MAX_APPLICATION_CHARACTERS = 100  # with kind, stamp, suffixes and a temporary's affixes still below NAME_MAX (255)

_APPLICATION = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.ASCII)
_NAME = re.compile(
    r"(?P<application>[a-z0-9][a-z0-9_.-]*)-(?P<kind>" + "|".join(KINDS) + r")"
    r"-(?P<stamp>[0-9]{8}T[0-9]{6}Z)\.tar\.(?:gz|zst)(?P<encrypted>\.enc)?", re.ASCII)


@dataclass(frozen=True)
class ArchiveName:
    """The parts of an archive's name; ``stamp`` is aware, in UTC, to the second."""

    name: str
    application: str
    kind: str
    stamp: datetime
    encrypted: bool


def validate_application(application: str) -> str:
    """``application`` itself, when it can stand in file names. Raises UsageError."""
    if _APPLICATION.fullmatch(application) and len(application) <= MAX_APPLICATION_CHARACTERS:
        return application
    raise UsageError(repr(application), "this cannot be the name of an application",
                     "Use lower case letters, digits, '_', '.' and '-', a letter or a digit first, "
                     f"at most {MAX_APPLICATION_CHARACTERS} characters")


def validate_kind(kind: str) -> str:
    """``kind`` itself, when it is one of KINDS. Raises UsageError."""
    if kind in KINDS:
        return kind
    raise UsageError(repr(kind), "there is no such kind of archive", f"Use one of {', '.join(KINDS)}")


def archive_name(application: str, kind: str, moment: datetime, encrypted: bool, method: str = "gzip") -> str:
    """The name of an archive made at ``moment`` (aware; fractions of a second are cut off). Raises UsageError."""
    suffix = SUFFIXES[method] + (".enc" if encrypted else "")
    name = f"{validate_application(application)}-{validate_kind(kind)}-{stamp(moment)}{suffix}"
    if parse_name(name) is None:
        raise UsageError(repr(moment), "this instant cannot stand in the name of an archive", "Set the clock right")
    return name


def parse_name(name: str) -> Optional[ArchiveName]:
    """The parts of a base name, or None where it is not one that ``archive_name`` makes."""
    match = _NAME.fullmatch(name)
    if match is None or len(match["application"]) > MAX_APPLICATION_CHARACTERS:
        return None
    try:
        moment = parse_stamp(match["stamp"])
    except ValueError:
        return None
    if stamp(moment) != match["stamp"]:
        return None
    return ArchiveName(name, match["application"], match["kind"], moment, match["encrypted"] is not None)
