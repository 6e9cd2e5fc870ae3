"""A simulated camera, and a virtual display for what looks at the screen."""

import os
import shutil
import subprocess

import pytest

from hprnet_rt.video.capture import camera, device
from tests.video.capture.devices import FakeDevice

SIZE = (320, 240)
"""Of the virtual display."""


@pytest.fixture(scope="session")
def display():
    """The name of a virtual display."""
    pytest.importorskip("mss")
    if not shutil.which("Xvfb"):
        pytest.skip("no Xvfb on this computer")
    read, write = os.pipe()
    screen = ["-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24"]
    command = ["Xvfb", "-displayfd", str(write), *screen, "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as numbers:
        number = numbers.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start here")
    yield f":{number}"
    server.terminate()
    server.wait(5)


@pytest.fixture
def on_screen(display, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)


@pytest.fixture
def fake(monkeypatch):
    """The device of every camera that is opened."""
    made = FakeDevice()
    monkeypatch.setattr(camera, "open_device", lambda _device: made)
    monkeypatch.setattr(device, "open_device", lambda _device: made)
    yield made
    made.unblock.set()
