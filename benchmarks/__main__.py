# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m benchmarks``: measures, prints, and writes the page when every size was measured."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from .data import SEED
from .machine import machine_facts
from .month import DAYS, measure_month
from .ours import METHODS, Ours, baseline, install, versions
from .page import page, text_report
from .processes import NotMeasured
from .results import REFERENCE_MEGABYTES, Results, load_fleet, load_results
from .rounds import Rounds
from .subjects import Borg, Restic, stock_subjects
from .workspace import BASE, ROOT, Workspace
from .writers import measure_writers

BENCH = ROOT / ".build" / "bench"
SIZES = (10.0, REFERENCE_MEGABYTES, 2000.0)
LEAST_ROUNDS = 5
QUICK_BELOW_MEGABYTES = 100
MONTH_MEGABYTES = 50.0


def main(arguments: Sequence[str]) -> int:
    """Runs what was asked for. Exit code 0 also when a target is not met: this measures and does not judge a build."""
    options = _parse(arguments)
    saved = BENCH / "results.json"
    if options.report:
        results = load_results(saved)
        results.fleet = load_fleet(BENCH / "fleet.json") or results.fleet
    else:
        saved.parent.mkdir(parents=True, exist_ok=True)
        results = measure(options, saved)
    print("\n" + text_report(results))
    _publish(results)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--sizes", default=",".join(f"{size:g}" for size in SIZES), help="megabytes, with commas")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="how often everything is measured")
    parser.add_argument("--rounds-only", action="store_true", help="neither writers nor the thirty days")
    parser.add_argument("--report", action="store_true", help="measure nothing, report the last results again")
    options = parser.parse_args(arguments)
    options.sizes = sorted(float(size) for size in options.sizes.replace(",", " ").split())
    return options


def measure(options: argparse.Namespace, saved: Path) -> Results:
    """Everything that ``options`` ask for; what is done is in ``saved`` even when the rest is interrupted."""
    results = Results(machine=machine_facts(), rounds=options.rounds, seed=SEED,
                      fleet=load_fleet(BENCH / "fleet.json"))
    for size in options.sizes:
        _with_space(size, lambda space: _rounds(results, space, options.rounds))
        results.save(saved)
    if options.rounds_only:
        results.not_measured.update(writers="left out", month="left out")
    else:
        quick = max(options.sizes) < QUICK_BELOW_MEGABYTES
        _optional(results, "writers", lambda: _writers(results.reference() or SIZES[0], quick))
        results.save(saved)
        _optional(results, "month", lambda: _month(min(MONTH_MEGABYTES, max(options.sizes))))
    results.complete = (set(SIZES) <= set(options.sizes) and options.rounds >= LEAST_ROUNDS
                        and not options.rounds_only)
    results.save(saved)
    return results


def _with_space(size: float, act: Callable[[Workspace], Any]) -> Any:
    work = Path(os.environ.get("BENCH_DIR") or BENCH / "work").absolute()
    space = Workspace(work, BENCH / "data", size)
    try:
        return act(space)
    finally:
        space.remove()


def _rounds(results: Results, space: Workspace, rounds: int) -> None:
    space.prepare()
    subjects = stock_subjects()
    try:
        command = install(space.place("command"), space.source)
    except NotMeasured as reason:
        results.not_measured["ours"] = str(reason)
    else:
        subjects += [*(Ours(command, method) for method in METHODS), Ours(command, "gzip", library="isal")]
        results.machine["ours"] = versions(command)
        results.baseline_rss_bytes = median(baseline(command).max_rss_bytes for _run in range(rounds))
    run = Rounds(space, subjects, tell)
    run.run(rounds)
    results.measurements += run.measurements
    results.skipped.update(run.skipped)


def _optional(results: Results, name: str, measure_part: Callable[[], dict[str, Any]]) -> None:
    try:
        setattr(results, name, measure_part())
    except NotMeasured as reason:
        results.not_measured[name] = str(reason)
        tell(f"{name}: not measured: {reason}")


def _writers(size: float, quick: bool) -> dict[str, Any]:
    def act(space: Workspace) -> dict[str, Any]:
        space.prepare((BASE,))
        command = install(space.place("command"), space.source)
        return measure_writers(space, command, rounds=1 if quick else 3, commits=250 if quick else 1000, tell=tell)
    figures: dict[str, Any] = _with_space(size, act)
    return figures


def _month(size: float) -> dict[str, Any]:
    def act(space: Workspace) -> dict[str, Any]:
        space.prepare((BASE,))
        command = install(space.place("command"), space.source)
        return measure_month(space, command, [Restic(), Borg()], days=DAYS, tell=tell)
    figures: dict[str, Any] = _with_space(size, act)
    return figures


def _publish(results: Results) -> None:
    """The page and its plots: into docs/ when the run was complete, else beside the results."""
    target = ROOT / "docs" if results.complete else BENCH
    try:
        from .plots import draw
    except ImportError as error:
        print(f"No plots: {error}; make bench installs what they need")
    else:
        shutil.rmtree(target / "performance", ignore_errors=True)
        draw(results, target / "performance")
    (target / "performance.md").write_text(page(results), encoding="utf-8")
    print(f"\nWritten: {(target / 'performance.md').relative_to(ROOT)}, {(BENCH / 'results.json').relative_to(ROOT)}")


def tell(line: str) -> None:
    """Progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
