# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action ``runtime``: the engine becomes the command on the host, one transfer when it differs."""

from __future__ import annotations

import hashlib
import os
import shlex
import tempfile
from typing import Any, Optional

import ansible.constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.feedforward.maintenance.plugins.module_utils.version import VERSION
from ansible_collections.feedforward.maintenance.plugins.plugin_utils import host_files, zipapp

ARGUMENTS = {
    "dest": {"type": "path", "required": True},
    "copies": {"type": "list", "elements": "path", "default": []},
    "interpreter": {"type": "str", "default": "/usr/bin/python3"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str", "default": "0755"},
}
MODULE_UTILS = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "module_utils")


class ActionModule(ActionBase):
    """Builds the zipapp on the controller and installs it where the host's SHA-256 differs."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Entry point of Ansible."""
        result = super().run(tmp, task_vars)
        _validated, options = self.validate_argument_spec(argument_spec=ARGUMENTS)
        destinations = [str(options["dest"]), *(str(path) for path in options["copies"])]
        _check_options(destinations, options["interpreter"])
        content = zipapp.build_zipapp(zipapp.collect_engine(MODULE_UTILS), interpreter=options["interpreter"],
                                      version=VERSION)
        diffs: list[dict[str, Any]] = []
        changed = False
        # mkstemp makes the file 0600; the mode on the host is the module's work.
        handle, local = tempfile.mkstemp(prefix="maintenance-", dir=C.DEFAULT_LOCAL_TMP)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            there = host_files.look(self, destinations, task_vars or {})
            for dest in destinations:
                changed |= self._install(local, hashlib.sha256(content).hexdigest(), there[dest], options,
                                         task_vars or {}, diffs)
        finally:
            os.unlink(local)
        result.update(changed=changed, dest=options["dest"], copies=options["copies"], version=VERSION,
                      sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), diff=diffs)
        return result

    def _install(self, local: str, sha256: str, there: dict[str, Any], options: dict[str, Any],
                 task_vars: dict[str, Any], diffs: list[dict[str, Any]]) -> bool:
        """Brings one place up to date; True when it changed or, in check mode, would. Adds its diff to ``diffs``."""
        dest = there["path"]
        if there["type"] == "directory":
            raise AnsibleActionFail(f"{dest}: this is a directory on the host. Give the full path of the command.")
        attributes = {name: options[name] for name in ("mode", "owner", "group") if options[name] is not None}
        if there.get("sha256") == sha256:
            if all(there[name] == value for name, value in attributes.items()):
                return False
            corrected = host_files.run_module(self, "file", {"path": dest, "state": "file", **attributes}, task_vars)
            if corrected.get("changed"):
                diffs.append(corrected.get("diff", {}))
            return bool(corrected.get("changed"))
        version = None if there["type"] == "absent" else self._installed_version(dest)
        diffs.append({"before_header": dest, "after_header": dest,
                      "before": {"sha256": there.get("sha256"), "version": version},
                      "after": {"sha256": sha256, "version": VERSION}})
        if not self._task.check_mode:
            host_files.place_file(self, local, dest, task_vars, **attributes)
        return True

    def _installed_version(self, dest: str) -> Optional[str]:
        # Read, not asked: what lies there is not run before it is known to be ours.
        end = self._low_level_execute_command(f"tail -c {zipapp.COMMENT_BYTES} {shlex.quote(dest)}")
        return zipapp.version_in(end.get("stdout", "").encode("utf-8", "surrogateescape"))


def _check_options(destinations: list[str], interpreter: str) -> None:
    for path in destinations:
        if not os.path.isabs(path):
            raise AnsibleActionFail(f"{path}: the path of the command is not absolute. Write the full path.")
    if not interpreter.startswith("/") or "\n" in interpreter:
        raise AnsibleActionFail(f"interpreter {interpreter!r}: a script's first line wants a full path. "
                                "Write for instance /usr/bin/python3.")
