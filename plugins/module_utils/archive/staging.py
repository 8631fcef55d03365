# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a file that may change meanwhile: it is staged whole before its tar header is written."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Optional

from ..directories import open_file
from ..errors import SourceError, from_oserror
from ..units import format_bytes

CHUNK_BYTES = 1 << 20
MEMORY_BYTES = 4 << 20
GROWTH_LIMIT_BYTES = 256 << 20


@dataclass(frozen=True)
class Staged:
    """The content of a file as it was read: ``size`` bytes with ``sha256``, readable from ``stream``.
    ``steady``: neither its length nor its time changed while it was read."""

    stream: IO[bytes]
    size: int
    sha256: str
    steady: bool


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """A regular file, opened for reading; a link in its last place is not followed. Raises SourceError."""
    try:
        stream = open_file(path)
    except OSError as error:
        raise source_error(error, path) from error
    with stream:
        yield stream


def source_error(error: OSError, path: str) -> SourceError:
    """The SourceError for an OSError met while reading ``path``."""
    return SourceError(path, f"it cannot be read: {error.strerror or error}",
                       "See that it exists and may be read, then run again")


def read_chunk(source: IO[bytes], path: str, count: int = CHUNK_BYTES) -> bytes:
    """At most ``count`` bytes, none at the end. Raises SourceError."""
    try:
        return source.read(count)
    except OSError as error:
        raise source_error(error, path) from error


@contextmanager
def staged(path: str, size: int, sha256: Optional[str], scratch: str) -> Iterator[Staged]:
    """The content of ``path``, in memory up to 4 MiB and in an unlinked file in ``scratch`` beyond.

    ``size`` and ``sha256`` are what the manifest lists. Where the first ``size`` bytes still have that digest
    (a log that grew), only they are taken. Otherwise the file is read once more when it changed while it was
    read. Raises SourceError, and DestinationError when the scratch directory is full.
    """
    with tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES, dir=scratch) as spool:
        result = _stage(path, size, sha256, spool, scratch)
        if result.sha256 != sha256 and not result.steady:
            result = _stage(path, size, sha256, spool, scratch)
        spool.seek(0)
        yield result


def _stage(path: str, size: int, sha256: Optional[str], spool: IO[bytes], scratch: str) -> Staged:
    spool.seek(0)
    spool.truncate()
    listed, whole, length = hashlib.sha256(), hashlib.sha256(), 0
    with opened(path) as source:
        before = _version(source)
        while True:
            chunk = read_chunk(source, path)
            if not chunk:
                break
            if length < size:
                listed.update(memoryview(chunk)[:size - length])
            whole.update(chunk)
            length += len(chunk)
            _check_growth(path, size, length)
            try:
                spool.write(chunk)
            except OSError as error:
                raise from_oserror(error, scratch, f"staging {path}") from error
        steady = _version(source) == before
    if length >= size and listed.hexdigest() == sha256:
        return Staged(spool, size, listed.hexdigest(), steady)
    return Staged(spool, length, whole.hexdigest(), steady)


def _check_growth(path: str, size: int, length: int) -> None:
    if length > size + GROWTH_LIMIT_BYTES:
        raise SourceError(path, f"it grew by more than {format_bytes(GROWTH_LIMIT_BYTES)} while the backup ran",
                          "Find out what writes to it, then run again")


def _version(source: IO[bytes]) -> tuple[int, int]:
    status = os.fstat(source.fileno())
    return status.st_size, status.st_mtime_ns
