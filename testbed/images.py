# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of test hosts, made from Debian's packages by mmdebstrap and kept in Podman's store under a hash."""

from __future__ import annotations

import datetime
import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

from machine import BedError, Podman

HERE = Path(__file__).resolve().parent
REPOSITORY = "localhost/feedforward-testbed"
SUITES = ("bullseye", "bookworm", "trixie")
ACCOUNT = "admin"
SETUP = f"""
set -eu
chroot "$1" useradd --create-home --shell /bin/bash {ACCOUNT}
echo '{ACCOUNT} ALL=(ALL) NOPASSWD: ALL' >"$1/etc/sudoers.d/{ACCOUNT}"
chmod 0440 "$1/etc/sudoers.d/{ACCOUNT}"
install -d -m 0700 "$1/home/{ACCOUNT}/.ssh"
chroot "$1" chown {ACCOUNT}:{ACCOUNT} "/home/{ACCOUNT}/.ssh"
: >"$1/etc/machine-id"
rm -f "$1/etc/resolv.conf" "$1/etc/hostname"
"""


def machine_mirrors() -> tuple[str, str]:
    """The machine's own Debian mirror and its security mirror, as apt knows them; empty strings where it has none."""
    try:
        listing = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)", "Created-By: Packages"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
    except FileNotFoundError:
        return "", ""
    main = security = ""
    for line in listing.splitlines():
        uri, release, *origin = line.split()
        if origin != ["Debian"]:
            continue
        if release.endswith("-security"):
            security = security or uri
        elif "-" not in release:
            main = main or uri
    return main, security


def sources(suite: str) -> list[str]:
    """Lines of ``sources.list`` for a suite by the machine's own mirrors; none leaves the choice to mmdebstrap."""
    main, security = machine_mirrors()
    lines = [f"deb {main} {suite} main", f"deb {main} {suite}-updates main"] if main else []
    if main and security:
        lines.append(f"deb {security} {suite}-security main")
    return lines


def proxies() -> str:
    """The machine's proxy settings of apt, as lines of apt.conf."""
    try:
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
    lines = [line for line in dump.splitlines() if re.match(r"Acquire::https?::Proxy", line)]
    return "".join(f"{line}\n" for line in lines)


def packages() -> list[str]:
    """Names of the packages in every test host."""
    lines = (HERE / "packages.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def tag(suite: str) -> str:
    """The image's full name: a hash of what goes into it, and of the week, so that its package lists stay fresh."""
    year, week, _day = datetime.date.today().isocalendar()
    parts = [suite, *sources(suite), proxies(), *packages(), SETUP, f"{year}-{week}"]
    return f"{REPOSITORY}:{suite}-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:12]}"


def ensure(podman: Podman, suite: str) -> str:
    """Return the name of the image of a suite, making it when it is not in the store (about half a minute)."""
    if suite not in SUITES:
        raise BedError(f"{suite} is no known suite: choose one of {', '.join(SUITES)}")
    name = tag(suite)
    if podman.run(["image", "exists", name], check=False).returncode == 0:
        return name
    print(f"Building the image of {suite}", flush=True)
    with tempfile.TemporaryDirectory(prefix="testbed-") as scratch:
        tarball = Path(scratch) / "root.tar"
        settings = Path(scratch) / "80proxy"
        settings.write_text(proxies(), encoding="utf-8")
        setup = Path(scratch) / "setup.sh"
        setup.write_text(SETUP, encoding="utf-8")
        made = subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                # A host has package lists, so that check mode can look a package up.
                "--skip=cleanup/apt/lists",
                f"--include={','.join(packages())}",
                f"--customize-hook=upload {settings} /etc/apt/apt.conf.d/80proxy",
                f'--customize-hook=sh {setup} "$1"',
                suite,
                str(tarball),
                *sources(suite),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise BedError(f"mmdebstrap could not make {suite}:\n{made.stderr.strip()}")
        podman.run(["import", "--quiet", str(tarball), name])
    _remove_stale(podman, suite, name)
    return name


def _remove_stale(podman: Podman, suite: str, current: str) -> None:
    """Remove images of a suite that are older than two weeks and that no host uses (Podman refuses the others)."""
    filters = [f"--filter=reference={REPOSITORY}:{suite}-*", "--filter=until=336h"]
    for name in podman.output("images", "--format", "{{.Repository}}:{{.Tag}}", *filters).splitlines():
        if name != current:
            podman.run(["rmi", name], check=False)
