# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences that go to monitoring, to mail or onto a page hold nobody's name."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LOGIN_IN_URL = re.compile(r"(?<=://)[^/\s@]*@")
_ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*\.(?!(?:service|timer|path|socket|mount)\b)[A-Za-z]{2,}")


def without_names(text: str, uploads_paths: Sequence[str]) -> str:
    """``text`` without e-mail addresses, and without what lies below ``uploads_paths``, where directories are named by
    the addresses of students."""
    for path in uploads_paths:
        # A name may hold whatever else ends a sentence: rather too much is left out.
        place = re.escape(path.rstrip("/"))
        text = re.sub(f"({place})/(?:.*(?=: )|.*)", r"\1/...", text)
    return _ADDRESS.sub("(an address)", text)


def without_logins(text: str) -> str:
    """``text`` without the user and the password of URLs in it."""
    return _LOGIN_IN_URL.sub("", text)
