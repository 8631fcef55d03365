#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sqlite_backup_info: a directory of archives as facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_backup_info
version_added: 1.0.0
short_description: List the archives of a directory and how the backups stand
description:
  - Reads what there is and changes nothing. Files that are not archives of O(application) are ignored.
extends_documentation_fragment:
  - feedforward.maintenance.attributes
  - feedforward.maintenance.attributes.on_host
  - feedforward.maintenance.catalog
attributes:
  check_mode:
    support: full
    details:
      - Reads only.
  diff_mode:
    support: none
    details:
      - Changes nothing.
  idempotent:
    support: full
    details:
      - Never reports a change.
  platform:
    support: full
    platforms: linux
options:
  directory:
    required: true
  key_file:
    description:
      - Full path of the key file on the host. With it, encrypted archives that have lost the record beside them are
        put in order as well.
  kinds:
    description:
      - Only archives of these kinds. The default is every kind.
    type: list
    elements: str
    choices: [database, config, logs, full]
seealso:
  - module: feedforward.maintenance.sqlite_backup
  - module: feedforward.maintenance.sqlite_verify
"""

EXAMPLES = r"""
- name: Look at the backups
  feedforward.maintenance.sqlite_backup_info:
    directory: /backups/feedforward
  register: backups

- name: Insist on a verified archive of the database
  ansible.builtin.assert:
    that:
      - backups.newest.database is not none
      - backups.newest.database.verified
    fail_msg: There is no verified backup of the database in {{ backups.directory }}.
"""

RETURN = r"""
application:
  description: Whose archives these are.
  returned: success
  type: str
  sample: feedforward
directory:
  description: Where they lie.
  returned: success
  type: str
  sample: /backups/feedforward
archives:
  description: The archives, oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: File name.
      type: str
      sample: feedforward-database-20261124T020003Z.tar.gz.enc
    path:
      description: Full path.
      type: str
      sample: /backups/feedforward/feedforward-database-20261124T020003Z.tar.gz.enc
    application:
      description: Whose archive it is.
      type: str
      sample: feedforward
    kind:
      description: Kind of the backup.
      type: str
      sample: database
    stamp:
      description: When it was made, in UTC.
      type: str
      sample: "2026-11-24T02:00:03Z"
    sequence:
      description:
        - Number of the archive, which grows with each archive of the application.
        - Not set where it could not be read.
      type: int
      sample: 42
    size_bytes:
      description: Size of the archive's file.
      type: int
      sample: 15728640
    encrypted:
      description: Whether it is encrypted.
      type: bool
      sample: true
    verified:
      description: Whether its newest verification passed.
      type: bool
      sample: true
    base:
      description: Name of the archive that an increment needs to be restored. Null for a full archive.
      type: str
    sidecar:
      description: What is recorded beside the archive, such as digests, key id and verification. Not set where that
        is missing or damaged.
      type: dict
count:
  description: Number of archives.
  returned: success
  type: int
  sample: 31
total_bytes:
  description: Size of all of them.
  returned: success
  type: int
  sample: 487587840
newest:
  description: By kind the newest archive, as in RV(archives). Not set for a kind that has none.
  returned: success
  type: dict
status:
  description: By kind what is recorded of its newest run, such as C(last_outcome), C(current_as_of) and
    C(last_verified_at). Not set before the first run.
  returned: success
  type: dict
error:
  description:
    - The parts of C(msg) of a failure. C(type) is the class of the error, C(subject) the file that it is about, then
      C(cause), C(next_step), the whole C(message), and the C(exit_code) with which the command on the host ends in
      this case.
  returned: failure
  type: dict
  sample:
    type: DestinationError
    subject: /backups/feedforward
    exit_code: 4
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.feedforward.maintenance.plugins.module_utils import face
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.report import catalog_info


def main():
    """Entry point of Ansible."""
    module = AnsibleModule(
        argument_spec={
            **face.CATALOG_OPTIONS,
            "directory": {"type": "path", "required": True, "aliases": ["destination"]},
            "kinds": {"type": "list", "elements": "str", "choices": list(face.KINDS)},
        },
        supports_check_mode=True,
    )
    options = module.params
    face.answer(module, lambda: catalog_info(
        options["application"], options["directory"], options["kinds"], options["key_file"]).as_dict())


if __name__ == "__main__":
    main()
