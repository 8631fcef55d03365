# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of unknown standing: which addresses are refused, and that no other is ever reached."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.probes import provider


@pytest.mark.parametrize("address, why", [
    ("169.254.169.254", "metadata"), ("fd00:ec2::254", "metadata"), ("100.100.100.200", "metadata"),
    ("168.63.129.16", "metadata"), ("fd20:ce::254", "metadata"),
    ("127.0.0.1", "this host"), ("127.8.9.10", "this host"), ("::1", "this host"), ("0.0.0.0", "this host"),
    ("::", "this host"), ("169.254.1.1", "link-local"), ("fe80::1%eth0", "link-local"), ("fe80::1", "link-local"),
    ("224.0.0.1", "multicast"), ("ff02::1", "multicast"),
    ("100.64.0.1", "no public"), ("192.0.2.1", "no public"), ("240.0.0.1", "no public"), ("2001:db8::1", "no public"),
    ("255.255.255.255", "no public"), ("64:ff9b:1::808:808", "no public"), ("nonsense", "no address"),
    ("::ffff:127.0.0.1", "this host"), ("::ffff:169.254.169.254", "metadata"), ("2002:7f00:1::", "this host"),
    ("64:ff9b::169.254.169.254", "metadata"), ("64:ff9b::7f00:1", "this host"), ("2002:a9fe:a9fe::", "metadata"),
])
def test_addresses_that_are_never_asked(address, why):
    for private in (False, True):
        assert why in (provider.refusal(address, private) or ""), private


@pytest.mark.parametrize("address", ["10.0.0.5", "172.16.3.4", "172.31.255.255", "192.168.1.1", "fd12:3456::1"])
def test_private_addresses_are_asked_where_that_is_wanted(address):
    assert "private network" in (provider.refusal(address, False) or "")
    assert provider.refusal(address, True) is None


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_asked(address):
    assert provider.refusal(address, False) is None


@given(st.ip_addresses())
def test_what_is_asked_is_public(address):
    if provider.refusal(str(address), False) is None:
        assert address.is_global and not address.is_multicast and not address.is_link_local
    if address.version == 4 and not address.is_global:
        assert provider.refusal(str(ipaddress.IPv6Address(f"::ffff:{address}")), False) is not None


@pytest.mark.parametrize("url, expected", [
    ("https://api.example.com/v1/models?key=secret#x", "https://api.example.com/"),
    ("https://user:secret@api.example.com:8443/v1", "https://api.example.com:8443/"),
    ("HTTP://API.Example.com", "http://api.example.com/"), ("http://[::1]:80/x", "http://[::1]:80/"),
    ("http://2130706433/", "http://2130706433/"), ("http://a_b.example/", "http://a_b.example/")])
def test_only_scheme_host_and_port_remain(url, expected):
    assert provider.origin(url) == expected


@pytest.mark.parametrize("url", [
    "", "file:///etc/passwd", "gopher://x/", "ftp://x/", "api.example.com", "http://", "http:///x", "http://x:99999/",
    "http://x:y/", "http://[::1/", "http://a b/", "http://x\r\nHost: y/", "http://exämple/", "http://x:0/", "//x/",
    "javascript:x"])
def test_what_is_no_address_of_a_server(url):
    with pytest.raises(provider.RefusedAddress) as caught:
        provider.origin(url)
    assert not url or url not in str(caught.value)


@given(st.text())
def test_whatever_stands_in_the_database_is_refused_or_plain(url):
    try:
        found = provider.origin(url)
    except provider.RefusedAddress:
        return
    assert found.isprintable() and found.startswith(("http://", "https://")) and "@" not in found
    assert provider.origin(found) == found


class Server:
    """Takes one connection after the other and answers each with the same bytes; remembers what it was asked."""

    def __init__(self, reply: bytes, drip_seconds: float = 0.0) -> None:
        self.asked: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.reply, self.drip_seconds = reply, drip_seconds
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                connection, _address = self.socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(65536))
                try:
                    for piece in ([self.reply] if not self.drip_seconds else [b"%c" % byte for byte in self.reply]):
                        connection.sendall(piece)
                        time.sleep(self.drip_seconds)
                except OSError:
                    continue

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)


@pytest.fixture()
def serve():
    running = []

    def start(*arguments, **options):
        running.append(Server(*arguments, **options))
        return running[-1]

    yield start
    for server in running:
        server.close()


def test_this_host_is_not_reached_by_any_name(serve):
    server = serve(b"HTTP/1.1 200 OK\r\n\r\n")
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "0"):
        with pytest.raises(provider.RefusedAddress, match="this host"):
            provider.answer(f"http://{host}:{server.port}/", private=True, timeout_seconds=5)
    assert server.asked == []


@pytest.fixture()
def allow_this_host(monkeypatch):
    """The only way to reach a server of a test: what is refused is tested above."""
    monkeypatch.setattr(provider, "refusal", lambda _address, _private: None)


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 421, 503])
def test_any_answer_is_one(serve, allow_this_host, status):
    server = serve(b"HTTP/1.1 %d X\r\nLocation: http://127.0.0.1:1/elsewhere\r\n\r\n" % status)
    found, seconds = provider.answer(f"http://u:secret@localhost:{server.port}/v1?key=secret", private=False,
                                     timeout_seconds=5)
    assert found == status and seconds >= 0
    assert len(server.asked) == 1 and server.asked[0].startswith(b"GET / HTTP/1.1\r\n")
    assert b"secret" not in server.asked[0] and b"Authorization" not in server.asked[0]
    assert b"Host: localhost:%d\r\n" % server.port in server.asked[0]


def test_it_goes_to_the_address_that_was_looked_at(serve, monkeypatch):
    """A name that leads elsewhere the second time it is asked for is asked for once."""
    server = serve(b"HTTP/1.1 200 OK\r\n\r\n")
    looked: list[str] = []

    def names(host, port, **_options):
        looked.append(host)
        address = "127.0.0.1" if len(looked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", names)
    monkeypatch.setattr(provider, "refusal", lambda address, _private: None if address == "127.0.0.1" else "refused")
    assert provider.answer(f"http://x.example:{server.port}/", private=False, timeout_seconds=5)[0] == 200
    assert looked == ["x.example"] and b"Host: x.example:" in server.asked[0]


def test_one_bad_address_is_enough(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda _host, port, **_options: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("8.8.8.8", "169.254.169.254")])
    with pytest.raises(provider.RefusedAddress, match="metadata"):
        provider.answer("http://x.example/", private=True, timeout_seconds=5)


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-x\r\n", b"\x00" * 100])
def test_what_is_no_answer(serve, allow_this_host, reply):
    server = serve(reply)
    with pytest.raises((OSError, http.client.HTTPException)):
        provider.answer(f"http://127.0.0.1:{server.port}/", private=False, timeout_seconds=5)
    with pytest.raises(OSError):
        provider.answer(f"https://127.0.0.1:{server.port}/", private=False, timeout_seconds=5)


def test_a_server_that_drips_has_an_end(serve, allow_this_host):
    server = serve(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, drip_seconds=0.05)
    with pytest.raises(TimeoutError, match="no answer in time"):
        provider.answer(f"http://127.0.0.1:{server.port}/", private=False, timeout_seconds=0.5)


def test_nobody_there(allow_this_host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        provider.answer(f"http://127.0.0.1:{port}/", private=False, timeout_seconds=5)
