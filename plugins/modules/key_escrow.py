#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which does all the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: key_escrow
version_added: 1.0.0
short_description: Keep a host's backup key in Ansible Vault on the controller
description:
  - Makes sure that the key ring of a host lies on the controller as well, encrypted with Ansible Vault, before
    anything is encrypted with it.
  - Where neither side has a key, one is made on the controller, put into escrow, and then copied to the host. Where
    only the escrow has it, it is installed on the host, as after the loss of one. Where only the host has it, it is
    fetched into escrow by the connection's file transfer. Where both have it, they are compared, and different keys
    are refused.
  - Older keys of the ring, which M(feedforward.maintenance.backup_key) leaves beside the key file, are escrowed as
    well. After a rotation on the host the escrow follows.
  - A key is compared by its digest where possible. It is in no result, diff, log or output at any verbosity, except
    with C(ANSIBLE_DEBUG).
author:
  - FeedForward maintenance contributors (@feedforward)
extends_documentation_fragment:
  - feedforward.maintenance.attributes
attributes:
  check_mode:
    support: full
    details:
      - Writes neither to the escrow nor to the host. The id of a key that is yet to be made is not predicted.
      - A key that the escrow does not know is fetched for the comparison, and forgotten again.
  diff_mode:
    support: full
    details:
      - Shows key ids before and after.
  idempotent:
    support: full
  platform:
    support: full
    details:
      - The controller has to run on Linux or another POSIX system.
    platforms: linux
options:
  key_file:
    description:
      - Full path of the key file on the host. It is a path only. A missing directory is made with mode C(0700), the
        key gets mode C(0400).
    type: path
    required: true
  escrow_file:
    description:
      - File on the controller. A relative path is relative to the playbook. C(ansible-vault view) shows what is in
        it.
      - Missing directories are made with mode C(0700), the file gets mode C(0600). Older keys lie beside it as
        C(<escrow_file>.<key id>).
      - Needed unless O(required=false). Hosts with the same file share the key.
    type: str
  vault_id:
    description:
      - Which of the run's vault secrets encrypts the escrow. The default is C(vault_encrypt_identity) of the
        configuration, or else the first one.
    type: str
  create:
    description:
      - Make a key where there is none on either side. With V(false) that is a failure.
    type: bool
    default: true
  required:
    description:
      - With V(false) the operator accepts a key that exists on the host only, in a run without a vault password or
        without O(escrow_file).
      - A run that could escrow the key does so all the same.
    type: bool
    default: true
  owner:
    description:
      - Owner of the key on the host. The default is who becomes its writer, usually root.
    type: str
  group:
    description:
      - Group of the key on the host, with the same default.
    type: str
seealso:
  - module: feedforward.maintenance.backup_key
"""

EXAMPLES = r"""
- name: Create the backup key, or bring it back to a new host
  feedforward.maintenance.key_escrow:
    key_file: /secure/backup.key
    escrow_file: "{{ inventory_dir }}/escrow/{{ inventory_hostname }}/backup.key"
  become: true

- name: Keep a key that an operator looks after
  feedforward.maintenance.key_escrow:
    key_file: /secure/backup.key
    create: false
    required: false
  become: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in words.
  returned: success
  type: list
  elements: str
  sample: [create a key]
key_file:
  description: Full path of the key file on the host.
  returned: success
  type: str
  sample: /secure/backup.key
escrow_file:
  description: Full path of the escrow file on the controller.
  returned: success
  type: str
  sample: /srv/ansible/escrow/web1/backup.key
escrowed:
  description: Whether the key ring is in escrow. With V(false) the host's key is not read and its id not told.
  returned: success
  type: bool
  sample: true
key_id:
  description: Id of the host's key. Not set for a key that check mode would make.
  returned: success
  type: str
  sample: 9f86d081
older_key_ids:
  description: Ids of the older keys of the ring on the host.
  returned: success
  type: list
  elements: str
  sample: [60303ae2]
error:
  description:
    - The parts of C(msg) of a failure. C(type) is the class of the error, C(subject) the file that it is about, then
      C(cause) and C(next_step).
  returned: failure
  type: dict
  sample:
    type: KeyFileError
    subject: /secure/backup.key
"""
