# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plots of docs/performance/, as SVG that is the same for the same results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from .figures import Summary
from .results import Results
from .subjects import FIRST, after

WIDTH_INCHES, HEIGHT_INCHES = 7.2, 4.2
COLOURS = {"administrator": "#777777", "pigz": "#b0a060", "zstd": "#d0b000", "restic": "#c05050", "borg": "#4a8f4a",
           "ours gzip": "#1f5fbf", "ours zstd": "#0a2f6f", "ours, weekly full": "#1f5fbf",
           "ours, monthly full": "#0a2f6f", "daily full archives": "#777777"}


def draw(results: Results, directory: Path) -> list[str]:
    """Writes the plots that the results allow; returns their names."""
    directory.mkdir(parents=True, exist_ok=True)
    # Names of elements come from this and not from chance.
    matplotlib.rcParams["svg.hashsalt"] = "feedforward.maintenance"
    matplotlib.rcParams["svg.fonttype"] = "none"
    plots: dict[str, Callable[[Any], None]] = {
        "time.svg": lambda axes: _by_size(axes, results, FIRST, "seconds, first backup", lambda one: one.seconds),
        "time-after-change.svg": lambda axes: _by_size(axes, results, after("scattered"),
                                                       "seconds, after 1 % scattered", lambda one: one.seconds),
        "bytes.svg": lambda axes: _by_size(axes, results, after("scattered"), "MB added, after 1 % scattered",
                                           lambda one: None if one.bytes is None else one.bytes / 1e6),
        "memory.svg": lambda axes: _by_size(axes, results, FIRST, "peak memory of a process, MiB",
                                            lambda one: one.max_rss_bytes / (1 << 20), from_zero=True),
    }
    if results.month:
        plots["month.svg"] = lambda axes: _month(axes, results)
    for name, plot in plots.items():
        figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
        axes = figure.subplots()
        plot(axes)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(directory / name, format="svg", metadata={"Date": None})
    return list(plots)


def _by_size(axes: Any, results: Results, operation: str, label: str, value: Callable[[Summary], float | None], *,
             from_zero: bool = False) -> None:
    summaries = results.summaries()
    for subject in dict.fromkeys(subject for _size, subject, done in summaries if done == operation):
        found = [(size, value(summary)) for (size, name, done), summary in summaries.items()
                 if (name, done) == (subject, operation)]
        points = sorted((size, height) for size, height in found if height is not None)
        axes.plot([size for size, _height in points], [height for _size, height in points], marker="o", label=subject,
                  color=COLOURS.get(subject))
    axes.set_xscale("log")
    if from_zero:
        axes.set_ylim(bottom=0)
    else:
        axes.set_yscale("log")
    axes.set_xticks(results.sizes(), [f"{size:g} MB" for size in results.sizes()])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("size of the database")
    axes.set_ylabel(label)


def _month(axes: Any, results: Results) -> None:
    month = results.month or {}
    for arm, by_day in month["cumulative_bytes"].items():
        axes.plot(range(1, len(by_day) + 1), [kept / 1e6 for kept in by_day], label=arm, color=COLOURS.get(arm))
    axes.set_xlabel(f"days of 1 % change, database of {month['megabytes']:g} MB")
    axes.set_ylabel("MB kept")
    axes.set_ylim(bottom=0)
