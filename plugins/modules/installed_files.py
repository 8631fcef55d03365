#!/usr/bin/python
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of this name, which does its work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: installed_files
version_added: 1.0.0
short_description: Bring many directories and templated files of a host up to date
description:
  - Renders all templates on the controller, looks once at all paths of the host, and leaves what differs to
    C(ansible.builtin.template) and C(ansible.builtin.file).
  - So a host on which nothing differs costs one module, however many files there are. What is written, validated,
    predicted and shown as a diff is what those two modules would.
  - Directories come first, then what is to be absent, then the files in their order.
author:
  - FeedForward maintenance contributors (@feedforward)
extends_documentation_fragment:
  - feedforward.maintenance.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    support: full
    platforms: posix
options:
  directories:
    description:
      - Directories that have to be there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - Full path.
        type: path
        required: true
      mode:
        description:
          - Mode, a quoted octal number.
        type: str
        default: "0755"
      owner:
        description:
          - Owner, where it is not that of everything else.
        type: str
      group:
        description:
          - Group, where it is not that of everything else.
        type: str
  files:
    description:
      - Files made from templates.
    type: list
    elements: dict
    default: []
    suboptions:
      src:
        description:
          - The template, as C(ansible.builtin.template) finds it.
        type: str
        required: true
      dest:
        description:
          - >-
            Full path on the host. C({name}) is replaced by the value C(name) of the item, where
            O(files[].present_for) or O(files[].absent_for) is given.
        type: str
        required: true
      mode:
        description:
          - Mode, a quoted octal number.
        type: str
        default: "0644"
      owner:
        description:
          - Owner, where it is not that of everything else.
        type: str
      group:
        description:
          - Group, where it is not that of everything else.
        type: str
      validate:
        description:
          - A command that proves a new file before it is put in place, with C(%s) for its path and C({name}) as in
            O(files[].dest).
        type: str
      present_for:
        description:
          - Items, one file each. The template sees its own as C(item). Without it there is one file and no item.
        type: list
        elements: dict
      absent_for:
        description:
          - Items whose file has to be absent.
        type: list
        elements: dict
        default: []
  absent:
    description:
      - Full paths at which nothing may lie.
    type: list
    elements: path
    default: []
  owner:
    description:
      - Owner of everything that names none of its own.
    type: str
    default: root
  group:
    description:
      - Group of everything that names none of its own.
    type: str
    default: root
"""

EXAMPLES = r"""
- name: Write the units of two jobs
  feedforward.maintenance.installed_files:
    directories:
      - path: /etc/app
        mode: "0750"
    files:
      - src: job.service.j2
        dest: /etc/systemd/system/{name}.service
        present_for:
          - name: app-sweep
            command: /usr/local/bin/sweep
          - name: app-report
            command: /usr/local/bin/report
        absent_for:
          - name: app-former
  become: true
"""

RETURN = r"""
paths:
  description: What was changed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/systemd/system/app-sweep.service]
"""
