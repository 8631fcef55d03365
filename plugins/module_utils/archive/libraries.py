# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compression libraries that a host may have: each is its module, or None."""

from __future__ import annotations

from typing import Any

ISAL: Any
ZLIB_NG: Any
STDLIB_ZSTD: Any
ZSTANDARD: Any

try:
    from isal import isal_zlib as _isal
except ImportError:
    ISAL = None
else:
    ISAL = _isal
try:
    from zlib_ng import zlib_ng as _zlib_ng
except ImportError:
    ZLIB_NG = None
else:
    ZLIB_NG = _zlib_ng
try:
    from compression import zstd as _zstd  # type: ignore[import-not-found]  # Python has it from 3.14 on
except ImportError:
    STDLIB_ZSTD = None
else:
    STDLIB_ZSTD = _zstd
try:
    import zstandard as _zstandard
except ImportError:
    ZSTANDARD = None
else:
    ZSTANDARD = _zstandard
