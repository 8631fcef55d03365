#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sqlite_info: the figures of one database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_info
version_added: 1.0.0
short_description: Gather the figures of a live SQLite database
description:
  - Sizes, pages, journal mode, tables with rows and bytes, and the integrity on request. Nothing is changed.
  - A missing database is an error and never becomes a new empty one.
  - The database is opened read-only and as its owner, so that files which SQLite makes beside it belong to the
    application.
extends_documentation_fragment:
  - feedforward.maintenance.attributes
  - feedforward.maintenance.attributes.on_host
attributes:
  check_mode:
    support: full
    details:
      - Reads only. O(integrity=full) takes a snapshot below O(scratch) and removes it, in check mode as well.
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
  path:
    description:
      - Full path of the database.
    type: path
    required: true
    aliases: [database]
  rows:
    description:
      - Count the rows and bytes of each table. This reads the whole database.
    type: bool
    default: true
  integrity:
    description:
      - V(quick) runs SQLite's quick check in place. In rollback-journal mode writers wait meanwhile.
      - V(full) runs the full integrity check on a snapshot in O(scratch), never on the live file.
    type: str
    choices: [quick, full]
  scratch:
    description:
      - An existing directory with room for a snapshot, needed for O(integrity=full).
    type: path
seealso:
  - module: feedforward.maintenance.sqlite_backup
"""

EXAMPLES = r"""
- name: How large is the database, and of what
  feedforward.maintenance.sqlite_info:
    path: /opt/feedforward/data/feedforward.db
  register: database

- name: Check its integrity without touching the live file
  feedforward.maintenance.sqlite_info:
    path: /opt/feedforward/data/feedforward.db
    rows: false
    integrity: full
    scratch: /var/tmp
  register: checked
  failed_when: checked is failed or checked.integrity != 'ok'
"""

RETURN = r"""
database:
  description: Full path of the database, links resolved.
  returned: success
  type: str
  sample: /opt/feedforward/data/feedforward.db
size_bytes:
  description: Size of the main file.
  returned: success
  type: int
  sample: 52428800
page_size:
  description: Bytes of a page.
  returned: success
  type: int
  sample: 4096
page_count:
  description: Number of pages.
  returned: success
  type: int
  sample: 12800
free_pages:
  description: Pages that hold nothing.
  returned: success
  type: int
  sample: 214
journal_mode:
  description: How SQLite keeps transactions.
  returned: success
  type: str
  sample: wal
wal_bytes:
  description: Size of the write-ahead log.
  returned: success
  type: int
  sample: 4152992
tables:
  description: The tables.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the table.
      type: str
      sample: drafts
    rows:
      description: Number of rows. Not set with O(rows=false), or where the table cannot be read.
      type: int
      sample: 4821
    bytes:
      description: Pages of the table and its indexes, in bytes. Not set with O(rows=false), or where SQLite cannot
        tell.
      type: int
      sample: 31457280
integrity:
  description: V(ok), V(not checked), or the problems as one text.
  returned: success
  type: str
  sample: not checked
problems:
  description: The problems that the check found.
  returned: success
  type: list
  elements: str
  sample: []
sqlite_version:
  description: Version of SQLite on the host, as Python uses it.
  returned: success
  type: str
  sample: 3.40.1
wal_reset_bug:
  description: Whether that version has SQLite's WAL-reset bug (3.7.0 to 3.51.2), by which a checkpoint beside a
    writer can damage a database.
  returned: success
  type: bool
  sample: true
user:
  description: Owner of the database.
  returned: success
  type: str
  sample: feedforward
group:
  description: Group of the database.
  returned: success
  type: str
  sample: feedforward
mode:
  description: Permission bits of the database, octal.
  returned: success
  type: str
  sample: "0600"
filesystem:
  description: Type of the file system that it lies on.
  returned: success
  type: str
  sample: ext4
encoding:
  description: Encoding of its texts.
  returned: success
  type: str
  sample: UTF-8
auto_vacuum:
  description: SQLite's number for the mode, V(0) is none.
  returned: success
  type: int
  sample: 0
user_version:
  description: The application's own version number of the schema.
  returned: success
  type: int
  sample: 0
application_id:
  description: The application's own mark.
  returned: success
  type: int
  sample: 0
schema_sha256:
  description: Digest of the schema.
  returned: success
  type: str
error:
  description:
    - The parts of C(msg) of a failure. C(type) is the class of the error, C(subject) the file that it is about, then
      C(cause), C(next_step), the whole C(message), and the C(exit_code) with which the command on the host ends in
      this case.
  returned: failure
  type: dict
  sample:
    type: SourceError
    subject: /opt/feedforward/data/feedforward.db
    exit_code: 3
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.feedforward.maintenance.plugins.module_utils import face
from ansible_collections.feedforward.maintenance.plugins.module_utils.sqlite.inspect import inspect


def main():
    """Entry point of Ansible."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True, "aliases": ["database"]},
            "rows": {"type": "bool", "default": True},
            "integrity": {"type": "str", "choices": ["quick", "full"]},
            "scratch": {"type": "path"},
        },
        required_if=[("integrity", "full", ("scratch",))],
        supports_check_mode=True,
    )
    face.answer(module, lambda: describe(module.params))


def describe(options):
    """The module's result for its options."""
    facts = inspect(options["path"], rows=options["rows"], integrity=options["integrity"],
                    scratch=options["scratch"]).as_dict()
    facts["mode"] = f"{facts['mode']:04o}"
    # To a value named "path" Ansible adds what it sees there, under names of its own.
    facts["database"] = facts.pop("path")
    return facts


if __name__ == "__main__":
    main()
