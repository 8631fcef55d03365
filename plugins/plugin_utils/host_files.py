# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files between controller and host, for action plugins: put in place atomically, and secrets without a trace.

Each function takes the action plugin that asks (an ``ActionBase``) and uses its connection, its temporary
directory on the host and its ways to run a module.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
from collections.abc import Iterator
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.utils.hashing import checksum


def run_module(action: Any, name: str, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    """Runs a module on the host; options that are None are left out. Raises AnsibleActionFail.

    A ``name`` without a dot is one of ansible-core.
    """
    given = {option: value for option, value in arguments.items() if value is not None}
    qualified = name if "." in name else f"ansible.legacy.{name}"
    result = action._execute_module(module_name=qualified, module_args=given, task_vars=task_vars)
    if result.get("failed"):
        reason = result.get("msg") or result.get("module_stderr") or "it gave no reason"
        raise AnsibleActionFail(f"{arguments.get('dest') or arguments.get('path') or arguments.get('paths')}: the "
                                f"module {name} failed on the host: {' '.join(str(reason).split())}")
    return result


def look(action: Any, paths: list[str], task_vars: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What lies at each path, with the SHA-256 of files, as the module paths_info says it. Raises AnsibleActionFail."""
    found = run_module(action, "feedforward.maintenance.paths_info", {"paths": paths, "checksum": True}, task_vars)
    return dict(zip(paths, found["paths"]))


def place_file(action: Any, local_path: str, dest: str, task_vars: dict[str, Any], *, mode: str,
               owner: Optional[str] = None, group: Optional[str] = None, replace: bool = True) -> bool:
    """Puts the controller's ``local_path`` in place on the host in one rename; True when the host changed.

    With ``replace`` False a file that appeared meanwhile stays and False is returned. Raises AnsibleActionFail.
    """
    temporary = _temporary_path(action)
    try:
        action._transfer_file(local_path, temporary)
        action._fixup_perms2((action._connection._shell.tmpdir, temporary), execute=False)
        result = run_module(action, "copy", {
            "src": temporary, "dest": dest, "_original_basename": os.path.basename(dest), "mode": mode,
            "owner": owner, "group": group, "force": replace, "checksum": checksum(local_path)}, task_vars)
    finally:
        # Also under ANSIBLE_KEEP_REMOTE_FILES, which would keep what a failure left.
        _remove(action, temporary)
    return bool(result.get("changed"))


def fetch_secret(action: Any, remote_path: str, local_path: str) -> None:
    """Brings a secret file of the host to ``local_path`` (in a private directory) by the connection's transfer.

    With ``become`` the login user, as whom the transfer runs, gets a private copy for that moment. Nothing of the
    content is in a result, a log or the output at any verbosity. Raises AnsibleActionFail.
    """
    connection = action._connection
    with _quiet(action):
        if not connection.become:
            connection.fetch_file(remote_path, local_path)
            return
        temporary = _temporary_path(action)
        try:
            login_uid = action._low_level_execute_command("id -u", sudoable=False).get("stdout", "").strip()
            # set -C opens with O_EXCL: a link that somebody planted is not followed.
            copied = action._low_level_execute_command(
                f"umask 077 && set -C && cat {shlex.quote(remote_path)} > {shlex.quote(temporary)} && "
                f"chown {int(login_uid)} {shlex.quote(temporary)}")
            if copied.get("rc") != 0:
                raise AnsibleActionFail(f"{remote_path}: it cannot be read on the host as the user that become gives: "
                                        f"{' '.join(copied.get('stderr', '').split())}. Run with become to root.")
            connection.fetch_file(temporary, local_path)
        finally:
            _remove(action, temporary)


def refuse_unprivileged_become(action: Any, what: str) -> None:
    """A secret is never laid open for a third user: raises AnsibleActionFail where become leads to one."""
    if action._is_become_unprivileged():
        raise AnsibleActionFail(f"{what}: become leads to {action.get_become_option('become_user')}, who is neither "
                                "root nor the login user, and Ansible would have to open its temporary files to "
                                "others. Use become to root, or log in as that user.")


def _temporary_path(action: Any) -> str:
    shell = action._connection._shell
    if shell.tmpdir is None:
        action._make_tmp_path()
    return shell.join_path(shell.tmpdir, f"maintenance-{secrets.token_hex(8)}")


def _remove(action: Any, path: str) -> None:
    action._low_level_execute_command(action._connection._shell.remove(path))


@contextlib.contextmanager
def _quiet(action: Any) -> Iterator[None]:
    # The ssh plugin's "piped" transfer is a command whose output, here the secret, it prints at -vvv unless no_log.
    contexts = [action._play_context, getattr(action._connection, "_play_context", None)]
    saved = [(context, context.no_log) for context in contexts if context is not None]
    try:
        for context, _no_log in saved:
            context.no_log = True
        yield
    finally:
        for context, no_log in saved:
            context.no_log = no_log
