# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Terminals for the tests of the command's face."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Iterator

import pytest

_END = "\x00"


class Terminal:
    """A real pseudo-terminal: ``stdin`` and ``stream`` are the program's side, the rest is the person's."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        self.stdin = os.fdopen(os.dup(slave), "r", encoding="utf-8")
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.resize(100)

    def resize(self, columns: int) -> None:
        fcntl.ioctl(self.stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def shown(self) -> str:
        """Everything that was written until now, newlines as the terminal got them."""
        self.stream.write(_END)
        self.stream.flush()
        text = b""
        while not text.endswith(_END.encode()):
            text += os.read(self.master, 65536)
        return text.decode()[:-1]

    def close(self) -> None:
        self.stdin.close()
        self.stream.close()
        os.close(self.master)


@pytest.fixture()
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    yield opened
    opened.close()
