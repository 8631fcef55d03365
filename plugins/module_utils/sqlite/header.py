# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first 100 bytes of a database file (https://www.sqlite.org/fileformat2.html, section 1.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..errors import SourceError

HEADER_BYTES = 100
MAGIC = b"SQLite format 3\0"
_RESTORE = "Restore the newest good archive, or correct the path of the database"


@dataclass(frozen=True)
class Header:
    """``page_size`` in bytes; ``pages`` as the header counts them (None: written by SQLite before 3.7.0, or never)."""

    page_size: int
    wal: bool
    pages: Optional[int]


def parse_header(data: bytes, subject: str) -> Header:
    """The header at the start of ``data``. Raises SourceError about ``subject`` for what SQLite would not open."""
    head = bytes(data[:HEADER_BYTES])
    if not head:
        raise SourceError(subject, "the file is empty (0 bytes); SQLite would take it for a database without tables",
                          _RESTORE)
    if not head.startswith(MAGIC[:len(head)]):
        raise SourceError(
            subject, "it does not begin with 'SQLite format 3': it is encrypted (SQLCipher, SEE) or no SQLite database",
            "Give the path of a plain SQLite database; an encrypted one needs the backup of its own tool")
    if len(head) < HEADER_BYTES:
        raise SourceError(subject, f"the header is cut off: {len(head)} of {HEADER_BYTES} bytes are there", _RESTORE)
    page_size = int.from_bytes(head[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    if not 512 <= page_size <= 65536 or page_size & (page_size - 1):
        raise SourceError(subject, f"the header is damaged: {page_size} bytes is no page size of SQLite", _RESTORE)
    if head[19] not in (1, 2):
        raise SourceError(subject, f"the header asks for version {head[19]} of the file format, and 1 and 2 exist",
                          _RESTORE)
    pages = int.from_bytes(head[28:32], "big")
    counted = pages > 0 and head[24:28] == head[92:96]
    return Header(page_size, head[19] == 2, pages if counted else None)
