# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The looks of ``jobs.doctor`` at what a backup needs: configuration, directory, room, files, databases, key, lock."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ..archive.keys import KeyRing, load_ring
from ..archive.reader import read_manifest
from ..catalog.catalog import Catalog, Entry
from ..catalog.lock import require_directory, require_safe
from ..catalog.names import validate_application
from ..config import Settings
from ..directories import ForeignLinkError, resolve
from ..errors import (
    BusyError,
    DestinationError,
    KeyFileError,
    MaintenanceError,
    SourceError,
    UsageError,
    printable,
)
from ..files import filesystem_type, free_bytes, journal_path
from ..owners import owner_names
from ..probes import host
from ..sqlite.contents import pragma
from ..sqlite.holders import Holders, find_holders
from ..sqlite.source import examine, file_size, open_reader
from ..units import format_bytes
from .backup import request_from_settings
from .collect import check_sources
from .doctor import Case, Look, Row, noted, problem, refused, unclear, well
from .doctor_schedule import schedule
from .doctor_state import lock, records
from .gather import UNKNOWN_RATIO

_FEW_FILES = 100
_FILES_LOOKED_AT = 50_000
_HOLDERS_SHOWN = 3


def _configuration(case: Case) -> Iterator[Row]:
    check, title, settings = "configuration", "Configuration", case.settings
    if case.unread is not None:
        yield refused(case, check, title, case.unread)
        return
    try:
        validate_application(settings.application)
        if settings.directory is None:
            raise UsageError("directory", "no directory of archives is configured",
                             "Run the role backup, or name the directory with --directory")
        check_sources(request_from_settings(settings, "full").files)
    except UsageError as error:
        yield refused(case, check, title, error)
        return
    if not settings.fragments:
        yield well(check, title, "there is none, the command line names what is looked at")
    elif not settings.databases and not settings.config_paths:
        yield problem(check, title, "it names no database and no file to back up",
                      "Run the role application, which names them in the configuration", UsageError.exit_code)
    else:
        yield well(check, title, f"{len(settings.fragments)} files in {os.path.dirname(settings.fragments[0])}, for "
                                 f"the application {settings.application}")


def _directory(case: Case) -> Iterator[Row]:
    check, title, directory = "directory", "Archive directory", case.settings.directory
    if directory is None:
        yield unclear(check, title, "which one it is is not known", "Name it with --directory")
        return
    try:
        require_directory(directory)
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            raise DestinationError(directory, "its file system is mounted read-only", "Mount it read-write; the kernel "
                                   "log (dmesg) tells whether the disk has errors")
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            raise DestinationError(directory, "permission denied to this user, who has to write there",
                                   f"Run 'chown {owner_names(os.geteuid(), 0)[0]}' and 'chmod u+rwx' on it")
        require_safe(directory)
    except MaintenanceError as error:
        yield refused(case, check, title, error)
        return
    status = os.stat(directory)
    user, kind = owner_names(status.st_uid, status.st_gid)[0], filesystem_type(directory) or "unknown"
    yield well(check, title, f"{directory}, of {user}, mode {stat.S_IMODE(status.st_mode):04o}, file system {kind}")


def room_needed(settings: Settings) -> tuple[int, int]:
    """Bytes of the databases with their logs, and of the archive that they will make: as large as the newest full one
    of that kind, else what ``jobs.gather`` supposes."""
    raw = sum(file_size(os.path.realpath(path)) + file_size(os.path.realpath(path) + "-wal")
              for path in settings.databases)
    sizes = [entry.size for entry in _entries(settings) if entry.kind == "database" and entry.base is None]
    return raw, sizes[-1] if sizes else int(raw * UNKNOWN_RATIO)


def _entries(settings: Settings) -> tuple[Entry, ...]:
    try:
        return Catalog(settings.directory or "", settings.application).entries() if settings.directory else ()
    except (MaintenanceError, OSError):
        return ()


def _room(case: Case) -> Iterator[Row]:
    directory = case.settings.directory
    if directory is None or not os.path.isdir(directory):
        return
    title, free, needed = f"Room on {directory}", free_bytes(directory), sum(room_needed(case.settings))
    text = f"{format_bytes(free)} free"
    if needed:
        text += f", a backup of the databases needs about {format_bytes(needed)}"
    if free < max(needed, 1):
        yield problem("room", title, text, f"Free {format_bytes(max(needed - free, 1))} on {directory}, then run "
                      f"{case.backup()} (a lower backup_retention_days keeps it free afterwards)",
                      DestinationError.exit_code)
    else:
        yield well("room", title, text)
    found = host.rooms([directory])[0]
    text = f"{found.free_files:,} of {found.files:,} free"
    if found.files and found.free_files < _FEW_FILES:
        yield problem("inodes", f"Inodes on {directory}", text, f"Remove files from the file system of {directory}: it "
                      "has room for hardly any more, however small", DestinationError.exit_code)
    elif found.used_files_percent > case.settings.health.files_warning_percent:
        yield noted("inodes", f"Inodes on {directory}", text, f"Remove files from the file system of {directory}")


def _files(case: Case) -> Iterator[Row]:
    settings = case.settings
    readable = 0
    sources = [(path, True) for path in settings.config_paths]
    sources += [(path, False) for path in (*settings.optional_config_paths, *settings.uploads_paths,
                                           *settings.logs_paths)]
    for path, required in sources:
        check, title = f"file {path}", f"File {path}"
        try:
            real = resolve(path)
        except ForeignLinkError as error:
            yield refused(case, check, title, SourceError(path, str(error.strerror), "Let the link belong to root, or "
                                                          "name what it means"))
            continue
        except FileNotFoundError:
            if required:
                yield refused(case, check, title, SourceError(
                    path, "it is to be backed up and does not exist", "Correct the path in the configuration, or list "
                    "it among the optional ones"))
            continue
        except OSError as error:
            yield refused(case, check, title, SourceError(path, f"it cannot be reached: {error.strerror}",
                                                          "Correct the modes of the directories on the way"))
            continue
        closed = _closed(real)
        readable += not closed
        if closed:
            yield refused(case, check, title, SourceError(
                path, f"permission denied for {closed} of the files there" if os.path.isdir(real) else
                "permission denied", f"Let the user who makes the backups read it: {owner_names(os.geteuid(), 0)[0]}"))
    if readable:
        yield well("files", "Files", f"{readable} of the configured files and directories can be read")


def _closed(real: str) -> int:
    """How many files and directories this user cannot read, of the first many."""
    if not os.path.isdir(real):
        return int(not os.access(real, os.R_OK, effective_ids=True))
    closed = int(not os.access(real, os.R_OK | os.X_OK, effective_ids=True))
    looked = 0
    for base, directories, names in os.walk(real):
        for name in (*directories, *names):
            path = os.path.join(base, name)
            wanted = os.R_OK | os.X_OK if name in directories else os.R_OK
            closed += not os.path.islink(path) and not os.access(path, wanted, effective_ids=True)
        looked += len(directories) + len(names)
        if looked > _FILES_LOOKED_AT:
            break
    return closed


def _databases(case: Case) -> Iterator[Row]:
    for path in case.settings.databases:
        yield from _database(case, path)


def _database(case: Case, path: str) -> Iterator[Row]:
    check, title = f"database {path}", f"Database {path}"
    journal = journal_path(os.path.realpath(path))
    if os.path.lexists(journal):
        yield problem(check, title, f"a restore exchanges its files, or was interrupted in doing so: {journal}",
                      f"Wait until the restore of {path} has ended, or run the same restore again to end it",
                      BusyError.exit_code)
        return
    # Before this process opens it: closing any descriptor of a file drops the locks of SQLite on it.
    holders = _holders(find_holders(path))
    try:
        source = examine(path)
        with open_reader(source) as connection:
            mode = pragma(connection, "journal_mode")
    except MaintenanceError as error:
        row = refused(case, check, title, error)
        yield problem(check, title, f"{row.finding.text}; {holders}", row.advice, error.exit_code) if (
            holders and isinstance(error, BusyError)) else row
        return
    parts = [format_bytes(source.size), f"journal mode {mode}", f"of {source.user}"]
    parts += [f"write-ahead log {format_bytes(source.wal_bytes)}"] if source.wal else []
    yield well(check, title, ", ".join([*parts, *([holders] if holders else [])]))
    for warning in source.warnings:
        yield noted(check, title, warning, f"Move {path} to a local disk")


def _holders(found: Holders) -> str:
    """Who has it open, in words."""
    shown = [f"process {one.pid} ({printable(one.command)}) of {one.user}" for one in found.processes[:_HOLDERS_SHOWN]]
    more = len(found.processes) - len(shown)
    shown += [f"{more} more"] if more else []
    return f"open in {', '.join(shown)}" if shown else "; ".join(found.locks)


def _key(case: Case) -> Iterator[Row]:
    settings, ring = case.settings, None
    if settings.key_file is not None:
        try:
            ring = load_ring(settings.key_file)
        except MaintenanceError as error:
            yield refused(case, "key", "Key", error)
            return
        mode = stat.S_IMODE(os.stat(settings.key_file).st_mode)
        older = f", and {len(ring.keys) - 1} older ones beside it" if len(ring.keys) > 1 else ""
        yield well("key", "Key", f"{settings.key_file} holds the key {ring.current.id}, mode {mode:04o}{older}")
    encrypted = [entry for entry in _entries(settings) if entry.encrypted]
    if encrypted and ring is None:
        yield problem("key", "Key", f"{encrypted[-1].name} is encrypted, and no key is configured",
                      "Name the key of the archives with --key-file, or run the role backup, which configures it",
                      KeyFileError.exit_code)
    elif ring is None and case.unread is None:
        yield well("key", "Key", "none is configured: archives are not encrypted")
    elif encrypted and ring is not None:
        yield from _opened(case, encrypted, ring)


def _opened(case: Case, encrypted: list[Entry], ring: KeyRing) -> Iterator[Row]:
    """Whether the newest archive opens, and how many would not."""
    newest, title = encrypted[-1], "Key of the archives"
    strange = [entry for entry in encrypted if entry.sidecar is not None and entry.sidecar.key_id is not None
               and ring.find(entry.sidecar.key_id) is None]
    try:
        manifest = read_manifest(newest.path, ring)
    except KeyFileError as error:
        told = newest.sidecar.key_id if newest.sidecar else None
        yield problem("key archives", title, f"{newest.name} does not open: {error.cause}",
                      f"Put the key {told or 'that made it'} back from its escrow, beside the key file as "
                      f"{case.settings.key_file}.{told or 'ID'}", KeyFileError.exit_code)
        return
    except MaintenanceError as error:
        yield refused(case, "key archives", title, error)
        return
    if strange:
        ids = sorted({str(entry.sidecar.key_id) for entry in strange if entry.sidecar is not None})
        yield noted("key archives", title, f"{len(strange)} of {len(encrypted)} archives need the keys "
                    f"{', '.join(ids)}, which are not here", f"Put the key {ids[0]} back from its escrow, beside the "
                    f"key file as {case.settings.key_file}.{ids[0]}")
    else:
        yield well("key archives", title, f"{newest.name} opens with the key {manifest.key_id}")


LOOKS: dict[str, Look] = {
    "configuration": _configuration, "directory": _directory, "room": _room, "files": _files, "databases": _databases,
    "key": _key, "lock": lock, "schedule": schedule, "records": records,
}
