# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one family of errors.

Each error names its subject (a full path wherever there is one), the cause and the next step. The class
decides the exit code of the command; the table stands in the command's ``--help``.
"""

from __future__ import annotations

import errno
from typing import Any, Optional


class MaintenanceError(Exception):
    """An error that a person can act on. ``str()`` is one line: ``subject: cause. next step.``"""

    exit_code = 1

    def __init__(self, subject: str, cause: str, next_step: str) -> None:
        super().__init__(subject, cause, next_step)
        self.subject = subject
        self.cause = cause
        self.next_step = next_step

    def __str__(self) -> str:
        text = f"{self.subject}: {_sentence(self.cause)} {_sentence(self.next_step)}"
        return " ".join(printable(text).split())

    def as_dict(self) -> dict[str, Any]:
        """Keys ``type``, ``subject``, ``cause``, ``next_step``, ``message`` (str) and ``exit_code`` (int)."""
        return {
            "type": type(self).__name__,
            "subject": printable(self.subject),
            "cause": printable(self.cause),
            "next_step": printable(self.next_step),
            "message": str(self),
            "exit_code": self.exit_code,
        }


class UsageError(MaintenanceError):
    """A bad option or configuration value."""

    exit_code = 2


class SourceError(MaintenanceError):
    """A database or file that is to be backed up is missing, damaged or cannot be read."""

    exit_code = 3


class DestinationError(MaintenanceError):
    """The place that is written to is missing, read-only, full or not ours."""

    exit_code = 4


class KeyFileError(MaintenanceError):
    """A key is missing, unreadable, wrong, or readable by others."""

    exit_code = 5


class ArchiveError(MaintenanceError):
    """An archive is missing, damaged, truncated, foreign, hostile or of a newer format."""

    exit_code = 6


class BusyError(MaintenanceError):
    """Another run holds the lock, or a process holds the database open."""

    exit_code = 7


class RestoreError(MaintenanceError):
    """A restore could not be done, or was rolled back."""

    exit_code = 8


class InternalError(MaintenanceError):
    """A defect of ours."""

    exit_code = 70


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."


def printable(text: str) -> str:
    """``text`` without control characters and lone surrogates, which hostile file names may hold."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() or c == " " else c.encode("unicode_escape").decode("ascii") for c in safe)


def from_unforeseen(error: Exception, subject: str) -> Optional[MaintenanceError]:
    """The DestinationError for an error of the operating system that nobody handled where it was met; None for any
    other exception, which is a defect of ours."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    return from_oserror(error, str(error.filename or subject), "working on it")


def from_oserror(error: OSError, path: str, doing: str) -> MaintenanceError:
    """The DestinationError for an OSError met while ``doing`` (for instance "writing the archive") at ``path``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DestinationError(path, f"no space is left on the device while {doing}",
                                "Free some space there or choose another directory, then run again")
    if error.errno == errno.EROFS:
        return DestinationError(path, f"the file system is mounted read-only ({doing})",
                                "Mount it read-write, or choose another directory, then run again")
    if error.errno in (errno.EACCES, errno.EPERM):
        return DestinationError(path, f"permission denied while {doing}",
                                "Run as a user who may write there, or correct the owner and the mode")
    if error.errno == errno.ENOENT:
        return DestinationError(path, f"it does not exist ({doing})", "Create it, or correct the path")
    reason = error.strerror or str(error)
    return DestinationError(path, f"{reason} while {doing}",
                            "Look at the kernel log and the file system, then run again")
