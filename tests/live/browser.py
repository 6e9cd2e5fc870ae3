"""Chromium without a window, driven by its DevTools protocol as a user would use it."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import websocket

DEADLINE_S = 30.0  # generous: a busy machine must not fail a test
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # small in containers
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-port=0",
)


def chromium():
    """The browser's program, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def until(condition, what):
    """Wait until a condition holds, and return its value."""
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline_s, f"it did not come to it: {what}"
        time.sleep(0.03)


class Browser:
    """Pages are opened apart from each other: each has cookies of its own."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        own = [*FLAGS, f"--user-data-dir={self._folder.name}"]
        if hasattr(os, "getuid") and os.getuid() == 0:
            own.append("--no-sandbox")
        self._process = subprocess.Popen(
            [chromium(), *own, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        port_file = Path(self._folder.name, "DevToolsActivePort")
        lines = until(lambda: port_file.exists() and port_file.read_text().splitlines(), "a DevTools port")
        self._socket = websocket.create_connection(
            f"ws://127.0.0.1:{lines[0]}{lines[1]}", timeout=DEADLINE_S, suppress_origin=True
        )
        self._calls = 0

    def call(self, method, session=None, **parameters):
        """One command of the protocol, and its result."""
        self._calls += 1
        command = {"id": self._calls, "method": method, "params": parameters}
        if session is not None:
            command["sessionId"] = session
        self._socket.send(json.dumps(command))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def open(self, url, *, size=(1000, 700), downloads=None, scale=1):
        """Open a page in a window of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        if downloads is not None:
            self.call(
                "Browser.setDownloadBehavior",
                behavior="allow",
                browserContextId=context,
                downloadPath=str(downloads),
            )
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.call("Page.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=scale,
            mobile=False,
        )
        page.go(url)
        return page

    def close(self):
        self._socket.close()
        self._process.kill()
        self._process.wait(DEADLINE_S)
        self._folder.cleanup()


class Page:
    """A page, and what a user sees and does there."""

    def __init__(self, browser, session):
        self._browser, self._session = browser, session

    def call(self, method, **parameters):
        return self._browser.call(method, self._session, **parameters)

    def go(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, script):
        """The value of an expression in JavaScript, that of a promise when it is known."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script):
        """Wait until an expression is true."""
        return until(lambda: self.evaluate(script), f"{script}; it says {self.text()!r}")

    def text(self):
        return self.evaluate("document.body ? document.body.innerText : ''")

    def press(self, key):
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def picture(self):
        """The colour (red, green, blue) in the middle of the live picture, None before there is one."""
        return self.evaluate(
            "(() => { const image = document.querySelector('img');"
            "if (!image || !image.naturalWidth) return null;"
            "const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;"
            "const context = canvas.getContext('2d'); context.drawImage(image, 0, 0, 1, 1);"
            "return Array.from(context.getImageData(0, 0, 1, 1).data).slice(0, 3); })()"
        )

    def screenshot(self, path=None):
        """What is on the screen, as PNG."""
        data = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        if path is not None:
            Path(path).write_bytes(data)
        return data

    def close(self):
        self.call("Page.close")
