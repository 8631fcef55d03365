# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest part of the access log of a reverse proxy, in the common or the combined log format
(https://httpd.apache.org/docs/2.4/logs.html#accesslog), which is what nginx writes, too. Only times and statuses are
taken."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Optional

_LINE = re.compile(rb'[^\[]*\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "(?:[^"\\]|\\.)*" (\d{3}) ')
_MONTHS = {name: number for number, name in enumerate(
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)}
_BLOCK_BYTES = 1 << 16
_LINE_BYTES = 1 << 16
_DISORDER = timedelta(minutes=5)
"""A request stands where it ended, and some servers write when it began."""


@dataclass(frozen=True)
class Requests:
    """``errors`` of the ``requests`` were answered by a status of 500 or above; ``unread`` lines were none of the
    format; ``complete``: the window was read to its beginning."""

    requests: int
    errors: int
    unread: int = 0
    complete: bool = True


def requests_since(path: str, since: datetime, *, limit_bytes: int = 50_000_000) -> Requests:
    """Those after the aware instant ``since`` in ``path`` and, where that begins later, in ``path``.1, read from the
    end, of at most ``limit_bytes``. Raises OSError."""
    requests = errors = unread = 0
    stamps: dict[bytes, Optional[datetime]] = {}
    tail = _Tail(path, limit_bytes)
    for line in tail.lines():
        found = _LINE.match(line)
        moment = None
        if found is not None:
            if found[1] not in stamps:
                stamps[found[1]] = _instant(found[1].decode("ascii"))
            moment = stamps[found[1]]
        if found is None or moment is None:
            unread += 1
        elif moment >= since:
            requests += 1
            errors += found[2] >= b"500"
        elif moment < since - _DISORDER:
            break
    return Requests(requests, errors, unread, not tail.cut)


def _instant(text: str) -> Optional[datetime]:
    """``10/Oct/2000:13:55:36 -0700``; None for what is no time. The names of months are English in every locale."""
    try:
        offset = timedelta(hours=int(text[22:24]), minutes=int(text[24:26]))
        zone = timezone(-offset if text[21] == "-" else offset)
        return datetime(int(text[7:11]), _MONTHS[text[3:6]], int(text[:2]), int(text[12:14]), int(text[15:17]),
                        int(text[18:20]), tzinfo=zone)
    except (KeyError, ValueError):
        return None


class _Tail:
    """The lines of a log, the newest first; ``cut``: the limit came before its beginning."""

    def __init__(self, path: str, limit_bytes: int) -> None:
        self.cut = False
        self._path, self._left = path, limit_bytes

    def lines(self) -> Iterator[bytes]:
        """Raises OSError; a log that was rotated away may be missing."""
        yield from self._of(self._path)
        if not self.cut and os.path.exists(f"{self._path}.1"):
            yield from self._of(f"{self._path}.1")

    def _of(self, path: str) -> Iterator[bytes]:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(f"{path} is not a regular file")
            place, rest = os.fstat(handle).st_size, b""
            while place > 0:
                if self._left <= 0:
                    self.cut = True
                    return
                size = min(_BLOCK_BYTES, place, self._left)
                place -= size
                self._left -= size
                *lines, rest = reversed((os.pread(handle, size, place) + rest).split(b"\n"))
                yield from (line for line in lines if line)
                # A line without an end is none.
                rest = rest[:_LINE_BYTES]
            if rest:
                yield rest
        finally:
            os.close(handle)
