# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that behaves as the file MODE says (well, error, redirect, slow, hang, other), and one that has a
certificate: pages.py MODE CERTIFICATE KEY"""

from __future__ import annotations

import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODE = Path(sys.argv[1])


class Page(BaseHTTPRequestHandler):
    """Answers as it was told."""

    def do_GET(self):
        mode = MODE.read_text(encoding="ascii").strip()
        time.sleep({"slow": 0.8, "hang": 30}.get(mode, 0))
        body = b"Something else" if mode == "other" else b"All is well"
        self.send_response({"error": 500, "redirect": 303}.get(mode, 200))
        if mode == "redirect":
            self.send_header("Location", "/landing")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Nothing: the tests look at what the monitor says."""


def serve(port, certificate=None, key=None):
    """A server in a thread of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Page)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()


serve(5002)
serve(5003, sys.argv[2], sys.argv[3])
threading.Event().wait()
