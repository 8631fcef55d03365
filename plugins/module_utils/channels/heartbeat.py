# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sign of life for somebody elsewhere, who raises the alarm when it stays away."""

from __future__ import annotations

import ssl
from typing import Optional

from .request import ask


def ping(url: str, timeout_seconds: float = 30.0, *, context: Optional[ssl.SSLContext] = None) -> None:
    """One GET. Raises ChannelError for everything but an answer of 2xx."""
    ask("GET", url, timeout_seconds=timeout_seconds, context=context)
