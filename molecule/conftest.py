# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the tests of all scenarios: a failed test shows the end of its host's journal, passed tests are counted."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the tests import support.py

JOURNAL_LINES = 60
# What the test run itself writes there.
OWN_TRACES = re.compile(r" (sudo|sshd|sshd-session|ansible-\S+|systemd-logind)\[\d+\]: ")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the failed units and the journal of the host to the report of a failed test."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        name = host.backend.hostname
        report.sections.append((f"failed units of {name}", host.run("systemctl --failed --no-legend --plain").stdout))
        journal = host.run("journalctl --boot --no-pager --lines=1000").stdout.splitlines()
        foreign = [line for line in journal if not OWN_TRACES.search(line)]
        report.sections.append((f"journal of {name}", "\n".join(foreign[-JOURNAL_LINES:])))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write how many tests passed, one line a run, for resources/count_tests.yml."""
    directory = os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY")
    if directory:
        with open(Path(directory) / "tests-passed", "a", encoding="ascii") as counts:
            counts.write(f"{session.testscollected - session.testsfailed}\n")
