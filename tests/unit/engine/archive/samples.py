# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives for the tests: honest ones by the writer, and any bytes that somebody could put in their place."""

from __future__ import annotations

import hashlib
import os
import random
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.aead import EncryptingWriter
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.blocks import BlockWriter
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.codecs import SUFFIXES
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.digests import MemberDigest, to_lines
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import Key, KeyRing
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.manifest import (
    DatabaseEntry,
    FileEntry,
    Manifest,
    SkippedEntry,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.reader import open_archive
from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.writer import (
    ArchiveWriter,
    WrittenArchive,
)

KEY = Key(bytes(range(32)))
OTHER_KEY = Key(bytes(range(1, 33)))
OWNER = {"uid": 1000, "gid": 1001, "user": "app", "group": "web"}
CREATED_AT = "2026-11-24T05:47:10Z"
MTIME = 1795499230
PAGE_BYTES = 512


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same each time."""
    return random.Random(seed).randbytes(size)


def prose(size: int, seed: int = 0) -> bytes:
    """Bytes that compress about as a database does."""
    rng = random.Random(seed)
    words = [rng.randbytes(4).hex() for _number in range(200)]
    text = " ".join(rng.choice(words) for _number in range(size // 9 + 1))
    return text.encode("ascii")[:size]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def database_entry(name: str, data: bytes, **changes) -> DatabaseEntry:
    entry = DatabaseEntry(
        name=name,
        member=f"databases/{name}",
        source=f"/opt/app/data/{name}",
        taken_at=CREATED_AT,
        size=len(data),
        page_size=PAGE_BYTES,
        page_count=len(data) // PAGE_BYTES,
        sha256=sha(data),
        content_sha256=sha(b"c" + data),
        schema_sha256=sha(b"s"),
        rows={"users": 3, 'tables "quoted" ü': 0},
        journal_mode="wal",
        user_version=0,
        application_id=-1,
        page_digests=f"page-digests/{name}",
        page_numbers=None,
        pages=len(data) // PAGE_BYTES,
        integrity="ok",
        mode=0o640,
        **OWNER,
    )
    return replace(entry, **changes)


def file_entry(path: str, data: Optional[bytes], **changes) -> FileEntry:
    kind = "directory" if data is None else "file"
    entry = FileEntry(
        member="files" + path,
        path=path,
        part="config",
        type=kind,
        size=len(data or b""),
        sha256=None if data is None else sha(data),
        mode=0o750 if data is None else 0o600,
        **OWNER,
    )
    return replace(entry, **changes)


def manifest_of(databases: dict, files: dict, key: Optional[Key] = None, level: int = 6,
                method: str = "gzip", **changes) -> Manifest:
    """The manifest for contents by database name and by absolute path (None: a directory)."""
    manifest = Manifest(
        name=f"app-full-20261124T054710Z{SUFFIXES[method]}" + (".enc" if key else ""),
        application="app",
        kind="full",
        sequence=7,
        host="host1",
        created_at=CREATED_AT,
        previous="app-full-20261123T054710Z.tar.gz",
        content_id=sha(b"content"),
        encrypted=key is not None,
        key_id=key.id if key else None,
        compression={"method": method, "level": level, "library": "zlib"},
        software={"collection": "1.0.0", "python": "3.11.2", "sqlite": "3.40.1"},
        databases=tuple(database_entry(name, data) for name, data in databases.items()),
        files=tuple(file_entry(path, data) for path, data in files.items()),
        absent=("/opt/app/.sesskey",),
        skipped=(SkippedEntry("/opt/app/run.sock", "a socket"),),
        warnings=("the file system is a network one",),
    )
    return replace(manifest, **changes)


def page_digests(data: bytes) -> bytes:
    pages = (data[i : i + PAGE_BYTES] for i in range(0, len(data), PAGE_BYTES))
    return b"".join(hashlib.sha256(page).digest()[:16] for page in pages)


@dataclass(frozen=True)
class Sample:
    """An archive that the writer made, and what is in it."""

    path: Path
    manifest: Manifest
    contents: dict
    written: WrittenArchive
    ring: Optional[KeyRing]

    @property
    def stored(self) -> bytes:
        return self.path.read_bytes()


DATABASES = {"app.db": prose(4 * PAGE_BYTES)}
FILES = {
    "/opt/app": None,
    "/opt/app/.env": b"SECRET_KEY=1\n",
    "/opt/app/data/uploads/ü/é" + "x" * 120: b"essay",
    "/empty": b"",
}


def write_sample(
    directory: Path,
    *,
    key: Optional[Key] = None,
    databases: Optional[dict] = None,
    files: Optional[dict] = None,
    level: int = 6,
    workers: Optional[int] = 2,
    name: Optional[str] = None,
    method: str = "gzip",
) -> Sample:
    """Writes an archive with the writer from real files, and gives what must come back."""
    databases = DATABASES if databases is None else databases
    files = FILES if files is None else files
    manifest = manifest_of(databases, files, key, level, method)
    source = directory / "source"
    source.mkdir(exist_ok=True)
    path = directory / (name or manifest.name)
    contents = {}
    with ArchiveWriter(str(path), key=key, method=method, level=level, workers=workers, scratch=str(source)) as writer:
        writer.add_manifest(manifest)
        for database, data in databases.items():
            for member, content in (("databases/", data), ("page-digests/", page_digests(data))):
                (source / "one").write_bytes(content)
                writer.add_file(member + database, str(source / "one"), mode=0o640, mtime=MTIME, **OWNER)
                contents[member + database] = content
        for where, data in files.items():
            if data is None:
                writer.add_directory("files" + where, mode=0o750, mtime=MTIME, **OWNER)
            else:
                (source / "one").write_bytes(data)
                writer.add_file("files" + where, str(source / "one"), mode=0o600, mtime=MTIME + 0.5, **OWNER)
            contents["files" + where] = data
        written = writer.finish()
    return Sample(path, manifest, contents, written, KeyRing.of(key) if key else None)


def read_all(path, ring: Optional[KeyRing] = None, *, check_name: bool = True) -> dict:
    """Content by member name (None: a directory), after ``finish`` agreed."""
    with open_archive(str(path), ring, check_name=check_name) as archive:
        contents = {info.name: stream.read() if info.type == "file" else None for info, stream in archive.members()}
        archive.finish()
    return contents


def tar_member(
    name: str,
    data: bytes = b"",
    kind: bytes = tarfile.REGTYPE,
    *,
    size: Optional[int] = None,
    pax: Optional[dict] = None,
    form: int = tarfile.PAX_FORMAT,
    **changes,
) -> bytes:
    """Header and content of one member as Python's own tarfile writes them."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.mtime = kind, len(data) if size is None else size, 0o600, MTIME
    info.uid, info.gid, info.uname, info.gname = OWNER["uid"], OWNER["gid"], OWNER["user"], OWNER["group"]
    info.pax_headers = pax or {}
    for field, value in changes.items():
        setattr(info, field, value)
    return info.tobuf(form, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512)


def digest_line(name: str, data: Optional[bytes], **changes) -> MemberDigest:
    digest = MemberDigest(name, len(data or b""), None if data is None else sha(data), 0o600, changed=False, **OWNER)
    return replace(digest, **changes)


def forge(path: Path, tar: bytes, key: Optional[Key] = None) -> Path:
    """A file with the proper compression and encryption around any tar stream."""
    with open(path, "wb") as raw:
        encryption = EncryptingWriter(raw, key) if key else None
        packer = BlockWriter(encryption or raw)
        packer.write(tar)
        packer.close()
        if encryption:
            encryption.close()
    return path


def forge_archive(
    directory: Path,
    manifest: Manifest,
    middle: bytes,
    lines: Optional[list] = None,
    *,
    key: Optional[Key] = None,
    end: bytes = bytes(1024),
    digests: Optional[bytes] = None,
) -> Path:
    """An archive with a manifest, any members, and digests that agree with ``lines``."""
    head = tar_member("manifest.json", manifest.to_bytes())
    own = digest_line("manifest.json", manifest.to_bytes())
    tail = to_lines([own, *(lines or [])]) if digests is None else digests
    return forge(directory / manifest.name, head + middle + tar_member("digests", tail) + end, key)


def private_file(path: Path, data: bytes, mode: int = 0o400) -> str:
    path.write_bytes(data)
    os.chmod(path, mode)
    return str(path)
