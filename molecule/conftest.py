# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the tests of all scenarios: a failed test shows the end of its host's journal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

JOURNAL_LINES = 60


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the failed units and the journal of the host to the report of a failed test."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        for title, command in (
            ("failed units", "systemctl --failed --no-legend --plain"),
            ("journal", f"journalctl --boot --no-pager --lines={JOURNAL_LINES}"),
        ):
            done = host.run(command)
            report.sections.append((f"{title} of {host.backend.hostname}", done.stdout + done.stderr))
    return report
