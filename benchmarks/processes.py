# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that are measured, and directories that are counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).resolve().with_name("launcher.py")


class NotMeasured(Exception):
    """Why something could not be measured; the run goes on without it."""


@dataclass(frozen=True)
class Ran:
    """What one command took; ``output`` is its standard output."""

    seconds: float
    cpu_seconds: float
    max_rss_bytes: int
    output: str


def run(command: Sequence[str | Path], *, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran:
    """Runs ``command`` and measures it. Raises NotMeasured when it fails."""
    words = [str(word) for word in command]
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as report:
        done = subprocess.run([sys.executable, "-I", "-S", str(LAUNCHER), report.name, *words], cwd=cwd,
                              env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotMeasured(f"{words[0]} cannot be started: {last_line(done.stderr)}")
        took = json.load(report)
    if took.pop("status") != 0:
        raise NotMeasured(last_line(done.stderr) or last_line(done.stdout) or f"{words[0]} failed")
    return Ran(output=done.stdout, **took)


def shell(script: str, *, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ran:
    """Runs a script of bash, which stops at the first command or pipeline that fails."""
    return run(["bash", "-euo", "pipefail", "-c", script], environment=environment, cwd=cwd)


def last_line(text: str) -> str:
    """The last line of ``text`` that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def stored_bytes(directory: Path) -> int:
    """The sizes of all files below ``directory``."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def settle() -> None:
    """Writes dirty pages out, so that what comes next does not pay for what came before."""
    os.sync()
