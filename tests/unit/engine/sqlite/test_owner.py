# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application can open its database after every backup, whoever made it."""

from __future__ import annotations

import os

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import SourceError
from ansible_collections.feedforward.maintenance.plugins.module_utils.owners import acting_as
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.source import examine, open_reader

OWNER = 54322
STRANGER = 54321
TAKE = """
taken = attempt(snapshot.take, sys.argv[1], sys.argv[2], "a.db")
print(json.dumps({"rows": taken.contents.rows, "problems": taken.problems, "euid": os.geteuid()}))
"""
OPEN_AS_APPLICATION = """
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("INSERT INTO empty VALUES (1)")
print(json.dumps(connection.execute("SELECT count(*) FROM empty").fetchone()[0]))
connection.close()
"""


@pytest.fixture
def application(open_directory, databases, engine):
    """An idle WAL database of a user of its own; in the directory of that user."""
    directory = open_directory / "application" / "data"
    directory.mkdir(parents=True)
    path = databases.make(directory / "a.db")
    path.chmod(0o600)
    if engine.root:
        os.chown(path, OWNER, OWNER)
        os.chown(directory, OWNER, OWNER)
    return path


@pytest.fixture
def root_scratch(open_directory):
    path = open_directory / "scratch"
    path.mkdir(mode=0o700)
    return path


def sidecar_owners(path):
    names = [f"{path}{suffix}" for suffix in ("-wal", "-shm") if os.path.exists(f"{path}{suffix}")]
    return {os.stat(name).st_uid for name in names}


@pytest.mark.parametrize("without", [(), ("chown",), ("setuid", "setgid")])
def test_pitfall_11_an_idle_database_stays_open_to_its_owner(application, root_scratch, engine, without):
    """As root, also where one of the two ways to right owners is closed by a sandbox."""
    outcome = engine.run(TAKE, application, root_scratch, without=without).result
    assert (outcome["rows"]["drafts"], outcome["problems"], outcome["euid"]) == (50, [], os.geteuid())
    assert sidecar_owners(application) == {OWNER if engine.root else os.geteuid()}
    assert engine.run(OPEN_AS_APPLICATION, application, uid=OWNER).result == 1


def test_pitfall_11_a_directory_that_the_owner_cannot_reach(application, root_scratch, engine):
    """A volume of a container: root opens the file, and the sidecars go to the owner all the same."""
    application.parent.parent.chmod(0o700)
    assert engine.run(TAKE, application, root_scratch).result["rows"]["drafts"] == 50
    assert sidecar_owners(application) == {OWNER if engine.root else os.geteuid()}


def test_pitfall_11_wrong_owners_are_an_error_with_the_command_that_helps(application, root_scratch, engine):
    outcome = engine.run(TAKE, application, root_scratch, without=("chown", "setuid", "setgid")).result
    if engine.root:
        assert outcome["type"] == "SourceError"
        assert f"chown {OWNER}:{OWNER}" in outcome["message"]
    else:
        assert outcome["rows"]["drafts"] == 50


def test_pitfall_11_another_user_may_not_lock_the_application_out(application, engine):
    application.chmod(0o644)
    application.parent.chmod(0o777)
    with acting_as(STRANGER, STRANGER):
        source = examine(str(application))
        if engine.root:
            with pytest.raises(SourceError, match=f"lock {OWNER} out.*Run as root or as {OWNER}"):
                open_reader(source).__enter__()
            assert os.listdir(application.parent) == ["a.db"]
        else:
            with open_reader(source) as reader:
                assert reader.execute("SELECT count(*) FROM drafts").fetchone() == (50,)


def test_another_user_reads_while_the_application_runs(application, root_scratch, engine, peer):
    """The sidecars are there and may be read: none is made."""
    writer = peer(application)
    writer.sql("INSERT INTO empty VALUES (1)")
    for name in os.listdir(application.parent):
        (application.parent / name).chmod(0o666)
    root_scratch.chmod(0o777)
    outcome = engine.run(TAKE, application, root_scratch, uid=STRANGER).result
    assert (outcome["rows"]["empty"], outcome["problems"]) == (1, [])


def test_pitfall_10_a_directory_where_no_sidecar_can_be_made(application, root_scratch, engine):
    """As a read-only mount: a clear error, and no recourse to immutable=1."""
    application.parent.chmod(0o555)
    root_scratch.chmod(0o777)
    outcome = engine.run(TAKE, application, root_scratch, uid=OWNER).result
    assert outcome["type"] == "SourceError"
    assert "-wal and -shm" in outcome["message"]
    assert os.listdir(application.parent) == ["a.db"]
    application.parent.chmod(0o755)


def test_an_unreadable_database(application):
    application.chmod(0)
    with acting_as(STRANGER, STRANGER), pytest.raises(SourceError, match=r"a.db: it cannot be read: Permission denied"):
        examine(str(application))


def test_an_unreachable_database(application):
    application.parent.chmod(0)
    try:
        with acting_as(STRANGER, STRANGER), pytest.raises(SourceError, match="cannot be reached"):
            examine(str(application))
    finally:
        application.parent.chmod(0o755)


def test_a_rollback_database_of_another_user(application, root_scratch, engine, databases):
    databases.run(application, "PRAGMA journal_mode = DELETE")
    application.chmod(0o644)
    root_scratch.chmod(0o777)
    outcome = engine.run(TAKE, application, root_scratch, uid=STRANGER).result
    assert (outcome["rows"]["drafts"], outcome["problems"]) == (50, [])
    assert os.listdir(application.parent) == ["a.db"]
