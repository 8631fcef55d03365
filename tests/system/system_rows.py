# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One row of the tables: a clause of "bad input", how it comes about, and the error that every face must give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from system_faces import Faces, Outcome
from system_site import Site

Arrange = Callable[[Site], Optional[Mapping[str, Any]]]

EXIT_CODES = {"UsageError": 2, "SourceError": 3, "DestinationError": 4, "KeyFileError": 5, "ArchiveError": 6,
              "BusyError": 7, "RestoreError": 8}
SUBCLASSES = {"KeyFileError": ("WrongKeyError",), "ArchiveError": ("NewerArchiveError", "UnreadableArchiveError")}


@dataclass(frozen=True)
class Row:
    """``clause`` are words of the requirement; ``arrange`` makes the site bad and may return options of the job.

    The error must be of class ``error``, name ``subject`` (an attribute of the site, or a path below its root) and
    hold the words of ``cause`` and ``next_step``. ``recorded``: the status record of the kind tells of it (for a
    verification: the verdict). ``powerless``: run so that the modes of files count for root, too.
    """

    clause: str
    arrange: Arrange
    jobs: tuple[str, ...]
    error: str
    subject: str
    cause: str
    next_step: str
    recorded: bool = True
    powerless: bool = False
    modules: bool = True

    def __str__(self) -> str:
        return f"{self.clause}: {self.arrange.__name__}".replace("_", " ")


class Table(list):
    """Rows, made by decorating the function that arranges each one."""

    def row(self, clause: str, *jobs: str, **expected: Any) -> Callable[[Arrange], Arrange]:
        """Adds a row for the decorated function."""

        def add(arrange: Arrange) -> Arrange:
            self.append(Row(clause, arrange, jobs, **expected))
            return arrange

        return add

    def pairs(self) -> list[tuple[Row, str]]:
        """Each row with each of its jobs."""
        return [(row, job) for row in self for job in row.jobs]

    @property
    def ids(self) -> list[str]:
        return [f"{job}-{row}" for row, job in self.pairs()]


def judge(row: Row, job: str, site: Site, faces: Faces) -> None:
    """Arranges the row, runs the job through every face, and asserts all that is promised about bad input."""
    options = {"kind": "full", **(row.arrange(site) or {})} if job == "backup" else dict(row.arrange(site) or {})
    if job == "verify":
        options = {"level": "restore", **options}
    before = site.belongings()
    told = site.status("full")
    outcomes = faces.all(job, options, modules=row.modules)
    for outcome in outcomes:
        look_at(outcome, row, site)
    assert len({outcome.message for outcome in outcomes}) == 1, outcomes
    assert site.belongings() == before, "the run changed something"
    assert site.leftovers() == [], "the run left something half-made"
    look_at_record(row, job, site, told, outcomes[-1])
    # All sentences, for whoever reads them with ``pytest -rP``.
    print(outcomes[0].message)


def look_at(outcome: Outcome, row: Row, site: Site) -> None:
    """One failure: its code, and a sentence that names the file, the cause and the next step."""
    subject = str(getattr(site, row.subject, None) or site.root / row.subject)
    assert outcome.code == EXIT_CODES[row.error], outcome
    assert outcome.message.startswith(f"{subject}: "), outcome
    assert row.cause in outcome.message, outcome
    assert row.next_step in outcome.message, outcome
    assert outcome.message.endswith("."), outcome
    if outcome.document is not None:
        assert outcome.error["type"] in (row.error, *SUBCLASSES.get(row.error, ())), outcome
        assert outcome.error["message"] == outcome.message, outcome
        assert outcome.error["exit_code"] == outcome.code, outcome
        assert outcome.error["subject"] == subject and row.cause in outcome.error["cause"], outcome
        assert row.next_step in outcome.error["next_step"], outcome


def look_at_record(row: Row, job: str, site: Site, told: Mapping[str, Any], outcome: Outcome) -> None:
    """The status record tells the truth: of a failed backup that it failed and why, of a damaged archive that it is,
    and of everything else what it told before."""
    status = site.status("full")
    if job == "backup" and row.recorded:
        assert (status["last_outcome"], status["last_error"]) == ("failed", outcome.message)
        for kept in ("last_success_at", "current_as_of", "newest_archive"):
            assert status[kept] == told[kept], "a failure must not look like a success to an alert on age"
    elif job == "verify" and row.recorded:
        assert status["last_verification"] == "failed"
        assert status["last_outcome"] == told["last_outcome"]
    else:
        assert status == told
