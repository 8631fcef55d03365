#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module sqlite_backup: one backup into a directory of archives."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sqlite_backup
version_added: 1.0.0
short_description: Back up live SQLite databases and files into a verified archive
description:
  - Takes a consistent snapshot of each database while the application goes on writing, adds the files, and writes one
    compressed and encrypted archive, which it reads back before the archive gets its final name.
  - Where the newest archive already holds the same content and still verifies, no archive is written. Only the
    freshness record beside the archives, which age alerts read, moves.
  - Archives that have outlived the retention are removed after a backup that succeeded, and never the newest
    O(keep_last) verified ones.
  - In WAL mode no writer waits for the snapshot. In rollback-journal mode writers may wait for its length, which
    RV(snapshots) reports.
extends_documentation_fragment:
  - feedforward.maintenance.attributes
  - feedforward.maintenance.attributes.on_host
  - feedforward.maintenance.catalog
attributes:
  check_mode:
    support: full
    details:
      - Takes the same snapshots, in a private directory below O(directory) that needs the same space and is removed
        again, and so predicts for this very content. No archive, record or status is written.
      - O(directory) has to exist, as for the run itself.
  diff_mode:
    support: full
    details:
      - Shows the newest archive, its content id and its key id before and after.
  idempotent:
    support: partial
    details:
      - The same content makes no second archive. O(force=true) makes one each time.
      - With time, retention may find something to remove, which is a change.
  platform:
    support: full
    platforms: linux
options:
  directory:
    required: true
  kind:
    description:
      - V(database) holds the databases, V(config) the O(files) and O(optional_files), V(logs) the O(logs), V(full)
        everything.
    type: str
    choices: [database, config, logs, full]
    default: database
  databases:
    description:
      - Full paths of the SQLite databases. Needed for O(kind=database) and O(kind=full).
      - Several databases are several snapshots, one after the other, and not one transaction.
    type: list
    elements: path
    default: []
  files:
    description:
      - Configuration files and directories that have to exist.
    type: list
    elements: path
    default: []
  optional_files:
    description:
      - Configuration files and directories that may be missing. RV(absent) names those that are.
    type: list
    elements: path
    default: []
  uploads:
    description:
      - Directories of uploaded files, for O(kind=full). They may be missing.
    type: list
    elements: path
    default: []
  logs:
    description:
      - Log files and directories, for O(kind=logs) and O(kind=full). They may be missing.
    type: list
    elements: path
    default: []
  file_references:
    description:
      - Where rows of a database name files, for O(kind=full). Each path that a query gives and the archive does not
        hold is in RV(missing_files) and among the warnings. Queries run on the snapshot, never on the live database.
    type: list
    elements: dict
    default: []
    suboptions:
      database:
        description: Full path of one of the O(databases).
        type: path
        required: true
      query:
        description: SQL that gives one path a row in its first column. NULL and empty texts name nothing.
        type: str
        required: true
      base:
        description: The directory below which relative paths are meant.
        type: path
        required: true
  encryption:
    description:
      - Encrypt the archive with the key in O(key_file) (AES-256-GCM, Tink's streaming AEAD).
    type: bool
    default: true
  key_file:
    description:
      - Full path of the key file on the host, needed unless O(encryption=false). It is a path only, and no key is
        ever in a result.
      - Must be readable by its owner only. M(feedforward.maintenance.backup_key) makes one.
  compression:
    description:
      - How the archive is compressed. C(gunzip) and C(zstd -d) read it.
      - V(zstd) is several times faster and smaller. It needs the Python package C(zstandard) on the host, which is
        C(python3-zstandard) from Debian 12 on, or Python 3.14.
      - For V(gzip) the Python packages C(isal) and C(zlib-ng) are used where the host has them. They are faster and
        write the same format.
    type: str
    choices: [gzip, zstd]
    default: gzip
  compression_level:
    description:
      - From V(0), not at all, to V(9), smallest, for O(compression=gzip).
      - From V(1) to V(19) for O(compression=zstd).
      - The default is V(6) for O(compression=gzip) and V(2) for O(compression=zstd).
    type: int
  strategy:
    description:
      - What an archive of O(kind=database) holds. Archives of other kinds are full.
      - V(full) holds whole databases.
      - V(incremental) holds the pages that changed since the archive before, V(differential) those that changed since
        the last full archive. To be restored it needs the archives that it was made on, in the same directory.
      - A full archive is made instead where there is none to start from, where one of them is missing or is not as it
        was when it was verified, where more than half of the pages changed, and after O(chain_limit) archives.
        RV(full_because) tells which it was.
    type: str
    choices: [full, differential, incremental]
    default: full
  chain_limit:
    description:
      - How many archives there may be from one full archive to the next, the full one included.
    type: int
    default: 7
  workers:
    description:
      - How many threads compress and encrypt. The default is one for each core.
    type: int
  retention_days:
    description:
      - Archives of this kind that are older may be removed. V(0) keeps them for ever.
    type: int
    default: 30
  keep_last:
    description:
      - So many of the newest verified archives of this kind always stay, whatever the clock says. At least V(1).
    type: int
    default: 7
  prune:
    description:
      - Apply the retention after the backup.
    type: bool
    default: true
  verify:
    description:
      - Read the archive back and compare every digest before it gets its final name. Without this nothing is pruned
        in this run.
    type: bool
    default: true
  force:
    description:
      - Write an archive even where the newest one holds the same content.
    type: bool
    default: false
  lock_timeout_seconds:
    description:
      - How long to wait for another run that works in the same directory.
    type: float
    default: 0.0
  deadline_seconds:
    description:
      - A snapshot that takes longer is given up, and the backup fails.
    type: float
    default: 3600.0
seealso:
  - module: feedforward.maintenance.sqlite_verify
  - module: feedforward.maintenance.sqlite_restore
  - module: feedforward.maintenance.sqlite_backup_info
"""

EXAMPLES = r"""
- name: Back up the database
  feedforward.maintenance.sqlite_backup:
    databases:
      - /opt/feedforward/data/feedforward.db
    destination: /backups/feedforward
    key_file: /secure/backup.key

- name: Back up everything before an upgrade, whether it changed or not
  feedforward.maintenance.sqlite_backup:
    kind: full
    databases:
      - /opt/feedforward/data/feedforward.db
    files:
      - /opt/feedforward/.env
    optional_files:
      - /opt/feedforward/config
    uploads:
      - /opt/feedforward/data/uploads
    logs:
      - /opt/feedforward/logs
    destination: /backups/feedforward
    key_file: /secure/backup.key
    force: true

- name: A plain archive that tar reads
  feedforward.maintenance.sqlite_backup:
    application: wiki
    databases:
      - /srv/wiki/wiki.sqlite
    destination: /backups/wiki
    encryption: false
"""

RETURN = r"""
outcome:
  description: What came of it. V(nothing) means that there was nothing of this kind to back up.
  returned: success
  type: str
  choices: [created, unchanged, nothing]
  sample: created
reason:
  description: Why an archive was made, or was not.
  returned: success
  type: str
  sample: the content differs from the newest archive
archive:
  description: Full path of the newest archive of this kind. In check mode the one that is there already.
  returned: success
  type: str
  sample: /backups/feedforward/feedforward-database-20261124T020003Z.tar.gz.enc
kind:
  description: The kind of the backup.
  returned: success
  type: str
  sample: database
sequence:
  description: Number of the archive, which grows with each archive of the application.
  returned: success
  type: int
  sample: 42
content_id:
  description: Digest of what was to be backed up. Equal content has an equal id, whatever the time and the key.
  returned: success
  type: str
  sample: 1f0e6c3d5b7a49e8a1c2d3e4f5061728394a5b6c7d8e9f00112233445566778a
snapshots:
  description:
    - One for each database, with the instant C(taken_at) whose content it holds, its sizes, and its digest.
    - C(stall_seconds) is the longest that a writer may have waited, V(0.0) in WAL mode. C(restarts) tells how often the
      copy began anew because of a writer, in rollback-journal mode only. C(wal_bytes_before), C(wal_bytes_peak) and
      C(wal_bytes_after) show how the write-ahead log grew meanwhile.
  returned: success
  type: list
  elements: dict
  sample:
    - name: feedforward.db
      source: /opt/feedforward/data/feedforward.db
      taken_at: "2026-11-24T02:00:03Z"
      journal_mode: wal
      size: 52428800
      page_size: 4096
      page_count: 12800
      rows_total: 48211
      content_sha256: 33de9a7402d8ba00ac3d0eec3459b9c98ab9e794bc48a79645ce6049d5dce610
      seconds: 0.21
      check_seconds: 0.4
      stall_seconds: 0.0
      restarts: 0
files:
  description: Number of files beside the databases.
  returned: success
  type: int
  sample: 12
size_bytes:
  description: Size of the content before compression.
  returned: success
  type: int
  sample: 52431122
archive_bytes:
  description: Size of the archive.
  returned: success
  type: int
  sample: 15728640
base:
  description:
    - Name of the archive that an increment was made on, and that it needs to be restored.
    - Null for a full archive.
  returned: success
  type: str
  sample: feedforward-database-20261123T020004Z.tar.gz.enc
full_because:
  description: Why a full archive was made although O(strategy) asks for increments. Null where that is not so.
  returned: success
  type: str
  sample: the chain of feedforward-database-20261116T020001Z.tar.gz.enc has reached its 7 archives
sha256:
  description: Digest of the archive's file. Not set where check mode predicts a new archive.
  returned: success
  type: str
encrypted:
  description: Whether the archives are encrypted.
  returned: success
  type: bool
  sample: true
key_id:
  description: Id of the key that encrypts the archive, the first 8 hexadecimal digits of the SHA-256 of the key.
  returned: success
  type: str
  sample: 9f86d081
verified:
  description: Whether the archive was read back in this run.
  returned: success
  type: bool
  sample: true
pruned:
  description: Names of the archives that retention removed, or would remove.
  returned: success
  type: list
  elements: str
  sample: [feedforward-database-20261023T020004Z.tar.gz.enc]
prune_refused:
  description: Why retention removed nothing, where it refused to.
  returned: success
  type: str
absent:
  description: Optional paths that do not exist.
  returned: success
  type: list
  elements: str
  sample: [/opt/feedforward/config]
missing_files:
  description: Files that rows of the databases name and the archive does not hold, see O(file_references).
  returned: success
  type: list
  elements: str
left_out:
  description: What the directories hold and an archive does not take, such as sockets, with the reason.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Full path.
      type: str
    reason:
      description: Why.
      type: str
current_as_of:
  description: The instant, in UTC, as of which the newest archive is known to hold the current content.
  returned: success
  type: str
  sample: "2026-11-24T02:00:03Z"
seconds:
  description: Length of the run.
  returned: success
  type: float
  sample: 2.4
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
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.backup import BackupRequest, run_backup
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.collect import FileSource
from ansible_collections.feedforward.maintenance.plugins.module_utils.jobs.references import FileReference

FILES = {"files": ("config", True), "optional_files": ("config", False), "uploads": ("uploads", False),
         "logs": ("logs", False)}
"""Option -> the part that its paths belong to, and whether they have to exist."""


def main():
    """Entry point of Ansible."""
    module = AnsibleModule(
        argument_spec={
            **face.CATALOG_OPTIONS,
            "directory": {"type": "path", "required": True, "aliases": ["destination"]},
            "kind": {"type": "str", "choices": list(face.KINDS), "default": "database"},
            **{name: {"type": "list", "elements": "path", "default": []} for name in ("databases", *FILES)},
            "file_references": {
                "type": "list", "elements": "dict", "default": [],
                "options": {
                    "database": {"type": "path", "required": True},
                    "query": {"type": "str", "required": True},
                    "base": {"type": "path", "required": True},
                },
            },
            "encryption": {"type": "bool", "default": True},
            "compression": {"type": "str", "choices": ["gzip", "zstd"], "default": "gzip"},
            "compression_level": {"type": "int"},
            "strategy": {"type": "str", "choices": ["full", "differential", "incremental"], "default": "full"},
            "chain_limit": {"type": "int", "default": 7},
            "workers": {"type": "int"},
            "retention_days": {"type": "int", "default": 30},
            "keep_last": {"type": "int", "default": 7},
            "prune": {"type": "bool", "default": True},
            "verify": {"type": "bool", "default": True},
            "force": {"type": "bool", "default": False},
            "lock_timeout_seconds": {"type": "float", "default": 0.0},
            "deadline_seconds": {"type": "float", "default": 3600.0},
        },
        required_if=[("encryption", True, ("key_file",))],
        supports_check_mode=True,
    )
    face.answer(module, lambda: back_up(module.params, module.check_mode))


def back_up(options, check):
    """The module's result for its options."""
    facts = run_backup(_request(options), check=check).as_dict()
    # Ansible takes a value named "skipped" for a task that did not run.
    facts["left_out"] = [{"path": path, "reason": reason} for path, reason in facts.pop("skipped")]
    return face.with_diff(facts)


def _request(options):
    return BackupRequest(
        application=options["application"],
        kind=options["kind"],
        destination=options["directory"],
        databases=tuple(options["databases"]),
        files=tuple(FileSource(path, *FILES[option]) for option in FILES for path in options[option]),
        key_file=options["key_file"] if options["encryption"] else None,
        compression=options["compression"],
        level=options["compression_level"],
        strategy=options["strategy"],
        chain_limit=options["chain_limit"],
        workers=options["workers"],
        retention_days=options["retention_days"],
        keep_last=options["keep_last"],
        force=options["force"],
        prune=options["prune"],
        verify=options["verify"],
        lock_timeout_seconds=options["lock_timeout_seconds"],
        deadline_seconds=options["deadline_seconds"],
        references=tuple(FileReference(**reference) for reference in options["file_references"]),
    )


if __name__ == "__main__":
    main()
