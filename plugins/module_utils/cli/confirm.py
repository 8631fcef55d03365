# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The question before something live is replaced."""

from __future__ import annotations

from typing import Optional, TextIO

from ..errors import UsageError
from .output import Output, is_terminal


def confirm(output: Output, stdin: Optional[TextIO], word: str, subject: str) -> None:
    """Returns when the person at the terminal typed ``word``, before ``subject`` is replaced.

    Raises UsageError when the answer is another one, or when nobody can be asked: standard input or standard error
    is no terminal.
    """
    if stdin is None or not is_terminal(stdin) or not is_terminal(output.stderr):
        raise UsageError(subject, "replacing what is live wants a confirmation, and no terminal is there to ask; "
                         "nothing was changed", "Look at the plan with --dry-run, then run again with --yes")
    output.prompt(f"Type {word} to go on: ")
    answer = stdin.readline()
    if not answer.endswith("\n"):
        output.prompt("\n")
    if answer.strip() != word:
        raise UsageError(subject, f"not confirmed ({answer.strip() or 'nothing'} was typed); nothing was changed",
                         "Run again and type the name exactly, or give --yes")
