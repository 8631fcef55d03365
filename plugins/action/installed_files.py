# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action ``installed_files``: one look at all files of a host, and the stock modules for those that differ."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader

from ansible_collections.feedforward.maintenance.plugins.plugin_utils import host_files

ARGUMENTS = {
    "directories": {"type": "list", "elements": "dict", "default": [], "options": {
        "path": {"type": "path", "required": True},
        "mode": {"type": "str", "default": "0755"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
    }},
    "files": {"type": "list", "elements": "dict", "default": [], "options": {
        "src": {"type": "str", "required": True},
        "dest": {"type": "str", "required": True},
        "mode": {"type": "str", "default": "0644"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
        "validate": {"type": "str"},
        "present_for": {"type": "list", "elements": "dict"},
        "absent_for": {"type": "list", "elements": "dict", "default": []},
    }},
    "absent": {"type": "list", "elements": "path", "default": []},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
}


@dataclass(frozen=True)
class Step:
    """One path as it has to be: ``state`` is directory, absent or file. Only a file has ``src`` and ``variables``.

    ``rights`` are mode, owner and group, as the stock modules take them.
    """

    state: str
    path: str
    rights: Mapping[str, str] = field(default_factory=dict)
    src: str = ""
    validate: Optional[str] = None
    variables: Optional[dict[str, Any]] = None


class ActionModule(ActionBase):
    """The look only saves work: what does not look right is left to the stock modules, which decide."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """Entry point of Ansible."""
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        _validated, options = self.validate_argument_spec(argument_spec=ARGUMENTS)
        steps = list(plan(options))
        there = host_files.look(self, [step.path for step in steps], task_vars)
        changed, diffs = [], []
        for step in steps:
            if self._is_right(step, there[step.path], task_vars):
                continue
            done = self._template(step, task_vars) if step.state == "file" else self._file(step, task_vars)
            if done.get("failed"):
                return {**result, **done, "changed": bool(changed), "path": step.path}
            if done.get("changed"):
                changed.append(step.path)
                diff = done.get("diff") or []
                diffs += diff if isinstance(diff, list) else [diff]
        result.update(changed=bool(changed), paths=changed, diff=diffs)
        return result

    def _is_right(self, step: Step, there: dict[str, Any], task_vars: dict[str, Any]) -> bool:
        if step.state != there["type"]:
            return False
        if step.state == "absent":
            return True
        if any(there[name] != value for name, value in step.rights.items()):
            return False
        return step.state == "directory" or there.get("sha256") == self._digest(step, task_vars)

    def _digest(self, step: Step, task_vars: dict[str, Any]) -> str:
        """SHA-256 of a file as its template makes it."""
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        (content,) = lookup.run([step.src], {**task_vars, **(step.variables or {})})
        return hashlib.sha256(str(content).encode("utf-8")).hexdigest()

    def _template(self, step: Step, task_vars: dict[str, Any]) -> dict[str, Any]:
        task = self._task.copy()
        task.args = {"src": step.src, "dest": step.path, **step.rights}
        if step.validate:
            task.args["validate"] = step.validate
        action = self._shared_loader_obj.action_loader.get(
            "ansible.builtin.template", task=task, connection=self._connection, play_context=self._play_context,
            loader=self._loader, templar=self._templar, shared_loader_obj=self._shared_loader_obj)
        return dict(action.run(task_vars={**task_vars, **(step.variables or {})}))

    def _file(self, step: Step, task_vars: dict[str, Any]) -> dict[str, Any]:
        wanted = {"path": step.path, "state": step.state, **step.rights}
        return dict(self._execute_module(module_name="ansible.legacy.file", module_args=wanted, task_vars=task_vars))


def plan(options: dict[str, Any]) -> Iterator[Step]:
    """All steps, in the order in which they are done. Raises AnsibleActionFail for a path that is not absolute."""
    steps = [Step("directory", entry["path"], rights(entry, options)) for entry in options["directories"]]
    steps += [Step("absent", path) for path in options["absent"]]
    steps += [Step("absent", named(entry["dest"], item)) for entry in options["files"] for item in entry["absent_for"]]
    for entry in options["files"]:
        items = [None] if entry["present_for"] is None else entry["present_for"]
        steps += [_file_step(entry, item, rights(entry, options)) for item in items]
    for step in steps:
        if not os.path.isabs(step.path):
            raise AnsibleActionFail(f"{step.path}: this path is not absolute. Write the full path.")
    return iter(steps)


def rights(entry: dict[str, Any], options: dict[str, Any]) -> dict[str, str]:
    """Mode, owner and group of an entry: its own where it says so."""
    return {"mode": entry["mode"], **{name: entry[name] or options[name] for name in ("owner", "group")}}


def _file_step(entry: dict[str, Any], item: Optional[dict[str, Any]], wanted: dict[str, str]) -> Step:
    validate = entry["validate"] and named(entry["validate"], item)
    variables = None if item is None else {"item": item}
    return Step("file", named(entry["dest"], item), wanted, entry["src"], validate, variables)


def named(text: str, item: Optional[dict[str, Any]]) -> str:
    """``text`` with the name of the item in the place of ``{name}``; without an item it stays as it is."""
    if item is None:
        return text
    if not re.match(r"[A-Za-z0-9_.@-]+\Z", str(item.get("name", ""))):
        raise AnsibleActionFail(f"The item {item!r} needs a name of letters, digits and any of _.@- for {text}.")
    return text.replace("{name}", str(item["name"]))
