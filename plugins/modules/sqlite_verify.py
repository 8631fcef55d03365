#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sqlite_verify: verdicts on archives."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_verify
version_added: 1.0.0
short_description: Verify archives of SQLite databases, down to a restore test
description:
  - Reads archives from end to end and says of each whether it is good, damaged, or cannot be judged.
  - The verdict is recorded beside the archive and in the status that age alerts read. Retention counts only archives
    that verified.
extends_documentation_fragment:
  - feedforward.maintenance.attributes
  - feedforward.maintenance.attributes.on_host
  - feedforward.maintenance.catalog
attributes:
  check_mode:
    support: full
    details:
      - Verifies as always and records nothing.
  diff_mode:
    support: none
    details:
      - Archives are read and never changed.
  idempotent:
    support: full
    details:
      - Never reports a change. The record of a verification is a freshness record and does not count as one.
  platform:
    support: full
    platforms: linux
options:
  archive:
    description:
      - V(latest) and V(oldest) mean the one of each kind, V(all) every archive. Otherwise the name of an archive in
        O(directory), or a full path.
    type: str
    default: latest
  before:
    description:
      - Only archives up to this time, in ISO 8601. Without an offset it is the host's local time.
    type: str
  kinds:
    description:
      - Only archives of these kinds. The default is every kind.
    type: list
    elements: str
    choices: [database, config, logs, full]
  level:
    description:
      - V(checksums) compares every digest. V(integrity) also runs SQLite's full integrity check on each database.
      - V(restore) also unpacks each database into O(scratch), writes to it, and counts its rows against the manifest.
    type: str
    choices: [checksums, integrity, restore]
    default: integrity
  scratch:
    description:
      - An existing directory for what is unpacked. The default is a private directory beside the archive. It is left
        as it was found.
    type: path
  record:
    description:
      - Record the verdict.
    type: bool
    default: true
  fail_on_damage:
    description:
      - Fail unless every archive passed. With V(false) look at RV(passed).
    type: bool
    default: true
seealso:
  - module: feedforward.maintenance.sqlite_backup
  - module: feedforward.maintenance.sqlite_restore
"""

EXAMPLES = r"""
- name: Verify the newest archive of each kind
  feedforward.maintenance.sqlite_verify:
    directory: /backups/feedforward
    key_file: /secure/backup.key

- name: Prove each month that the oldest database archive restores
  feedforward.maintenance.sqlite_verify:
    directory: /backups/feedforward
    key_file: /secure/backup.key
    archive: oldest
    kinds: [database]
    level: restore
    scratch: /var/tmp

- name: Judge one archive without failing
  feedforward.maintenance.sqlite_verify:
    archive: /mnt/usb/feedforward-full-20261101T030000Z.tar.gz.enc
    key_file: /secure/backup.key
    record: false
    fail_on_damage: false
  register: verification
"""

RETURN = r"""
passed:
  description: Whether there was at least one archive and every verdict is V(passed).
  returned: when archives were judged
  type: bool
  sample: true
archives:
  description: One for each archive.
  returned: when archives were judged
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
    kind:
      description: Kind of the backup.
      type: str
      sample: database
    verdict:
      description:
        - V(unknown) means that it could not be told, without the key, for an archive of a newer format, or because the
          host kept it from being read.
      type: str
      choices: [passed, failed, unknown]
      sample: passed
    level:
      description: How deeply it was verified.
      type: str
      sample: restore
    problems:
      description: Why it did not pass.
      type: list
      elements: str
      sample: []
    created_at:
      description: When the archive was made, in UTC.
      type: str
      sample: "2026-11-24T02:00:03Z"
    key_id:
      description: Id of the key that opens it.
      type: str
      sample: 9f86d081
    sha256:
      description: Digest of the archive's file.
      type: str
    size_bytes:
      description: Size of the archive's file.
      type: int
      sample: 15728640
    databases:
      description: Its databases, each with C(name), C(rows) by table, C(rows_total) and C(problems).
      type: list
      elements: dict
    files:
      description: Number of files beside the databases.
      type: int
      sample: 0
    seconds:
      description: Length of the verification.
      type: float
      sample: 1.3
    recorded:
      description: Whether the verdict was recorded.
      type: bool
      sample: true
    next_step:
      description: What to do where it did not pass.
      type: str
    exit_code:
      description: With which the command on the host would end for this archive alone.
      type: int
      sample: 0
error:
  description:
    - The parts of C(msg) of a failure. C(type) is the class of the error, C(subject) the file that it is about, then
      C(cause), C(next_step), the whole C(message), and the C(exit_code) with which the command on the host ends in
      this case.
  returned: failure, or when an archive did not pass
  type: dict
  sample:
    type: ArchiveError
    subject: /backups/feedforward/feedforward-database-20261124T020003Z.tar.gz.enc
    exit_code: 6
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.feedforward.maintenance.plugins.module_utils import face
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.verify import VerifyRequest, run_verify
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import parse_time


def main():
    """Entry point of Ansible."""
    module = AnsibleModule(
        argument_spec={
            **face.CATALOG_OPTIONS,
            "archive": {"type": "str", "default": "latest"},
            "before": {"type": "str"},
            "kinds": {"type": "list", "elements": "str", "choices": list(face.KINDS)},
            "level": {"type": "str", "choices": ["checksums", "integrity", "restore"], "default": "integrity"},
            "scratch": {"type": "path"},
            "record": {"type": "bool", "default": True},
            "fail_on_damage": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    face.answer(module, lambda: verify(module.params, module.check_mode))


def verify(options, check):
    """The module's result for its options."""
    result = run_verify(VerifyRequest(
        application=options["application"],
        destination=options["directory"],
        archive=options["archive"],
        kinds=tuple(options["kinds"]) if options["kinds"] else None,
        level=options["level"],
        key_file=options["key_file"],
        scratch=options["scratch"],
        record=options["record"] and not check,
        before=parse_time(options["before"]) if options["before"] else None,
    ))
    facts, failure = result.as_dict(), result.failure()
    facts["warnings"] = [text for archive in facts["archives"] for text in archive.pop("warnings")]
    if failure and options["fail_on_damage"]:
        facts.update(failed=True, msg=str(failure))
    return facts


if __name__ == "__main__":
    main()
