#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sqlite_restore: what an archive holds, put back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_restore
version_added: 1.0.0
short_description: Restore SQLite databases and files from a verified archive
description:
  - Verifies the whole archive, unpacks beside the target, checks the database, and only then swaps. The old database
    and its C(-wal), C(-shm) and C(-journal) files move into a safety copy in the same step, so that no stale log is
    replayed into the restored one.
  - Where the target holds the same content already, nothing is done.
  - Refuses while any process holds the database open, or where that cannot be told. Stop the application before.
  - A restore that was interrupted is settled at the start of the next one, wholly old or wholly new.
extends_documentation_fragment:
  - feedforward.maintenance.attributes
  - feedforward.maintenance.attributes.on_host
  - feedforward.maintenance.catalog
attributes:
  check_mode:
    support: full
    details:
      - Verifies the archive and compares it with what is there, without writing to a target.
      - A process that holds the database, and too little room, are warnings, since the application still runs at this
        time.
  diff_mode:
    support: full
    details:
      - Shows each path that differs, before and after.
  idempotent:
    support: full
    details:
      - Content is compared, not names. With O(archive=latest), a newer archive is other content.
  platform:
    support: full
    platforms: linux
options:
  state:
    description:
      - V(restored) puts back what the archive holds.
      - V(undone) puts back what a restore replaced, from O(safety_copy).
    type: str
    choices: [restored, undone]
    default: restored
  archive:
    description:
      - V(latest), the name of an archive in O(directory), or a full path.
    type: str
    default: latest
  before:
    description:
      - With O(archive=latest), the newest up to this time, in ISO 8601. Without an offset it is the host's local
        time.
    type: str
  kind:
    description:
      - Only an archive of this kind. The default is any that holds what is wanted.
    type: str
    choices: [database, config, logs, full]
  databases:
    description:
      - Names of databases in the archive. The default is all of them.
    type: list
    elements: str
    default: []
  target:
    description:
      - Full path to restore the one database to. The default is where it was backed up from.
    type: path
  parts:
    description:
      - What to restore. Files always go where they were backed up from.
    type: list
    elements: str
    choices: [databases, config, uploads, logs]
    default: [databases]
  safety_days:
    description:
      - Safety copies of earlier restores that are older are removed after a restore that succeeded.
    type: int
    default: 7
  safety_copy:
    description:
      - The directory that RV(safety_copy) of a restore named. Needed for O(state=undone).
    type: path
  owner:
    description:
      - Owner of the restored databases. The default is the owner of the file that is there now, or else the one in
        the archive.
    type: str
  group:
    description:
      - Group of the restored databases, with the same default.
    type: str
  mode:
    description:
      - Mode of the restored databases, with the same default. A quoted octal number such as V('0600').
    type: raw
  accept_unknown_holders:
    description:
      - Go on where some processes cannot be looked into, for instance without root. A process that is seen to hold
        the database always refuses.
    type: bool
    default: false
  allow_older_schema:
    description:
      - Restore a database whose C(user_version) is lower than that of the one that is there.
    type: bool
    default: false
seealso:
  - module: feedforward.maintenance.sqlite_backup
  - module: feedforward.maintenance.sqlite_verify
"""

EXAMPLES = r"""
- name: Restore the newest backup of the database
  feedforward.maintenance.sqlite_restore:
    directory: /backups/feedforward
    key_file: /secure/backup.key
  register: restore

- name: Put back what was there before
  feedforward.maintenance.sqlite_restore:
    state: undone
    safety_copy: "{{ restore.safety_copy }}"

- name: Restore how things were before the accident, beside the live database
  feedforward.maintenance.sqlite_restore:
    directory: /backups/feedforward
    key_file: /secure/backup.key
    before: "2026-11-23T12:00:00+01:00"
    databases: [feedforward.db]
    target: /var/tmp/yesterday.db
    owner: root
    group: root
    mode: "0600"

- name: Restore everything on a new host
  feedforward.maintenance.sqlite_restore:
    directory: /mnt/backups/feedforward
    key_file: /secure/backup.key
    parts: [databases, config, uploads, logs]
"""

RETURN = r"""
action:
  description: V(planned) in check mode.
  returned: success
  type: str
  choices: [restored, undone, planned]
  sample: restored
archive:
  description: Full path of the archive. With O(state=undone) the name of the one that had been restored.
  returned: success
  type: str
  sample: /backups/feedforward/feedforward-database-20261124T020003Z.tar.gz.enc
steps:
  description: What was done, path by path. Files that are the same already are left out.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What it is.
      type: str
      choices: [database, file, directory]
      sample: database
    name:
      description: Name of the database in the archive, or base name of the file.
      type: str
      sample: feedforward.db
    target:
      description: Full path.
      type: str
      sample: /opt/feedforward/data/feedforward.db
    action:
      description: V(adjust) corrects owner and mode only. V(remove) occurs with O(state=undone) only.
      type: str
      choices: [create, replace, adjust, unchanged, remove]
      sample: replace
    size_bytes:
      description: Size of the content.
      type: int
      sample: 52428800
    reason:
      description: Why.
      type: str
      sample: its content differs
safety_copy:
  description: The directory that holds what was replaced. Not set where nothing was.
  returned: success
  type: str
  sample: /opt/feedforward/data/feedforward.db.before-restore-20261124T054710Z
rows:
  description: By database and table the number of rows that were restored.
  returned: success, outside check mode
  type: dict
  sample: {"feedforward.db": {"drafts": 4821, "users": 60}}
phases:
  description: Name and seconds of each phase.
  returned: success, outside check mode
  type: list
  elements: list
  sample: [["preflight", 0.1], ["unpack and check", 2.2], ["swap", 0.1]]
resolved:
  description: Targets of interrupted restores that were settled first, each with V(completed) or V(undone).
  returned: success, outside check mode
  type: list
  elements: list
  sample: []
expired:
  description: Safety copies that were removed because of their age.
  returned: success, outside check mode
  type: list
  elements: str
  sample: []
needs:
  description: For each file system the bytes needed and the bytes free.
  returned: success, in check mode with O(state=restored)
  type: list
  elements: dict
  sample: [{"directory": "/opt/feedforward/data", "needed_bytes": 52428800, "free_bytes": 45600000000}]
holders:
  description: For each database whether a process holds it open, and which.
  returned: success, in check mode with O(state=restored)
  type: list
  elements: dict
seconds:
  description: Length of the restore.
  returned: success, outside check mode
  type: float
  sample: 2.6
error:
  description:
    - The parts of C(msg) of a failure. C(type) is the class of the error, C(subject) the file that it is about, then
      C(cause), C(next_step), the whole C(message), and the C(exit_code) with which the command on the host ends in
      this case.
  returned: failure
  type: dict
  sample:
    type: BusyError
    subject: /opt/feedforward/data/feedforward.db
    exit_code: 7
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.feedforward.maintenance.plugins.module_utils import face
from ansible_collections.feedforward.maintenance.plugins.module_utils.errors import UsageError
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore import apply_restore, undo_restore
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.restore_plan import (
    RestoreRequest,
    plan_restore,
)
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import format_bytes, parse_time


def main():
    """Entry point of Ansible."""
    module = AnsibleModule(
        argument_spec={
            **face.CATALOG_OPTIONS,
            "state": {"type": "str", "choices": ["restored", "undone"], "default": "restored"},
            "archive": {"type": "str", "default": "latest"},
            "before": {"type": "str"},
            "kind": {"type": "str", "choices": list(face.KINDS)},
            "databases": {"type": "list", "elements": "str", "default": []},
            "target": {"type": "path"},
            "parts": {"type": "list", "elements": "str", "choices": ["databases", "config", "uploads", "logs"],
                      "default": ["databases"]},
            "safety_days": {"type": "int", "default": 7},
            "safety_copy": {"type": "path"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "raw"},
            "accept_unknown_holders": {"type": "bool", "default": False},
            "allow_older_schema": {"type": "bool", "default": False},
        },
        required_if=[("state", "undone", ("safety_copy",))],
        supports_check_mode=True,
    )
    run = undo if module.params["state"] == "undone" else restore
    face.answer(module, lambda: run(module.params, module.check_mode))


def restore(options, check):
    """The module's result for its options."""
    plan = plan_restore(_request(options), verify=check)
    planned = plan.as_dict()
    if check:
        facts = {**planned, "action": "planned", "safety_copy": None}
        facts["warnings"] = [*facts["warnings"], *_obstacles(planned)]
    else:
        facts = apply_restore(plan).as_dict()
    return _with_diff(facts, planned["name"])


def undo(options, check):
    """The module's result for O(state=undone)."""
    facts = undo_restore(options["safety_copy"], check=check,
                         accept_unknown_holders=options["accept_unknown_holders"]).as_dict()
    return _with_diff(facts, "what was there before the restore")


def _request(options):
    return RestoreRequest(
        application=options["application"],
        destination=options["directory"],
        archive=options["archive"],
        before=parse_time(options["before"]) if options["before"] else None,
        kind=options["kind"],
        databases=tuple(options["databases"]),
        target=options["target"],
        parts=tuple(options["parts"]),
        key_file=options["key_file"],
        safety_days=options["safety_days"],
        owner=options["owner"],
        group=options["group"],
        mode=_mode(options["mode"]),
        accept_unknown_holders=options["accept_unknown_holders"],
        allow_older_schema=options["allow_older_schema"],
    )


def _mode(given):
    if given is None or isinstance(given, int):
        return given
    try:
        return int(given, 8)
    except (TypeError, ValueError):
        raise UsageError(f"mode {given!r}", "it is not an octal number",
                         "Write it quoted, for instance '0600'") from None


def _obstacles(planned):
    for holder in planned["holders"]:
        if holder["held"] or holder["uninspected"]:
            yield f"{holder['database']} is held open, or may be: the restore refuses until the application is stopped"
    for need in planned["needs"]:
        if need["free_bytes"] < need["needed_bytes"]:
            yield (f"{need['directory']}: the restore needs {format_bytes(need['needed_bytes'])} and "
                   f"{format_bytes(need['free_bytes'])} are free")


def _with_diff(facts, source):
    states = {"create": (None, source), "replace": ("other content", source), "remove": ("restored content", None),
              "adjust": ("other owner or mode", source)}
    differing = [step for step in facts["steps"] if step["action"] in states]
    return face.with_diff({**facts, "before": {step["target"]: states[step["action"]][0] for step in differing},
                           "after": {step["target"]: states[step["action"]][1] for step in differing}})


if __name__ == "__main__":
    main()
