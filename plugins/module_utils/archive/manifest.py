# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: the first member of an archive, which says what the others are (docs/archive-format.md)."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Optional, Union

from ..errors import ArchiveError
from ..units import parse_stamp
from . import fields
from .aead import damaged
from .codecs import LEVELS, METHODS, SUFFIXES
from .fields import Fields, Invalid

FORMAT = "feedforward-maintenance archive"
SCHEMA_VERSION = 1
MANIFEST_MEMBER = "manifest.json"
MANIFEST_LIMIT_BYTES = 64 << 20
PAGE_DIGEST_BYTES = 16
PAGE_NUMBER_BYTES = 4
KINDS = ("database", "config", "logs", "full")
PARTS = ("config", "uploads", "logs")
_APPLICATION = re.compile(r"[a-z0-9][a-z0-9_.-]*", re.ASCII)


class NewerArchiveError(ArchiveError):
    """An archive of a newer format: not damaged, and not to be judged here."""


@dataclass(frozen=True)
class Base:
    """The archive that an increment was made on: ``sha256`` of its file as stored; ``position`` counts the increments
    since the full archive, this one included."""

    name: str
    sequence: int
    sha256: str
    position: int


@dataclass(frozen=True)
class DatabaseEntry:
    """One database. ``size``, ``page_size`` in bytes; ``taken_at`` ISO 8601 in UTC; ``rows`` by table.

    Everything is said of the whole database; ``pages`` is how many of its pages the member holds: all, or in an
    increment those that ``page_numbers`` lists.
    """

    name: str
    member: str
    source: str
    taken_at: str
    size: int
    page_size: int
    page_count: int
    sha256: str
    content_sha256: str
    schema_sha256: str
    rows: dict[str, int]
    journal_mode: str
    user_version: int
    application_id: int
    page_digests: str
    page_numbers: Optional[str]
    pages: int
    integrity: str
    uid: int
    gid: int
    mode: int
    user: str
    group: str


@dataclass(frozen=True)
class FileEntry:
    """One file or directory, as it was when it was listed. ``size`` in bytes, ``sha256`` None for a directory."""

    member: str
    path: str
    part: str
    type: str
    size: int
    sha256: Optional[str]
    uid: int
    gid: int
    mode: int
    user: str
    group: str


@dataclass(frozen=True)
class SkippedEntry:
    """A path that was found and not taken (a socket, a link, ...), and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Listed:
    """What the manifest says about one member: its type ("file" or "directory") and size, and its SHA-256 if known.

    Only a file of the ``files/`` tree may differ from this (``may_change``): it may change while it is read.
    """

    type: str
    size: int
    sha256: Optional[str]
    may_change: bool
    entry: Union[DatabaseEntry, FileEntry]


@dataclass(frozen=True)
class Manifest:
    """All that an archive says of itself. ``content_id`` is a SHA-256 that is equal for equal content."""

    name: str
    application: str
    kind: str
    sequence: int
    host: str
    created_at: str
    previous: Optional[str]
    content_id: str
    encrypted: bool
    key_id: Optional[str]
    compression: dict[str, Any]
    software: dict[str, str]
    databases: tuple[DatabaseEntry, ...] = ()
    files: tuple[FileEntry, ...] = ()
    absent: tuple[str, ...] = ()
    skipped: tuple[SkippedEntry, ...] = ()
    base: Optional[Base] = None
    full_because: Optional[str] = None
    warnings: tuple[str, ...] = ()
    format: str = FORMAT
    schema_version: int = SCHEMA_VERSION

    def to_bytes(self) -> bytes:
        """JSON as ASCII with one field a line, ``format`` and ``schema_version`` first."""
        content = asdict(self)
        ordered = {"format": content.pop("format"), "schema_version": content.pop("schema_version"), **content}
        return json.dumps(ordered, indent=1, ensure_ascii=True).encode("ascii") + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, subject: str = MANIFEST_MEMBER) -> Manifest:
        """The manifest in ``data``, every field checked. Raises ArchiveError (about ``subject``) and nothing else."""
        try:
            value = fields.parse_json(data)
            _check_version(value, subject)
            return _manifest(Fields(value, ""))
        except Invalid as error:
            raise damaged(subject, f"its manifest is not valid: {error}") from error

    def members(self) -> dict[str, Listed]:
        """The members that follow the manifest, by name, in the order in which they are listed."""
        listed = {}
        # Tables come first: the next increment is made from them, without the rest.
        for database in self.databases:
            table_bytes = database.page_count * PAGE_DIGEST_BYTES
            listed[database.page_digests] = Listed("file", table_bytes, None, False, database)
            if database.page_numbers is not None:
                numbers_bytes = database.pages * PAGE_NUMBER_BYTES
                listed[database.page_numbers] = Listed("file", numbers_bytes, None, False, database)
        for database in self.databases:
            sha256 = database.sha256 if self.base is None else None
            listed[database.member] = Listed("file", database.pages * database.page_size, sha256, False, database)
        for file in self.files:
            listed[file.member] = Listed(file.type, file.size, file.sha256, file.type == "file", file)
        return listed

    @property
    def total_bytes(self) -> int:
        """The size of all members together, as listed."""
        return sum(listed.size for listed in self.members().values())


def _check_version(value: Any, subject: str) -> None:
    """Raises ArchiveError for another format, NewerArchiveError for a newer version, whose fields are not looked at."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ArchiveError(subject, "its manifest is not that of an archive of this collection",
                           "Correct the name of the archive")
    version = value.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        software = value.get("software")
        made_by = str(software.get("collection"))[:40] if isinstance(software, dict) else "unknown"
        raise NewerArchiveError(
            subject, f"it has format version {version}, made by version {made_by} of the collection; this one reads "
            f"up to version {SCHEMA_VERSION}", "Upgrade the collection on this host, then run again")


def _manifest(f: Fields) -> Manifest:
    f.take("format", fields.one_of(FORMAT))
    f.take("schema_version", fields.integer(SCHEMA_VERSION, SCHEMA_VERSION))
    manifest = Manifest(
        name=f.take("name", fields.file_name),
        application=f.take("application", fields.text),
        kind=f.take("kind", fields.one_of(*KINDS)),
        sequence=f.take("sequence", fields.size),
        host=f.take("host", fields.text),
        created_at=f.take("created_at", fields.instant),
        previous=f.take("previous", fields.optional(fields.file_name)),
        content_id=f.take("content_id", fields.sha256),
        encrypted=f.take("encrypted", fields.flag),
        key_id=f.take("key_id", fields.optional(fields.hexadecimal(8))),
        compression=f.take("compression", _compression),
        software=f.take("software", _software),
        databases=f.take("databases", fields.items(_database)),
        files=f.take("files", fields.items(_file)),
        absent=f.take("absent", fields.items(fields.absolute_path)),
        skipped=f.take("skipped", fields.items(_skipped)),
        base=f.take("base", fields.optional(_base)),
        full_because=f.take("full_because", fields.optional(fields.text)),
        warnings=f.take("warnings", fields.items(fields.text)),
    )
    f.end()
    _check_name(manifest)
    _check_base(manifest)
    _check_members(manifest)
    return manifest


def _base(value: Any, where: str) -> Base:
    f = Fields(value, where)
    base = Base(
        name=f.take("name", fields.file_name),
        sequence=f.take("sequence", fields.size),
        sha256=f.take("sha256", fields.sha256),
        position=f.take("position", fields.integer(1, 2**31 - 1)),
    )
    f.end()
    return base


def _database(value: Any, where: str) -> DatabaseEntry:
    f = Fields(value, where)
    name = f.take("name", fields.file_name)
    entry = DatabaseEntry(
        name=name,
        member=f.take("member", fields.one_of(f"databases/{name}", f"pages/{name}")),
        source=f.take("source", fields.absolute_path),
        taken_at=f.take("taken_at", fields.instant),
        size=f.take("size", fields.size),
        page_size=f.take("page_size", fields.integer(512, 65536)),
        page_count=f.take("page_count", fields.integer(1, 2**32 - 1)),
        sha256=f.take("sha256", fields.sha256),
        content_sha256=f.take("content_sha256", fields.sha256),
        schema_sha256=f.take("schema_sha256", fields.sha256),
        rows=f.take("rows", fields.mapping(fields.size)),
        journal_mode=f.take("journal_mode", fields.text),
        user_version=f.take("user_version", fields.signed_32),
        application_id=f.take("application_id", fields.signed_32),
        page_digests=f.take("page_digests", fields.one_of(f"page-digests/{name}")),
        page_numbers=f.take("page_numbers", fields.optional(fields.one_of(f"page-numbers/{name}"))),
        pages=f.take("pages", fields.integer(0, 2**32 - 1)),
        integrity=f.take("integrity", fields.text),
        **_owner(f),
    )
    f.end()
    if entry.size != entry.page_size * entry.page_count:
        raise Invalid(f"{where}.size must be page_size times page_count")
    return entry


def _file(value: Any, where: str) -> FileEntry:
    f = Fields(value, where)
    path = f.take("path", fields.absolute_path)
    kind = f.take("type", fields.one_of("file", "directory"))
    entry = FileEntry(
        member=f.take("member", fields.one_of("files" + path)),
        path=path,
        part=f.take("part", fields.one_of(*PARTS)),
        type=kind,
        size=f.take("size", fields.size if kind == "file" else fields.integer(0, 0)),
        sha256=f.take("sha256", fields.sha256 if kind == "file" else fields.nothing),
        **_owner(f),
    )
    f.end()
    return entry


def _owner(f: Fields) -> dict[str, Any]:
    return {
        "uid": f.take("uid", fields.user_or_group_id),
        "gid": f.take("gid", fields.user_or_group_id),
        "mode": f.take("mode", fields.permissions),
        "user": f.take("user", fields.text),
        "group": f.take("group", fields.text),
    }


def _skipped(value: Any, where: str) -> SkippedEntry:
    f = Fields(value, where)
    entry = SkippedEntry(path=f.take("path", fields.absolute_path), reason=f.take("reason", fields.text))
    f.end()
    return entry


def _compression(value: Any, where: str) -> dict[str, Any]:
    f = Fields(value, where)
    method = f.take("method", fields.one_of(*METHODS))
    result = {"method": method, "level": f.take("level", fields.integer(*LEVELS[method])),
              "library": f.take("library", fields.text)}
    f.end()
    return result


def _software(value: Any, where: str) -> dict[str, str]:
    f = Fields(value, where)
    result = {name: f.take(name, fields.text) for name in ("collection", "python", "sqlite")}
    f.end()
    return result


def _check_name(manifest: Manifest) -> None:
    """The name must follow from the other fields, so that a plain archive can never pass for an encrypted one."""
    if not _APPLICATION.fullmatch(manifest.application):
        raise Invalid("application must be lower-case letters, digits, '_', '.' and '-'")
    start = f"{manifest.application}-{manifest.kind}-"
    end = SUFFIXES[manifest.compression["method"]] + (".enc" if manifest.encrypted else "")
    try:
        if not manifest.name.startswith(start) or not manifest.name.endswith(end):
            raise ValueError(manifest.name)
        parse_stamp(manifest.name[len(start):-len(end)])
    except ValueError:
        raise Invalid(f"name must be {start}<UTC stamp>{end}") from None
    if manifest.encrypted != (manifest.key_id is not None):
        raise Invalid("key_id must be there if, and only if, the archive is encrypted")


def _check_base(manifest: Manifest) -> None:
    """An increment holds pages of databases and nothing else; a full archive holds whole databases."""
    base = manifest.base
    if base is not None and (manifest.kind != "database" or manifest.files or manifest.full_because is not None):
        raise Invalid("base can only be there in an archive of kind database")
    if base is not None and base.sequence >= manifest.sequence:
        raise Invalid("base.sequence must be less than sequence")
    for number, database in enumerate(manifest.databases):
        whole = database.page_numbers is None and database.member == f"databases/{database.name}"
        whole = whole and database.pages == database.page_count
        parts = database.page_numbers is not None and database.member == f"pages/{database.name}"
        parts = parts and database.pages <= database.page_count
        if not (whole if base is None else parts):
            raise Invalid(f"databases[{number}].member must hold {'the whole database' if base is None else 'pages'}")


def _check_members(manifest: Manifest) -> None:
    """No member twice, and none inside another that is a file."""
    listed = manifest.members()
    members_a_database = 2 if manifest.base is None else 3
    if len(listed) != members_a_database * len(manifest.databases) + len(manifest.files):
        raise Invalid("a member is listed twice")
    # In sorted order, what lies inside a file follows it at once.
    inside = None
    for name in sorted(name + "/" for name in listed):
        if inside is not None and name.startswith(inside):
            raise Invalid("a member lies inside another one that is a file")
        if listed[name[:-1]].type == "file":
            inside = name
