# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of every module that works with a directory of archives."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation that modules share."""

    DOCUMENTATION = r"""
options:
  application:
    description:
      - The name with which the names of the archives begin. A directory may hold the archives of several
        applications.
      - Lower case letters, digits, and after the first character also C(_), C(.) and C(-).
    type: str
    default: feedforward
  directory:
    description:
      - The directory of the archives.
    type: path
    aliases: [destination]
  key_file:
    description:
      - Full path of the key file on the host. It is a path only, and no key is ever in a result.
      - Older keys beside it, as M(feedforward.maintenance.backup_key) leaves them, open the archives that were made
        with them.
      - Must be readable by its owner only.
    type: path
"""
