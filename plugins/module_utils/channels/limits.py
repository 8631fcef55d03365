# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit for a whole step: a socket's own is for each single read, so that a server that drips would have no end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Optional

from .errors import TIMEOUTS

_LATE = "the answer did not end in time"


@contextmanager
def time_limit(connected: Optional[socket.socket], seconds: float) -> Iterator[None]:
    """Shuts the socket after ``seconds``. Raises TimeoutError where it came to that, for what was read then may look
    like an answer that is over, and where a single read took too long; other exceptions as they are."""
    expired = threading.Event()

    def end() -> None:
        expired.set()
        if connected is not None:
            with suppress(OSError):
                # Not by the method of a TLS socket, which would take the session from under its reader.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if expired.is_set() or isinstance(error.__context__, TIMEOUTS):
            raise TimeoutError(_LATE) from None
        raise
    else:
        if expired.is_set():
            raise TimeoutError(_LATE)
    finally:
        timer.cancel()
