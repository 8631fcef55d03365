# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules share. The one file of module_utils that may know Ansible, and that is not part of the command."""

from __future__ import annotations

import os
import traceback
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # it ships no types

from .errors import InternalError, MaintenanceError, from_unforeseen

CATALOG_OPTIONS = {
    "application": {"type": "str", "default": "feedforward"},
    "directory": {"type": "path", "aliases": ["destination"]},
    "key_file": {"type": "path", "no_log": False},
}
KINDS = ("database", "config", "logs", "full")


def answer(module: AnsibleModule, job: Callable[[], dict[str, Any]]) -> None:
    """Runs ``job`` and ends the module with the dictionary that it returns (``failed`` true in it is a failure).

    A MaintenanceError becomes the message of the failure and its parts the value ``error``. Any other exception is
    a defect of ours: it is named as such in one line with the place where it was raised.
    """
    try:
        result = job()
    except MaintenanceError as error:
        result = _failure(error)
    except Exception as error:
        result = _failure(from_unforeseen(error, f"module {module._name}") or _defect(module, error))
    result = _readable(result)
    # After the except clauses: Ansible would otherwise add the exception that is being handled to the message.
    for text in result.pop("warnings", ()):
        module.warn(text)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


def _readable(value: Any) -> Any:
    """``value`` with the bytes of names that are not UTF-8 written out (``\\udcff``): Ansible refuses a result with
    such names, and a restore that was done would be called failed."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_readable(item) for item in value]
    return value


def with_diff(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts of a job's result, with ``before`` and ``after`` as Ansible's diff."""
    rest = {name: value for name, value in facts.items() if name not in ("before", "after")}
    return {**rest, "diff": {"before": facts["before"], "after": facts["after"]}}


def _failure(error: MaintenanceError) -> dict[str, Any]:
    return {"failed": True, "msg": str(error), "error": error.as_dict()}


def _defect(module: AnsibleModule, error: Exception) -> InternalError:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return InternalError(
        f"module {module._name}", f"unexpected {type(error).__name__}: {error} "
        f"({os.path.basename(frame.filename)}:{frame.lineno})",
        "This is a defect of the collection feedforward.maintenance: please report this line")
