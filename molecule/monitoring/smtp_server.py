# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail server with STARTTLS and login that keeps each message as a file: smtp_server.py MAILBOX CERTIFICATE KEY"""

from __future__ import annotations

import ssl
import sys
import threading
import uuid
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

PORT = 5587
LOGIN = (b"feedforward", b"pass word: %$'")


class Mailbox:
    """Keeps what arrives."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def handle_DATA(self, _server, _session, envelope):
        name = f"{uuid.uuid4()}.eml"
        (self.directory / f".{name}").write_bytes(b"X-Envelope-To: " + ", ".join(envelope.rcpt_tos).encode() + b"\r\n"
                                                  + envelope.original_content)
        (self.directory / f".{name}").rename(self.directory / name)
        return "250 kept"


def authenticated(_server, _session, _envelope, mechanism, data):
    """One user may log in."""
    return AuthResult(success=mechanism in ("LOGIN", "PLAIN") and (data.login, data.password) == LOGIN)


def main() -> None:
    """Serve until the unit is stopped."""
    mailbox, certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    Controller(Mailbox(Path(mailbox)), hostname="127.0.0.1", port=PORT, tls_context=context, require_starttls=True,
               authenticator=authenticated, auth_required=True).start()
    threading.Event().wait()


main()
