# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One archive read from end to end: every byte authenticated, every digest compared, databases opened on request."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, Any, BinaryIO, Callable, Optional, cast

from ..archive.digests import MemberDigest
from ..archive.keys import KeyRing
from ..archive.manifest import DatabaseEntry, Manifest, NewerArchiveError
from ..archive.reader import ArchiveReader, MemberInfo, UnreadableArchiveError, open_archive
from ..catalog.sidecar import described_sidecar
from ..errors import ArchiveError, DestinationError, KeyFileError, MaintenanceError, from_oserror
from ..files import CHUNK_BYTES, free_bytes, scratch_directory
from ..sqlite.check import check
from ..sqlite.contents import read_contents
from ..sqlite.digest import DatabaseDigester
from ..sqlite.source import file_size, open_private
from ..sqlite.trial import write_trial
from ..units import Progress, format_bytes
from .chain import Link, read_chain
from .replay import replay, sized

LEVELS = ("checksums", "integrity", "restore")

SinkFor = Callable[[MemberInfo], Optional[BinaryIO]]
Proven = tuple[tuple[MemberDigest, ...], str]
"""Digests of all members, and the SHA-256 of the archive's file."""


@dataclass(frozen=True)
class ArchiveCheck:
    """``verdict`` is passed, failed, or unknown (it could not be told: without the key, of a newer format, or because
    of what is no fault of the archive's); ``problems`` say why, and ``error`` what to do where reading ended with one;
    ``manifest`` and ``sha256`` (of the archive as stored) are there when it could be read."""

    path: str
    verdict: str
    level: str
    problems: tuple[str, ...] = ()
    manifest: Optional[Manifest] = None
    sha256: Optional[str] = None
    key_id: Optional[str] = None
    databases: tuple[dict[str, Any], ...] = ()
    members: tuple[MemberDigest, ...] = ()
    seconds: float = 0.0
    error: Optional[MaintenanceError] = None


class _HashSink:
    """A table of page digests that is only hashed."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)


def check_archive(path: str, ring: Optional[KeyRing], *, level: str, scratch: Optional[str] = None,
                  progress: Optional[Progress] = None, check_name: bool = True, own: bool = False,
                  workers: Optional[int] = None) -> ArchiveCheck:
    """Judges the archive at ``path``; damage is a verdict and not an exception.

    ``level`` checksums reads and compares everything; integrity unpacks the databases into ``scratch`` and runs
    ``PRAGMA integrity_check`` and the row counts of the manifest; restore unpacks everything there and opens the
    databases as the application would, sidecars and all. An increment is read with everything that it needs. ``own``:
    an archive that this run has just written, whose base it has just looked at, and whose pages it has just digested:
    each byte of it is read back, and nothing else. ``workers``: threads at work at a time, by default one for each
    processor. Raises DestinationError for scratch without room.
    """
    began = time.monotonic()
    unknown = ArchiveCheck(path, "unknown", level)
    try:
        with open_archive(path, ring, check_name=check_name, workers=workers) as reader:
            manifest = reader.manifest
            found = replace(unknown, manifest=manifest, key_id=reader.key_id)
            databases: tuple[dict[str, Any], ...] = ()
            if own:
                members, sha256 = reader.finish(), reader.sha256
            elif manifest.base is not None:
                links = read_chain(path, ring, check_name=check_name)
                if level == "checksums":
                    members, sha256 = replay(links, ring, {}, progress=progress, check_name=check_name,
                                             workers=workers)
                else:
                    (members, sha256), databases = _opened(manifest, level, scratch or os.path.dirname(path), partial(
                        unpack_chain, links, ring, progress=progress, check_name=check_name, workers=workers))
            elif level == "checksums":
                members, sha256 = read_through(reader, lambda info: None, progress), reader.sha256
            else:
                (members, sha256), databases = _opened(manifest, level, scratch or os.path.dirname(path), partial(
                    unpack, reader, everything=level == "restore", progress=progress))
            found = replace(found, sha256=sha256)
        problems = tuple(f"{row['name']}: {problem}" for row in databases for problem in row["problems"])
        verdict = replace(found, verdict="failed" if problems else "passed", problems=problems, databases=databases,
                          members=members)
    except (KeyFileError, NewerArchiveError, UnreadableArchiveError) as error:
        damage = _damage_behind(error, path, ring)
        verdict = replace(unknown, verdict="failed" if damage else "unknown", error=damage or error,
                          problems=((damage or error).cause,))
    except ArchiveError as error:
        verdict = replace(unknown, verdict="failed", problems=(error.cause,), error=error)
    except OSError as error:
        # What the system says of the archive itself, its reader judges: this is about scratch, or about this process.
        hindered = UnreadableArchiveError(path, f"it could not be verified: {error.strerror or error}",
                                          "Look at the scratch directory and at the limits of the process, then run "
                                          "again")
        verdict = replace(unknown, problems=(hindered.cause,), error=hindered)
    return replace(verdict, seconds=round(time.monotonic() - began, 3))


def _damage_behind(error: MaintenanceError, path: str, ring: Optional[KeyRing]) -> Optional[ArchiveError]:
    """A key that should fit and does not means damage: the first segment of an archive, which of a small one is all
    there is, tells a wrong key from a flipped bit only by what was written down when the archive was made."""
    told = described_sidecar(path)
    if not isinstance(error, KeyFileError) or ring is None or told is None or not told.key_id:
        return None
    if ring.find(told.key_id) is None:
        return None
    size = file_size(path)
    cause = f"the key {told.key_id} that encrypted it does not open it any more"
    if size != told.size:
        cause = f"it is {'truncated' if size < told.size else 'changed'}: it had {told.size} bytes and has {size}"
    return ArchiveError(path, cause, "Keep the archives that pass a verification, and make a new backup")


def read_through(reader: ArchiveReader, sink_for: SinkFor, progress: Optional[Progress], *,
                 pages: bool = True) -> tuple[MemberDigest, ...]:
    """Reads every member to the end, writes it to the sink that ``sink_for`` names (None: nowhere), and compares it
    with the manifest; with ``pages`` databases page by page as well, which proves the tables that increments are based
    on. Returns the proven digests of all members. Raises ArchiveError; what a sink raises goes through."""
    databases = {entry.member: entry for entry in reader.manifest.databases}
    tables: dict[str, str] = {}
    total = sum(entry.size for entry in databases.values()) + sum(file.size for file in reader.manifest.files)
    done = 0
    for info, stream in reader.members():
        entry = databases.get(info.name) if pages else None
        table = _HashSink()
        digester = DatabaseDigester(info.name, cast(IO[bytes], table)) if entry else None
        sink = sink_for(info)
        while True:
            chunk = stream.read(CHUNK_BYTES)
            if not chunk:
                break
            if digester is not None:
                digester.update(chunk)
            if sink is not None:
                sink.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress("verify", min(done, total), total)
        if entry is not None and digester is not None:
            _compare(reader.manifest.name, entry, digester)
            tables[entry.page_digests] = table.digest.hexdigest()
    members = reader.finish()
    for member in members:
        if tables.get(member.name, member.sha256) != member.sha256:
            raise ArchiveError(reader.manifest.name, f"{member.name} does not list the pages of the database",
                               "Use another archive")
    return members


def _compare(archive: str, entry: DatabaseEntry, digester: DatabaseDigester) -> None:
    try:
        digests = digester.finish()
    except MaintenanceError as error:
        raise ArchiveError(archive, f"{entry.member} is not a whole database: {error.cause}",
                           "Use another archive") from error
    for what in ("size", "page_size", "page_count", "content_sha256"):
        if getattr(digests, what) != getattr(entry, what):
            raise ArchiveError(archive, f"the {what} of {entry.member} is not the one that the manifest names",
                               "Use another archive")


def inspect_unpacked(path: str, entry: DatabaseEntry) -> dict[str, Any]:
    """Opens an unpacked database (a private copy): name, rows by table, and the problems found (none: good)."""
    problems: list[str] = list(check(path, "full"))
    rows: dict[str, int] = {}
    if not problems:
        with open_private(path) as connection:
            contents = read_contents(connection)
        rows = dict(contents.rows)
        if rows != dict(entry.rows):
            problems.append("the rows of its tables are not those that the manifest counts")
        if contents.schema_sha256 != entry.schema_sha256:
            problems.append("its schema is not the one that the manifest names")
    return {"name": entry.name, "rows": rows, "rows_total": sum(rows.values()), "problems": tuple(problems)}


def _opened(manifest: Manifest, level: str, parent: str, unpack_into: Callable[[str], Proven]) -> tuple[
        Proven, tuple[dict[str, Any], ...]]:
    """What ``unpack_into`` returns for a scratch directory, and what the databases that it left there are worth."""
    needed = sum(entry.size for entry in manifest.databases)
    needed += sum(file.size for file in manifest.files) if level == "restore" else 0
    if free_bytes(parent) < needed:
        raise DestinationError(parent, f"the test needs {format_bytes(needed)} and {format_bytes(free_bytes(parent))} "
                               "are free", "Name a scratch directory with more room")
    with scratch_directory(parent) as scratch:
        try:
            proven = unpack_into(scratch)
            rows = []
            for entry in manifest.databases:
                path = os.path.join(scratch, "databases", entry.name)
                row = inspect_unpacked(path, entry)
                if level == "restore" and not row["problems"]:
                    row = {**row, "problems": write_trial(path, journal_mode=entry.journal_mode)}
                rows.append(row)
            return proven, tuple(rows)
        except DestinationError as error:
            # The scratch directory is gone when somebody reads of it.
            raise DestinationError(parent, error.cause, "Free some space there, or name another scratch directory, "
                                   "then run again") from error


def unpack_chain(links: Sequence[Link], ring: Optional[KeyRing], directory: str, *, progress: Optional[Progress] = None,
                 check_name: bool = True, workers: Optional[int] = None) -> Proven:
    """Puts the databases of an increment together below ``directory``, as ``databases/<name>``. Raises ArchiveError,
    DestinationError."""
    sinks: dict[str, BinaryIO] = {}
    try:
        os.makedirs(os.path.join(directory, "databases"), mode=0o700, exist_ok=True)
        with ExitStack() as stack:
            for entry in links[0].manifest.databases:
                path = os.path.join(directory, "databases", entry.name)
                sinks[entry.name] = sized(stack.enter_context(open(path, "xb", buffering=0)), entry.size)
            return replay(links, ring, sinks, progress=progress, check_name=check_name, workers=workers)
    except OSError as error:
        raise from_oserror(error, directory, "unpacking the archive") from error


def unpack(reader: ArchiveReader, directory: str, *, everything: bool, progress: Optional[Progress]) -> Proven:
    """Unpacks databases (and with ``everything`` the files) below ``directory``, and returns the proven digests and
    the SHA-256 of the file. Raises ArchiveError, DestinationError."""
    wanted = {entry.member for entry in reader.manifest.databases}
    if everything:
        wanted |= {file.member for file in reader.manifest.files if file.type == "file"}
    current = ExitStack()

    def sink_for(info: MemberInfo) -> Optional[BinaryIO]:
        current.close()
        if info.name not in wanted:
            return None
        path = os.path.join(directory, info.name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return current.enter_context(open(path, "xb"))

    try:
        # Within: closing a file flushes it, and a full disk is no damage of the archive.
        with current:
            return read_through(reader, sink_for, progress), reader.sha256
    except OSError as error:
        raise from_oserror(error, directory, "unpacking the archive") from error
