# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention applied: what the plan of the catalog names is removed, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Optional

from ..archive.keys import load_ring
from ..catalog.catalog import Catalog, Entry
from ..catalog.lock import catalog_lock, require_safe
from ..catalog.names import KINDS
from ..catalog.retention import RetentionPlan, plan_retention
from ..catalog.status import read_status
from ..errors import UsageError
from ..units import utc_now


@dataclass(frozen=True)
class PruneRequest:
    """Retention of one application's archives in ``destination``, kind by kind."""

    application: str
    destination: str
    kinds: tuple[str, ...] = KINDS
    retention_days: int = 30
    keep_last: int = 7
    key_file: Optional[str] = None
    lock_timeout_seconds: float = 0.0


@dataclass(frozen=True)
class PruneResult:
    """``removed`` are names; ``kept`` pairs of name and reason; ``refused`` pairs of kind and reason."""

    changed: bool
    removed: tuple[str, ...]
    kept: tuple[tuple[str, str], ...]
    refused: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def apply_retention(catalog: Catalog, entries: Sequence[Entry], *, now: datetime, retention_days: int,
                    keep_last: int, last_run_at: Optional[datetime], check: bool) -> RetentionPlan:
    """The plan, carried out unless ``check``. The caller holds the lock."""
    plan = plan_retention(entries, now=now, retention_days=retention_days, keep_last=keep_last,
                          last_run_at=last_run_at)
    if not check:
        # An increment goes before what it needs, so that a run that is killed leaves no orphan.
        for entry in reversed(plan.remove):
            catalog.remove(entry)
    return plan


def run_prune(request: PruneRequest, *, check: bool = False) -> PruneResult:
    """Applies retention to each kind. A kind whose newest run failed is left alone. Raises MaintenanceError."""
    unknown = [kind for kind in request.kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f"kind {unknown[0]!r}", "this kind of backup is unknown", f"Use one of {', '.join(KINDS)}")
    removed: list[str] = []
    kept: list[tuple[str, str]] = []
    refused: list[tuple[str, str]] = []
    with catalog_lock(request.destination, timeout_seconds=request.lock_timeout_seconds):
        require_safe(request.destination)
        ring = load_ring(request.key_file) if request.key_file else None
        catalog = Catalog(request.destination, request.application)
        for kind in request.kinds:
            status = read_status(request.destination, request.application, kind)
            entries = catalog.entries(kind, ring)
            if status is not None and status.last_outcome == "failed":
                refused.append((kind, "the newest backup of this kind failed"))
                kept.extend((entry.name, "the newest backup failed") for entry in entries)
                continue
            plan = apply_retention(catalog, entries, now=utc_now(), retention_days=request.retention_days,
                                   keep_last=request.keep_last,
                                   last_run_at=status.last_success_at if status else None, check=check)
            if plan.refused:
                refused.append((kind, plan.refused))
            kept.extend((entry.name, reason) for entry, reason in plan.keep)
            removed.extend(entry.name for entry in plan.remove)
    return PruneResult(bool(removed), tuple(removed), tuple(kept), tuple(refused))
