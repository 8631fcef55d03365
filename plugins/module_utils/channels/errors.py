# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a way of telling could not do. No text here holds a password, or more of an address than its host."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Optional

from ..errors import printable
from ..units import format_seconds

UNREACHABLE = "unreachable"
"""Nothing was said about the message: no connection, a bad certificate, a login that was refused."""
DELAYED = "delayed"
"""The other side was there, and did not take this message; it may take it later."""
REFUSED = "refused"
"""The other side says that it will not take this message, later either."""
PARTLY = "partly"
"""Some recipients have the message: it must not be sent to them again."""

TIMEOUTS = (TimeoutError, socket.timeout)
"""One class since Python 3.10."""
_REASON_CHARACTERS = 400


class ChannelError(Exception):
    """A message was not sent, or not to everybody. ``reason`` is a part of a sentence in one line; ``outcome`` is one
    of the constants of this module. ``later`` are the recipients that may take it another time, ``never`` those that
    will not, with the reply of the server to each."""

    def __init__(self, reason: str, outcome: str = UNREACHABLE, *, later: Sequence[str] = (),
                 never: Optional[Mapping[str, str]] = None) -> None:
        reason = " ".join(printable(" ".join(reason.split())).split())
        self.reason = reason if len(reason) <= _REASON_CHARACTERS else reason[:_REASON_CHARACTERS - 3] + "..."
        self.outcome = outcome
        self.later = tuple(later)
        self.never = dict(never or {})
        super().__init__(self.reason, outcome)

    def __str__(self) -> str:
        return self.reason


def cause(error: Exception, timeout_seconds: float) -> str:
    """What happened to a connection, without the texts of libraries that quote what they were given."""
    if isinstance(error, TIMEOUTS):
        return f"no answer within {format_seconds(timeout_seconds)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {(error.reason or type(error).__name__).replace('_', ' ').lower()}"
    if isinstance(error, OSError) and error.strerror:
        return f"no connection: {error.strerror}"
    if isinstance(error, ConnectionError):
        return "the connection was closed without an answer"
    return f"the answer cannot be understood ({type(error).__name__})"
