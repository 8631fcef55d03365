# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine offers for booting test hosts, and how Podman is called on it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = ("podman", "runc", "mmdebstrap", "ssh", "ssh-keygen")
CAP_SYS_RESOURCE = 24
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 1024
INSTALL = "apt-get install -y podman runc mmdebstrap openssh-client"


class BedError(Exception):
    """A test host could not be made; the message says why and what to do."""


def missing() -> list[str]:
    """Say what this machine lacks for test hosts, each as one sentence with the line to type; empty when nothing."""
    lacks = []
    if os.geteuid() != 0:
        lacks.append("test hosts need root (rootful Podman): run it as root, on a machine that may boot containers")
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        lacks.append(f"{', '.join(absent)} not found: type  {INSTALL}")
    if not lacks:
        answer = subprocess.run(["podman", "info"], capture_output=True, text=True, check=False, env=os.environ)
        if answer.returncode:
            lacks.append(f"podman does not work here: {answer.stderr.strip().splitlines()[-1]}")
    return lacks


def environment(state: Path) -> dict[str, str]:
    """The environment for Podman: with a ``containers.conf`` of our own where the machine needs one.

    crun refuses a hybrid cgroup hierarchy, and the default limits need CAP_SYS_RESOURCE.
    """
    lines = []
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        lines += ["[engine]", 'runtime = "runc"']
    effective = int(_status_field("CapEff"), 16)
    if not effective >> CAP_SYS_RESOURCE & 1:
        lines += ["[containers]", 'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]']
    if not lines:
        return dict(os.environ)
    state.mkdir(parents=True, exist_ok=True)
    configuration = state / "containers.conf"
    configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {**os.environ, "CONTAINERS_CONF": str(configuration)}


def _status_field(name: str) -> str:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1]
    raise BedError(f"/proc/self/status has no {name}: is this Linux?")


def raise_inotify_limit() -> None:
    """Make room for many systemds: each uses inotify instances, and the kernel's default serves only a dozen hosts."""
    if int(INOTIFY.read_text(encoding="ascii")) >= INOTIFY_WANTED:
        return
    try:
        INOTIFY.write_text(f"{INOTIFY_WANTED}\n", encoding="ascii")
    except OSError as error:
        print(f"{INOTIFY} stays at {INOTIFY.read_text(encoding='ascii').strip()} ({error.strerror}): boot few hosts")


class Podman:
    """Podman with the configuration of one state directory."""

    def __init__(self, state: Path) -> None:
        self.environment = environment(state)

    def run(self, arguments: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``podman ARGUMENTS`` and return its result; BedError with Podman's last words when it fails."""
        done = subprocess.run(
            ["podman", *arguments], capture_output=True, text=True, check=False, env=self.environment
        )
        if check and done.returncode:
            raise BedError(f"podman {' '.join(arguments[:3])} failed: {(done.stderr or done.stdout).strip()}")
        return done

    def output(self, *arguments: str) -> str:
        """Return what ``podman ARGUMENTS`` printed, stripped."""
        return self.run(arguments).stdout.strip()

    def inside(self, container: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command inside a container as root."""
        return self.run(["exec", container, *command], check=check)
