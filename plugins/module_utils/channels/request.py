# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to a web server, by whose status all is told."""

from __future__ import annotations

import base64
import http.client
import ssl
import time
from contextlib import suppress
from typing import Optional
from urllib.parse import SplitResult, quote, unquote, urlsplit

from .errors import DELAYED, REFUSED, UNREACHABLE, ChannelError, cause
from .limits import time_limit

_BODY_BYTES = 1 << 16
# These speak of the moment, not of the message (RFC 9110, 8470, 6585).
_LATER = (408, 425, 429)


def ask(method: str, url: str, body: Optional[bytes] = None, *, timeout_seconds: float,
        context: Optional[ssl.SSLContext] = None) -> None:
    """Success is a status of 2xx. Without proxies, cookies or a second try; redirects are not followed; a user and a
    password in the address are sent (RFC 7617). ``body`` is JSON. ``context`` None: certificates are verified against
    the system's. Raises ChannelError."""
    parts, port = _parts(url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_seconds,
                                                 context=context or ssl.create_default_context())
    until = time.monotonic() + timeout_seconds
    outcome = UNREACHABLE
    response: Optional[http.client.HTTPResponse] = None
    try:
        connection.connect()
        outcome = DELAYED
        connected = connection.sock
        with time_limit(connected, _left(until)):
            connection.request(method, _target(parts), body=body, headers=_headers(parts, body))
            response = connection.getresponse()
        # A program behind the server may be stopped when its reader leaves early.
        with suppress(OSError, http.client.HTTPException), time_limit(connected, _left(until)):
            response.read(_BODY_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        # Not with the error as the cause: some quote the address.
        raise ChannelError(f"{host}: {cause(error, timeout_seconds)}", outcome) from None
    finally:
        if response is not None:
            response.close()
        connection.close()
    _judge(host, response.status)


def _left(until: float) -> float:
    return max(until - time.monotonic(), 0.001)


def _parts(url: str) -> tuple[SplitResult, Optional[int]]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ChannelError("the address does not begin with http:// or https:// and a host, or its port is no number")
    return parts, port


def _target(parts: SplitResult) -> str:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(target, safe="!#$%&'()*+,/:;=?@[]~")


def _headers(parts: SplitResult, body: Optional[bytes]) -> dict[str, str]:
    headers = {"User-Agent": "feedforward-maintenance", "Accept": "*/*", "Connection": "close"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode("utf-8", "replace")).decode("ascii")
    return headers


def _judge(host: str, status: int) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise ChannelError(f"{host} answers {status}, and redirects are not followed", DELAYED)
    refused = 400 <= status < 500 and status not in _LATER
    raise ChannelError(f"{host} answers {status}", REFUSED if refused else DELAYED)
