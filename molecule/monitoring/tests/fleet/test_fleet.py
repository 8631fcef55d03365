# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of the fleet on the controller: a host that wrote something, and one that gave no word."""

from __future__ import annotations

import os
from pathlib import Path

from monitored import PUBLIC


def test_the_page_shows_both_hosts_and_that_one_gave_no_word(host):
    directory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "dashboard"
    page = (directory / "index.html").read_text(encoding="utf-8").replace("<wbr>", "")
    assert "bookworm-shared" in page and "trixie-shared" in page
    assert "no word" in page.lower()
    fetched = (directory / "bookworm-shared.html").read_text(encoding="utf-8")
    assert fetched == host.file(f"{PUBLIC}/index.html").content_string
    assert not (directory / "trixie-shared.html").exists()
