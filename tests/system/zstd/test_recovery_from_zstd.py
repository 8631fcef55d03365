# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery by stock tools from an archive that zstd compressed."""

from __future__ import annotations

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import create_key
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive import samples
from ansible_collections.feedforward.maintenance.tests.unit.engine.archive.recovery import recover, save_recipe


def test_the_recovery_as_it_is_written(tmp_path):
    key_file = str(tmp_path / "backup.key")
    content = samples.noise(3 << 20)
    sample = samples.write_sample(tmp_path, key=create_key(key_file), databases={"app.db": content},
                                  files={"/opt/app/.env": b"SECRET=1\n"}, method="zstd")
    assert sample.path.name.endswith(".tar.zst.enc")
    done = recover("sh", save_recipe(tmp_path), sample.path, key_file, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines().count("databases/app.db: OK") == 2
    assert (tmp_path / "out" / "databases" / "app.db").read_bytes() == content
    assert (tmp_path / "out" / "files" / "opt" / "app" / ".env").read_bytes() == b"SECRET=1\n"


def test_the_recovery_fails_with_damage(tmp_path):
    key_file = str(tmp_path / "backup.key")
    sample = samples.write_sample(tmp_path, key=create_key(key_file), databases={"app.db": samples.noise(3 << 20)},
                                  method="zstd")
    changed = bytearray(sample.stored)
    changed[(1 << 20) + 5] ^= 1
    sample.path.write_bytes(bytes(changed))
    done = recover("sh", save_recipe(tmp_path), sample.path, key_file, tmp_path / "out")
    assert done.returncode != 0
