#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``paths_info``: one look at many paths of a host. It needs nothing of the engine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: paths_info
version_added: 1.0.0
short_description: Look at many paths of a host at once
description:
  - Says of each path what lies there, whose it is, and with which content. Links are not followed.
  - What a loop over C(ansible.builtin.stat) would ask in one call each is asked in one call.
author:
  - FeedForward maintenance contributors (@feedforward)
extends_documentation_fragment:
  - feedforward.maintenance.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - It changes nothing.
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  paths:
    description:
      - Full paths.
    type: list
    elements: path
    required: true
  checksum:
    description:
      - Whether to read the content of regular files, for RV(paths[].sha256).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at the databases
  feedforward.maintenance.paths_info:
    paths:
      - /srv/app/data/app.db
      - /srv/app/data/sessions.db
  register: databases
"""

RETURN = r"""
paths:
  description: What lies at each path, in the order of O(paths).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path that was asked for.
      type: str
      returned: always
    type:
      description: What lies there; V(absent) where nothing does.
      type: str
      returned: always
      sample: file
    target:
      description: Where a link leads in the end. Otherwise the path itself.
      type: str
      returned: always
    mode:
      description: Permissions, an octal number of four digits.
      type: str
      returned: when something lies there
      sample: "0640"
    uid:
      description: Number of the owner.
      type: int
      returned: when something lies there
    gid:
      description: Number of the group.
      type: int
      returned: when something lies there
    owner:
      description: Name of the owner. Empty where the host knows none.
      type: str
      returned: when something lies there
      sample: root
    group:
      description: Name of the group. Empty where the host knows none.
      type: str
      returned: when something lies there
      sample: root
    sha256:
      description: Digest of the content.
      type: str
      returned: with O(checksum=true), for a regular file that can be read
"""

import grp
import os
import pwd
import stat

from ansible.module_utils.basic import AnsibleModule

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


def look(module, path, checksum):
    """What lies at a path. A path below a file, or below a directory that cannot be searched, is absent as well."""
    try:
        found = os.lstat(path)
    except OSError:
        return {"path": path, "type": "absent", "target": path}
    kind = TYPES.get(stat.S_IFMT(found.st_mode), "other")
    facts = {
        "path": path, "type": kind, "target": os.path.realpath(path) if kind == "link" else path,
        "mode": f"{stat.S_IMODE(found.st_mode):04o}", "uid": found.st_uid, "gid": found.st_gid,
        "owner": name_of(pwd.getpwuid, found.st_uid), "group": name_of(grp.getgrgid, found.st_gid)}
    if checksum and kind == "file" and os.access(path, os.R_OK):
        facts["sha256"] = module.sha256(path)
    return facts


def name_of(lookup, number):
    """The name of a user or a group."""
    try:
        return lookup(number)[0]
    except KeyError:
        return ""


def main():
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True},
            "checksum": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    checksum = module.params["checksum"]
    module.exit_json(changed=False, paths=[look(module, path, checksum) for path in module.params["paths"]])


if __name__ == "__main__":
    main()
