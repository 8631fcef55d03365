# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archives of one application in one directory: list, find, name, publish, remove.

Only regular files whose names ``names.archive_name`` makes for this application are seen. Everything else in the
directory, and everything below it, belongs to somebody else and is left alone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Optional

from ..archive.codecs import SUFFIXES
from ..errors import ArchiveError, DestinationError, MaintenanceError, UsageError, from_oserror
from ..files import fsync_directory
from ..units import iso, utc_now
from .entries import Entry, doubt, newest_of_kinds, order_entries, read_entry
from .lock import require_directory
from .names import ArchiveName, archive_name, parse_name, validate_application, validate_kind
from .publish import fsync_file, move_without_replacing
from .sidecar import Sidecar, sidecar_path, write_sidecar

if TYPE_CHECKING:
    from ..archive.keys import KeyRing

__all__ = ["Catalog", "Entry", "order_entries"]

_NAME_TRIES = 3600
_NAMES_SHOWN = 5


class Catalog:
    """The archives of ``application`` in ``directory`` (made absolute). Raises UsageError for an impossible name."""

    def __init__(self, directory: str, application: str) -> None:
        self.directory = os.path.abspath(directory)
        self.application = validate_application(application)

    def entries(self, kind: Optional[str] = None, ring: Optional[KeyRing] = None) -> tuple[Entry, ...]:
        """The archives, oldest to newest as ``order_entries`` says. Raises DestinationError."""
        return self._entries(None if kind is None else (kind,), ring)

    def latest(self, kinds: Optional[Sequence[str]] = None, ring: Optional[KeyRing] = None) -> Optional[Entry]:
        """The newest archive of these kinds (None: of all), or None.

        Raises ArchiveError where it cannot be told which of several kinds is the newest; DestinationError.
        """
        entries = self._entries(kinds, ring)
        return self._newest(entries, None) if entries else None

    def find(self, archive: str, kinds: Optional[Sequence[str]] = None, before: Optional[datetime] = None,
             ring: Optional[KeyRing] = None) -> Entry:
        """The archive that a person means: ``latest``, ``oldest``, a name in the directory, or a path anywhere.

        ``before`` (aware) limits ``latest`` and ``oldest`` to archives made at or before that instant. Raises
        ArchiveError, which lists what there is, also where it cannot be told which of several kinds is the newest;
        UsageError; DestinationError.
        """
        if archive in ("latest", "oldest"):
            return self._extreme(archive, kinds, before, ring)
        if before is not None:
            raise UsageError(archive, "a time limit goes with 'latest' and 'oldest' only",
                             "Leave out either the limit or the name of the archive")
        if os.sep in archive:
            return self._at_path(archive, kinds, ring)
        path = os.path.join(self.directory, archive)
        parsed = parse_name(archive)
        if parsed is not None and parsed.application == self.application:
            entry = self._look_at(path, parsed, ring)
            if entry is not None:
                return self._of_kind(entry, kinds)
        raise self._not_found(path, "there is no such archive", kinds, ring)

    def next_sequence(self, kind: str, ring: Optional[KeyRing] = None) -> int:
        """The sequence for an archive of this kind: above that of each archive of any kind. Raises DestinationError.

        Archives that cannot be read are counted as if they were the newest ones, so that the order stays right
        when their sidecars come back. The caller holds the catalog's lock.
        """
        validate_kind(kind)
        entries = self.entries(None, ring)
        known = [entry.sequence for entry in entries if entry.sequence is not None]
        return max(known, default=0) + len(entries) - len(known) + 1

    def free_name(self, kind: str, moment: datetime, encrypted: bool, method: str = "gzip") -> str:
        """The name for an archive made at ``moment`` (aware), or at the next second that is free.

        The caller holds the catalog's lock. Raises UsageError and DestinationError.
        """
        require_directory(self.directory)
        for seconds in range(_NAME_TRIES):
            second = moment + timedelta(seconds=seconds)
            names = [archive_name(self.application, kind, second, *variant)
                     for variant in product((True, False), SUFFIXES)]
            paths = [os.path.join(self.directory, name) for name in names]
            if not any(os.path.lexists(taken) for path in paths for taken in (path, sidecar_path(path))):
                return archive_name(self.application, kind, second, encrypted, method)
        raise DestinationError(self.directory, f"the names of the {_NAME_TRIES} seconds from {iso(moment)} are taken",
                               "Set the clock right, or look who fills this directory")

    def publish(self, temporary_path: str, name: str, sidecar: Optional[Sidecar] = None) -> Entry:
        """Gives the finished archive ``temporary_path`` (in this directory) its final name, then writes the sidecar.

        What has a final name is whole and durable; an existing file is never replaced. Raises DestinationError
        (where the name is taken, the temporary file is still there), UsageError for a name that is not of this
        catalog.
        """
        parsed = self._own_name(name)
        path = os.path.join(self.directory, name)
        temporary_path = os.path.abspath(temporary_path)
        if os.path.dirname(temporary_path) != self.directory:
            raise UsageError(temporary_path, f"a file elsewhere cannot be published in {self.directory}",
                             "Write it in the directory of the archives")
        try:
            status = os.lstat(temporary_path)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(temporary_path, "this is not a regular file", "Publish a file that was just written")
            fsync_file(temporary_path)
        except OSError as error:
            raise from_oserror(error, temporary_path, "finishing the archive") from error
        move_without_replacing(temporary_path, path)
        if sidecar is not None:
            write_sidecar(path, sidecar)
        return Entry(name, path, parsed.application, parsed.kind, parsed.stamp,
                     None if sidecar is None else sidecar.sequence, status.st_size, parsed.encrypted, sidecar,
                     None if sidecar is None else sidecar.base)

    def remove(self, entry: Entry) -> None:
        """Removes an archive, then its sidecar, durably; one that is gone already is no error.

        The caller holds the catalog's lock. Raises UsageError for an entry that is not of this catalog,
        ArchiveError for a file that is no longer the one of the entry, DestinationError.
        """
        self._own_name(entry.name)
        path = os.path.join(self.directory, entry.name)
        if entry.path != path:
            raise UsageError(entry.path, f"this archive does not lie in {self.directory}", "Remove it where it lies")
        try:
            if os.path.lexists(path):
                status = os.lstat(path)
                if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
                    raise ArchiveError(path, "the file was changed since it was listed, so it is not removed",
                                       "Look at it, then run again")
                os.unlink(path)
                fsync_directory(self.directory)
            self._remove_sidecar(path)
        except OSError as error:
            raise from_oserror(error, path, "removing the archive") from error

    def _remove_sidecar(self, archive_path: str) -> None:
        path = sidecar_path(archive_path)
        if os.path.isfile(path) and not os.path.islink(path):
            os.unlink(path)
            fsync_directory(self.directory)

    def _entries(self, kinds: Optional[Sequence[str]], ring: Optional[KeyRing]) -> tuple[Entry, ...]:
        wanted = None if kinds is None else [validate_kind(kind) for kind in kinds]
        require_directory(self.directory)
        try:
            names = os.listdir(self.directory)
        except OSError as error:
            raise from_oserror(error, self.directory, "listing the archives") from error
        found: list[Entry] = []
        for name in names:
            parsed = parse_name(name)
            if parsed is None or parsed.application != self.application:
                continue
            if wanted is None or parsed.kind in wanted:
                entry = read_entry(os.path.join(self.directory, name), parsed, ring)
                if entry is not None:
                    found.append(entry)
        return order_entries(found)

    def _extreme(self, which: str, kinds: Optional[Sequence[str]], before: Optional[datetime],
                 ring: Optional[KeyRing]) -> Entry:
        ordered = self._entries(kinds, ring)
        in_time = [entry for entry in ordered if before is None or entry.stamp <= before]
        if in_time:
            return self._newest(ordered, before) if which == "latest" else in_time[0]
        cause = "there is no archive" if before is None else f"there is no archive from {iso(before)} or before"
        raise self._not_found(self.directory, cause, kinds, ring)

    def _newest(self, ordered: Sequence[Entry], before: Optional[datetime]) -> Entry:
        """The newest up to ``before``, of which there is one. Raises ArchiveError where kinds leave it in doubt."""
        candidates = newest_of_kinds(entry for entry in ordered if before is None or entry.stamp <= before)
        if len({entry.kind for entry in ordered}) > 1:
            reason = doubt(ordered, candidates[-1], before, utc_now())
            if reason is not None:
                raise ArchiveError(self.directory, f"it cannot be told which archive is the newest: {reason}",
                                   "Give the name of the right one, or its kind with --kind; the newest of each kind: "
                                   + ", ".join(entry.name for entry in reversed(candidates)))
        return candidates[-1]

    def _at_path(self, archive: str, kinds: Optional[Sequence[str]], ring: Optional[KeyRing]) -> Entry:
        path = os.path.realpath(archive)
        parsed = parse_name(os.path.basename(path))
        if parsed is None:
            raise ArchiveError(path, "its name is not the name of an archive",
                               "Give it back the name it was made with, ending in a time and .tar.gz or .tar.zst, and "
                               ".enc where it is encrypted")
        if parsed.application != self.application:
            raise ArchiveError(path, f"this archive is of the application {parsed.application}, not {self.application}",
                               "Choose an archive of this application, or name the other application")
        entry = self._look_at(path, parsed, ring)
        if entry is None:
            what = "it is not a regular file" if os.path.lexists(path) else "there is no such archive"
            raise ArchiveError(path, what, "Correct the path")
        return self._of_kind(entry, kinds)

    def _look_at(self, path: str, parsed: ArchiveName, ring: Optional[KeyRing]) -> Optional[Entry]:
        try:
            return read_entry(path, parsed, ring)
        except OSError as error:
            raise ArchiveError(path, f"the archive cannot be looked at: {error.strerror}",
                               "Correct the path, or the permissions on the way to it") from error

    def _of_kind(self, entry: Entry, kinds: Optional[Sequence[str]]) -> Entry:
        if kinds is None or entry.kind in kinds:
            return entry
        raise ArchiveError(entry.path, f"this is an archive of kind {entry.kind}, and {' or '.join(kinds)} is wanted",
                           "Choose another archive or another kind")

    def _own_name(self, name: str) -> ArchiveName:
        parsed = parse_name(name)
        if parsed is None or parsed.application != self.application:
            raise UsageError(os.path.join(self.directory, name),
                             f"this is not the name of an archive of {self.application}", "Use a name of the catalog")
        return parsed

    def _not_found(self, subject: str, cause: str, kinds: Optional[Sequence[str]],
                   ring: Optional[KeyRing]) -> MaintenanceError:
        """An ArchiveError that lists what there is."""
        entries = self._entries(kinds, ring)
        of_kinds = "" if kinds is None else f" of kind {' or '.join(kinds)}"
        if not entries and kinds is not None and self._entries(None, ring):
            others = sorted({entry.kind for entry in self._entries(None, ring)})
            return ArchiveError(subject, f"{cause}{of_kinds}; the directory holds archives of kind {', '.join(others)}",
                                "Choose another kind, or make such a backup first")
        if not entries:
            return ArchiveError(subject, f"{cause}{of_kinds}; the directory holds none of {self.application}",
                                "Make a backup first, or correct the directory, the application or the kind")
        names = ", ".join(entry.name for entry in reversed(entries[-_NAMES_SHOWN:]))
        return ArchiveError(subject, f"{cause}{of_kinds}",
                            f"Choose one of the {len(entries)} that there are, newest first: {names}"
                            + (", ..." if len(entries) > _NAMES_SHOWN else ""))
