# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan and the report of a restore, as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Optional

from ...jobs.restore import RestoreResult
from ...jobs.restore_plan import RestorePlan, RestoreStep
from ...sqlite.holders import Holders
from ...units import format_bytes, format_seconds
from ..output import Line, Mark
from ..text import aged, count, table


def plan_lines(plan: RestorePlan, now: datetime) -> Iterator[Line]:
    """The archive with its age, every target, who holds it, the room, the safety copies."""
    key = f", encrypted with key {plan.manifest.key_id}" if plan.manifest.encrypted else ""
    if plan.verified:
        yield Line(f"Archive: {plan.archive}, verified", Mark.GOOD)
    else:
        yield Line(f"Archive: {plan.archive}, to be verified before anything is replaced")
    yield Line(f"of application {plan.manifest.application} on {plan.manifest.host}, made "
               f"{aged(plan.created_at, now)}{key}", indent=1)
    for target in plan.pending:
        yield Line(f"{target}: an interrupted restore is ended first", Mark.WARNING)
    yield from _step_lines(plan.steps)
    for path, holders in plan.holders:
        yield _holder_line(path, holders)
    for directory, needed, free in plan.needs:
        yield Line(f"Space: {format_bytes(needed)} needed, {format_bytes(free)} free in {directory}",
                   Mark.GOOD if free >= needed else Mark.BAD)
    for step in plan.steps:
        if step.kind == "database" and step.action == "replace":
            yield Line(f"Safety copy: {step.target}.before-restore-<time>, kept for "
                       f"{count(plan.request.safety_days, 'day')}")
    for warning in plan.warnings:
        yield Line(warning, Mark.WARNING)


def _step_lines(steps: Sequence[RestoreStep]) -> Iterator[Line]:
    shown: list[tuple[RestoreStep, bool]] = []
    for step in steps:
        shown.append((step, step.kind != "database" and step.action == "unchanged"))
    rows = [(step.action, step.kind, format_bytes(step.size_bytes) if step.kind != "directory" else "-", step.target,
             step.reason) for step, _unchanged in shown]
    heading, *texts = table(("ACTION", "KIND", "SIZE", "TARGET", "REASON"), rows, right={2})
    yield Line(heading, indent=1)
    for text, (_step, unchanged) in zip(texts, shown):
        yield Line(text, indent=1, detail=unchanged)
    hidden = sum(unchanged for _step, unchanged in shown)
    if hidden:
        yield Line(f"{hidden:,} of the files and directories are as they should be", indent=1)


def _holder_line(path: str, holders: Holders) -> Line:
    if holders.held:
        names = [f"process {p.pid} ({p.command}, user {p.user})" for p in holders.processes] or list(holders.locks)
        return Line(f"{path} is held open by {', '.join(names)}", Mark.BAD)
    if holders.unknown:
        processes = count(holders.uninspected, "process", "processes")
        return Line(f"{path} may be held open: {processes} could not be looked into", Mark.UNKNOWN)
    return Line(f"{path} is held open by nobody", Mark.GOOD)


def undo_plan_lines(plan: RestoreResult) -> Iterator[Line]:
    """What undoing a restore would do."""
    yield Line(f"Safety copy: {plan.safety_copy}, made when {plan.archive} was restored")
    if not plan.changed:
        yield Line("It was put back before", indent=1)
        return
    rows = [(step["action"], step["kind"], step["target"]) for step in plan.steps]
    for text in table(("ACTION", "KIND", "TARGET"), rows):
        yield Line(text, indent=1)


def result_lines(result: RestoreResult, undo: Optional[str], safety_days: int) -> Iterator[Line]:
    """What was done, in which time, and how to undo it; ``undo`` is the command line for that."""
    for target, outcome in result.resolved:
        yield Line(f"{target}: the interrupted restore was {outcome}", Mark.GOOD)
    if not result.changed:
        yield Line("Unchanged: everything is as the archive has it" if result.action == "restored"
                   else "Unchanged: the safety copy was put back before", Mark.GOOD)
    elif result.action == "undone":
        yield Line(f"Undone in {format_seconds(result.seconds)}: what was there before is back; what had been restored "
                   f"is kept in {result.safety_copy}", Mark.GOOD)
    else:
        yield Line(f"Restored from {result.archive} in {format_seconds(result.seconds)}", Mark.GOOD)
        yield Line(", ".join(f"{name} {format_seconds(seconds)}" for name, seconds in result.phases), indent=1)
    for name, rows in result.rows:
        yield Line(f"{name}: {count(sum(rows.values()), 'row')} in {count(len(rows), 'table')}", Mark.GOOD)
        for title, number in sorted(rows.items()):
            yield Line(f"{title}: {count(number, 'row')}", indent=2, detail=True)
    if result.changed and result.action == "restored" and undo is not None:
        yield Line(f"Safety copy: {result.safety_copy}, kept for {count(safety_days, 'day')}", Mark.GOOD)
        yield Line(f"To undo: {undo}", indent=1)
    for path in result.expired:
        yield Line(f"Old safety copy removed: {path}", detail=True)
    for warning in result.warnings:
        yield Line(warning, Mark.WARNING)
