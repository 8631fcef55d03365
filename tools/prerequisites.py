# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests need of this machine beside Python: installed where that is allowed, named where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from stages import ROOT

PACKAGES = ROOT / "requirements" / "debian.txt"
PACKAGE_OF = {"systemd-analyze": "systemd", "promtool": "prometheus"}
"""Where a program has not the name of its package."""


def packages(file: Path) -> list[str]:
    """The Debian packages that stand in ``file``."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def install_packages(file: Path = PACKAGES) -> None:
    """As root on a Debian, install what is missing; elsewhere say how to. A failure shows in what needs them."""
    if shutil.which("dpkg-query") is None:
        return
    query = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n", *packages(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    present = {line.split()[0] for line in query.stdout.splitlines() if line.endswith(" installed")}
    missing = [package for package in packages(file) if package not in present]
    if not missing:
        return
    install = ["apt-get", "install", "--yes", *missing]
    if os.geteuid() != 0:
        print(f"Not root, so nothing is installed. For everything, type as root:  {' '.join(install)}")
        return
    print(f"Installing {' '.join(missing)}", flush=True)
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*apt, "update"], [*apt, *install[1:]]):
        subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def lacks(needs: Iterable[str]) -> str:
    """Say which of the needs this machine does not meet, and what to type; an empty text when it meets all."""
    reasons = []
    for need in needs:
        if need == "bed":
            answer = subprocess.run(["testbed/bed", "missing"], cwd=ROOT, capture_output=True, text=True, check=False)
            reasons += (answer.stdout + answer.stderr).strip().splitlines()
        elif need == "root":
            reasons += [] if os.geteuid() == 0 else ["these tests need root: run them as root"]
        elif shutil.which(need) is None:
            reasons.append(f"{need} was not found: type  apt-get install -y {PACKAGE_OF.get(need, need)}")
    return "; ".join(reasons)


if __name__ == "__main__":
    install_packages(Path(sys.argv[1]))
