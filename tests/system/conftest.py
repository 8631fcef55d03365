# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the system tests: the command as it is installed, a site, and both faces of it.

The tests stand in three directories: ``anyone/`` runs as any user, ``clock/`` needs the program faketime, ``root/``
needs root, because it mounts file systems. Each begins with the clauses of "bad input" that it covers.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

# pytest's importlib mode puts no directory of tests on the path.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from system_faces import ROOT, Faces, link_collection
from system_site import PROGRAM, Site, powerless

link_collection()


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    """The executable zipapp that the collection installs on a host, under the name that a host gives it."""
    from ansible_collections.feedforward.maintenance.plugins.plugin_utils.zipapp import build_zipapp, collect_engine

    path = tmp_path_factory.mktemp("bin") / PROGRAM
    members = collect_engine(str(ROOT / "plugins" / "module_utils"))
    path.write_bytes(build_zipapp(members, interpreter=sys.executable, version="1.0.0"))
    path.chmod(0o755)
    return path


@pytest.fixture
def bare_site(tmp_path):
    """A site that has no archive yet."""
    with ExitStack() as stack:
        yield Site(tmp_path / "site", stack)


@pytest.fixture
def site(bare_site):
    """A site with one good archive of kind full, made by the engine."""
    from ansible_collections.feedforward.maintenance.plugins.module_utils.config import load_settings
    from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.backup import (
        request_from_settings,
        run_backup,
    )

    bare_site.build()
    made = run_backup(request_from_settings(load_settings(str(bare_site.etc)), "full"))
    assert made.outcome == "created" and made.verified
    return bare_site


@pytest.fixture
def faces(site, program):
    """Both faces of the site."""
    return Faces(site, program)


@pytest.fixture
def powerless_faces(site, program):
    """Both faces, obeying the modes of files."""
    return Faces(site, program, powerless())
