# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rounds: whoever cannot do something is left out of it with the reason, and nobody else is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.feedforward.maintenance.benchmarks.ours import Command
from ansible_collections.feedforward.maintenance.benchmarks.processes import NotMeasured, Ran, run, shell
from ansible_collections.feedforward.maintenance.benchmarks.rounds import Rounds
from ansible_collections.feedforward.maintenance.benchmarks.subjects import FIRST, RESTORE, Subject
from ansible_collections.feedforward.maintenance.benchmarks.workspace import BASE, Workspace


class Copy(Subject):
    """Copies the database; a restore of a careless one spoils a byte."""

    operations = (FIRST, "after 1 % scattered", RESTORE)

    def __init__(self, name: str, *, careless: bool = False, needs: tuple[str, ...] = ()) -> None:
        self.name, self.needs, self._careless = name, needs, careless

    def _full(self, store: Path, source: Path) -> Ran:
        return run(["cp", source, store / "repo" / "copy"])

    def _increment(self, store: Path, source: Path) -> Ran:
        raise NotMeasured("it knows no increments")

    def restore(self, store: Path, target: Path) -> tuple[Ran, Path]:
        ran = run(["cp", store / "repo" / "copy", target / "app.db"])
        if self._careless:
            with (target / "app.db").open("r+b") as stream:
                stream.seek(-1, 2)
                stream.write(b"!")
        return ran, target / "app.db"


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "work", tmp_path / "cache", 0.5)
    made.prepare()
    return made


def test_rounds(space: Workspace) -> None:
    rounds = Rounds(space, [Copy("good"), Copy("careless", careless=True), Copy("absent", needs=("no-such-program",))],
                    lambda line: None)
    rounds.run(2)
    done = [(one.round, one.operation, one.subject) for one in rounds.measurements]
    assert done == [(0, FIRST, "good"), (0, FIRST, "careless"), (0, RESTORE, "good"),
                    (1, FIRST, "careless"), (1, FIRST, "good"), (1, RESTORE, "good")]
    space.put(BASE)
    assert {one.bytes for one in rounds.measurements if one.operation == FIRST} == {space.source.stat().st_size}
    assert {key[1:]: reason for key, reason in rounds.skipped.items()} == {
        ("good", "after 1 % scattered"): "it knows no increments",
        ("careless", "after 1 % scattered"): "it knows no increments",
        ("careless", RESTORE): "the restored database differs from the source",
        **{("absent", operation): "no-such-program not found" for operation in Copy.operations}}
    space.remove()
    assert not space.directory.exists()


def test_memory_is_the_commands_own() -> None:
    small = run(["true"]).max_rss_bytes
    large = run([sys.executable, "-c", "b = bytearray(100 << 20)"]).max_rss_bytes
    assert small < 20 << 20
    assert 100 << 20 < large < 160 << 20


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(NotMeasured, match="^no room$"):
        shell("echo first >&2; echo no room >&2; false")
    with pytest.raises(NotMeasured, match="no-such-program"):
        run(["no-such-program"])


def test_options_that_the_command_does_not_know() -> None:
    old = Command(Path("p"), "python3", Path("c"), frozenset({"--kind"}))
    assert old.choose("--compression", "gzip", "gzip") == []
    with pytest.raises(NotMeasured, match="does not know --compression"):
        old.choose("--compression", "zstd", "gzip")
    with pytest.raises(NotMeasured, match="does not know --chain-limit"):
        old.choose("--chain-limit", "30", "7")
    new = Command(Path("p"), "python3", Path("c"), frozenset({"--compression"}))
    assert new.choose("--compression", "gzip", "gzip") == ["--compression", "gzip"]
