#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module backup_key: the key ring that opens archives."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_key
version_added: 1.0.0
short_description: Create, rotate and list the keys of encrypted archives
description:
  - A key file holds one key. A rotation puts a new key in its place and keeps the old one beside it, so that older
    archives still open.
  - No key is ever in a result, a diff or a log, only key ids are.
  - A key that exists on one host only is lost with that host. M(feedforward.maintenance.key_escrow) keeps it on the
    controller, in Ansible Vault.
extends_documentation_fragment:
  - feedforward.maintenance.attributes
  - feedforward.maintenance.attributes.on_host
attributes:
  check_mode:
    support: full
    details:
      - The id of a key that is yet to be made is not known, and RV(key_id) does not predict it.
  diff_mode:
    support: full
    details:
      - Shows key ids before and after.
  idempotent:
    support: partial
    details:
      - O(state=present) and O(state=listed) are.
      - O(state=rotated) makes a new key each time, as its name says, unless O(rotate_older_than_days) is set.
  platform:
    support: full
    platforms: linux
options:
  key_file:
    description:
      - Full path of the key file. It is a path only.
      - Directories that are missing are made with mode C(0700), the key file gets mode C(0400).
    type: path
    required: true
  state:
    description:
      - V(present) makes a key where there is none. An existing one is read and stays.
      - V(rotated) makes a new key and keeps the old one as C(<key_file>.<key id>).
      - V(listed) only tells what there is, and fails where there is no key.
    type: str
    choices: [present, rotated, listed]
    default: present
  rotate_older_than_days:
    description:
      - With O(state=rotated), rotate only when the key file is older than this, by its modification time.
    type: int
seealso:
  - module: feedforward.maintenance.key_escrow
  - module: feedforward.maintenance.sqlite_backup
"""

EXAMPLES = r"""
- name: Make a key where there is none
  feedforward.maintenance.backup_key:
    key_file: /secure/backup.key

- name: Rotate the key once a year
  feedforward.maintenance.backup_key:
    key_file: /secure/backup.key
    state: rotated
    rotate_older_than_days: 365

- name: Which keys does this host have
  feedforward.maintenance.backup_key:
    key_file: /secure/backup.key
    state: listed
  register: ring
"""

RETURN = r"""
action:
  description: What was done, or in check mode would be.
  returned: success
  type: str
  choices: [none, created, rotated]
  sample: created
key_file:
  description: Full path of the key file.
  returned: success
  type: str
  sample: /secure/backup.key
key_id:
  description: Id of the key that encrypts new archives, the first 8 hexadecimal digits of the SHA-256 of the key.
  returned: success
  type: str
  sample: 9f86d081
key_ids:
  description: Ids of all keys of the ring, the current one first.
  returned: success
  type: list
  elements: str
  sample: [9f86d081, 60303ae2]
created_at:
  description: Modification time of the key file, in UTC.
  returned: success
  type: str
  sample: "2026-11-24T05:47:10Z"
error:
  description:
    - The parts of C(msg) of a failure. C(type) is the class of the error, C(subject) the file that it is about, then
      C(cause), C(next_step), the whole C(message), and the C(exit_code) with which the command on the host ends in
      this case.
  returned: failure
  type: dict
  sample:
    type: KeyFileError
    subject: /secure/backup.key
    exit_code: 5
"""

import os
from datetime import timedelta

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.feedforward.maintenance.plugins.module_utils import face
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs import keys
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import parse_time, utc_now


def main():
    """Entry point of Ansible."""
    module = AnsibleModule(
        argument_spec={
            "key_file": {"type": "path", "required": True, "no_log": False},
            "state": {"type": "str", "choices": ["present", "rotated", "listed"], "default": "present"},
            "rotate_older_than_days": {"type": "int"},
        },
        supports_check_mode=True,
    )
    face.answer(module, lambda: manage(module.params, module.check_mode))


def manage(options, check):
    """The module's result for its options."""
    key_file, state = options["key_file"], options["state"]
    before = after = keys.show(key_file) if state != "present" or os.path.lexists(key_file) else None
    if state == "present":
        after = keys.create(key_file, check=check)
    elif state == "rotated" and _is_due(before, options["rotate_older_than_days"]):
        after = keys.rotate(key_file, check=check)
    ids = {"key_id": before.key_id, "key_ids": before.key_ids} if before else {"key_id": None, "key_ids": []}
    facts = after.as_dict()
    return face.with_diff({**facts, "before": ids,
                           "after": {"key_id": "(new)", "key_ids": ["(new)", *ids["key_ids"]]}
                           if check and after.changed else {"key_id": facts["key_id"], "key_ids": facts["key_ids"]}})


def _is_due(key, older_than_days):
    return older_than_days is None or parse_time(key.created_at) < utc_now() - timedelta(days=older_than_days)


if __name__ == "__main__":
    main()
