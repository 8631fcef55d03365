# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exceptions in a journal: classes and places come out, and never a word of anybody."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.feedforward.maintenance.plugins.module_utils.probes import journal

NOW = dt.datetime.now(dt.timezone.utc)
ESSAY = "My essay about whales by alice@example.edu"


def said(tmp_path: Path, program: str, name: str = "app.py") -> list[str]:
    """What a program really prints to its journal when it fails."""
    path = tmp_path / name
    path.write_text(textwrap.dedent(program))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" in done.stderr
    return done.stderr.splitlines()


RAISES = f"""
def grade(text):
    raise ValueError(text)

grade("{ESSAY}")
"""
CHAINED = f"""
try:
    {{}}["{ESSAY}"]
except KeyError as error:
    raise RuntimeError("{ESSAY}") from error
"""
DURING = f"""
try:
    {{}}["{ESSAY}"]
except KeyError:
    open("/not/there/{ESSAY}")
"""
OWN = f"""
class Oh(Exception):
    pass

raise Oh("{ESSAY}" + chr(10) + "Traceback (most recent call last):" + chr(10) + "and more of it")
"""


@pytest.mark.parametrize("program, expected", [
    (RAISES, [("ValueError", "app.py:3")]), (CHAINED, [("RuntimeError", "app.py:5")]),
    (DURING, [("FileNotFoundError", "app.py:5")]), ("import json\njson.loads('')", None), ("exec('1/0')", [("", "")]),
])
def test_a_traceback_of_python(tmp_path, program, expected):
    lines = ["INFO:     127.0.0.1 - GET /", "ERROR:    Exception in ASGI application", *said(tmp_path, program),
             "INFO:     127.0.0.1 - GET /"]
    found = list(journal.places(lines))
    if expected is None:
        assert [name for name, _place in found] == ["JSONDecodeError"] and found[0][1].startswith("decoder.py:")
    else:
        assert found == expected
    assert "whales" not in str(found) and "alice" not in str(found)


def test_a_message_of_many_lines_says_nothing(tmp_path):
    found = list(journal.places(said(tmp_path, OWN)))
    assert found[0] == ("Oh", "app.py:5") and set(found[1:]) <= {("", "")}


def test_groups_of_exceptions(tmp_path):
    if sys.version_info < (3, 11):
        pytest.skip("this Python has none")
    program = f'raise ExceptionGroup("{ESSAY}", [ValueError("{ESSAY}"), KeyError("{ESSAY}")])'
    found = list(journal.places(said(tmp_path, program)))
    assert found[0] == ("ExceptionGroup", "app.py:1") and "whales" not in str(found)


@pytest.mark.parametrize("frame", [
    '  File "alice_smith_essay.py", line 3, in <module>', '  File "<stdin>", line 1',
    '  File "/home/alice/not/there.py", line 3, in f', '  File "/etc/hostname", line 3', ""])
def test_what_people_write_like_a_traceback_has_no_name(frame):
    lines = ["Traceback (most recent call last):", *([frame] if frame else []), "AliceSmith: my essay", "end"]
    assert list(journal.places(lines)) == [("", "")]
    assert journal.count(journal.places(lines)) == journal.Exceptions(1, {"other": 1})


@given(st.lists(st.one_of(st.text(max_size=40), st.sampled_from([
    "Traceback (most recent call last):", '  File "/alice.py", line 3, in f', "    x = 1", "AliceError: essay", "",
    "During handling of the above exception, another exception occurred:", "  | ", "  + Exception Group Traceback"])),
    max_size=30))
def test_nothing_of_what_people_write_comes_out(lines):
    assert set(journal.places(lines)) <= {("", "")}


def test_two_that_follow_each_other_are_two(tmp_path):
    lines = said(tmp_path, RAISES)
    found = journal.count(journal.places([*lines, *lines, "", *lines]))
    assert found == journal.Exceptions(3, {"ValueError app.py:3": 3})


def test_the_most_frequent_are_named():
    found = journal.count([("E", f"a.py:{number}") for number in range(60)] + [("E", "a.py:7"), ("", "")])
    assert found.total == 62 and len(found.by_place) == journal.MOST_CLASSES + 1
    assert found.by_place["E a.py:7"] == 2 and found.by_place["other"] == 11
    assert journal.count([]) == journal.Exceptions(0, {})


def journalctl(tmp_path: Path, monkeypatch, script: str) -> None:
    (tmp_path / "journalctl").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


def test_the_journal_is_read(tmp_path, monkeypatch):
    (tmp_path / "log").write_text("\n".join([*said(tmp_path, RAISES), "x" * 100_000, *said(tmp_path, CHAINED)]))
    journalctl(tmp_path, monkeypatch, f'echo "$@" >{tmp_path}/asked; cat {tmp_path}/log')
    found = journal.exceptions_since("app.service", NOW)
    assert found == journal.Exceptions(2, {"RuntimeError app.py:5": 1, "ValueError app.py:3": 1})
    assert (tmp_path / "asked").read_text() == (f"--unit app.service --since @{int(NOW.timestamp())} --output cat "
                                                "--no-pager\n")


@pytest.mark.parametrize("script, told", [
    ("echo No journal files were opened due to insufficient permissions. >&2; exit 1", "insufficient permissions"),
    ("echo Hint: You are currently not seeing messages from other users and the system. >&2", "run as root"),
    ("exit 3", "ended with 3")])
def test_a_journal_that_may_not_be_read(tmp_path, monkeypatch, script, told):
    journalctl(tmp_path, monkeypatch, script)
    with pytest.raises(OSError, match=told):
        journal.exceptions_since("app.service", NOW)


def test_a_journal_without_end_is_not_read_to_its_end(tmp_path, monkeypatch):
    journalctl(tmp_path, monkeypatch, "exec yes line")
    monkeypatch.setattr(journal, "_LIMIT_BYTES", 100_000)
    assert journal.exceptions_since("app.service", NOW) == journal.Exceptions(0, {}, complete=False)
