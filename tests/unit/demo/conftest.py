# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration application as its users meet it: a command that is run, and a process that is left running."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

COMMAND = Path(__file__).resolve().parents[3] / "playbooks" / "files" / "demo_application.py"


class Demo:
    """One application in `home`, driven by the command alone."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database = home / "data" / "feedforward.db"

    def call(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, str(COMMAND), command, str(self.home), *options]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)

    def json(self, command: str, *options: str, status: int = 0) -> Any:
        done = self.call(command, "--json", *options)
        assert done.returncode == status, done.stderr + done.stdout
        return json.loads(done.stdout)

    def refused(self, command: str, *options: str) -> str:
        """Expects a refusal in one line without a traceback and returns it."""
        done = self.call(command, *options)
        assert done.returncode == 3, done.stdout
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    def state(self) -> Any:
        return json.loads((self.home / "data" / "writer.json").read_text("utf-8"))


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the deadline passed"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("demo") / "built"
    Demo(home).json("build", "--megabytes", "1", "--today", "2026-11-01")
    return home


@pytest.fixture
def demo(tmp_path: Path, built: Path) -> Iterator[Demo]:
    """A built application of 1 MB; a writer that the test left running is stopped."""
    application = Demo(tmp_path / "application")
    shutil.copytree(built, application.home)
    yield application
    application.call("stop")
