# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rounds of one size: every subject does every operation, one after the other, in an order that turns."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from .data import PATTERNS, SEED
from .figures import Measurement
from .ours import Ours
from .processes import NotMeasured, Ran, settle
from .subjects import FIRST, RESTORE, RESTORE_CHAIN, VERIFY, Stored, Subject, after
from .workspace import BASE, CHAIN, Workspace, same_content

CHAIN_ARCHIVES = 7

Skipped = dict[tuple[float, str, str], str]


class Rounds:
    """Measures ``subjects`` on one workspace; ``measurements`` and ``skipped`` fill up."""

    def __init__(self, workspace: Workspace, subjects: Sequence[Subject], tell: Callable[[str], None]) -> None:
        self._space, self._subjects, self._tell = workspace, list(subjects), tell
        self.measurements: list[Measurement] = []
        self.skipped: Skipped = {}

    def run(self, rounds: int) -> None:
        """All rounds. What fails once is not tried again."""
        for subject in self._subjects:
            lacking = subject.lacking()
            for operation in subject.operations if lacking else ():
                self._skip(subject, operation, lacking)
        self._build_chains()
        for number in range(rounds):
            turn = number % len(self._subjects)
            self._round(number, self._subjects[turn:] + self._subjects[:turn])

    def _round(self, number: int, subjects: Sequence[Subject]) -> None:
        self._space.put(BASE)
        for subject in subjects:
            self._measure(number, subject, FIRST, self._first)
        for pattern in PATTERNS:
            self._space.put(pattern)
            for subject in subjects:
                self._measure(number, subject, after(pattern), self._increment)
        self._space.put(BASE)
        for subject in subjects:
            self._measure(number, subject, RESTORE, lambda one: self._restore(one, "base", BASE))
        for subject in subjects:
            self._measure(number, subject, VERIFY, self._verify)
        self._space.put(CHAIN)
        for subject in subjects:
            self._measure(number, subject, RESTORE_CHAIN, lambda one: self._restore(one, "chain", CHAIN))

    def _measure(self, number: int, subject: Subject, operation: str,
                 act: Callable[[Subject], Stored | Ran]) -> None:
        if operation not in subject.operations or self._key(subject, operation) in self.skipped:
            return
        settle()
        try:
            done = act(subject)
        except NotMeasured as reason:
            self._skip(subject, operation, str(reason))
            return
        stored = done if isinstance(done, Stored) else None
        ran = stored.ran if stored else done
        assert isinstance(ran, Ran)
        self.measurements.append(Measurement(
            self._space.megabytes, subject.name, operation, number, ran.seconds, ran.cpu_seconds, ran.max_rss_bytes,
            stored.bytes if stored else None, stored.check_seconds if stored else None))
        self._tell(f"{self._space.megabytes:g} MB, round {number + 1}: {subject.name}, {operation}: "
                   f"{ran.seconds:.2f} s")

    def _key(self, subject: Subject, operation: str) -> tuple[float, str, str]:
        return self._space.megabytes, subject.name, operation

    def _skip(self, subject: Subject, operation: str, reason: str) -> None:
        self.skipped[self._key(subject, operation)] = reason
        self._tell(f"{self._space.megabytes:g} MB: {subject.name}, {operation}: not measured: {reason}")

    def _store(self, subject: Subject, name: str) -> Path:
        return self._space.directory / "stores" / subject.name.replace(" ", "-") / name

    def _first(self, subject: Subject) -> Stored:
        store = self._store(subject, "base")
        shutil.rmtree(store, ignore_errors=True)
        subject.begin(store)
        settle()
        return subject.full(store, self._space.source)

    def _increment(self, subject: Subject) -> Stored:
        store = self._store(subject, "changed")
        try:
            shutil.copytree(self._first_store(subject), store)
            settle()
            return subject.increment(store, self._space.source)
        finally:
            shutil.rmtree(store, ignore_errors=True)

    def _first_store(self, subject: Subject) -> Path:
        reason = self.skipped.get(self._key(subject, FIRST))
        if reason:
            raise NotMeasured(reason)
        return self._store(subject, "base")

    def _restore(self, subject: Subject, store: str, state: str) -> Ran:
        if state == BASE:
            self._first_store(subject)
        target = self._space.place("restored")
        try:
            ran, database = subject.restore(self._store(subject, store), target)
            if not same_content(database, self._space.source):
                raise NotMeasured("the restored database differs from the source")
            return ran
        finally:
            shutil.rmtree(target)

    def _verify(self, subject: Subject) -> Ran:
        assert isinstance(subject, Ours)
        return subject.verify(self._first_store(subject))

    def _build_chains(self) -> None:
        """The longest chain of the default schedule for each of ours: one full archive and six increments."""
        chained = [subject for subject in self._subjects if RESTORE_CHAIN in subject.operations]
        self._space.put(CHAIN)
        for link in range(CHAIN_ARCHIVES):
            chained = [subject for subject in chained if self._key(subject, RESTORE_CHAIN) not in self.skipped]
            if link and chained:
                self._space.change("scattered", SEED + 100 + link)
            for subject in chained:
                self._add_link(subject, link)

    def _add_link(self, subject: Subject, link: int) -> None:
        store = self._store(subject, "chain")
        try:
            if link:
                subject.increment(store, self._space.source)
            else:
                subject.begin(store)
                subject.full(store, self._space.source)
        except NotMeasured as reason:
            self._skip(subject, RESTORE_CHAIN, str(reason))
