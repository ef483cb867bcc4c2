"""Chromium without a window, spoken to over a pipe by its DevTools protocol: https://chromedevtools.github.io."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
         "--no-first-run", "--remote-debugging-pipe")  # fmt: skip
ANSWER_S = 60.0
AXE = Path(__file__).parents[2] / "build/axe/node_modules/axe-core/axe.min.js"
INSTALL_AXE = "npm install --prefix build/axe axe-core@4.14.1"


def executable() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page at a time. `errors`: what the page has said on the console as an error, or thrown."""

    def __init__(self, to: int, of: int) -> None:
        self._to, self._of = to, of
        self._text, self._number = b"", 0
        self.errors: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def open(self, page: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Shows the page in a window of that size, and waits until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.resolve().as_uri())
        self._hear(lambda message: message.get("method") == "Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """What the expression gives in the page; the value of a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, path: Path, most: int = 12_000) -> None:
        """The whole page, up to that many pixels high, as PNG."""
        width, height = self.value("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(answer["data"]))

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._call(method, sessionId=self._session, **parameters)

    def _call(self, method: str, sessionId: str | None = None, **parameters: object) -> dict[str, Any]:
        self._number += 1
        number = self._number
        command = {"id": number, "method": method, "params": parameters}
        if sessionId is not None:
            command["sessionId"] = sessionId
        os.write(self._to, json.dumps(command).encode() + b"\0")
        answer = self._hear(lambda message: message.get("id") == number)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _hear(self, wanted: Any) -> dict[str, Any]:
        deadline = time.monotonic() + ANSWER_S
        while True:
            while b"\0" not in self._text:
                assert select.select([self._of], [], [], max(0.0, deadline - time.monotonic()))[0], "no answer"
                received = os.read(self._of, 1 << 20)
                assert received, "the browser has ended"
                self._text += received
            line, _, self._text = self._text.partition(b"\0")
            message = json.loads(line)
            self._note(message)
            if wanted(message):
                return message

    def _note(self, message: Mapping[str, Any]) -> None:
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(parameters))
        if method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """`folder`: its own files are kept there."""
    (its_end, our_words), (our_ear, its_mouth) = os.pipe(), os.pipe()
    command = [executable() or "", *FLAGS, f"--user-data-dir={folder}"]
    # It reads from file descriptor 3 and writes to 4.
    shell = ["bash", "-c", f'exec "$@" 3<&{its_end} 4>&{its_mouth}', "bash", *command]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(shell, pass_fds=(its_end, its_mouth), **quiet)
    os.close(its_end)
    os.close(its_mouth)
    try:
        yield Browser(our_words, our_ear)
    finally:
        os.close(our_words)
        os.close(our_ear)
        process.kill()
        process.wait(10)
