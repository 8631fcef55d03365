# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The question before something live is replaced, on a real pseudo-terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.confirm import confirm
from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.output import Output
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import UsageError

if TYPE_CHECKING:
    from conftest import Terminal


def output_on(terminal: Terminal) -> Output:
    return Output("p", stdout=None, stderr=terminal.stream, environ={})


def test_the_typed_name_goes_on(terminal: Terminal) -> None:
    terminal.type("users.db\n")
    confirm(output_on(terminal), terminal.stdin, "users.db", "/data/users.db")
    assert "Type users.db to go on: " in terminal.shown()


@pytest.mark.parametrize("typed, told", [("yes\n", "yes was typed"), ("\n", "nothing was typed"),
                                         ("\x04", "nothing was typed")])
def test_anything_else_stops(terminal: Terminal, typed: str, told: str) -> None:
    terminal.type(typed)
    with pytest.raises(UsageError, match=told) as caught:
        confirm(output_on(terminal), terminal.stdin, "users.db", "/data/users.db")
    assert "nothing was changed" in str(caught.value)


def test_without_a_terminal_nobody_is_asked(terminal: Terminal) -> None:
    output = output_on(terminal)
    for source, target in ((None, output), (io.StringIO("users.db\n"), output),
                           (terminal.stdin, Output("p", stdout=None, stderr=io.StringIO(), environ={}))):
        with pytest.raises(UsageError, match="^/data/users.db: .* no terminal is there to ask; nothing .*--yes"):
            confirm(target, source, "users.db", "/data/users.db")
