# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What root saw comes to the monitor as it was, or not at all."""

from __future__ import annotations

import json
import math
import os
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.health import Finding
from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.look import Look, read_look, write_look

NOW = datetime(2026, 11, 24, 5, 47, 10, tzinfo=timezone.utc)
FINDINGS = (Finding(2, "storage /", "Storage", "1.2 GB free", {"free_bytes": 1.2e9}, {"a b": 1.0}),
            Finding(3, "journal", "Journal", "é \u2028 \udcff"))  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "look.json")


def test_it_comes_back_as_it_was(path):
    write_look(path, Look(NOW, FINDINGS, (("OpenAI", "https://api.example"),)))
    assert read_look(path, NOW + timedelta(minutes=5)) == Look(NOW, FINDINGS, (("OpenAI", "https://api.example"),))
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_a_figure_that_is_no_number_is_left_out(path):
    write_look(path, Look(NOW, (Finding(0, "cpu", "CPU", "x", {"load": math.nan, "busy_percent": 1.0}),)))
    assert read_look(path, NOW).findings[0].figures == {"busy_percent": 1.0}


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(11, "is 11 min 0 s old"), (60 * 24 * 62, "old"), (-11, "of a time that is 11 min 0 s ahead")],
)
def test_an_old_one_is_not_believed(path, minutes, words):
    write_look(path, Look(NOW, FINDINGS))
    with pytest.raises(ValueError, match=words):
        read_look(path, NOW + timedelta(minutes=minutes))


def test_a_missing_one_is_told(path):
    with pytest.raises(ValueError, match="is missing: the look of root has not run"):
        read_look(path, NOW)


def test_a_link_and_a_pipe_are_not_read(path, tmp_path):
    write_look(str(tmp_path / "other"), Look(NOW, FINDINGS))
    os.symlink(tmp_path / "other", path)
    with pytest.raises(ValueError, match="cannot be read"):
        read_look(path, NOW)
    os.unlink(path)
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is not a regular file"):
        read_look(path, NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "other"),
        ("schema_version", 2),
        ("written_at", "yesterday"),
        ("providers", [["a"]]),
        ("findings", {}),
        ("findings", [{}]),
        ("findings", [{"level": 4, "check": "a", "title": "b", "text": "c", "figures": {}, "counts": {}}]),
        ("findings", [{"level": 0, "check": "a", "title": "b", "text": "c", "figures": {"x": "1"}, "counts": {}}]),
        ("more", 1),
    ],
)
def test_what_was_changed_is_not_believed(path, field, value):
    write_look(path, Look(NOW, FINDINGS))
    with open(path, encoding="ascii") as stream:
        content = json.load(stream)
    content[field] = value
    with open(path, "w", encoding="ascii") as stream:
        json.dump(content, stream)
    with pytest.raises(ValueError, match="is not what was written"):
        read_look(path, NOW)
