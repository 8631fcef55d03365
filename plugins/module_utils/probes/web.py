# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to a web server. What it answers is told as it is: redirects are not followed, for a page of errors
behind one may well answer 200."""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Optional
from urllib.parse import urlsplit

BODY_BYTES = 1 << 20


@dataclass(frozen=True)
class Answer:
    """``seconds`` until the whole answer (at most its first MiB) was there; ``location`` of a redirect;
    ``certificate_ends`` is aware, None without TLS."""

    status: int
    seconds: float
    body: bytes
    location: Optional[str]
    certificate_ends: Optional[datetime]


def ask(url: str, *, timeout_seconds: float, verify: bool = True) -> Answer:
    """GET ``url``, without proxies, cookies or a second try. Raises OSError, among them TimeoutError and ssl.SSLError,
    http.client.HTTPException, and ValueError for what is no URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the address does not begin with http:// or https:// and a host")
    began = time.monotonic()
    connection = _connection(parts.scheme, parts.hostname, parts.port, timeout_seconds, verify)
    try:
        connection.connect()
        ends = _certificate_ends(connection)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": "feedforward-maintenance", "Accept": "*/*",
                                                   "Connection": "close"})
        response = connection.getresponse()
        body = _read(response, connection, began + timeout_seconds)
        return Answer(response.status, time.monotonic() - began, body, response.getheader("Location"), ends)
    finally:
        connection.close()


def _connection(scheme: str, host: str, port: Optional[int], timeout_seconds: float,
                verify: bool) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout_seconds, context=context)


def _read(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, until: float) -> bytes:
    """The body. The socket's own limit is for each single read: a server that drips would have no end."""
    pieces, size = [], 0
    while size < BODY_BYTES:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not end in time")
        if connection.sock is not None:
            connection.sock.settimeout(left)
        piece = response.read1(min(65536, BODY_BYTES - size))
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _certificate_ends(connection: http.client.HTTPConnection) -> Optional[datetime]:
    if not isinstance(connection.sock, ssl.SSLSocket):
        return None
    certificate = connection.sock.getpeercert()
    ends = certificate.get("notAfter") if certificate else None
    if not isinstance(ends, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), timezone.utc)
