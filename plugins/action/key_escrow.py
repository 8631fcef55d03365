# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action ``key_escrow``: the host's backup key lies in Ansible Vault on the controller before anything uses it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, Optional

import ansible.constants as C
from ansible.parsing.vault import VaultSecretsContext
from ansible.plugins.action import ActionBase

from ansible_collections.feedforward.maintenance.plugins.module_utils.archive.keys import create_key, load_ring
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import KeyFileError, MaintenanceError
from ansible_collections.feedforward.maintenance.plugins.plugin_utils import escrow, host_files

ARGUMENTS = {
    "key_file": {"type": "path", "required": True, "no_log": False},
    "escrow_file": {"type": "str"},
    "vault_id": {"type": "str"},
    "create": {"type": "bool", "default": True},
    "required": {"type": "bool", "default": True},
    "owner": {"type": "str"},
    "group": {"type": "str"},
}
KEY_MODE = "0400"
NEW = escrow.Holding("(new)")
HostFiles = dict[str, dict[str, Any]]
"""The key files of the host by their slots, as the module find describes them (mode, owner, SHA-256)."""


class ActionModule(ActionBase):
    """Escrow first, host second; nothing of a key in any result, log or output."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Entry point of Ansible."""
        result = super().run(tmp, task_vars)
        _validated, options = self.validate_argument_spec(argument_spec=ARGUMENTS)
        try:
            with _workbench() as bench:
                result.update(_Escrowing(self, options, bench, task_vars or {}).run())
        except MaintenanceError as error:
            result.update(failed=True, msg=str(error), error=error.as_dict())
        return result


class _Escrowing:
    """One run for one host. ``bench`` is a private directory of the controller that is removed afterwards."""

    def __init__(self, action: ActionModule, options: dict[str, Any], bench: str, task_vars: dict[str, Any]) -> None:
        self.action = action
        self.check = action._task.check_mode
        self.task_vars = task_vars
        self.bench = bench
        self.key_file = str(options["key_file"])
        self.create, self.required = options["create"], options["required"]
        self.owner, self.group = options["owner"], options["group"]
        self.secrets = _vault_secrets()
        self.vault_id = options["vault_id"] or C.DEFAULT_VAULT_ENCRYPT_IDENTITY
        self.escrow_file = self._escrow_path(options["escrow_file"])
        self.directory_missing = False

    def _escrow_path(self, given: Optional[str]) -> Optional[str]:
        if not os.path.isabs(self.key_file):
            raise KeyFileError(self.key_file, "the path of the key on the host is not absolute", "Write the full path")
        if given:
            return os.path.abspath(self.action._loader.path_dwim(os.path.expanduser(given)))
        if self.required:
            raise KeyFileError(self.key_file, "no escrow_file is given, and the key would exist on the host only",
                               "Name a file on the controller, or set required=false to accept that risk")
        return None

    def run(self) -> dict[str, Any]:
        """Looks, decides, and outside of check mode acts. Returns the task's result."""
        host_files.refuse_unprivileged_become(self.action, self.key_file)
        files = self._look_at_host()
        if self.escrow_file is None or not self._may_escrow(self.escrow_file):
            return self._without_escrow(files)
        store = escrow.EscrowStore(self.escrow_file, self.secrets, self.vault_id)
        directory = os.path.dirname(self.escrow_file)
        if not self.check:
            escrow.make_private_directories(directory)
        with contextlib.ExitStack() as stack:
            if os.path.isdir(directory):
                stack.enter_context(escrow.locked_directory(directory))
            vaulted = self._identify(self.escrow_file, store.read())
            hosted = self._identify(self.key_file, self._host_contents(files, vaulted))
            before = escrow.holding(hosted), escrow.holding(vaulted)
            plan = escrow.plan_escrow(self.key_file, self.escrow_file, *before, create=self.create)
            if not self.check:
                self._prepare_host(plan)
                if plan.create:
                    vaulted[""] = self._new_key()
                    store.write("", vaulted[""].content)
                elif plan.escrow:
                    store.add(vaulted, hosted)
        if not self.check:
            self._install(plan, vaulted)
        now = escrow.holding(vaulted) if not (plan.create and self.check) else NEW
        return self._report(plan, files, before, escrow.after(plan, before[0], now), escrowed=True)

    def _may_escrow(self, escrow_file: str) -> bool:
        if self.secrets:
            return True
        if self.required:
            raise KeyFileError(escrow_file, "this run has no vault password, so the key cannot be escrowed",
                               "Run again with --vault-password-file, --vault-id or --ask-vault-pass, or set "
                               "required=false to accept a key that exists on the host only")
        if escrow.EscrowStore(escrow_file, []).paths():
            raise KeyFileError(escrow_file, "a key is in escrow, and this run has no vault password to compare it",
                               "Run again with --vault-password-file, --vault-id or --ask-vault-pass")
        return False

    def _without_escrow(self, files: HostFiles) -> dict[str, Any]:
        # The host's key stays where it is: it is not read, so its id is not known.
        host = escrow.Holding("(not read)" if "" in files else None, frozenset(slot for slot in files if slot))
        plan = escrow.plan_without_escrow(self.key_file, host, create=self.create)
        made = NEW
        if plan.create and not self.check:
            self._prepare_host(plan)
            key = self._new_key()
            self._install(plan, {"": key})
            made = escrow.Holding(key.id)
        nothing = escrow.Holding()
        result = self._report(plan, files, (host, nothing), (made if plan.create else host, nothing), escrowed=False)
        return {**result, "warnings": [f"{self.key_file}: this key exists on the host only, and with it every archive "
                                       "would be lost. Keep a copy elsewhere."]}

    def _look_at_host(self) -> HostFiles:
        directory, base = os.path.split(self.key_file)
        there = host_files.run_module(self.action, "stat", {"path": directory, "follow": True}, self.task_vars)["stat"]
        self.directory_missing = not there["exists"]
        if self.directory_missing:
            return {}
        if not (there["isdir"] and there["readable"] and there["executable"]):
            raise KeyFileError(directory, "the directory of the key cannot be read on the host",
                               "Run with become to root, or as the key's owner, or correct the path")
        found = host_files.run_module(self.action, "find", {
            "paths": [directory], "patterns": [rf"{re.escape(base)}{escrow.SLOT}\Z"], "use_regex": True,
            "file_type": "any", "hidden": True, "get_checksum": True, "checksum_algorithm": "sha256"}, self.task_vars)
        files = {}
        for entry in found["files"]:
            if not entry["isreg"]:
                raise KeyFileError(entry["path"], "it is not a regular file on the host",
                                   "Put the key itself there: links and directories are not followed")
            files[entry["path"][len(self.key_file) + 1:]] = entry
        return files

    def _host_contents(self, files: HostFiles, vaulted: escrow.Keys) -> dict[str, bytes]:
        """Slot -> content. A file whose SHA-256 is that of an escrowed key is known without moving it."""
        known = {hashlib.sha256(key.content).hexdigest(): key.content for key in vaulted.values()}
        contents = {}
        for slot, entry in files.items():
            if entry.get("checksum") in known:
                contents[slot] = known[entry["checksum"]]
                continue
            local = os.path.join(self.bench, "fetched")
            host_files.fetch_secret(self.action, entry["path"], local)
            with open(local, "rb") as stream:
                contents[slot] = stream.read()
            os.unlink(local)
        return contents

    def _identify(self, path: str, contents: dict[str, bytes]) -> escrow.Keys:
        """Proves each content to be a key, and an older one to have the id that its file's name says."""
        keys = {}
        for slot, content in contents.items():
            name = f"{path}.{slot}" if slot else path
            keys[slot] = escrow.KeyContent(self._key_id(name, content), content)
            if slot not in ("", keys[slot].id):
                raise KeyFileError(name, f"it holds key {keys[slot].id}, not the one that its name says",
                                   "Move it aside (do not delete it), then run again")
        return keys

    def _key_id(self, name: str, content: bytes) -> str:
        local = os.path.join(self.bench, "candidate")
        handle = os.open(local, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            return load_ring(local).current.id
        except KeyFileError as error:
            raise KeyFileError(name, f"it is no backup key: {error.cause}",
                               "Put the right key there (32 random bytes in base64), then run again") from None
        finally:
            os.unlink(local)

    def _new_key(self) -> escrow.KeyContent:
        local = os.path.join(self.bench, "new")
        key_id = create_key(local).id
        with open(local, "rb") as stream:
            return escrow.KeyContent(key_id, stream.read())

    def _prepare_host(self, plan: escrow.EscrowPlan) -> None:
        # Before the escrow is written: where not even the directory can be made, nothing is half-made.
        if self.directory_missing and (plan.create or plan.install):
            host_files.run_module(self.action, "file", {
                "path": os.path.dirname(self.key_file), "state": "directory", "mode": "0700", "owner": self.owner,
                "group": self.group}, self.task_vars)

    def _install(self, plan: escrow.EscrowPlan, keys: escrow.Keys) -> None:
        current = keys[""].id if "" in keys else None
        contents = {key.id: key.content for key in keys.values()}
        for key_id in plan.install if not plan.create else (current,):
            dest = self.key_file if key_id == current else f"{self.key_file}.{key_id}"
            local = os.path.join(self.bench, "install")
            handle = os.open(local, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(handle, "wb") as stream:
                stream.write(contents[key_id])
            placed = host_files.place_file(self.action, local, dest, self.task_vars, mode=KEY_MODE, owner=self.owner,
                                           group=self.group, replace=False)
            os.unlink(local)
            if not placed:
                raise KeyFileError(dest, "another key appeared there during this run, and it was left alone",
                                   "Find out who else makes keys on this host, then run again")

    def _report(self, plan: escrow.EscrowPlan, files: HostFiles, before: tuple[escrow.Holding, escrow.Holding],
                after: tuple[escrow.Holding, escrow.Holding], *, escrowed: bool) -> dict[str, Any]:
        """Corrects owners and modes of the keys that were there already, and tells what was done or would be."""
        actions = ["create a key"] if plan.create else []
        actions += [f"escrow key {key_id}" for key_id in plan.escrow]
        actions += [f"install key {key_id}" for key_id in plan.install]
        for entry in files.values():
            if self._attributes_differ(entry):
                actions.append(f"correct owner or mode of {entry['path']}")
                if not self.check:
                    host_files.run_module(self.action, "file", {
                        "path": entry["path"], "state": "file", "mode": KEY_MODE, "owner": self.owner,
                        "group": self.group}, self.task_vars)
        return {
            "changed": bool(actions), "actions": actions, "key_file": self.key_file, "escrow_file": self.escrow_file,
            "escrowed": escrowed, **after[0].as_dict(), "key_id": None if after[0] == NEW else after[0].current,
            "diff": {"before": {"host": before[0].as_dict(), "escrow": before[1].as_dict()},
                     "after": {"host": after[0].as_dict(), "escrow": after[1].as_dict(), "actions": actions}},
        }

    def _attributes_differ(self, entry: dict[str, Any]) -> bool:
        return (entry["mode"] != KEY_MODE
                or self.owner is not None and self.owner not in (entry["pw_name"], str(entry["uid"]))
                or self.group is not None and self.group not in (entry["gr_name"], str(entry["gid"])))


def _vault_secrets() -> list[tuple[str, Any]]:
    context = VaultSecretsContext.current(optional=True)
    return list(context.secrets or []) if context else []


@contextlib.contextmanager
def _workbench() -> Iterator[str]:
    """A directory of mode 0700 below Ansible's local temporary directory, removed whatever happens."""
    path = tempfile.mkdtemp(prefix="maintenance-", dir=C.DEFAULT_LOCAL_TMP)
    try:
        yield path
    finally:
        shutil.rmtree(path)
