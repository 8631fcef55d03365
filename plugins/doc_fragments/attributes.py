# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attributes of the modules: what each promise means. How far it is kept stands in the module."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules share."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff
      mode.
  idempotent:
    description:
      - When run twice in a row outside check mode with the same arguments and nothing else changed, the second run
        reports no change.
  platform:
    description: Target operating systems that the module can work with.
"""

    ON_HOST = r"""
options: {}
requirements:
  - Python 3.9 or later with SQLite 3.34 or later on the host
  - cryptography 3.3 or later on the host for encrypted archives (the package C(python3-cryptography) of Debian)
author:
  - FeedForward maintenance contributors (@feedforward)
"""
