# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes this checkout importable as ``ansible_collections.feedforward.maintenance``, as Ansible itself does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / ".build" / "dev"


def link_collection() -> None:
    """Put ``.build/dev`` on the import path, also of subprocesses, with a link to the checkout inside."""
    link = TREE / "ansible_collections" / "feedforward" / "maintenance"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)
    sys.path.insert(0, str(TREE))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TREE), inherited] if inherited else [str(TREE)])


link_collection()
