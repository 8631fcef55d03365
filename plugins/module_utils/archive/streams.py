# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the layers of an archive read from and write to."""

from __future__ import annotations

from typing import Protocol


class Readable(Protocol):
    """``read(n)`` returns at most ``n`` bytes, none at the end."""

    def read(self, size: int = -1, /) -> bytes: ...


class Writable(Protocol):
    """``write`` takes all of ``data``."""

    def write(self, data: bytes, /) -> object: ...


def read_fully(raw: Readable, count: int) -> bytes:
    """``count`` bytes of ``raw``, fewer only at its end."""
    first = raw.read(count)
    if len(first) == count or not first:
        return first
    pieces = [first]
    missing = count - len(first)
    while missing:
        piece = raw.read(missing)
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
