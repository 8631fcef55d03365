# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Defects that are put into the verifier and the restore on purpose: a test must fail for each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fault_rows import Row, row
from fault_world import ROOT

ATTACK = "Planted defects"
ENGINE = "plugins/module_utils"
TESTS = "tests/unit/engine"


@dataclass(frozen=True)
class Defect:
    """In ``file`` of the engine, ``right`` becomes ``wrong``; the ``tests`` must see it."""

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


NEVER = "if False:"
DEFECTS = (
    Defect("digests of members are not compared", "archive/reader.py",
           "if (replace(written, sha256=None) if self._pinned else written) != read:", NEVER,
           ("archive/test_archive_hostile.py", "archive/test_archive_damage.py")),
    Defect("the seal is not compared", "archive/blocks.py",
           "if seal != self._digest.digest() + framing.seal_end:", NEVER, ("archive/test_archive_blocks.py",)),
    Defect("a truncated encrypted stream is taken for whole", "archive/aead.py",
           "if plain is None and self._cipher.decrypt(index, not last, sealed) is not None:", NEVER,
           ("archive/test_archive_aead.py",)),
    Defect("pages are not compared with their table", "jobs/check.py",
           "if tables.get(member.name, member.sha256) != member.sha256:", NEVER, ("jobs/test_increment.py",)),
    Defect("a base is not compared with the digest that names it", "jobs/replay.py",
           "if base is not None and proven[-1][1] != base.sha256:", NEVER, ("jobs/test_increment.py",)),
    Defect("a page that is not the one of the table is taken", "jobs/replay.py",
           'if b"".join(digests) != table[begin * PAGE_DIGEST_BYTES:end * PAGE_DIGEST_BYTES]:', NEVER,
           ("jobs/test_increment.py",)),
    Defect("the rows of a restored database are not counted", "jobs/check.py",
           "if rows != dict(entry.rows):", NEVER, ("jobs/test_verify.py",)),
    Defect("a restore leaves the old log beside the new database", "jobs/safety.py",
           'for suffix in ("", *SIDECARS) if database else ("",):', 'for suffix in ("",):',
           ("jobs/test_restore.py", "jobs/test_restore_safety.py")),
    Defect("a restore does not look for processes that hold the database", "jobs/restore.py",
           "if found.held:", NEVER, ("jobs/test_restore.py",)),
    Defect("the journal is removed before the renames", "jobs/restore_journal.py",
           "    write_journal(journal)\n", "    write_journal(journal)\n    remove_journal(journal)\n",
           ("jobs/test_restore_journal.py", "jobs/test_restore_safety.py")),
    Defect("retention takes what an increment needs", "catalog/retention.py",
           "    _keep_what_is_needed(members, reasons)\n    return", "    return",
           ("catalog/test_retention.py", "jobs/test_increment.py")),
    Defect("a damaged database is backed up", "jobs/gather.py",
           "if taken.problems:", NEVER, ("jobs/test_backup.py",)),
)


def attack(most: int) -> Iterator[Row]:
    """At most ``most`` defects, each in a copy of the tree, in which the tests that must see it are run."""
    with row(ATTACK, "in the verifier, the restore and the retention") as counted, \
            tempfile.TemporaryDirectory(prefix="planted-") as place:
        tree = _copied(Path(place))
        for defect in DEFECTS[:most]:
            counted.count(*_seen(tree, defect))
    yield counted


def _copied(place: Path) -> Path:
    """What the tests need of this checkout, as a collection of its own."""
    tree = place / "ansible_collections" / "feedforward" / "maintenance"
    for part in ("plugins", "tests", "playbooks", "docs"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


def _seen(tree: Path, defect: Defect) -> tuple[str, list[str]]:
    path = tree / ENGINE / defect.file
    text = path.read_text(encoding="utf-8")
    if defect.right not in text:
        return "were not planted", [f"{defect.name}: {defect.file} has no {defect.right!r} any more"]
    path.write_text(text.replace(defect.right, defect.wrong, 1), encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
             *(f"{TESTS}/{test}" for test in defect.tests)], cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree.parents[2]), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=False)  # fmt: skip
    finally:
        path.write_text(text, encoding="utf-8")
    if done.returncode == 1 and " failed" in done.stdout:
        return "were seen by a test", []
    return "were not seen", [f"{defect.name}: pytest ended with {done.returncode}: {done.stdout[-300:]}"]
