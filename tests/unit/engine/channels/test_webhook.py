# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Webhooks and the sign of life, at real web servers."""

from __future__ import annotations

import base64
import json
import ssl
from functools import partial

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.channels import heartbeat, webhook
from ansible_collections.feedforward.maintenance.plugins.module_utils.channels.errors import (
    DELAYED,
    REFUSED,
    UNREACHABLE,
    ChannelError,
)
from ansible_collections.feedforward.maintenance.tests.unit.engine.channels.servers import (
    authority,
    closed_port,
    drip,
    hang,
    message,
    raw_server,
    web_server,
)

SECRET = "T0ken-of-the-hook"
POST = partial(webhook.send, message=message())
WAYS = pytest.mark.parametrize("act", [POST, heartbeat.ping], ids=["webhook", "heartbeat"])


@pytest.fixture()
def web():
    with web_server() as found:
        yield found


def failure(act, url, **options):
    """The error, which holds nothing of the address but its host."""
    with pytest.raises(ChannelError) as caught:
        act(url, **options)
    for text in (str(caught.value), repr(caught.value), repr(caught.value.args)):
        assert SECRET not in text and "robot" not in text and "services" not in text
    assert caught.value.__cause__ is None and (caught.value.__suppress_context__ or caught.value.__context__ is None)
    return caught.value


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_webhook_gets_the_payload(web, status):
    server, address = web
    webhook.send(f"{address}/{status}/{SECRET}?thread=1&x=a%20b", message(payload={"name": "Größe", "level": 2}))
    (method, path, headers, body), = server.seen
    assert (method, path) == ("POST", f"/{status}/{SECRET}?thread=1&x=a%20b")
    assert json.loads(body) == {"name": "Größe", "level": 2}
    assert headers["Content-Type"] == "application/json" and headers["User-Agent"] == "feedforward-maintenance"
    assert int(headers["Content-Length"]) == len(body) and "Authorization" not in headers


def test_a_sign_of_life_is_one_get(web):
    server, address = web
    heartbeat.ping(f"{address}/204/{SECRET}")
    (method, path, headers, body), = server.seen
    assert (method, path, body) == ("GET", f"/204/{SECRET}", b"") and "Content-Type" not in headers


@WAYS
def test_a_user_in_the_address_logs_in(web, act):
    server, address = web
    act(address.replace("://", "://robot:p%40ss@") + "/200/für?q=ü#part")
    _method, path, headers, _body = server.seen[0]
    assert path == "/200/f%C3%BCr?q=%C3%BC"
    assert base64.b64decode(headers["Authorization"].partition(" ")[2]) == b"robot:p@ss"
    assert headers["Host"] == address.partition("://")[2]


@WAYS
@pytest.mark.parametrize("status, outcome", [
    (301, DELAYED), (302, DELAYED), (307, DELAYED), (304, DELAYED), (400, REFUSED), (401, REFUSED), (404, REFUSED),
    (410, REFUSED), (408, DELAYED), (425, DELAYED), (429, DELAYED), (500, DELAYED), (503, DELAYED),
])
def test_every_other_answer_is_an_error_and_no_redirect_is_followed(web, act, status, outcome):
    server, address = web
    error = failure(act, f"{address.replace('://', '://robot:' + SECRET + '@')}/{status}/services/{SECRET}?{SECRET}")
    assert error.outcome == outcome and str(error).startswith(f"127.0.0.1 answers {status}")
    assert len(server.seen) == 1


@WAYS
@pytest.mark.parametrize("talk", [hang, drip(b"HTTP/1.1 200 OK\r\nX-", b"x"),
                                  drip(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n")])
def test_a_server_that_hangs_or_drips(act, talk):
    with raw_server(talk) as port:
        error = failure(act, f"http://127.0.0.1:{port}/services/{SECRET}", timeout_seconds=0.5)
    assert error.outcome == DELAYED and "no answer within 0.50 s" in str(error)


@WAYS
def test_the_answer_itself_is_not_waited_for_and_not_kept(act):
    with raw_server(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 100_000)) as port:
        act(f"http://127.0.0.1:{port}/", timeout_seconds=5.0)
    with raw_server(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x")) as port:
        act(f"http://127.0.0.1:{port}/", timeout_seconds=0.5)


@WAYS
@pytest.mark.parametrize("said, told", [
    (b"this is no HTTP\r\n\r\n", "the answer cannot be understood (BadStatusLine)"),
    (b"", "the connection was closed without an answer"),
])
def test_what_is_no_web_server(act, said, told):
    def talk(connected):
        asked = b""
        # What was not read would make the farewell a reset.
        while not asked.endswith(json.dumps(message().payload).encode() if asked.startswith(b"P") else b"\r\n\r\n"):
            asked += connected.recv(65536)
        connected.sendall(said)
        connected.close()

    with raw_server(talk) as port:
        error = failure(act, f"http://127.0.0.1:{port}/services/{SECRET}")
    assert error.outcome == DELAYED and str(error) == f"127.0.0.1: {told}"


@WAYS
def test_nobody_listens(act):
    error = failure(act, f"http://127.0.0.1:{closed_port()}/services/{SECRET}")
    assert (error.outcome, str(error)) == (UNREACHABLE, "127.0.0.1: no connection: Connection refused")


@WAYS
def test_a_name_that_nobody_has(act):
    error = failure(act, f"http://nobody.invalid/services/{SECRET}")
    assert error.outcome == UNREACHABLE and str(error).startswith("nobody.invalid: no connection: ")


@WAYS
def test_certificates_are_verified(tmp_path, act):
    certificate = authority(tmp_path)
    trusted = ssl.create_default_context(cafile=str(certificate))
    with web_server(certificate) as (server, address):
        error = failure(act, f"{address}/200/{SECRET}")
        assert error.outcome == UNREACHABLE and "its certificate is not good: self" in str(error)
        error = failure(act, f"{address.replace('127.0.0.1', 'localhost')}/200/{SECRET}", context=trusted)
        assert "Hostname mismatch" in str(error)
        assert not server.seen
        act(f"{address}/200/{SECRET}", context=trusted)
        assert len(server.seen) == 1


@WAYS
def test_tls_where_there_is_none(web, act):
    error = failure(act, web[1].replace("http://", "https://") + f"/200/{SECRET}")
    assert error.outcome == UNREACHABLE and "no TLS connection: " in str(error)


@WAYS
@pytest.mark.parametrize("url", [f"http://host:{SECRET}/", f"ftp://host/{SECRET}", f"http:///{SECRET}", SECRET, "",
                                 f"http://[{SECRET}/", f"http://a..b/{SECRET}", f"http://{'b' * 64}/{SECRET}",
                                 f"http://a\u2100b/{SECRET}"])
def test_what_is_no_address(act, url):
    assert failure(act, url).outcome == UNREACHABLE


@pytest.mark.parametrize("payload", [{"x": float("nan")}, {"x": object()}, {1j: 2}])
def test_a_payload_that_is_no_json(web, payload):
    error = failure(partial(webhook.send, message=message(payload=payload)), f"{web[1]}/200/x")
    assert error.outcome == REFUSED and not web[0].seen
