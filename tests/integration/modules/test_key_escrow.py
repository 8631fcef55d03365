# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action key_escrow: escrow first, host second, and no key in any output."""

from __future__ import annotations

import json

from escrow_support import PASSWORD, key_id
from module_support import task, tree


def test_a_new_key_in_four_states(escrow):
    run = escrow.four_states()
    assert run.changed == [True, True, False, False]
    checked, ran, again, _checked_again = run.results
    content = escrow.key_file.read_bytes()
    assert checked["key_id"] is None
    assert ran["key_id"] == again["key_id"] == key_id(content)
    assert checked["actions"] == ran["actions"] == ["create a key"]
    assert ran["escrowed"] is True
    assert escrow.vaulted() == content
    assert escrow.key_file.stat().st_mode & 0o7777 == 0o400
    assert escrow.key_file.parent.stat().st_mode & 0o7777 == 0o700
    assert escrow.escrow_file.stat().st_mode & 0o7777 == 0o600
    assert escrow.escrow_file.parent.stat().st_mode & 0o7777 == 0o700
    assert escrow.escrow_file.parent.parent.stat().st_mode & 0o7777 == 0o700
    assert checked["diff"]["after"]["host"] == {"key_id": "(new)", "older_key_ids": []}
    assert ran["diff"]["after"]["host"] == ran["diff"]["after"]["escrow"] == {
        "key_id": key_id(content), "older_key_ids": []}
    assert list(escrow.ansible.work.rglob("maintenance-*")) == []


def test_check_mode_writes_nothing(escrow, tmp_path):
    escrow.play({"check": True})
    assert not escrow.key_file.parent.exists()
    assert not escrow.escrow_file.parent.parent.exists()


def test_a_lost_host_gets_its_key_back(escrowed):
    content = escrowed.key_file.read_bytes()
    escrowed.key_file.unlink()
    run = escrowed.four_states()
    assert run.changed == [True, True, False, False]
    assert run.results[0]["actions"] == run.results[1]["actions"] == [f"install key {key_id(content)}"]
    assert escrowed.key_file.read_bytes() == content
    assert escrowed.key_file.stat().st_mode & 0o7777 == 0o400


def test_a_key_that_the_host_already_has_is_fetched(escrow):
    escrow.ansible.module("backup_key", {"key_file": escrow.key_file})
    content = escrow.key_file.read_bytes()
    run = escrow.play(*({"check": check} for check in (True, False, False, True)))
    assert run.changed == [True, True, False, False]
    assert run.results[1]["actions"] == [f"escrow key {key_id(content)}"]
    assert escrow.vaulted() == content == escrow.key_file.read_bytes()
    assert list(escrow.ansible.work.rglob("maintenance-*")) == []


def test_the_escrow_follows_a_rotation(escrowed):
    old = escrowed.key_file.read_bytes()
    escrowed.ansible.module("backup_key", {"key_file": escrowed.key_file, "state": "rotated"})
    new = escrowed.key_file.read_bytes()
    run = escrowed.four_states()
    assert run.changed == [True, True, False, False]
    assert run.results[1]["actions"] == [f"escrow key {key_id(new)}"]
    assert run.results[1]["older_key_ids"] == [key_id(old)]
    assert escrowed.vaulted() == new
    assert escrowed.vaulted(f"{escrowed.escrow_file}.{key_id(old)}") == old

    wanted = escrowed.ids()
    for path in escrowed.key_file.parent.iterdir():
        path.unlink()
    run = escrowed.four_states()
    assert run.changed == [True, True, False, False]
    assert escrowed.ids() == wanted == {"": key_id(new), key_id(old): key_id(old)}


def test_an_interrupted_installation_is_completed(escrowed):
    escrowed.ansible.module("backup_key", {"key_file": escrowed.key_file, "state": "rotated"})
    escrowed.play({})
    wanted = escrowed.ids()
    escrowed.key_file.unlink()
    run = escrowed.four_states()
    assert run.changed == [True, True, False, False]
    assert escrowed.ids() == wanted


def test_a_mode_that_is_too_open_is_corrected(escrowed):
    escrowed.key_file.chmod(0o440)
    run = escrowed.four_states()
    assert run.changed == [True, True, False, False]
    assert run.results[0]["actions"] == [f"correct owner or mode of {escrowed.key_file}"]
    assert escrowed.key_file.stat().st_mode & 0o7777 == 0o400


def test_different_keys_are_refused(escrowed):
    escrowed.key_file.unlink()
    escrowed.ansible.module("backup_key", {"key_file": escrowed.key_file})
    before = tree(escrowed.escrow_file.parent), tree(escrowed.key_file.parent)
    result, = escrowed.play({}).results
    assert result["failed"] is True
    assert result["error"]["type"] == "KeyFileError"
    assert str(escrowed.escrow_file) in result["msg"]
    assert "delete neither" in result["error"]["next_step"]
    assert (tree(escrowed.escrow_file.parent), tree(escrowed.key_file.parent)) == before


def test_without_a_vault_password(escrow):
    refused, made, again = escrow.play({}, {"required": False}, {"required": False}, password=None).results
    assert refused["failed"] is True
    assert "no vault password" in refused["msg"]
    assert "required=false" in refused["error"]["next_step"]
    assert made["changed"] is True
    assert made["escrowed"] is again["escrowed"] is False
    assert made["key_id"] == key_id(escrow.key_file.read_bytes())
    assert again["changed"] is False
    assert "exists on the host only" in made["warnings"][0]
    assert escrow.escrow_file.parent.parent.exists() is False


def test_a_key_in_escrow_needs_its_password(escrowed):
    escrowed.key_file.unlink()
    before = tree(escrowed.escrow_file.parent)
    for password in (None, "another password"):
        for result in escrowed.play({}, {"required": False}, password=password).results:
            assert result["failed"] is True
            assert str(escrowed.escrow_file) in result["msg"]
            assert "password" in result["msg"]
    assert tree(escrowed.escrow_file.parent) == before
    assert not escrowed.key_file.exists()


def test_no_escrow_file(escrow):
    refused, made = escrow.play({"escrow_file": ""}, {"escrow_file": "", "required": False}).results
    assert "no escrow_file" in refused["msg"]
    assert made["changed"] is True
    assert made["escrowed"] is False


def test_nothing_is_made_unasked(escrow, tmp_path):
    both = escrow.play({"create": False}, {"create": False, "required": False, "escrow_file": ""}).results
    assert all("create=true" in result["error"]["next_step"] for result in both)
    assert not escrow.key_file.exists()


def test_bad_files_are_named(escrow, tmp_path):
    escrow.key_file.parent.mkdir()
    escrow.key_file.write_text("not a key\n")
    not_a_key, = escrow.play({}).results
    escrow.key_file.unlink()
    escrow.key_file.symlink_to("elsewhere")
    link, = escrow.play({}).results
    escrow.key_file.unlink()
    escrow.escrow_file.parent.mkdir(parents=True, exist_ok=True)
    escrow.escrow_file.write_text("c2hvcnQ=\n")
    plain, = escrow.play({}).results
    relative, = escrow.play({"key_file": "backup.key"}).results
    for result, words in ((not_a_key, [str(escrow.key_file), "no backup key"]),
                          (link, [str(escrow.key_file), "not a regular file"]),
                          (plain, [str(escrow.escrow_file), "not encrypted"]), (relative, ["not absolute"])):
        assert result["failed"] is True
        assert "\n" not in result["msg"]
        assert all(word in result["msg"] for word in words), result["msg"]


def test_a_vault_id_of_choice(escrow, tmp_path):
    other = tmp_path / "other-password"
    other.write_text("another password\n")
    run = escrow.ansible.play(
        [task("key_escrow", {"key_file": escrow.key_file, "escrow_file": escrow.escrow_file, "vault_id": vault_id})
         for vault_id in ("missing", "offsite")], arguments=["--vault-id", f"offsite@{other}"], vault_password=PASSWORD)
    missing, made = run.results
    assert "'missing'" in missing["msg"]
    assert made["changed"] is True
    assert escrow.escrow_file.read_text().splitlines()[0] == "$ANSIBLE_VAULT;1.2;AES256;offsite"


def test_hosts_that_share_an_escrow_share_the_key(escrow, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("\n".join(f"host{n} ansible_connection=local key_file={tmp_path}/host{n}/backup.key"
                               for n in range(3)))
    playbook = tmp_path / "shared.yml"
    options = {"key_file": "{{ key_file }}", "escrow_file": str(escrow.escrow_file)}
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False,
                                     "tasks": [{"feedforward.maintenance.key_escrow": options}]}]))
    run = escrow.ansible.run_playbook(playbook, hosts, vault_password=PASSWORD)
    assert run.returncode == 0, run.output
    assert sorted(tuple(result["actions"]) for result in run.results)[0] == ("create a key",)
    assert len({result["key_id"] for result in run.results}) == 1
    assert len({(tmp_path / f"host{n}" / "backup.key").read_bytes() for n in range(3)}) == 1
