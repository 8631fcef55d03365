# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: a clock that jumps.

=========================================  ==========================================================
the issue's clause                         tests
=========================================  ==========================================================
a clock that jumps                         test_a_clock_that_went_back, test_a_clock_that_ran_ahead,
                                           test_a_clock_that_stands_still,
                                           test_a_clock_that_ran_ahead_for_another_kind
=========================================  ==========================================================
"""

from __future__ import annotations

import json
import os

import pytest
from system_faces import Faces

pytestmark = pytest.mark.needs("faketime")


def shifted(site, program, *words):
    """Faces whose clock libfaketime moves; only what tells the time, not what measures it."""
    return Faces(site, program, ["env", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", *words])


def change(site, number):
    """New content, so that the next backup makes an archive."""
    site.sql(f"UPDATE drafts SET content = 'change {number}' WHERE id = 1")


def test_a_clock_that_went_back(site, program, faces):
    """The archive of the past is the newest all the same, nothing is pruned, and the run says why."""
    site.configure(retention_days=1, keep_last=1)
    back = shifted(site, program, "-f", "-400d")
    first = site.names()
    change(site, 1)
    made = back.command("backup", {"kind": "full"}, as_json=True)
    assert made.code == 0 and made.document["outcome"] == "created" and made.document["verified"]
    assert "the clock says" in made.document["prune_refused"]
    assert "until the clock is set right" in made.document["prune_refused"]
    change(site, 2)
    again = back.module("backup", {"kind": "full"})
    assert again.document["changed"] and "the clock says" in again.document["prune_refused"]
    assert set(first) < set(site.names()) and len(site.names()) == len(first) + 2
    newest = again.document["archive"]
    assert os.path.basename(newest) < first[0], "its name is older than the first one's"
    change(site, 3)
    restored = faces.command("restore", {}, as_json=True)
    assert restored.document["archive"] == newest, "latest goes by the sequence and not by the clock"
    assert site.sql("SELECT content FROM drafts WHERE id = 1") == [("change 2",)]
    assert faces.command("verify", {"archive": "all"}).code == 0


def test_a_clock_that_ran_ahead(site, program, faces):
    """Ten years ahead every archive looks old: none goes; back in the present none goes either, until a person acts."""
    site.configure(retention_days=1, keep_last=1)
    ahead = shifted(site, program, "-f", "+3650d")
    for number, face in enumerate((faces, ahead, faces)):
        before = site.names()
        change(site, number)
        made = face.command("backup", {"kind": "full"}, as_json=True)
        assert made.code == 0 and made.document["outcome"] == "created", made
        assert made.document["pruned"] == []
        assert set(before) < set(site.names())
        if number:
            assert "clock" in made.document["prune_refused"]
    assert len(site.names()) == 4
    pruned = faces.command("prune", {}, as_json=True)
    assert pruned.document["removed"] == [] and "clock" in json.dumps(pruned.document["refused"])
    assert len(site.names()) == 4
    restored = faces.command("restore", {}, as_json=True)
    assert restored.code == 0 and not restored.document["changed"], "latest is the last one that was made"


@pytest.mark.parametrize("ahead", ["+20h", "+365d"])
def test_a_clock_that_ran_ahead_for_another_kind(site, program, faces, ahead):
    """Which of two kinds is the newest is refused and not guessed, until the kind is told or made anew."""
    change(site, 0)
    assert shifted(site, program, "-f", ahead).command("backup", {"kind": "full"}).code == 0
    change(site, 1)
    made = faces.command("backup", {"kind": "database"}, as_json=True).document["archive"]
    change(site, 2)
    for told in faces.all("restore", {}):
        assert told.code == 6 and "--kind" in told.message, told
        assert os.path.basename(made) in told.message and site.archive("full").name in told.message
    assert site.sql("SELECT content FROM drafts WHERE id = 1") == [("change 2",)]
    assert faces.module("restore", {"kind": "database"}).document["archive"] == made
    assert site.sql("SELECT content FROM drafts WHERE id = 1") == [("change 1",)]
    change(site, 3)
    newest = faces.command("backup", {"kind": "full"}, as_json=True).document["archive"]
    change(site, 4)
    assert faces.command("restore", {}, as_json=True).document["archive"] == newest
    assert site.sql("SELECT content FROM drafts WHERE id = 1") == [("change 3",)]


def test_a_clock_that_stands_still(site, program):
    """Archives of one second get names of their own, and none replaces another."""
    still = shifted(site, program, "-f", "2030-01-01 00:00:00")
    before = site.names()
    for number in range(2):
        change(site, number)
        assert still.command("backup", {"kind": "full"}, as_json=True).document["outcome"] == "created"
    new = sorted(set(site.names()) - set(before))
    assert new == ["app-full-20300101T000000Z.tar.gz.enc", "app-full-20300101T000001Z.tar.gz.enc"]
