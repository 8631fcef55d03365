# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes each module that a playbook sends to a host, one line of JSON each: what a run really costs a host.

A task is no measure of it: a template is two modules, a loop one for each item, an assertion none.
"""

from __future__ import annotations

import functools
import json
import os
from typing import Any

from ansible.parsing.ajson import AnsibleJSONEncoder
from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: module_executions
type: aggregate
short_description: Notes each module that is sent to a host
description:
  - >-
    Writes a line of JSON for each module that an action sends to a host: C(host), C(task), C(module) and C(arguments).
    Does nothing where E(MODULE_EXECUTIONS) is not set. Arguments of a task with C(no_log) are left out.
options: {}
"""


class CallbackModule(CallbackBase):
    """Wraps the one method by which every action sends a module. Workers are forked later, and inherit it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "module_executions"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        path = os.environ.get("MODULE_EXECUTIONS")
        if path:
            ActionBase._execute_module = _noting(ActionBase._execute_module, path)


def _noting(execute: Any, path: str) -> Any:
    @functools.wraps(execute)
    def wrapper(action: Any, module_name: Any = None, module_args: Any = None, *rest: Any, **options: Any) -> Any:
        task = action._task
        given = task.args if module_args is None else module_args
        line = json.dumps(
            {
                "host": (options.get("task_vars") or {}).get("inventory_hostname"),
                "task": task.get_name(),
                "module": module_name or task.action,
                "arguments": None if task.no_log else given,
            },
            cls=AnsibleJSONEncoder,
        )
        # A short line at the end of a file is written whole, also by many workers at once.
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(line + "\n")
        return execute(action, module_name, module_args, *rest, **options)

    return wrapper
