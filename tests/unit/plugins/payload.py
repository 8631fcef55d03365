# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds what ansible-core sends to a host for each module that is named, and prints its files and its size as JSON.

A process of its own, because Ansible's loader of collections takes over the imports of the process that it is in.
"""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import zipfile

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar

OURS = "ansible_collections/feedforward/maintenance/plugins/module_utils/"
INTERPRETER = {"ansible_python_interpreter": "/usr/bin/python3"}


def payload(name: str, templar: Templar) -> dict[str, object]:
    """``files`` of our module_utils in the payload of a module, and its ``size_bytes`` as it is sent."""
    found = module_loader.find_plugin_with_context(name)
    built = modify_module(module_name=found.resolved_fqcn, module_path=found.plugin_resolved_path, module_args={},
                          templar=templar, task_vars=INTERPRETER, module_compression="ZIP_DEFLATED")
    encoded = max(re.findall(rb"[A-Za-z0-9+/=]{1000,}", built.b_module_data), key=len)
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(encoded))) as archive:
        names = [entry.removeprefix(OURS) for entry in archive.namelist() if entry.startswith(OURS)]
    return {"files": names, "size_bytes": len(built.b_module_data)}


init_plugin_loader()
template = Templar(loader=DataLoader())
print(json.dumps({name: payload(name, template) for name in sys.argv[1:]}))
