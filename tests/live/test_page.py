"""The page of `live --serve`, in a real browser."""

import contextlib
import itertools
import threading
import time
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from hprnet_rt.formats import read_keypoints
from hprnet_rt.live.connections import Connections
from hprnet_rt.live.last_minute import LastMinute
from hprnet_rt.live.serve import PictureServer
from hprnet_rt.types import FramePoses, Poses, unseen_frame
from hprnet_rt.video.capture.source import LIVE_TIME_BASE

browser_module = pytest.importorskip("tests.live.browser", reason="websocket-client is not installed")
if browser_module.chromium() is None:
    pytest.skip("no Chromium is installed", allow_module_level=True)

TOKEN = "open-sesame"
STATUS = {"people": 3, "fps": 24.0, "age_ms": 18.2, "dropped": 0, "trouble": ""}
RATE = 30


@pytest.fixture(scope="module")
def browser():
    with contextlib.closing(browser_module.Browser()) as opened:
        yield opened


@pytest.fixture
def open_page(browser):
    """Opens pages, and closes them at the end."""
    with contextlib.ExitStack() as pages:
        yield lambda url, **settings: pages.enter_context(contextlib.closing(browser.open(url, **settings)))


class Run:
    """A live run: a server whose pictures change, each of one grey, and their keypoints."""

    def __init__(self, port=0, **settings):
        self.status = dict(STATUS)
        self.last_minute = LastMinute({"source": "made up"})
        self.server = PictureServer(port, keypoints=self.last_minute, **settings)
        self.url = self.server.url
        self.port = urlsplit(self.url).port
        self.still = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show)
        self._thread.start()

    def _show(self):
        for number in itertools.count():
            if self._ended.wait(1 / RATE):
                return
            if not self.still.is_set():
                picture = np.full((180, 320, 3), (10 * number) % 250, np.uint8)
                self.server.show(picture, self.status)
                frame = unseen_frame(number, number * 3000, LIVE_TIME_BASE)
                self.last_minute.add(FramePoses(frame, Poses.empty()))

    def close(self):
        self._ended.set()
        self._thread.join()
        self.server.close()


@pytest.fixture
def start():
    """Starts runs, and ends them."""
    with contextlib.ExitStack() as runs:
        yield lambda *arguments, **settings: runs.enter_context(
            contextlib.closing(Run(*arguments, **settings))
        )


def moves(page):
    """Wait until the picture has changed, twice."""
    seen = set()
    browser_module.until(
        lambda: (grey := page.picture()) is not None and (seen.add(grey[0]) or len(seen) > 2),
        "pictures that change",
    )


def stands(page):
    """Whether the picture is the same for as long as twelve others would take."""
    first = page.picture()
    time.sleep(12 / RATE)
    return first is not None and page.picture() == first


def downloaded(folder, pattern):
    """Wait for a file in the folder of downloads."""
    return browser_module.until(lambda: next(folder.glob(pattern), None), f"a file {pattern}")


def test_the_picture_moves_and_its_figures_are_said(start, open_page):
    run = start()
    page = open_page(run.url)
    moves(page)
    page.wait_for("/FPS/.test(document.body.innerText)")
    text = page.text()
    assert "3 people" in text and "24.0 FPS" in text and "18 ms old" in text
    assert "trouble" not in text and "dropped" not in text
    run.status |= {"people": 1, "dropped": 7, "trouble": "the recording has ended: no space left"}
    page.wait_for("/the recording has ended: no space left/.test(document.body.innerText)")
    assert "1 person" in page.text() and "7 dropped" in page.text() and "trouble" not in page.text()


def test_a_picture_that_stands_still_is_said_with_its_reason(start, open_page):
    run = start()
    page = open_page(run.url)
    moves(page)
    run.still.set()
    run.server.tell({**STATUS, "trouble": "no picture for 5 s, trying again"})
    page.wait_for("/no new picture for \\d+ s · no picture for 5 s, trying/.test(document.body.innerText)")
    assert "FPS" not in page.text()
    assert page.evaluate("document.body.classList.contains('lost')")
    run.still.clear()
    moves(page)
    page.wait_for("!document.body.classList.contains('lost')")


def test_every_key_does_what_the_help_says(start, open_page, tmp_path):
    run = start()
    page = open_page(run.url, downloads=tmp_path)
    moves(page)
    page.wait_for("/Keypoints, \\d/.test(document.body.innerText)")

    page.press(" ")
    page.wait_for("/paused/.test(document.body.innerText)")
    page.wait_for("document.querySelector('img').src.startsWith('blob:')")
    assert browser_module.until(lambda: stands(page), "a picture that stands")
    page.press(" ")
    moves(page)
    assert "paused" not in page.text()

    page.press("s")
    assert cv2.imread(str(downloaded(tmp_path, "hprnet-rt-*.jpg"))).shape == (180, 320, 3)
    page.press("k")
    recording = read_keypoints(downloaded(tmp_path, "hprnet-rt-*.jsonl"))
    assert recording.header["source"] == "made up"
    times = [frame.pts_s for frame in recording.frames]
    assert len(times) > 5 and times == sorted(times)

    page.press("m")
    assert page.evaluate("getComputedStyle(document.querySelector('img')).transform").startswith("matrix(-1")
    page.press("f")
    page.wait_for("document.fullscreenElement !== null")
    page.press("f")
    page.wait_for("document.fullscreenElement === null")
    page.press("h")
    page.wait_for("document.querySelector('dialog').open")
    told = page.evaluate("Array.from(document.querySelectorAll('dt'), (each) => each.textContent)")
    assert told == ["Space", "s", "k", "m", "f", "h"]
    page.press("h")
    page.wait_for("!document.querySelector('dialog').open")


def test_on_a_phone_nothing_is_cut_and_everything_can_be_tapped(start, open_page):
    run = start()
    run.status["trouble"] = "the recording has ended: there is no space left on the device"
    page = open_page(run.url, size=(360, 640), scale=2)
    page.wait_for("/no space left/.test(document.body.innerText)")
    moves(page)
    width, height = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert (width, height) == (360, 640)
    boxes = page.evaluate(
        "Array.from(document.querySelectorAll('img, p, button'), (each) => {"
        "const box = each.getBoundingClientRect();"
        "const hidden = each.scrollWidth - each.clientWidth;"
        "return [each.tagName, box.left, box.top, box.right, box.bottom, hidden]; })"
    )
    assert len(boxes) == 9
    for _, left, top, right, bottom, hidden in boxes:
        assert left >= 0 and top >= 0 and right <= 360 and bottom <= 640
        assert hidden <= 0
    assert next(right - left for name, left, _, right, *_ in boxes if name == "IMG") == 360
    assert all(bottom - top >= 28 for name, _, top, _, bottom, _ in boxes if name == "BUTTON")
    page.evaluate("document.querySelector('nav button:last-child').click()")
    page.wait_for("document.querySelector('dialog').open")
    page.evaluate("document.querySelector('dialog').click()")
    page.wait_for("!document.querySelector('dialog').open")


def test_two_viewers_see_it_and_one_s_pause_is_not_the_other_s(start, open_page):
    run = start()
    first, second = open_page(run.url), open_page(run.url)
    moves(first)
    moves(second)
    first.press(" ")
    first.wait_for("/paused/.test(document.body.innerText)")
    moves(second)
    assert browser_module.until(lambda: stands(first), "a picture that stands")


def test_only_the_right_token_lets_in_and_is_remembered(start, open_page, tmp_path):
    run = start(token=TOKEN)
    bare = run.url.partition("?")[0]
    page = open_page(bare, downloads=tmp_path)
    page.wait_for("/needs its token/.test(document.body.innerText)")
    page.go(f"{bare}?token=wrong-sesame")
    page.wait_for("/wrong-sesame/.test(location.href) && /needs its token/.test(document.body.innerText)")
    assert page.picture() is None
    page.go(run.url)
    moves(page)
    page.wait_for("/Keypoints, \\d/.test(document.body.innerText)")
    page.press("k")
    assert list(read_keypoints(downloaded(tmp_path, "*.jsonl")).frames)
    page.go(bare)  # the cookie has it
    moves(page)


def test_a_server_that_is_restarted_is_found_again(start, open_page):
    run = start()
    page = open_page(run.url)
    moves(page)
    run.close()
    page.wait_for("/no signal/.test(document.body.innerText)")
    again = start(run.port)
    moves(page)
    page.wait_for("/3 people/.test(document.body.innerText)")
    again.close()
    start(run.port, token=TOKEN)
    page.wait_for("/not let in any more: open the address/.test(document.body.innerText)")


def test_who_finds_no_place_is_told_and_gets_one_later(start, open_page, monkeypatch):
    run = start()
    with monkeypatch.context() as full:
        full.setattr(Connections, "take_seat", lambda _: False)
        page = open_page(run.url)
        page.wait_for("/too many are watching/.test(document.body.innerText)")
    moves(page)
    page.wait_for("!/too many are watching/.test(document.body.innerText)")
