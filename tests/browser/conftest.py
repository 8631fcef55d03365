# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests in a browser: Chromium, axe-core, and the pages as files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AXE = "axe-core@4.11.0"

# pytest's importlib mode puts no directory of tests on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))


def link_collection() -> None:
    """Put ``.build/dev`` on the import path, with a link to the checkout inside."""
    link = ROOT / ".build" / "dev" / "ansible_collections" / "feedforward" / "maintenance"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)
    sys.path.insert(0, str(ROOT / ".build" / "dev"))


link_collection()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium with a profile of its own."""
    from chromium import Chromium

    with Chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which is installed below .build unless it is there already."""
    directory = ROOT / ".build" / "npm"
    script = directory / "node_modules" / "axe-core" / "axe.min.js"
    version = AXE.partition("@")[2]
    if not script.exists() or f"axe v{version}" not in script.read_text(encoding="utf-8")[:200]:
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", str(directory), "--no-audit", "--no-fund", "--ignore-scripts",
                        AXE], check=True, timeout=300, stdout=subprocess.DEVNULL)
    return script.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def pages(tmp_path_factory) -> dict[str, str]:
    """The addresses of the pages by name: two hosts, one that is new, and the fleet."""
    import datetime as dt

    from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor import dashboard
    from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.history import History
    from ansible_collections.feedforward.maintenance.tests.unit.engine.monitor import dashboard_samples as samples

    directory = tmp_path_factory.mktemp("pages")
    texts, summaries = {}, []
    with History(str(directory / "well.db")) as history:
        samples.fill(history)
    shutil.copy(directory / "well.db", directory / "ill.db")
    for name, report in (("well", samples.well()), ("ill", samples.ill()), ("new", samples.report_of([]))):
        with History(str(directory / f"{name}.db")) as history:
            history.record(report, samples.NOW)
            history.tell([(2, "CRITICAL", "Storage /", "told <b>this</b>"), (0, "RECOVERED", "CPU", "12 %")]
                         if name == "ill" else [], samples.NOW)
            texts[name] = dashboard.render(report, history, samples.NOW, application="FeedForward",
                                           host=f"{name}.university.example")
        summaries.append((f"{name}.university.example", dashboard.summary(report, samples.NOW, host=name)))
    old = dashboard.summary(samples.well(), samples.NOW - dt.timedelta(hours=3), host="old")
    texts["fleet"] = dashboard.fleet([*summaries, ("silent", None), ("old", old)], samples.NOW)
    for name, text in texts.items():
        (directory / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: (directory / f"{name}.html").as_uri() for name in texts}


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures are kept: they are a result of the run."""
    directory = ROOT / ".build" / "screenshots"
    os.makedirs(directory, exist_ok=True)
    return directory
