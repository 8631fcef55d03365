# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers for mail and web, on ports that are free, each in a thread of its own."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.server
import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.feedforward.maintenance.plugins.module_utils.alerting import Message

USER, PASSWORD = "alerts@school.example", "correct horse battery"


def message(**changes) -> Message:
    """A message about which nothing is special."""
    given = {"id": "20261124T054710Z-abc", "created": dt.datetime(2026, 11, 24, 5, 47, 10, tzinfo=dt.timezone.utc),
             "subject": "Disk is full", "text": "Storage: 98 % are used\n", "html": "<p>Storage: 98 % are used</p>\n",
             "payload": {"level": 2, "application": "feedforward"}}
    return Message(**{**given, **changes})


def authority(directory: Path) -> Path:
    """A certificate that is its own authority, for 127.0.0.1, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256()))
    path = directory / "authority.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    """What a server with that certificate uses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class Mailbox:
    """What a mail server took: ``envelopes``. It answers 250, but ``replies`` to commands, to RCPT by recipient, and
    ``answers`` to messages by a text in them."""

    def __init__(self) -> None:
        self.envelopes: list = []
        self.replies: dict[str, str] = {}
        self.answers: dict[str, str] = {}
        self.logins = 0

    async def handle_MAIL(self, _server, _session, envelope, address, _options):
        if "MAIL" in self.replies:
            return self.replies["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):
        for text, reply in self.answers.items():
            if text.encode() in envelope.content:
                return reply
        if "DATA" in self.replies:
            return self.replies["DATA"]
        self.envelopes.append(envelope)
        return "250 OK"

    def authenticate(self, _server, _session, _envelope, _mechanism, given):
        self.logins += 1
        return AuthResult(success=(given.login, given.password) == (USER.encode(), PASSWORD.encode()), handled=False)


@contextmanager
def mail_server(box: Mailbox, certificate=None, *, implicit=False, login=False, port=0):
    """The port of a server: with STARTTLS where there is a certificate, or with TLS from the first byte on."""
    context = server_side(certificate) if certificate else None
    options = {"hostname": "mail.test", "enable_SMTPUTF8": True}
    if context and not implicit:
        options.update(tls_context=context, require_starttls=True)
    if login:
        # With TLS from the first byte on, this server does not know that there is TLS.
        options.update(authenticator=box.authenticate, auth_required=not implicit, auth_require_tls=not implicit)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(
        lambda: SMTP(box, loop=loop, **options), "127.0.0.1", port, ssl=context if implicit else None))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(server):
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    # Transports close by callbacks of the loop.
    await asyncio.sleep(0)


@contextmanager
def raw_server(talk):
    """The port of a server that calls ``talk(socket)`` for each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_ones: list = []

    def accept():
        with suppress(OSError):
            while True:
                connected, _address = listener.accept()
                open_ones.append(connected)
                threading.Thread(target=serve, args=(connected,), daemon=True).start()

    def serve(connected):
        with suppress(OSError):
            talk(connected)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connected in open_ones:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            connected.close()


def hang(connected: socket.socket) -> None:
    """Says nothing until the other side leaves."""
    while connected.recv(65536):
        pass


def drip(beginning: bytes, piece: bytes):
    """Says ``beginning``, then ``piece`` again and again."""
    def talk(connected):
        pause = threading.Event()
        connected.sendall(beginning)
        while True:
            pause.wait(0.05)
            connected.sendall(piece)
    return talk


def at_the_end_of_a_message(last):
    """Speaks SMTP without TLS until a message has ended, calls ``last(socket)`` and leaves."""
    def talk(connected):
        inside = False
        with connected.makefile("rb") as lines:
            connected.sendall(b"220 hello\r\n")
            for line in lines:
                if line == b".\r\n":
                    last(connected)
                    break
                if line.lower() == b"data\r\n":
                    inside = True
                    connected.sendall(b"354 go on\r\n")
                elif not inside:
                    connected.sendall(b"250 OK\r\n")
        connected.shutdown(socket.SHUT_RDWR)
    return talk


class Web(http.server.ThreadingHTTPServer):
    """Answers the status that is the path's first part; keeps what was asked in ``seen``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self.seen: list = []
        self.answers: dict[str, int] = {}

    def handle_error(self, *_arguments):
        """Quiet."""


class _Pages(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        status = int(self.path.split("/")[1])
        for text, answer in self.server.answers.items():
            status = answer if text.encode() in body else status
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "/200/elsewhere")
        self.end_headers()
        if status not in (204, 304):
            self.wfile.write(b"thanks" * 100000)

    do_GET = do_POST

    def log_message(self, *_arguments):
        """Quiet."""


@contextmanager
def web_server(certificate=None):
    """A web server and its address."""
    server = Web()
    if certificate:
        server.socket = server_side(certificate).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server, f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
