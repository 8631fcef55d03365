# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A headless Chromium, driven by its DevTools protocol over a pair of pipes: no port, no driver, no package.

https://chromedevtools.github.io/devtools-protocol/: JSON objects, each ended by a zero byte; handle 3 takes them, and 4
gives them.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = "chromium"
DEADLINE_SECONDS = 120.0
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-pipe")
# Its pipes as handles 3 and 4, whatever they are now.
_START = """import fcntl, os, sys
read, write = (fcntl.fcntl(int(handle), fcntl.F_DUPFD, 10) for handle in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Chromium:
    """The browser with one page, as a context manager."""

    def __init__(self, profile: Path) -> None:
        self._profile, self._number, self._session = profile, 0, ""
        self._buffer = b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Chromium:
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        words = [PROGRAM, *_OPTIONS, f"--user-data-dir={self._profile}", "about:blank"]
        self._process = subprocess.Popen([sys.executable, "-c", _START, str(theirs_read), str(theirs_write), *words],
                                         pass_fds=(theirs_read, theirs_write), stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(theirs_read)
        os.close(theirs_write)
        self._read, self._write = ours_read, ours_write
        try:
            self._attach()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _attach(self) -> None:
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        os.close(self._write)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        os.close(self._read)

    def emulate(self, width: int, height: int, scheme: str, media: str = "") -> None:
        """A window of that size and a reader who prefers ``light`` or ``dark``; ``media`` may be ``print``."""
        self._call("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1,
                                                          "mobile": width < 600})
        self._call("Emulation.setEmulatedMedia", {
            "media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def open(self, address: str) -> None:
        """Goes there and waits until it is loaded."""
        self.events.clear()
        self._call("Page.navigate", {"url": address})
        self._await(lambda: any(event["method"] == "Page.loadEventFired" for event in self.events))

    def requests(self) -> list[str]:
        """The addresses that were asked for since the page was opened."""
        return [event["params"]["request"]["url"] for event in self.events
                if event["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        """What the browser wrote into its console."""
        return [event["params"]["entry"]["text"] for event in self.events if event["method"] == "Log.entryAdded"]

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, of which a promise is awaited."""
        found = self._call("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def roles(self) -> list[str]:
        """The roles of what assistive software is told of."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return [node["role"]["value"] for node in nodes if not node["ignored"]]

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        data = self._call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True,
                                                     "clip": {"x": 0, "y": 0, "scale": 1, **self._size()}})["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))

    def _size(self) -> dict[str, int]:
        return self.evaluate("({width: innerWidth, height: document.documentElement.scrollHeight})")

    def _call(self, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        self._number += 1
        number, answers = self._number, []
        message = {"id": number, "method": method, "params": parameters or {}}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data):]

        def arrived() -> bool:
            answers.extend(event for event in self.events if event.get("id") == number)
            return bool(answers)

        self._await(arrived)
        self.events = [event for event in self.events if "method" in event]
        if "error" in answers[0]:
            raise RuntimeError(f"{method}: {answers[0]['error']}")
        return answers[0]["result"]

    def _await(self, done: Any) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._read, selectors.EVENT_READ)
            while not done():
                if not waiting.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError("Chromium gave no answer")
                piece = os.read(self._read, 1 << 20)
                if not piece:
                    raise RuntimeError("Chromium ended")
                *messages, self._buffer = (self._buffer + piece).split(b"\0")
                self.events += [json.loads(message) for message in messages]
