# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message as JSON by POST, for chat services and programs of one's own."""

from __future__ import annotations

import json
import ssl
from typing import Optional

from ..alerting import Message
from .errors import REFUSED, ChannelError
from .request import ask


def send(url: str, message: Message, timeout_seconds: float = 30.0, *,
         context: Optional[ssl.SSLContext] = None) -> None:
    """Posts the payload of the message. Raises ChannelError for everything but an answer of 2xx."""
    try:
        body = json.dumps(dict(message.payload), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError):
        raise ChannelError("the message cannot be written as JSON", REFUSED) from None
    ask("POST", url, body, timeout_seconds=timeout_seconds, context=context)
