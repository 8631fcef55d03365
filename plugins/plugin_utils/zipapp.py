# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as one executable file (PEP 441), the same bytes from the same sources on any controller.

Layout: ``__main__.py`` and the package ``maintenance``, which is ``plugins/module_utils`` without the one file that
needs Ansible. Members are stored, not deflated (what zlib makes differs between its versions), sorted, of one
fixed time and mode. The version stands in the archive's comment, at the end of the file, where ``tail`` finds it.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
from typing import Optional

PACKAGE = "maintenance"
NOT_ENGINE = frozenset({"face.py"})
COMMENT_BYTES = 80
EPOCH = (1980, 1, 1, 0, 0, 0)
MAIN = f"""\
# feedforward.maintenance: GPL-3.0-or-later
import sys

from {PACKAGE}.cli.main import main

sys.exit(main())
"""

_COMMENT = "feedforward.maintenance {version}"
_COMMENT_PATTERN = re.compile(rb"feedforward\.maintenance (\S+)\s*\Z")


def collect_engine(module_utils: str) -> dict[str, bytes]:
    """Member name -> source of each Python file of the engine below the directory ``module_utils``."""
    members = {}
    for directory, subdirectories, names in os.walk(module_utils):
        subdirectories[:] = sorted(name for name in subdirectories if name != "__pycache__")
        for name in sorted(names):
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, module_utils).replace(os.sep, "/")
            if name.endswith(".py") and relative not in NOT_ENGINE:
                with open(path, "rb") as stream:
                    members[f"{PACKAGE}/{relative}"] = stream.read()
    members.setdefault(f"{PACKAGE}/__init__.py", b"")
    members["__main__.py"] = MAIN.encode()
    return members


def build_zipapp(members: dict[str, bytes], *, interpreter: str, version: str) -> bytes:
    """The executable file: the line ``#!interpreter``, then the zip archive of ``members``."""
    memory = io.BytesIO()
    memory.write(f"#!{interpreter}\n".encode())
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, EPOCH)
            # "Made by Unix" on every controller, so that the mode is read as such.
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[name])
        archive.comment = _COMMENT.format(version=version).encode()
    return memory.getvalue()


def version_in(tail: bytes) -> Optional[str]:
    """The version of a command of ours from its last ``COMMENT_BYTES``; None for any other file."""
    match = _COMMENT_PATTERN.search(tail)
    return match.group(1).decode("ascii", "replace") if match else None
