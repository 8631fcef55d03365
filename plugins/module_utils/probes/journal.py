# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exceptions of Python in the journal of a service: their class and their place, and never a message, for those quote
what people wrote."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Optional

OTHER = "other"
MOST_CLASSES = 50

_LINE_BYTES = 4096
_LIMIT_BYTES = 64 << 20
_LIMIT_SECONDS = 10.0
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = re.compile(r'\s+File "([^"]{1,500})", line (\d{1,7})')
_CLASS = re.compile(r"([A-Za-z_][A-Za-z0-9_.]{0,99})(?::|$)")
_GROUP = re.compile(r"^ *[|+] ")
_CHAINED = ("During handling of the above exception, another exception occurred:",
            "The above exception was the direct cause of the following exception:")
_FILE = re.compile(r"[A-Za-z0-9_.-]{1,80}\.py")


@dataclass(frozen=True)
class Exceptions:
    """How many there were, and how many of each ``Class file.py:line``; ``complete``: nothing was passed over."""

    total: int
    by_place: dict[str, int]
    complete: bool = True


def exceptions_since(unit: str, since: datetime) -> Exceptions:
    """Those in the journal of ``unit`` after the aware instant ``since``, of at most 64 MiB and what comes within 10 s.
    Raises OSError where the journal cannot be read."""
    command = ["journalctl", "--unit", unit, "--since", f"@{int(since.timestamp())}", "--output", "cat", "--no-pager"]
    # The engine also runs without Ansible, so there is no module whose run_command could be called.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,  # pylint: disable=ansible-bad-function
                          stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}) as process:
        try:
            if process.stdout is None or process.stderr is None:
                raise OSError("journalctl has no output")
            reader = _Reader(process.stdout, time.monotonic() + _LIMIT_SECONDS)
            found = count(places(reader.lines()))
            if not reader.complete:
                return Exceptions(found.total, found.by_place, complete=False)
            said = process.stderr.read(_LINE_BYTES).decode("utf-8", "replace")
            process.wait(timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise TimeoutError("journalctl does not end") from None
        finally:
            process.kill()
    if process.returncode != 0:
        raise OSError(said.strip().splitlines()[0] if said.strip() else f"journalctl ended with {process.returncode}")
    if "not seeing messages" in said:
        raise PermissionError(1, "the journal may not be read: run as root")
    return found


def count(found: Iterable[tuple[str, str]]) -> Exceptions:
    """Pairs of class and place as numbers; all but the MOST_CLASSES most frequent are ``other``."""
    by_place = Counter(f"{name} {place}" if place else OTHER for name, place in found)
    kept = dict(sorted(((key, number) for key, number in by_place.items() if key != OTHER),
                       key=lambda item: (-item[1], item[0]))[:MOST_CLASSES])
    total = sum(by_place.values())
    rest = total - sum(kept.values())
    return Exceptions(total, {**kept, OTHER: rest} if rest else kept)


def places(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The class of each exception, and ``file.py:line`` of the innermost line of its traceback; of a chain the last
    one only. The place is empty, and the class, too, unless that is a file on this host: people may well write what
    looks like a traceback, and their words must not come out here."""
    frame: Optional[tuple[str, str]] = None
    inside = False
    pending: Optional[tuple[str, str]] = None
    for raw in lines:
        line = _GROUP.sub("", raw, count=1).rstrip()
        if line.endswith(_TRACEBACK):
            inside, frame = True, None
        elif inside and line and not line.startswith(" "):
            inside = False
            if pending is not None:
                yield pending
            pending = _exception(line, frame)
        elif inside:
            match = _FRAME.match(line)
            frame = (match[1], match[2]) if match else frame
        elif pending is not None and line:
            if line not in _CHAINED:
                yield pending
            pending = None
    if pending is not None:
        yield pending


def _exception(line: str, frame: Optional[tuple[str, str]]) -> tuple[str, str]:
    name = _CLASS.match(line)
    if name is None or frame is None:
        return "", ""
    path, number = frame
    file = os.path.basename(path)
    if not _FILE.fullmatch(file) or not os.path.isabs(path) or not os.path.isfile(path):
        return "", ""
    return name[1].rpartition(".")[2], f"{file}:{number}"


class _Reader:
    """Lines of a stream within limits; ``complete``: it came to its end."""

    def __init__(self, stream: IO[bytes], until: float) -> None:
        self.complete = False
        self._stream, self._until = stream, until

    def lines(self) -> Iterator[str]:
        """Each line, cut off where it is long."""
        left, begun = _LIMIT_BYTES, True
        while left > 0 and time.monotonic() < self._until:
            piece = self._stream.readline(_LINE_BYTES)
            if not piece:
                self.complete = True
                return
            left -= len(piece)
            if begun:
                yield piece.decode("utf-8", "replace")
            begun = piece.endswith(b"\n")
