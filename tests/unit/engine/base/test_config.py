# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong part of the monitor's configuration stops the monitor, and nothing that makes or reads backups."""

from __future__ import annotations

import copy
import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import create_key
from ansible_collections.feedforward.maintenance.plugins.module_utils.cli.main import main
from ansible_collections.feedforward.maintenance.plugins.module_utils.config import fragment_problem, load_settings
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import UsageError

SENDER = "FeedForward <noreply@example.org>"
WRONG: dict[str, Any] = {
    "alerts": {"mail": {"server": "mail.example.org", "sender": SENDER, "recipients": ["admin@example.org"]}}}


def write(directory: Path, **fragments: Any) -> None:
    directory.mkdir(exist_ok=True)
    for name, value in fragments.items():
        (directory / f"{name}.json").write_text(json.dumps(value))


@pytest.mark.parametrize(("fragment", "words"), [(WRONG, "look at sender"), ({"health": {"attempts": 0}}, "attempts"),
                                                 ({"health": [], "alerts": {}}, "'health' should be an object")])
def test_a_wrong_part_is_told_by_whoever_looks_at_one_of_the_monitor(tmp_path, fragment, words) -> None:
    write(tmp_path, application={"application": "app"}, monitoring=fragment)
    settings = replace(load_settings(str(tmp_path)), directory="/backups")
    assert (settings.application, settings.directory) == ("app", "/backups")
    for look in (lambda: settings.health.attempts, lambda: settings.alerts.channels,
                 lambda: copy.copy(settings).alerts.directory):
        with pytest.raises(UsageError, match=words) as told:
            look()
        assert str(tmp_path / "monitoring.json") in str(told.value) and SENDER not in str(told.value)
    assert settings == copy.copy(settings) and SENDER not in repr(settings)


def test_what_is_unknown_or_no_json_still_stops_everything(tmp_path) -> None:
    write(tmp_path, monitoring={**WRONG, "alert": {}})
    with pytest.raises(UsageError, match="'alert' is unknown"):
        load_settings(str(tmp_path))


def test_backups_are_made_and_read_beside_a_wrong_part(tmp_path, capsys) -> None:
    database, archives, key = tmp_path / "app.db", tmp_path / "archives", tmp_path / "secure" / "key"
    archives.mkdir(mode=0o700)
    create_key(str(key))
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    write(tmp_path / "etc", application={"application": "app", "databases": [str(database)]}, monitoring=WRONG,
          backup={"directory": str(archives), "key_file": str(key)})  # fmt: skip

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["--config", str(tmp_path / "etc"), *arguments])
        return code, "".join(capsys.readouterr())

    for arguments in (("backup",), ("list",), ("verify",), ("key", "show"), ("prune",)):
        code, shown = run(*arguments)
        assert code == 0 and "sender" not in shown, (arguments, shown)
    assert any(name.endswith(".enc") for name in os.listdir(archives))
    database.unlink()
    code, shown = run("restore", "--yes", "--accept-unknown-holders")
    assert code == 0 and database.exists(), shown
    for arguments, expected in ((("health",), 3), (("look", "--output", str(tmp_path / "look.json")), 2),
                                (("monitor",), 2), (("alert", "list"), 2)):  # fmt: skip
        code, shown = run(*arguments)
        assert code == expected and "the value of 'alerts' should be" in shown and "look at sender" in shown, shown
    assert not (tmp_path / "look.json").exists()
    code, shown = run("doctor", "--no-trial")
    assert code == 2 and "the value of 'alerts' should be" in shown and "look at sender" in shown, shown


@pytest.mark.parametrize(("text", "problem"), [
    ("{}", None), ('{"health": {"attempts": 2}, "alerts": {"mail": null}}', None),
    (json.dumps(WRONG), "the value of 'alerts' should be an object whose mail has server, sender"),
    ('{"alerts": {"webhooks": ["example.org"]}}', "webhooks is a list of http or https addresses"),
    ('{"health": {"endpoints": [{"url": "example.org"}]}}', "look at url"), ('{"colour": 1}', "the key 'colour'"),
    ("{", "this is not JSON"), ("[]", "this is not a JSON object")])
def test_a_fragment_is_judged_before_it_is_put_in_place(tmp_path, text, problem) -> None:
    path = tmp_path / ".ansible_tmp_monitoring"
    path.write_text(text)
    found = fragment_problem(str(path))
    assert found is None if problem is None else problem in found and "\n" not in found


def test_a_fragment_that_cannot_be_read_is_a_problem(tmp_path) -> None:
    assert "cannot be read" in fragment_problem(str(tmp_path / "none"))
