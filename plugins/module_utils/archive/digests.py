# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last member of an archive, ``digests``: one JSON object a line for every member, in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Optional

from . import fields
from .fields import Fields, Invalid
from .tarstream import TarHeader

DIGESTS_MEMBER = "digests"
DIGESTS_LIMIT_BYTES = 128 << 20
"""Twice the limit of a manifest: a line repeats what the manifest says of the member, and little more."""

LINE_LIMIT_BYTES = 1 << 20
"""A name, a user and a group of the longest kind, each byte of them escaped, and room to spare."""


@dataclass(frozen=True)
class MemberDigest:
    """What was stored of one member. ``size`` in bytes; ``sha256`` None for a directory.

    ``changed``: the file is not as the manifest lists it, because it changed meanwhile. A file that vanished
    meanwhile has no member: ``sha256`` None and ``changed`` True.
    """

    name: str
    size: int
    sha256: Optional[str]
    mode: int
    uid: int
    gid: int
    user: str
    group: str
    changed: bool

    @property
    def vanished(self) -> bool:
        """Whether the file was gone when it was to be stored."""
        return self.changed and self.sha256 is None


def digest_of(header: TarHeader, sha256: Optional[str], changed: bool = False) -> MemberDigest:
    """The digest of the member that has this header."""
    return MemberDigest(header.name, header.size, sha256, header.mode, header.uid, header.gid, header.user,
                        header.group, changed)


def to_lines(digests: Iterable[MemberDigest]) -> bytes:
    """The content of the member ``digests``."""
    return "".join(json.dumps(asdict(digest), ensure_ascii=True) + "\n" for digest in digests).encode("ascii")


def from_lines(data: bytes, members: int) -> tuple[MemberDigest, ...]:
    """What ``to_lines`` wrote of about so many members. Raises Invalid."""
    if not data.endswith(b"\n"):
        raise Invalid("its last line is incomplete")
    # Exactly how many it must be is for the caller to say; this is about the memory that they take.
    if data.count(b"\n") > 2 * members:
        raise Invalid("it has far more lines than there are members")
    return tuple(_digest(Fields(fields.parse_json(line), f"line {index}"))
                 for index, line in enumerate(_lines(data), 1))


def _lines(data: bytes) -> Iterator[bytes]:
    """One by one, without what ends them."""
    start = 0
    while start < len(data):
        end = data.index(b"\n", start)
        if end - start > LINE_LIMIT_BYTES:
            raise Invalid("one of its lines is longer than a line may be")
        yield data[start:end]
        start = end + 1


def _digest(f: Fields) -> MemberDigest:
    digest = MemberDigest(
        name=f.take("name", fields.text),
        size=f.take("size", fields.size),
        sha256=f.take("sha256", fields.optional(fields.sha256)),
        mode=f.take("mode", fields.permissions),
        uid=f.take("uid", fields.user_or_group_id),
        gid=f.take("gid", fields.user_or_group_id),
        user=f.take("user", fields.text),
        group=f.take("group", fields.text),
        changed=f.take("changed", fields.flag),
    )
    f.end()
    return digest
