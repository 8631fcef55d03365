#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which does all the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: runtime
version_added: 1.0.0
short_description: Install the maintenance command on a host
description:
  - Builds one executable file (a zipapp, PEP 441) from the collection's own engine on the controller, and installs it
    where the host does not have the very same file already.
  - The same collection makes the same bytes on every controller, so that an unchanged collection changes nothing and
    transfers nothing.
  - The name of the file tells the command where its configuration is. C(feedforward-maintenance) reads
    C(/etc/feedforward-maintenance/).
author:
  - FeedForward maintenance contributors (@feedforward)
extends_documentation_fragment:
  - feedforward.maintenance.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows digest and version before and after. The version that lies on the host is read from the file, which is
        not run.
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux
options:
  dest:
    description:
      - Full path of the command on the host. Its directory has to exist.
    type: path
    required: true
  copies:
    description:
      - Full paths of further copies, for instance beside the backups, where a bare host finds it together with the
        archives.
    type: list
    elements: path
    default: []
  interpreter:
    description:
      - The Python that runs the command, as its first line names it. It needs Python 3.9 or later.
    type: str
    default: /usr/bin/python3
  owner:
    description:
      - Owner of the files. The default is who becomes their writer, usually root.
    type: str
  group:
    description:
      - Group of the files, with the same default.
    type: str
  mode:
    description:
      - Mode of the files, a quoted octal number.
    type: str
    default: "0755"
"""

EXAMPLES = r"""
- name: Install the command, and a copy beside the backups
  feedforward.maintenance.runtime:
    dest: /usr/local/bin/feedforward-maintenance
    copies:
      - /backups/feedforward/feedforward-maintenance
    owner: root
    group: root
  become: true
"""

RETURN = r"""
dest:
  description: Full path of the command.
  returned: success
  type: str
  sample: /usr/local/bin/feedforward-maintenance
copies:
  description: Full paths of the further copies.
  returned: success
  type: list
  elements: str
  sample: [/backups/feedforward/feedforward-maintenance]
version:
  description: Version of the collection.
  returned: success
  type: str
  sample: 1.0.0
sha256:
  description: Digest of the file.
  returned: success
  type: str
size_bytes:
  description: Size of the file.
  returned: success
  type: int
  sample: 420113
"""
