# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small real file systems. What is mounted is unmounted at the end of the test, come what may."""

from __future__ import annotations

import subprocess
from pathlib import Path

MEGABYTE = 1 << 20


class Mounts:
    """Small file systems below the site."""

    def __init__(self, site) -> None:
        self.site = site

    def tmpfs(self, path: Path, megabytes: float) -> Path:
        """A file system in memory, exactly so large."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mount("-t", "tmpfs", "-o", f"size={int(megabytes * 1024)}k,mode=0700", "tmpfs", str(path))
        return path

    def ext4(self, path: Path, megabytes: int) -> Path:
        """A file system with a journal, in a file."""
        image = self.site.root.parent / f"{path.name}.img"
        image.touch()
        with image.open("r+b") as stream:
            stream.truncate(megabytes * MEGABYTE)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True, capture_output=True, timeout=60)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mount("-o", "loop", str(image), str(path))
        (path / "lost+found").rmdir()
        return path

    def read_only(self, path: Path) -> None:
        """Mounts what is there once more, read-only."""
        if not path.is_mount():
            self._mount("--bind", str(path), str(path))
        subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True, capture_output=True, timeout=60)

    def _mount(self, *words: str) -> None:
        subprocess.run(["mount", *words], check=True, capture_output=True, timeout=60)
        self.site.stack.callback(subprocess.run, ["umount", "--lazy", words[-1]], check=True, timeout=60)


def fill(directory: Path, left_bytes: int = 0) -> Path:
    """Another writer: takes all room of the file system of ``directory`` but ``left_bytes``."""
    ballast = directory / "ballast.bin"
    size = 0
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(MEGABYTE // 16))
        except OSError:
            size = stream.tell()
        stream.truncate(max(0, size - left_bytes))
    return ballast
