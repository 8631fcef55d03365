# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The swap of old for new files, which survives a crash at any point.

A database and its sidecars cannot be renamed as one. So every rename is listed in a journal, which is durable
before the first of them and removed after the last. Whoever finds a journal repeats the list: a rename whose
target exists and whose source does not was done, one whose source is there is done now. All new files are complete and
durable before the journal is written, so repeating always leads to the wholly new state; only where a new file is gone,
or somebody else made a file of his own in its place, does it lead back. The first phase sets old files aside, the
others put new ones where nothing lies.
While a journal exists, a drop-in of the application's unit (``ConditionPathExists=!``) keeps it from starting.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .. import directories
from ..errors import RestoreError, from_oserror
from ..files import RESTORE_JOURNAL_SUFFIX, atomic_write, fsync_directory, journal_path
from .collect import SAFETY_NAME, SIDECARS

FORMAT = "feedforward-maintenance restore journal"

Rename = tuple[str, str]
_MOST_ATTEMPTS = 100


@dataclass(frozen=True)
class Journal:
    """``paths``: where copies of this journal lie, one for each database; ``phases``: lists of (source, target),
    each made durable before the next begins; ``archive``: what is restored; ``safety_copy``: where the old is."""

    paths: tuple[str, ...]
    phases: tuple[tuple[Rename, ...], ...]
    archive: str
    safety_copy: Optional[str]

    @property
    def renames(self) -> tuple[Rename, ...]:
        return tuple(rename for phase in self.phases for rename in phase)


def is_journal(name: str) -> bool:
    """Whether a file of this name is the journal of a restore."""
    return name.startswith(".") and name.endswith(RESTORE_JOURNAL_SUFFIX)


def write_journal(journal: Journal) -> None:
    """Makes every copy of the journal durable. Raises RestoreError where there is one, DestinationError; no rename may
    happen before it returned."""
    taken = [path for path in journal.paths if os.path.lexists(path)]
    if taken:
        raise RestoreError(taken[0], "another restore was interrupted here meanwhile",
                           "Run again: it is ended first; nothing was changed")
    text = {"format": FORMAT, "version": 1, "paths": journal.paths, "phases": journal.phases,
            "archive": journal.archive, "safety_copy": journal.safety_copy}
    data = json.dumps(text, indent=1).encode("utf-8", "surrogateescape") + b"\n"
    written: list[str] = []
    try:
        for path in journal.paths:
            atomic_write(path, data)
            written.append(path)
    except BaseException:
        for path in written:
            directories.unlink(path)
        raise


def remove_journal(journal: Journal) -> None:
    """Removes every copy: the restore is done, or wholly undone."""
    for path in journal.paths:
        try:
            directories.unlink(path)
        except FileNotFoundError:
            continue
        fsync_directory(os.path.dirname(path))


def read_owned_json(path: str, form: str) -> dict[str, Any]:
    """A JSON object that this user (or root) wrote and nobody else could have: the directory may belong to the
    application, whose user must not steer the renames of root. Raises RestoreError, FileNotFoundError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(stream.fileno())
        trusted = status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022 and status.st_nlink == 1
        if not stat.S_ISREG(status.st_mode) or not trusted:
            raise RestoreError(path, "this file was not written by a restore of ours, or others may write to it",
                               "Look at who made it, and remove it if nobody knows")
        try:
            value = json.loads(stream.read().decode("utf-8"))
        except ValueError:
            value = None
    if not isinstance(value, dict) or value.get("format") != form or value.get("version") != 1:
        raise RestoreError(path, f"this is not a {form} that this version knows",
                           "Use the version that wrote it, or look at the file before removing it")
    return value


def read_journal(path: str) -> Optional[Journal]:
    """The journal at ``path``, or None where there is none. Raises RestoreError for one that is not ours."""
    try:
        value = read_owned_json(path, FORMAT)
        phases = tuple(tuple((str(source), str(target)) for source, target in phase) for phase in value["phases"])
        return Journal(tuple(str(item) for item in value["paths"]), phases, str(value["archive"]),
                       value["safety_copy"])
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise RestoreError(path, f"the restore journal is damaged ({error})",
                           "Compare the database with its safety copy by hand, then remove the journal") from error
    except OSError as error:
        raise RestoreError(path, f"the restore journal cannot be read: {error.strerror}",
                           "Run as the user who restored") from error


def roll_forward(journal: Journal) -> None:
    """Does what is left of the renames, phase by phase. Raises RestoreError when a source is gone, or when somebody
    else made a file in the place of a new one; OSError."""
    places = [target for _source, target in journal.renames]
    number = 0
    for phase in journal.phases:
        linked: list[str] = []
        for source, target in phase:
            number += 1
            if source in places[number:]:
                # A new file comes where this one was, and may lie there already.
                _move_aside(source, target)
            elif _put(source, target):
                linked.append(source)
        _sync(phase)
        for source in linked:
            directories.unlink(source)
        if linked:
            _sync(phase)


def _move_aside(source: str, target: str) -> None:
    if os.path.lexists(target):
        return
    _require(source, target)
    directories.rename(source, target)


def _put(source: str, target: str) -> bool:
    """Gives ``source`` the name ``target``, without ever replacing what somebody else put there. Whether it has to lose
    its old name yet."""
    # Nobody else can write into a safety copy.
    private = bool(SAFETY_NAME.search(os.path.basename(os.path.dirname(target))))
    if os.path.lexists(target):
        if not os.path.lexists(source):
            return False
        if os.path.samestat(os.lstat(source), os.lstat(target)):
            return True
        raise _intrusion(source if private else target)
    _require(source, target)
    if private:
        directories.rename(source, target)
        return False
    try:
        return directories.link(source, target)
    except FileExistsError:
        raise _intrusion(target) from None


def _require(source: str, target: str) -> None:
    if not os.path.lexists(source):
        raise RestoreError(source, f"it is gone, and {target} is not there either",
                           "The renames are undone; run the restore again")


def _intrusion(target: str) -> RestoreError:
    return RestoreError(target, "somebody made this file while the restore was at work",
                        "Stop whatever opens it, then run the restore again")


def roll_back(journal: Journal) -> tuple[str, ...]:
    """Undoes the renames that happened, last first. What somebody else made meanwhile in the place of an old file is
    kept beside that in the safety copy; returns where. Raises OSError."""
    for phase in reversed(journal.phases[1:]):
        _put_back(phase)
        _sync(phase)
    aside = journal.phases[0]
    kept: list[str] = []
    for _attempt in range(_MOST_ATTEMPTS):
        kept += _make_way(journal)
        _put_back(aside)
        left = [source for source, target in aside if os.path.lexists(target)]
        if not left:
            break
    else:
        raise FileExistsError(errno.EEXIST, f"somebody makes {left[0]} again and again", left[0])
    _sync(aside)
    return tuple(kept)


def _put_back(phase: Sequence[Rename]) -> None:
    for source, target in reversed(phase):
        if not os.path.lexists(target):
            continue
        if not os.path.lexists(source):
            directories.rename(target, source)
        elif os.path.samestat(os.lstat(source), os.lstat(target)):
            directories.unlink(target)


def _make_way(journal: Journal) -> list[str]:
    """Moves away what lies where old files are to come back: databases with their sidecars, which would be taken for
    those of the old one."""
    aside = journal.phases[0]
    waiting = {source for source, target in aside if not os.path.lexists(target)}
    kept = []
    for source, target in aside:
        if source in waiting:
            continue
        sidecars = SIDECARS if journal_path(source) in journal.paths else ()
        for path in (source, *(source + suffix for suffix in sidecars)):
            if path in waiting or not os.path.lexists(path) or os.path.samestat(os.lstat(path), os.lstat(target)):
                continue
            place = os.path.join(os.path.dirname(target), f"made-meanwhile-{secrets.token_hex(4)}{path[len(source):]}")
            directories.rename(path, place)
            kept.append(place)
    return kept


def _sync(renames: Sequence[Rename]) -> None:
    for directory in sorted({os.path.dirname(path) for rename in renames for path in rename}):
        if os.path.isdir(directory):
            fsync_directory(directory)


def perform(journal: Journal) -> None:
    """Writes the journal, renames, removes the journal. Any failure is rolled back and raised as RestoreError."""
    write_journal(journal)
    try:
        roll_forward(journal)
    except BaseException as error:
        _back_out(journal, error)
        raise
    try:
        remove_journal(journal)
    except OSError as error:
        raise from_oserror(error, journal.paths[0], "removing the journal of a restore that was done") from error


def _back_out(journal: Journal, error: BaseException) -> None:
    cause = str(error) or type(error).__name__
    try:
        kept = roll_back(journal)
        remove_journal(journal)
    except OSError as second:
        raise RestoreError(journal.paths[0], f"the swap failed ({cause}) and could not be undone ({second.strerror})",
                           "Keep the application stopped, correct the file system and run the same restore again: "
                           "it continues from this journal") from error
    if isinstance(error, Exception):
        found = f" (what was made there is now {', '.join(kept)})" if kept else ""
        raise RestoreError(journal.archive, f"the swap failed and everything was put back: {cause}{found}",
                           "Correct the cause, then run the restore again") from error


def resolve(target: str) -> Optional[str]:
    """Ends an interrupted restore of the database ``target``: ``completed``, ``undone``, or None when there was none.

    The caller has made sure that nobody holds the database. Raises RestoreError, DestinationError.
    """
    journal = read_journal(journal_path(target))
    if journal is None:
        return None
    try:
        try:
            roll_forward(journal)
            outcome = "completed"
        except RestoreError:
            roll_back(journal)
            outcome = "undone"
        remove_journal(journal)
    except OSError as error:
        raise from_oserror(error, journal_path(target), "ending an interrupted restore") from error
    return outcome
