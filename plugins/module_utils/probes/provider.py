# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a server answer whose address nobody vouches for? It is asked only where its host is a public one, at the very
address that was looked at, without a key, and without following it anywhere."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Optional, Union
from urllib.parse import urlsplit

_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]{2,45}")
_PRIVATE = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
# Where clouds tell machines their secrets, as far as it is no link-local address anyway: Amazon, Google, Alibaba,
# Azure.
_METADATA = frozenset(ipaddress.ip_address(text) for text in (
    "169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"))
_NAT64, _LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48")


class RefusedAddress(ValueError):
    """The address may not be asked; its text is a part of a sentence that says why."""


def origin(url: str) -> str:
    """Scheme, host and port of ``url``, without user, path and query, which may hold secrets. Raises RefusedAddress."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise RefusedAddress("it is no address of a server") from None
    if scheme not in ("http", "https"):
        raise RefusedAddress("it does not begin with http:// or https://")
    if not _HOST.fullmatch(host) or port == 0:
        raise RefusedAddress("it is no address of a server")
    written = f"[{host}]" if ":" in host else host
    return f"{scheme}://{written}{'' if port is None else f':{port}'}/"


def refusal(address: str, private: bool) -> Optional[str]:
    """Why this address (as getaddrinfo(3) gives it) may not be asked; None where it may. ``private``: those of private
    networks may."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "it is no address"
    for one in (*_inner(found), found):
        if one in _METADATA:
            return "it belongs to the metadata service of a cloud"
        if one.is_loopback or one.is_unspecified:
            return "it is this host itself"
        if one.is_link_local:
            return "it is a link-local address"
        if one.is_multicast:
            return "it is a multicast address"
        if any(one.version == network.version and one in network for network in _PRIVATE):
            if not private:
                return "it is in a private network"
        elif not one.is_global or (one.version == 6 and one in _LOCAL_NAT64):
            return "it is no public address"
    return None


def _inner(address: _Address) -> tuple[_Address, ...]:
    """The addresses of the older protocol that are written inside one of the newer."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(one for one in found if one is not None)


def answer(url: str, *, private: bool, timeout_seconds: float) -> tuple[int, float]:
    """The HTTP status of ``origin(url)``, whatever it is, and the seconds until it came. The name is looked up once;
    where one of its addresses may not be asked, none is. Raises RefusedAddress, OSError, http.client.HTTPException."""
    parts = urlsplit(origin(url))
    host = parts.hostname or ""
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    addresses = _looked_up(host, port, private)
    began = time.monotonic()
    connection = _Pinned(host, port, tls, addresses, timeout_seconds)
    # The limit of a socket is for each single read: a server that drips would have no end.
    watchdog = threading.Timer(timeout_seconds, connection.end)
    watchdog.daemon = True
    watchdog.start()
    try:
        connection.request("GET", "/", headers={"User-Agent": "feedforward-maintenance", "Accept": "*/*",
                                                "Connection": "close"})
        return connection.getresponse().status, time.monotonic() - began
    except (OSError, http.client.HTTPException):
        if connection.ended:
            raise TimeoutError("no answer in time") from None
        raise
    finally:
        watchdog.cancel()
        connection.close()


def _looked_up(host: str, port: int, private: bool) -> Sequence[tuple[int, tuple[str, int]]]:
    """Pairs of family and address. Raises RefusedAddress, OSError."""
    found = []
    for family, _kind, _protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if family in (socket.AF_INET, socket.AF_INET6):
            reason = refusal(str(address[0]), private)
            if reason is not None:
                raise RefusedAddress(f"its host leads to {address[0]}, and {reason}")
            found.append((int(family), (str(address[0]), port)))
    if not found:
        raise OSError("its host has no address")
    return found


class _Pinned(http.client.HTTPConnection):
    """Goes to addresses that were looked up before, and to no other."""

    def __init__(self, host: str, port: int, tls: bool, addresses: Sequence[tuple[int, tuple[str, int]]],
                 timeout_seconds: float) -> None:
        super().__init__(host, port, timeout=timeout_seconds)
        self.ended = False
        self._tls, self._addresses, self._until = tls, addresses, time.monotonic() + timeout_seconds
        if tls:
            # What the header Host leaves out.
            self.default_port = 443

    def connect(self) -> None:
        """Tries one address after the other. Raises OSError."""
        problem: OSError = OSError("no address")
        for family, address in self._addresses:
            connected = socket.socket(family, socket.SOCK_STREAM)
            try:
                self._allow(connected)
                connected.connect(address)
                if self._tls:
                    self._allow(connected)
                    connected = ssl.create_default_context().wrap_socket(connected, server_hostname=self.host)
                self._allow(connected)
            except OSError as error:
                connected.close()
                problem = error
                continue
            self.sock = connected
            return
        raise problem

    def end(self) -> None:
        """Called by another thread: whoever reads from it or writes to it fails."""
        self.ended = True
        if self.sock is not None:
            with suppress(OSError):
                # Not that of ssl.SSLSocket, which another thread may be using.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def _allow(self, connected: socket.socket) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        connected.settimeout(left)
