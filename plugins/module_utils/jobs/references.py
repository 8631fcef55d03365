# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the rows of a database name: a backup is one set only when each of them is in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..sqlite.snapshot import Snapshot
from ..sqlite.source import open_private
from .collect import Collection


@dataclass(frozen=True)
class FileReference:
    """``query`` gives one path a row, in its first column; NULL and empty texts name nothing. A relative path is meant
    below ``base``. ``database`` is the full path of the database that is asked."""

    database: str
    query: str
    base: str


def check_references(references: Sequence[FileReference], databases: Sequence[str]) -> None:
    """Raises UsageError for a reference to a database that is not backed up, or a base that is no full path."""
    known = {os.path.realpath(path) for path in databases}
    for reference in references:
        if os.path.realpath(reference.database) not in known:
            raise UsageError(reference.database, "files are to be looked up in this database, which is not backed up",
                             "Name it among the databases, or remove the reference")
        if not os.path.isabs(reference.base):
            raise UsageError(reference.base or "(empty base)", "the directory of the files is not a full path",
                             "Write the full path")


def missing_files(references: Sequence[FileReference], snapshots: Sequence[Snapshot],
                  collection: Collection) -> tuple[str, ...]:
    """The paths that the snapshots name and the collection does not hold, sorted. The query runs on the private copy,
    never on the live database. Raises UsageError for a query that SQLite refuses."""
    held = {file.path for file in collection.files if file.type == "file"}
    held |= {file.real for file in collection.files if file.type == "file"}
    missing: set[str] = set()
    for reference in references:
        for taken in snapshots:
            if taken.source.path == os.path.realpath(reference.database):
                missing.update(path for path in _named(reference, taken) if path not in held)
    return tuple(sorted(missing))


def _named(reference: FileReference, taken: Snapshot) -> set[str]:
    try:
        with open_private(taken.path) as connection:
            values = [row[0] for row in connection.execute(reference.query)]
    except sqlite3.Error as error:
        raise UsageError(taken.source.path, f"the query for its files was refused: {error} ({reference.query})",
                         "Correct the query: it has to give one path a row") from error
    return {os.path.normpath(os.path.join(reference.base, str(value))) for value in values if value not in (None, "")}
