# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A message by Apprise (Debian: ``apprise``), which knows some hundred services, where it is installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from ..alerting import Message
from ..units import format_seconds
from .errors import DELAYED, REFUSED, ChannelError

# Debian's Apprise belongs to Debian's Python, and the engine may run by another one.
_SYSTEM_PYTHON = "/usr/bin/python3"
_MISSING, _NOT_UNDERSTOOD, _NOT_SENT = 81, 82, 83
# Of what Apprise tells, only the statuses of HTTP: the rest may quote addresses.
_CHILD = f"""
import sys
try:
    import apprise
except ImportError:
    sys.exit({_MISSING})
import json, logging, re
told = []
class Keep(logging.Handler):
    def emit(self, record):
        told.extend(re.findall(r"error=([0-9]{{3}})\\b", record.getMessage()))
logging.getLogger("apprise").addHandler(Keep())
logging.getLogger().addHandler(logging.NullHandler())
asked = json.load(sys.stdin)
services = apprise.Apprise()
if not services.add(asked["url"]):
    sys.exit({_NOT_UNDERSTOOD})
if not services.notify(title=asked["title"], body=asked["body"], body_format="text"):
    print("statuses", *told)
    sys.exit({_NOT_SENT})
"""


def send(url: str, message: Message, timeout_seconds: float = 60.0) -> None:
    """Sends subject and text. The address goes to a child's standard input: other users can read its command line.
    Raises ChannelError, whose outcome is REFUSED where the service answers 4xx."""
    asked = {"url": url, "title": _clean(" ".join(message.subject.split())), "body": _clean(message.text)}
    for python in dict.fromkeys((sys.executable or _SYSTEM_PYTHON, _SYSTEM_PYTHON)):
        code, told = _run(python, json.dumps(asked), timeout_seconds)
        if code != _MISSING:
            break
    if code == 0:
        return
    if code == _MISSING:
        raise ChannelError("Apprise is not installed: install Debian's package apprise")
    kind = url.partition("://")[0]
    if code == _NOT_UNDERSTOOD:
        raise ChannelError(f"Apprise does not understand this address, or not yet its kind ({kind}://)")
    if code != _NOT_SENT:
        raise ChannelError(f"Apprise ended with {code} ({kind}://)", DELAYED)
    statuses = re.findall(r"\b[0-9]{3}\b", told.rpartition("statuses")[2])
    refused = bool(statuses) and all(one[0] == "4" and one not in ("408", "425", "429") for one in statuses)
    answer = f": the service answers {' and '.join(statuses)}" if statuses else ""
    raise ChannelError(f"Apprise could not send it ({kind}://){answer}", REFUSED if refused else DELAYED)


def _run(python: str, asked: str, timeout_seconds: float) -> tuple[int, str]:
    command = [python, "-I", "-c", _CHILD]
    try:
        # The engine also runs without Ansible, so there is no module whose run_command could be called.
        done = subprocess.run(command, input=asked, stdout=subprocess.PIPE,  # pylint: disable=ansible-bad-function
                              stderr=subprocess.DEVNULL, text=True, errors="replace", check=False,
                              timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        raise ChannelError(f"Apprise did not end within {format_seconds(timeout_seconds)}", DELAYED) from None
    except FileNotFoundError:
        return _MISSING, ""
    except OSError as error:
        raise ChannelError(f"Apprise cannot be run: {error.strerror}") from None
    return done.returncode, done.stdout


def _clean(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
