# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one run of the command works with: its options, its configuration, its streams."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Optional, TextIO

from ..config import Settings, load_settings
from ..errors import UsageError
from ..units import parse_time
from .output import Output
from .progress import ProgressLine, progress_for

_SUFFIX = "-maintenance"


@dataclass(frozen=True)
class Context:
    """One run. ``environ`` is the process's environment, ``stdin`` where a confirmation is read."""

    program: str
    options: argparse.Namespace
    output: Output
    environ: Mapping[str, str]
    stdin: Optional[TextIO]

    def settings(self, *, optional: bool = False) -> Settings:
        """The configuration with the overrides of the command line.

        It may be absent when an override was given. A command that can do without (``optional``) also does without
        one that cannot be read. Raises UsageError.
        """
        options = self.options
        directory = os.path.abspath(options.config or os.path.join("/etc", self.program))
        overridden = bool(options.directory or options.key_file or options.application)
        if options.config is None and overridden and not holds_configuration(directory):
            settings = Settings()
        else:
            try:
                settings = load_settings(directory)
            except UsageError:
                if options.config is not None or not optional:
                    raise
                settings = Settings()
        return replace(
            settings,
            application=options.application or settings.application or application_of(self.program),
            directory=os.path.abspath(options.directory) if options.directory else settings.directory,
            key_file=os.path.abspath(options.key_file) if options.key_file else settings.key_file)

    def progress(self) -> ProgressLine:
        """The progress of this run, a context manager."""
        return progress_for(self.output, self.environ.get("TERM"))


def application_of(program: str) -> str:
    """The application that ``program`` serves unless the configuration says otherwise."""
    return program[:-len(_SUFFIX)] if program.endswith(_SUFFIX) and program != _SUFFIX else program


def holds_configuration(directory: str) -> bool:
    """Whether ``directory`` has fragments, or cannot be looked into (which is then an error worth telling)."""
    try:
        return any(name.endswith(".json") and not name.startswith(".") for name in os.listdir(directory))
    except FileNotFoundError:
        return False
    except OSError:
        return True


def archive_directory(settings: Settings) -> str:
    """The configured directory of the archives. Raises UsageError when there is none."""
    if settings.directory is None:
        raise UsageError("--directory", "no archive directory is configured",
                         "Name it with --directory, or run the backup role, which configures it")
    return settings.directory


def archive_argument(text: str) -> str:
    """An archive as a person named it: a path becomes a full path, a bare name stays one."""
    return os.path.abspath(text) if os.sep in text else text


def time_argument(text: Optional[str]) -> Optional[datetime]:
    """``--before`` as an instant. Raises UsageError."""
    return None if text is None else parse_time(text)


def full_path(path: Optional[str]) -> Optional[str]:
    """``path`` as a full path; None stays None."""
    return None if path is None else os.path.abspath(path)
