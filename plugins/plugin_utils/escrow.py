# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Escrow of a key ring on the controller: what is to be done (pure), and the vaulted files that hold it.

A ring lies in files of the same shape on both sides: the current key at PATH, older ones at PATH.<key id>.
A *slot* is what follows PATH: "" for the current key, the key id for an older one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Optional

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, is_encrypted, match_encrypt_secret

from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import KeyFileError, from_oserror
from ansible_collections.feedforward.maintenance.plugins.module_utils.files import atomic_write

SLOT = r"(?:\.([0-9a-f]{8}))?"


@dataclass(frozen=True)
class Holding:
    """The key ids that one side holds; ``current`` is None where the key file is missing."""

    current: Optional[str] = None
    older: frozenset[str] = frozenset()

    @property
    def ids(self) -> frozenset[str]:
        """Every key id of this side."""
        return self.older | ({self.current} if self.current else frozenset())

    def as_dict(self) -> dict[str, object]:
        """JSON-ready; for results and diffs."""
        return {"key_id": self.current, "older_key_ids": sorted(self.older)}


@dataclass(frozen=True)
class EscrowPlan:
    """What has to happen. ``create``: a new key is made on the controller, its id is not known before.

    ``escrow``: key ids of the host that go into the escrow; ``install``: key ids of the escrow that go to the host.
    """

    create: bool = False
    escrow: tuple[str, ...] = ()
    install: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything has to happen."""
        return self.create or bool(self.escrow) or bool(self.install)


def plan_escrow(key_file: str, escrow_file: str, host: Holding, escrow: Holding, *, create: bool) -> EscrowPlan:
    """Decides from what both sides hold. Raises KeyFileError where no answer would be safe."""
    if host.current is None:
        return _plan_for_bare_host(key_file, escrow_file, host, escrow, create=create)
    if host.current != escrow.current and host.current in escrow.older:
        raise KeyFileError(key_file, f"the host's key {host.current} is an older one in escrow; the current one there "
                           f"is {escrow.current}",
                           "Move the host's key files aside (do not delete them) and run again: the whole ring is "
                           "then installed from escrow")
    if escrow.current is not None and escrow.current not in host.ids:
        raise KeyFileError(key_file, f"the host holds key {host.current}, and {escrow_file} holds another one, "
                           f"{escrow.current}",
                           "Find out which key opens the archives, move the other file aside (delete neither), then "
                           "run again")
    return EscrowPlan(escrow=tuple(sorted(host.ids - escrow.ids)))


def _plan_for_bare_host(key_file: str, escrow_file: str, host: Holding, escrow: Holding, *, create: bool) -> EscrowPlan:
    unknown = host.older - escrow.ids
    if unknown:
        raise KeyFileError(key_file, f"it is missing, while older keys lie beside it ({_names(unknown)})",
                           "Put the key back (a rotation may have been interrupted), or move the older keys aside, "
                           "then run again")
    if escrow.current is not None:
        # The current key comes last: a run that is cut short is then seen as such by the next one.
        return EscrowPlan(install=(*sorted(escrow.older - host.older - {escrow.current}), escrow.current))
    if escrow.older:
        raise KeyFileError(escrow_file, f"it is missing, while older keys lie beside it ({_names(escrow.older)})",
                           "Put the current key's escrow file back, then run again")
    if not create:
        raise KeyFileError(key_file, "there is no key on the host and none in escrow",
                           f"Put the vaulted key at {escrow_file}, or let one be made with create=true")
    return EscrowPlan(create=True)


def plan_without_escrow(key_file: str, host: Holding, *, create: bool) -> EscrowPlan:
    """The same where the operator wants no escrow or cannot have it: the host's key is left as it is."""
    if host.current is not None:
        return EscrowPlan()
    if host.older or not create:
        raise KeyFileError(key_file, "there is no key on the host" + (
            f", only older ones ({_names(host.older)})" if host.older else ""),
            "Put the key there, or let one be made with create=true")
    return EscrowPlan(create=True)


def after(plan: EscrowPlan, host: Holding, escrow: Holding) -> tuple[Holding, Holding]:
    """What host and escrow hold once ``plan`` of ``plan_escrow`` is carried out and a key was made, if one is."""
    if plan.create or plan.install:
        return Holding(escrow.current, host.older | escrow.older), escrow
    if plan.escrow:
        return host, Holding(host.current, (host.ids | escrow.ids) - {host.current})
    return host, escrow


@dataclass(frozen=True)
class KeyContent:
    """A key: its id, and the bytes of its file, which no ``repr`` shows."""

    id: str
    content: bytes = field(repr=False)


Keys = dict[str, KeyContent]
"""The keys of one side by their slots."""


def holding(keys: Keys) -> Holding:
    """The ids of ``keys``."""
    return Holding(keys[""].id if "" in keys else None, frozenset(key.id for slot, key in keys.items() if slot))


class EscrowStore:
    """The vaulted files of one key ring on the controller. ``secrets`` are the vault secrets of the run."""

    def __init__(self, path: str, secrets: list[tuple[str, object]], vault_id: Optional[str] = None) -> None:
        self.path = path
        self._vault = VaultLib(secrets)
        self._secrets = secrets
        self._vault_id = vault_id

    def paths(self) -> dict[str, str]:
        """Existing files: slot -> path. Raises KeyFileError when the directory cannot be read."""
        directory, base = os.path.split(self.path)
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise KeyFileError(directory, f"the escrow directory cannot be read ({error.strerror})",
                               "Correct its owner and mode on the controller, then run again") from error
        found = {name: re.fullmatch(re.escape(base) + SLOT, name) for name in names}
        return {match.group(1) or "": os.path.join(directory, name) for name, match in found.items() if match}

    def read(self) -> dict[str, bytes]:
        """Slot -> the decrypted content. Raises KeyFileError."""
        return {slot: self._decrypt(path) for slot, path in sorted(self.paths().items())}

    def write(self, slot: str, content: bytes) -> None:
        """Encrypts ``content``, puts it in place atomically (0600), and proves that it can be read again.

        Raises KeyFileError or DestinationError.
        """
        path = f"{self.path}.{slot}" if slot else self.path
        atomic_write(path, self._encrypt(path, content), mode=0o600)
        if self._decrypt(path) != content:
            raise KeyFileError(path, "what was written to escrow does not decrypt to the same key",
                               "Check the disk of the controller, remove this file, then run again")

    def add(self, held: Keys, hosted: Keys) -> None:
        """Brings the escrow, which holds ``held``, up to the ring ``hosted``; updates ``held``.

        Older keys are written first and the current one last, so that a crash between them loses none.
        """
        known = {key.id: key for key in (*held.values(), *hosted.values())}
        current = hosted[""]
        for key_id in sorted(set(known) - {current.id} - set(held)):
            self.write(key_id, known[key_id].content)
            held[key_id] = known[key_id]
        if "" not in held or held[""].id != current.id:
            self.write("", current.content)
            held[""] = current

    def _encrypt(self, path: str, content: bytes) -> bytes:
        try:
            vault_id, secret = match_encrypt_secret(self._secrets, encrypt_vault_id=self._vault_id)
            return self._vault.encrypt(content, secret, vault_id=self._vault_id and vault_id)
        except AnsibleError as error:
            raise KeyFileError(path, f"it cannot be encrypted: this run has no secret for the vault id "
                               f"{self._vault_id!r}",
                               "Give it with --vault-id, or leave vault_id out to use the run's first secret"
                               ) from error

    def _decrypt(self, path: str) -> bytes:
        try:
            with open(path, "rb") as stream:
                content = stream.read()
        except OSError as error:
            raise KeyFileError(path, f"the escrow file cannot be read ({error.strerror})",
                               "Correct its owner and mode on the controller, then run again") from error
        if not is_encrypted(content):
            raise KeyFileError(path, "it is not encrypted with Ansible Vault",
                               "If it is the right key, encrypt it with 'ansible-vault encrypt', then run again")
        if not self._secrets:
            raise KeyFileError(path, "it is in Ansible Vault and this run has no vault password",
                               "Run again with --vault-password-file, --vault-id or --ask-vault-pass")
        try:
            return self._vault.decrypt(content)
        except AnsibleError as error:
            raise KeyFileError(path, "no vault password of this run decrypts it",
                               "Run again with the password that it was encrypted with") from error


def make_private_directories(path: str) -> None:
    """Makes ``path`` and what is missing above it, mode 0700; an existing one stays as it is.

    Raises DestinationError.
    """
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            # Another host of the same run made it meanwhile.
            pass
        except OSError as error:
            raise from_oserror(error, directory, "making the escrow directory") from error


@contextlib.contextmanager
def locked_directory(path: str) -> Iterator[None]:
    """Hosts that share an escrow take turns: the first one makes the key, the others find it. Waits."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _names(ids: frozenset[str]) -> str:
    return ", ".join(sorted(ids))
