# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the number that a query of the operator gives. Arguments: the database, the query.

The database is opened read-only (never made), and without waiting for a lock.
"""

from __future__ import annotations

import sqlite3
import sys
from urllib.parse import quote

try:
    connection = sqlite3.connect("file:" + quote(sys.argv[1]) + "?mode=ro", uri=True, timeout=0.1)
    print(int(connection.execute(sys.argv[2]).fetchone()[0]))
except (sqlite3.Error, TypeError, ValueError) as error:
    sys.exit(f"{sys.argv[1]}: the query for work in flight gave no number: {error}")
