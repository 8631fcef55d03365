# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests that need something of the machine: ``@pytest.mark.needs("root")`` or ``needs("strace")``, a program.

Where it is missing the test is not run, and the end of the report names it; with CI=true that is a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest

NOT_RUN = pytest.StashKey[list[str]]()


def lacks(need: str) -> bool:
    """Whether this machine lacks ``root`` or a program of that name."""
    return os.geteuid() != 0 if need == "root" else shutil.which(need) is None


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "needs(*names): root, or programs that the machine must have")
    config.stash[NOT_RUN] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out the tests that cannot run here, and remember them."""
    for item in list(items):
        needs = [need for marker in item.iter_markers("needs") for need in marker.args]
        missing = [need for need in needs if lacks(need)]
        if missing:
            items.remove(item)
            config.stash[NOT_RUN].append(f"{item.nodeid} (needs {', '.join(missing)})")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI=true a test that was not run fails the run."""
    if session.config.stash[NOT_RUN] and os.environ.get("CI") == "true" and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what was not run."""
    for line in config.stash[NOT_RUN]:
        terminalreporter.write_line(f"NOT RUN {line}")
