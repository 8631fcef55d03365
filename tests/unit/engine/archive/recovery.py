# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery by stock tools, as docs/archive-format.md has it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

DOCUMENT = (Path(__file__).resolve().parents[4] / "docs" / "archive-format.md").read_text(encoding="utf-8")


def save_recipe(directory: Path) -> Path:
    """The shell block that recovers one archive, saved there as ``recover.sh``."""
    return _save("Recovery with nothing but openssl, gunzip, tar and coreutils", directory / "recover.sh")


def save_assembly(directory: Path) -> Path:
    """The shell block that puts an increment together, saved there as ``assemble.sh``."""
    return _save("Recovery of an increment", directory / "assemble.sh")


def _save(heading: str, path: Path) -> Path:
    section = DOCUMENT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    path.write_text(block, encoding="utf-8")
    return path


def recover(shell: str, recipe: Path, archive: Path, key_file: str, directory: Path) -> subprocess.CompletedProcess:
    """Runs the recovery of an archive into a directory."""
    command = [shell, str(recipe), str(archive), key_file, str(directory)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
