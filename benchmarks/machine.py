# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VERSIONS = {"restic": ["restic", "version"], "borg": ["borg", "--version"], "sqlite3": ["sqlite3", "--version"],
            "pigz": ["pigz", "--version"], "openssl": ["openssl", "version"], "zstd": ["zstd", "--version"]}


def machine_facts() -> dict[str, Any]:
    """Cores, processor, memory, kernel and the versions of the peers; nothing that names the machine."""
    return {"cores": len(os.sched_getaffinity(0)), "processor": _field(Path("/proc/cpuinfo"), "model name"),
            "memory_gib": _memory_gib(), "kernel": platform.release(),
            "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
            "peers": {name: _version(command) for name, command in VERSIONS.items()}}


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))


def _field(path: Path, name: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "unknown")


def _version(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "missing"
    words = (done.stdout or done.stderr).replace(",", " ").split()
    return next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit()), "unknown")
