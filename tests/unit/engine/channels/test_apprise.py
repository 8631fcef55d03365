# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apprise, where it is installed: the real program, at a real web server."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.channels import apprise
from ansible_collections.feedforward.maintenance.plugins.module_utils.channels.errors import (
    DELAYED,
    REFUSED,
    UNREACHABLE,
    ChannelError,
)
from ansible_collections.feedforward.maintenance.tests.unit.engine.channels.servers import (
    closed_port,
    message,
    web_server,
)

SECRET = "T0ken-of-the-room"


def is_installed() -> bool:
    if importlib.util.find_spec("apprise") is not None:
        return True
    command = [apprise._SYSTEM_PYTHON, "-I", "-c", "import apprise"]
    try:
        return subprocess.run(command, check=False, timeout=60, capture_output=True).returncode == 0
    except OSError:
        return False


needs_apprise = pytest.mark.skipif(not is_installed(), reason="Apprise (Debian: apprise) is not installed")


@pytest.fixture()
def web():
    with web_server() as (server, address):
        yield server, address.replace("http://", "json://robot:" + SECRET + "@")


def failure(url, **options):
    with pytest.raises(ChannelError) as caught:
        apprise.send(url, message(), **options)
    assert SECRET not in repr(caught.value) and "robot" not in repr(caught.value)
    return caught.value


@needs_apprise
def test_a_message_arrives(web):
    server, address = web
    apprise.send(f"{address}/200/{SECRET}", message(subject="Größe\nBcc: x", text="a\\nb ä\0\ud800 \U0001f600\nline\n"))
    (_method, path, _headers, body), = server.seen
    assert path == f"/200/{SECRET}"
    told = json.loads(body)
    assert told["title"] == "Größe Bcc: x"
    assert told["message"].rstrip() == "a\\nb ä? \U0001f600\nline"


@needs_apprise
@pytest.mark.parametrize("status, outcome", [(400, REFUSED), (404, REFUSED), (429, DELAYED), (500, DELAYED)])
def test_a_service_that_does_not_take_it(web, status, outcome):
    server, address = web
    error = failure(f"{address}/{status}/{SECRET}")
    assert error.outcome == outcome
    assert str(error) == f"Apprise could not send it (json://): the service answers {status}"
    assert len(server.seen) == 1


@needs_apprise
def test_a_service_that_is_not_there():
    error = failure(f"json://robot:{SECRET}@127.0.0.1:{closed_port()}/{SECRET}")
    assert (error.outcome, str(error)) == (DELAYED, "Apprise could not send it (json://)")


@needs_apprise
def test_an_address_that_it_does_not_know():
    error = failure(f"nonsense://{SECRET}")
    assert error.outcome == UNREACHABLE and "does not understand this address" in str(error)


def test_what_takes_too_long_is_ended():
    error = failure(f"json://127.0.0.1/{SECRET}", timeout_seconds=0.001)
    assert error.outcome == DELAYED and "did not end within" in str(error)


def test_where_it_is_not_installed(monkeypatch, tmp_path):
    bare = tmp_path / "bin" / "python3"
    bare.parent.mkdir()
    # An environment of Python's own, without packages.
    bare.symlink_to(sys._base_executable)
    (tmp_path / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n", encoding="ascii")
    monkeypatch.setattr(sys, "executable", str(bare))
    monkeypatch.setattr(apprise, "_SYSTEM_PYTHON", str(tmp_path / "no-python"))
    error = failure(f"json://127.0.0.1/{SECRET}")
    assert (error.outcome, str(error)) == (
        UNREACHABLE, "Apprise is not installed: install Debian's package apprise")


@needs_apprise
def test_no_secret_is_in_a_list_of_processes(monkeypatch):
    commands = []
    run = subprocess.run

    def watched(command, *, check, **options):
        commands.append((command, options.get("env")))
        return run(command, check=check, **options)

    monkeypatch.setattr(subprocess, "run", watched)
    failure(f"json://robot:{SECRET}@127.0.0.1:{closed_port()}/{SECRET}")
    assert commands and not any(SECRET in " ".join(command) or env for command, env in commands)
