# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archives that one archive needs: an increment, its base, the base's base, down to a full archive."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Optional

from ..archive.keys import KeyRing
from ..archive.manifest import Base, Manifest
from ..archive.reader import MemberStream, open_archive, read_manifest
from ..errors import ArchiveError, from_oserror
from ..files import CHUNK_BYTES


class MissingBaseError(ArchiveError):
    """An archive that another one needs is not beside it, or is another archive: the next step names what to fetch."""


@dataclass(frozen=True)
class Link:
    """One archive of a chain."""

    path: str
    manifest: Manifest


def read_chain(path: str, ring: Optional[KeyRing], *, check_name: bool = True) -> tuple[Link, ...]:
    """The archive at ``path`` and those that it needs, newest first, the full one last, by their manifests alone.

    Bases are looked for beside the archive. Raises ArchiveError (which names a base that is missing or is not the
    right one) and KeyFileError.
    """
    links = [Link(path, read_manifest(path, ring, check_name=check_name))]
    while links[-1].manifest.base is not None:
        links.append(_base_of(links[-1], links[-1].manifest.base, ring))
    return tuple(links)


def _base_of(link: Link, base: Base, ring: Optional[KeyRing]) -> Link:
    path = os.path.join(os.path.dirname(link.path), base.name)
    try:
        os.lstat(path)
    except FileNotFoundError:
        raise MissingBaseError(
            link.path, f"it holds only the pages that changed since {base.name}, which is missing",
            f"Fetch {base.name} (SHA-256 {base.sha256}) into {os.path.dirname(path)}, then run again") from None
    except OSError:
        # Whatever keeps it from being looked at is told by who opens it.
        pass
    manifest = read_manifest(path, ring)
    found, wanted = link.manifest, manifest.base
    same = (manifest.application, manifest.kind, manifest.sequence) == (found.application, found.kind, base.sequence)
    if not same or (wanted.position if wanted else 0) >= base.position or not _same_databases(found, manifest):
        raise wrong_base(link.path, base)
    return Link(path, manifest)


def _same_databases(one: Manifest, other: Manifest) -> bool:
    return [(d.name, d.source, d.page_size) for d in one.databases] == [
        (d.name, d.source, d.page_size) for d in other.databases]


def wrong_base(path: str, base: Base) -> MissingBaseError:
    """The error for a file that has the name of the base and is not the base."""
    return MissingBaseError(path, f"the archive {base.name} beside it is not the one that it was made on",
                            f"Fetch the {base.name} whose SHA-256 is {base.sha256}, or restore another archive")


def extract_tables(link: Link, ring: Optional[KeyRing], directory: str) -> None:
    """Writes the tables of page digests of ``link`` below ``directory``, by the names of their members.

    They stand at the head of an archive, so that little is read. Raises ArchiveError, KeyFileError, DestinationError.
    """
    wanted = {database.page_digests for database in link.manifest.databases}
    with open_archive(link.path, ring) as reader:
        for info, stream in reader.members():
            if info.name in wanted:
                _write(os.path.join(directory, info.name), stream)
                wanted.remove(info.name)
            if not wanted:
                return


def _write(path: str, stream: MemberStream) -> None:
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(path, "xb") as target:
            for piece in iter(lambda: stream.read(CHUNK_BYTES), b""):
                target.write(piece)
    except OSError as error:
        raise from_oserror(error, path, "unpacking a table of page digests") from error
