# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that somebody forged: properly compressed and encrypted with the right key around any members at all."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from system_site import Site

Members = list[tuple[tarfile.TarInfo, bytes]]


def unwrapped(site: Site, path: Path) -> Members:
    """Headers and contents of an archive, read by the engine's decryption and Python's own tarfile."""
    from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.aead import DecryptingReader
    from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.blocks import BlockReader
    from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring

    with path.open("rb") as stream:
        raw = DecryptingReader(stream, load_ring(str(site.key_file)), subject=str(path))
        packed = BlockReader(raw, subject=str(path))
        content = b"".join(iter(lambda: packed.read(1 << 20), b""))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return [(member, (tar.extractfile(member) or io.BytesIO()).read()) for member in tar.getmembers()]


def rewrite(site: Site, path: Path, change: Callable[[Members], None]) -> None:
    """Replaces an archive by one with changed members, encrypted with the site's key."""
    from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.aead import EncryptingWriter
    from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.blocks import BlockWriter
    from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import load_ring

    members = unwrapped(site, path)
    change(members)
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with path.open("wb") as raw:
        encryption = EncryptingWriter(raw, load_ring(str(site.key_file)).current)
        packer = BlockWriter(encryption)
        packer.write(memory.getvalue())
        packer.close()
        encryption.close()


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields) -> tuple[tarfile.TarInfo, bytes]:
    """One hostile member."""
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def change_manifest(members: Members, **fields) -> None:
    """Other values in the manifest."""
    info, content = members[0]
    assert info.name == "manifest.json"
    members[0] = (info, json.dumps({**json.loads(content), **fields}).encode())


def listed(members: Members, name: str, path: str, content: bytes) -> None:
    """A file that the manifest lists as well, with the digest that it has."""
    import hashlib

    files = json.loads(members[0][1])["files"]
    like = next(file for file in files if file["type"] == "file")
    entry = {**like, "member": name, "path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_manifest(members, files=[*files, entry])
    members.insert(-1, member(name, content=content))
