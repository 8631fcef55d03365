# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Safety copies: what a restore replaced, kept beside it, so that it can be undone."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Optional

from .. import directories
from ..errors import RestoreError, from_oserror
from ..files import RESTORE_JOURNAL_SUFFIX, atomic_write, remove_leftovers
from ..units import iso, parse_time, stamp
from .collect import SAFETY_NAME, SIDECARS
from .restore_journal import Rename, read_owned_json

FORMAT = "feedforward-maintenance safety copy"
RECORD = "record.json"
NEXT_RECORD = "record-next.json"
RECORD_STEM = "record"
FILES = "files"
"""In the place of a database's name, where only files are restored."""
FILES_JOURNAL = re.compile(rf"\.{FILES}\.before-restore-\d{{8}}T\d{{6}}Z(-\d+)?{re.escape(RESTORE_JOURNAL_SUFFIX)}")
_NAME_BYTES = 200


@dataclass(frozen=True)
class Moved:
    """One path that a restore installed: ``safety`` is where the old file lies (None: there was none)."""

    target: str
    safety: Optional[str]
    database: bool


@dataclass(frozen=True)
class SafetyCopy:
    """``path`` is the directory (mode 0700); ``state`` is kept or undone; ``others`` are further directories that
    belong to it, on other file systems."""

    path: str
    created_at: datetime
    archive: str
    state: str
    moved: tuple[Moved, ...]
    others: tuple[str, ...] = ()


def directory_for(target: str, moment: datetime) -> str:
    """A name beside ``target`` that is free: ``<base>.before-restore-<stamp>``, numbered where that exists."""
    base = f"{target}.before-restore-{stamp(moment)}"
    path, number = base, 2
    while os.path.lexists(path):
        path, number = f"{base}-{number}", number + 1
    return path


def make_directory(path: str) -> None:
    """Creates the directory with mode 0700, durable. Raises DestinationError."""
    try:
        directories.make_directory(path, 0o700)
    except OSError as error:
        raise from_oserror(error, path, "creating the safety copy") from error


def set_aside(target: str, directory: str, *, database: bool, number: int) -> tuple[list[Moved], list[Rename]]:
    """The renames that move ``target`` (of a database: with its sidecars) into ``directory``."""
    moved: list[Moved] = []
    renames: list[Rename] = []
    for suffix in ("", *SIDECARS) if database else ("",):
        path = target + suffix
        safety: Optional[str] = None
        if os.path.lexists(path):
            # Sidecars keep their names beside the database, so that the safety copy can be opened as it is.
            base = os.path.basename(path)
            safety = os.path.join(directory, base if database else f"{number}-{_end_of(base)}")
            renames.append((path, safety))
        if safety is not None or not suffix:
            moved.append(Moved(path, safety, database and not suffix))
    return moved, renames


def _end_of(name: str) -> str:
    """The last characters of a file's name, of at most _NAME_BYTES: with a number before it, it has to be a name."""
    encoded = os.fsencode(name)
    if len(encoded) > _NAME_BYTES:
        # From the beginning of a character on.
        encoded = encoded[-_NAME_BYTES:].lstrip(bytes(range(0x80, 0xC0)))
    return os.fsdecode(encoded)


def write_record(copy: SafetyCopy, name: str = RECORD) -> None:
    """Writes the record of a safety copy, atomically. Raises DestinationError."""
    value = {"format": FORMAT, "version": 1, "created_at": iso(copy.created_at), "archive": copy.archive,
             "state": copy.state, "others": copy.others,
             "moved": [{"target": m.target, "safety": m.safety, "database": m.database} for m in copy.moved]}
    atomic_write(os.path.join(copy.path, name), json.dumps(value, indent=1).encode("utf-8") + b"\n")


def stage_record(copy: SafetyCopy) -> tuple[Rename, ...]:
    """Writes the next record beside the one that is there, and returns the renames that put it in its place."""
    write_record(copy, NEXT_RECORD)
    before = os.path.join(copy.path, f"{RECORD}.{secrets.token_hex(4)}")
    return ((os.path.join(copy.path, RECORD), before), (os.path.join(copy.path, NEXT_RECORD),
                                                        os.path.join(copy.path, RECORD)))


def read_record(path: str) -> SafetyCopy:
    """The safety copy in directory ``path``. Raises RestoreError when there is none, or it is not ours."""
    path = os.path.abspath(path)
    try:
        try:
            value = read_owned_json(os.path.join(path, RECORD), FORMAT)
        except FileNotFoundError:
            # An undo was interrupted between the two renames of ``stage_record``.
            value = read_owned_json(os.path.join(path, NEXT_RECORD), FORMAT)
        return _from_dict(path, value)
    except (FileNotFoundError, NotADirectoryError):
        raise RestoreError(path, "there is no safety copy of a restore here",
                           "Name the directory that the restore printed: <database>.before-restore-<time>") from None
    except OSError as error:
        raise RestoreError(path, f"the safety copy cannot be read: {error.strerror}",
                           "Run as the user who restored") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RestoreError(path, f"the record of the safety copy is damaged ({error})",
                           "Stop the application and move the files back by hand") from error


def _from_dict(path: str, value: dict[str, Any]) -> SafetyCopy:
    moved = tuple(Moved(str(item["target"]), item["safety"], bool(item["database"])) for item in value["moved"])
    return SafetyCopy(path, parse_time(value["created_at"]), str(value["archive"]), str(value["state"]), moved,
                      tuple(str(item) for item in value["others"]))


def expired(directories: Sequence[str], *, now: datetime, safety_days: int) -> tuple[SafetyCopy, ...]:
    """Safety copies of ours in ``directories`` that are older than ``safety_days``; anything else is not named."""
    found: list[SafetyCopy] = []
    for path in _candidates(directories):
        try:
            copy = read_record(path)
        except RestoreError:
            continue
        if now - copy.created_at > timedelta(days=safety_days):
            found.append(copy)
    return tuple(found)


def remove_unused(directories: Sequence[str]) -> None:
    """Removes what a restore that was killed before its first rename left: temporary files in safety copies, and
    copies that hold nothing. The caller has resolved the journals. Raises DestinationError."""
    for path in _candidates(directories):
        status = os.stat(path)
        if (status.st_uid, stat.S_IMODE(status.st_mode)) != (os.geteuid(), 0o700):
            continue
        remove_leftovers(path)
        try:
            copy = read_record(path)
        except RestoreError:
            copy = None
        if copy is not None and copy.state == "kept" and any(m.safety for m in copy.moved):
            remove_empty(copy)
        with suppress(OSError):
            # Only an empty one: a safety copy without its record may be all that is left of a database.
            os.rmdir(path)


def _candidates(directories: Sequence[str]) -> list[str]:
    """Directories with the name of a safety copy."""
    paths: list[str] = []
    for directory in sorted(set(directories)):
        # One that its owner exchanges meanwhile is met again by what is done there.
        with suppress(FileNotFoundError, NotADirectoryError):
            paths += (os.path.join(directory, name) for name in sorted(os.listdir(directory))
                      if SAFETY_NAME.search(name))
    return [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]


def remove_empty(copy: SafetyCopy) -> None:
    """Removes what a restore that changed nothing had made for a safety copy. Where anything but records lies in one of
    its directories, all of it stays: it may be all that is left of a database."""
    paths = [path for path in (copy.path, *copy.others) if os.path.isdir(path)]
    if any(not name.startswith(RECORD_STEM) for path in paths for name in os.listdir(path)):
        return
    for path in reversed(paths):
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)


def remove(copy: SafetyCopy) -> None:
    """Removes a safety copy with the directories that belong to it."""
    for path in (*copy.others, copy.path):
        if SAFETY_NAME.search(os.path.basename(path)):
            shutil.rmtree(path, ignore_errors=True)
