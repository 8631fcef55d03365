# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the archive and the key alone, a bare host has everything that the lost one had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support import HOME, KEY_FILE, ansible, ask, escrow_file, secret, start_unit

NOTES = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


def test_every_file_is_there_with_content_owner_and_mode(host):
    listing = host.check_output(
        f"cd {HOME} && find .env .sesskey config data/uploads data/assignment_specs"
        " \\( -type f -exec sha256sum {} + \\) , -printf '%M %u:%g %p\\n' | LC_ALL=C sort"
    )
    noted = (NOTES / "files.txt").read_text(encoding="utf-8")
    assert len(listing.splitlines()) > 10
    assert listing.splitlines() == noted.splitlines()


def test_the_database_belongs_to_the_applications_user(host):
    database = host.file(f"{HOME}/data/feedforward.db")
    assert (database.user, database.group, database.mode) == ("feedforward", "feedforward", 0o600)
    assert host.user("feedforward").shell == "/usr/sbin/nologin"


def test_the_application_can_write_beside_its_database(host):
    host.check_output(f"runuser --user=feedforward -- sh -c 'touch {HOME}/data/probe && rm {HOME}/data/probe'")


def test_the_key_came_from_the_escrow(host):
    assert host.file(KEY_FILE).mode == 0o400
    assert ansible("ansible-vault", "view", str(escrow_file(host))).strip() == secret(host)


def test_the_archive_of_the_lost_host_goes_on_being_looked_after(host):
    (archive,) = [entry for entry in ask(host, "list")["archives"] if entry["kind"] == "full"]
    (verdict,) = ask(host, f"verify {archive['name']} --level restore")["archives"]
    assert verdict["verdict"] == "passed"


@pytest.mark.parametrize("job", ["backup-database", "backup-full"])
def test_the_backups_go_on_here(host, job):
    assert host.service(f"feedforward-{job}.timer").is_running
    start_unit(host, f"feedforward-{job}.service")
