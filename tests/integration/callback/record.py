# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Appends each task's whole result to the file that RECORD_RESULTS names, one JSON document a line."""

from __future__ import annotations

DOCUMENTATION = r"""
name: record
type: notification
author: FeedForward maintenance contributors (@feedforward)
short_description: Record the results of tasks for a test
description: Writes JSON lines.
"""

import json
import os

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """The recorder."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, result, failed=False):
        with open(os.environ["RECORD_RESULTS"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps({**result._result, "failed": failed}, default=str) + "\n")

    def v2_runner_on_ok(self, result, **kwargs):
        """A task that succeeded."""
        self._write(result)

    def v2_runner_on_failed(self, result, ignore_errors=False, **kwargs):
        """A task that failed."""
        self._write(result, failed=True)

    def v2_runner_on_unreachable(self, result):
        """A host that could not be reached."""
        self._write(result, failed=True)

    def v2_runner_on_skipped(self, result):
        """A task that was skipped."""
        self._write(result)
