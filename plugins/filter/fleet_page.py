# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter ``fleet_page``: one page for what the monitors of many hosts said."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_page
author: FeedForward maintenance contributors (@feedforward)
version_added: 1.0.0
short_description: Make one page of the dashboards of many hosts
description:
  - Takes the names of hosts, reads what their monitors wrote, C(<directory>/<host>.json), and returns one HTML page
    without scripts that shows each host with a link to C(<host>.html).
  - A host without such a file, or with one that cannot be read or is old, is shown as a host that gave no word.
positional: _input, directory
options:
  _input:
    description: The names of the hosts, as the inventory has them.
    type: list
    elements: str
    required: true
  directory:
    description: The directory on the controller that holds what was fetched.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Write the page of the fleet
  ansible.builtin.copy:
    content: "{{ groups['feedforward'] | feedforward.maintenance.fleet_page('/srv/dashboard') }}"
    dest: /srv/dashboard/index.html
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

import json
import os

from ansible.errors import AnsibleFilterError

from ansible_collections.feedforward.maintenance.plugins.module_utils.monitor.fleet import fleet
from ansible_collections.feedforward.maintenance.plugins.module_utils.units import utc_now


def fleet_page(hosts, directory):
    """The page for ``hosts``, whose summaries lie in ``directory``. Raises AnsibleFilterError."""
    if not isinstance(hosts, (list, tuple)) or not all(isinstance(host, str) for host in hosts):
        raise AnsibleFilterError("fleet_page: the input is not a list of names of hosts. Use groups['feedforward'].")
    return fleet([(str(host), _summary(os.path.join(str(directory), f"{host}.json"))) for host in hosts], utc_now())


def _summary(path):
    """What the monitor of one host wrote; None where it cannot be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


class FilterModule:
    """The filters of this file."""

    def filters(self):
        """Names of the filters with their functions."""
        return {"fleet_page": fleet_page}
