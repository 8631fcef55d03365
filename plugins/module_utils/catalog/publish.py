# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving a finished file its final name: never over another file, and durable."""

from __future__ import annotations

import errno
import os

from ..errors import DestinationError, from_oserror
from ..files import fsync_directory

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def fsync_file(path: str) -> None:
    """Makes the bytes of ``path`` durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_without_replacing(source: str, target: str) -> None:
    """Moves ``source`` to ``target`` in the same directory, which is made durable.

    link(2) fails where the target exists, as rename(2) does not; a crash in between leaves the whole file under
    both names. On a file system without hard links link(2) says so only after it has found the target free; then
    it is a rename, and the catalog's lock keeps others of ours away. Raises DestinationError.
    """
    directory = os.path.dirname(target)
    try:
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.rename(source, target)
        else:
            fsync_directory(directory)
            os.unlink(source)
        fsync_directory(directory)
    except FileExistsError:
        raise DestinationError(target, "a file of this name exists already and is not replaced",
                               "Run again: the next run chooses another name") from None
    except OSError as error:
        raise from_oserror(error, target, "giving the archive its name") from error
