# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a swap: at whatever rename the power fails, the end is wholly the new state or wholly the old."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import RestoreError
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import restore_journal
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_journal import (
    Journal,
    journal_path,
    perform,
    read_journal,
    resolve,
    write_journal,
)

OLD = {"": "old", "-wal": "old log", "-shm": "old index"}


def scene(tmp_path):
    """A database with sidecars, a new one beside it, a safety copy to be filled, and the journal of the swap."""
    target = str(tmp_path / "app.db")
    safety = tmp_path / "app.db.before-restore-20260101T000000Z"
    safety.mkdir()
    aside = []
    for suffix, text in OLD.items():
        (tmp_path / ("app.db" + suffix)).write_text(text)
        aside.append((target + suffix, str(safety / ("app.db" + suffix))))
    staged = str(tmp_path / ".app.db.0a1b2c3d.maintenance-tmp")
    with open(staged, "w", encoding="utf-8") as stream:
        stream.write("new")
    return Journal((journal_path(target),), (tuple(aside), ((staged, target),)), "an archive", str(safety)), target


def state(target):
    """The content of the database and its sidecars."""
    found = {}
    for suffix in ("", "-wal", "-shm", "-journal"):
        if os.path.exists(target + suffix):
            with open(target + suffix, encoding="utf-8") as stream:
                found[suffix] = stream.read()
    return found


@pytest.mark.parametrize("done", range(5))
def test_resolving_leads_to_the_new_state_from_every_rename(tmp_path, done) -> None:
    journal, target = scene(tmp_path)
    write_journal(journal)
    for source, place in journal.renames[:done]:
        os.rename(source, place)
    assert resolve(target) == "completed"
    assert state(target) == {"": "new"}
    assert not os.path.exists(journal_path(target))
    assert resolve(target) is None
    for suffix, text in OLD.items():
        assert (tmp_path / "app.db.before-restore-20260101T000000Z" / ("app.db" + suffix)).read_text() == text


@pytest.mark.parametrize("done", range(4))
def test_resolving_without_the_new_file_leads_to_the_old_state(tmp_path, done) -> None:
    journal, target = scene(tmp_path)
    write_journal(journal)
    for source, place in journal.renames[:done]:
        os.rename(source, place)
    os.unlink(journal.phases[1][0][0])
    assert resolve(target) == "undone"
    assert state(target) == OLD
    assert not os.path.exists(journal_path(target))


SAFETY = "app.db.before-restore-20260101T000000Z"


def kept(tmp_path):
    """What lies in the safety copy, by content."""
    return sorted(path.read_text() for path in (tmp_path / SAFETY).iterdir())


@pytest.mark.parametrize("foreign", [("",), ("", "-wal", "-shm")])
@pytest.mark.parametrize("done", [1, 2, 3])
def test_what_somebody_made_in_the_gap_is_no_new_file(tmp_path, done, foreign) -> None:
    """An application that opens a connection for each request makes an empty database where there is none."""
    journal, target = scene(tmp_path)
    write_journal(journal)
    for source, place in journal.renames[:done]:
        os.rename(source, place)
    made = [suffix for suffix in foreign if not os.path.exists(target + suffix)]
    for suffix in made:
        (tmp_path / ("app.db" + suffix)).write_text(f"foreign{suffix}")
    assert resolve(target) == "undone"
    assert state(target) == OLD
    assert kept(tmp_path) == sorted(f"foreign{suffix}" for suffix in made)
    assert not os.path.exists(journal_path(target))


def test_a_swap_that_meets_a_foreign_file_says_so_and_keeps_it(tmp_path, monkeypatch) -> None:
    journal, target = scene(tmp_path)
    sync = restore_journal._sync

    def syncing(renames):
        sync(renames)
        if renames == journal.phases[0] and not kept(tmp_path)[0].startswith("foreign") and not os.path.exists(target):
            (tmp_path / "app.db").write_text("foreign")
            (tmp_path / "app.db-wal").write_text("foreign log")

    monkeypatch.setattr(restore_journal, "_sync", syncing)
    with pytest.raises(RestoreError, match=f"put back: {target}: somebody made this file.*{SAFETY}/made-meanwhile"):
        perform(journal)
    monkeypatch.undo()
    assert state(target) == OLD and kept(tmp_path) == ["foreign", "foreign log"]


def test_a_new_file_that_already_has_its_name_only_loses_the_other_one(tmp_path) -> None:
    journal, target = scene(tmp_path)
    write_journal(journal)
    for source, place in journal.phases[0]:
        os.rename(source, place)
    os.link(*journal.phases[1][0])
    assert resolve(target) == "completed"
    assert state(target) == {"": "new"} and os.stat(target).st_nlink == 1


def test_a_journal_is_never_written_over_another(tmp_path) -> None:
    journal, target = scene(tmp_path)
    write_journal(journal)
    with pytest.raises(RestoreError, match="another restore was interrupted here meanwhile"):
        perform(journal)
    assert read_journal(journal_path(target)) == journal and state(target) == OLD


def test_a_swap_that_fails_puts_everything_back(tmp_path) -> None:
    journal, target = scene(tmp_path)
    os.unlink(journal.phases[1][0][0])
    with pytest.raises(RestoreError, match="put back"):
        perform(journal)
    assert state(target) == OLD and not os.path.exists(journal_path(target))


def test_a_swap_that_works_leaves_no_journal(tmp_path) -> None:
    journal, target = scene(tmp_path)
    perform(journal)
    assert state(target) == {"": "new"} and not os.path.exists(journal_path(target))


def test_the_journal_says_what_was_written(tmp_path) -> None:
    journal, target = scene(tmp_path)
    write_journal(journal)
    assert read_journal(journal_path(target)) == journal
    assert os.stat(journal_path(target)).st_mode & 0o777 == 0o600


FORMAT = b'{"format": "feedforward-maintenance restore journal", "version": '


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"format": "other", "version": 1}', FORMAT + b"2}",
                                     FORMAT + b"1}", FORMAT + b'1, "phases": 3}'])
def test_a_damaged_journal_is_refused_and_stays(tmp_path, content) -> None:
    journal, target = scene(tmp_path)
    path = journal_path(target)
    with open(path, "wb") as stream:
        stream.write(content)
    os.chmod(path, 0o600)
    with pytest.raises(RestoreError, match="restore journal"):
        resolve(target)
    assert state(target) == OLD and os.path.exists(path)


def test_a_journal_that_others_could_have_written_is_refused(tmp_path) -> None:
    """The directory belongs to the application, whose user must not steer the renames of root."""
    journal, target = scene(tmp_path)
    write_journal(journal)
    path = journal_path(target)
    os.chmod(path, 0o622)
    with pytest.raises(RestoreError, match="others may write"):
        resolve(target)
    os.chmod(path, 0o600)
    os.link(path, str(tmp_path / "link"))
    with pytest.raises(RestoreError, match="others may write"):
        resolve(target)
    os.rename(path, str(tmp_path / "real"))
    os.unlink(tmp_path / "link")
    os.symlink(str(tmp_path / "real"), path)
    with pytest.raises(RestoreError, match="cannot be read"):
        resolve(target)
    assert state(target) == OLD


def test_a_second_copy_of_the_journal_that_cannot_be_written_removes_the_first(tmp_path) -> None:
    journal, target = scene(tmp_path)
    two = Journal((*journal.paths, str(tmp_path / "nowhere" / ".x.restore-journal")), journal.phases, "a", None)
    with pytest.raises(Exception, match="nowhere"):
        write_journal(two)
    assert not os.path.exists(journal_path(target)) and state(target) == OLD


def test_every_copy_is_removed_when_one_is_resolved(tmp_path) -> None:
    journal, target = scene(tmp_path)
    second = str(tmp_path / ".second.db.restore-journal")
    write_journal(Journal((*journal.paths, second), journal.phases, "a", None))
    with open(second, encoding="utf-8") as stream:
        assert json.load(stream)["paths"] == [journal_path(target), second]
    assert resolve(target) == "completed"
    assert not os.path.exists(second)


def test_where_somebody_goes_on_making_the_file_the_journal_stays(tmp_path, monkeypatch) -> None:
    """The application cannot be started then, and the next run goes on: nothing is called put back that is not."""
    journal, target = scene(tmp_path)
    rename = restore_journal.directories.rename

    def renaming(source, place):
        rename(source, place)
        if not os.path.exists(target):
            (tmp_path / "app.db").write_text("foreign")

    monkeypatch.setattr(restore_journal.directories, "rename", renaming)
    with pytest.raises(RestoreError, match="could not be undone"):
        perform(journal)
    monkeypatch.undo()
    assert "old" in kept(tmp_path) and os.path.exists(journal_path(target))
    assert resolve(target) == "undone"
    assert state(target) == OLD and "foreign" in kept(tmp_path)
