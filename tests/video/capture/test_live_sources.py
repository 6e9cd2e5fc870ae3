"""The promises that every kind of live source keeps; a new kind gets a fixture here."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from hprnet_rt.video.capture import LiveOptions, LiveSource, open_live, registry
from hprnet_rt.video.capture.registry import LIVE_KINDS
from tests import clips
from tests.video.capture.made_up import MADE_UP
from tests.video.conftest import DEADLINE_S
from tests.video.servers import Server

INTERRUPTED_S = 0.2
"""Within it an iteration ends, as `LiveSource.interrupt` promises."""

KINDS = ("file", *(kind.name for kind in LIVE_KINDS), MADE_UP.name)


@dataclass
class Named:
    """A live source that can be opened.

    Attributes:
        text: names it.
        stall: lets no further picture come from an open one.
        slow_fps: with this rate it gives its second picture after minutes, None where `stall` does it.
    """

    text: str
    stall: Callable[[LiveSource], None] = lambda _source: None
    slow_fps: float | None = None

    def open(self, *, slow=False):
        return open_live(self.text, LiveOptions(timeout_s=1.5, fps=self.slow_fps if slow else None))


@pytest.fixture
def file(tmp_path):
    path = clips.make(tmp_path / "clip.mp4", frames=40, rate=40)
    return Named(str(path), stall=lambda source: source.pause(True))


@pytest.fixture
def network(tmp_path):
    data = clips.make(tmp_path / "clip.ts", frames=100, options={"g": "10"}).read_bytes()
    with Server(data, clip_s=4) as server:
        yield Named(f"tcp://127.0.0.1:{server.port}", stall=lambda _source: server.silent.set())


@pytest.fixture
def screen(on_screen):
    return Named("screen", slow_fps=0.01)


@pytest.fixture
def camera(fake):
    yield Named("0", stall=lambda _source: fake.block.set())
    fake.unblock.set()


@pytest.fixture
def made_up(monkeypatch):
    monkeypatch.setattr(registry, "LIVE_KINDS", (*LIVE_KINDS, MADE_UP))
    return Named("made-up:1", slow_fps=0.01)


@pytest.fixture(params=KINDS)
def named(request):
    """A source of each kind; a kind of the package without a fixture is an error."""
    return request.getfixturevalue(request.param.replace("-", "_"))


def test_frames_are_numbered_without_gaps_at_times_that_ascend(named):
    source = named.open()
    frames = iter(source)
    taken = [next(frames) for _ in range(6)]
    assert source.status == ""
    source.interrupt()
    source.close()
    assert [frame.sequence for frame in taken] == list(range(6))
    pts = [frame.pts for frame in taken]
    assert pts == sorted(set(pts))
    assert {frame.time_base for frame in taken} == {source.info.time_base}
    captured_s = [frame.captured_s for frame in taken]
    assert captured_s == sorted(captured_s)
    assert captured_s[-1] <= time.perf_counter()


def test_info_describes_the_frames_before_the_first_one_is_taken(named):
    source = named.open()
    info = source.info
    frame = next(iter(source))
    source.close()
    assert info.source == named.text or named.text in info.source.split()
    assert info.rate > 0
    assert frame.image.shape == (info.height, info.width, 3)
    assert frame.image.dtype == np.uint8
    assert source.info == info


def test_images_of_two_frames_share_no_memory(named):
    source = named.open()
    frames = iter(source)
    first = next(frames)
    before = first.image.copy()
    next(frames).image[:] = 0
    source.close()
    np.testing.assert_array_equal(first.image, before)


def test_interrupt_ends_the_waiting_for_the_next_picture(named):
    source = named.open(slow=True)
    frames = iter(source)
    next(frames)
    named.stall(source)
    interrupted_s = []

    def interrupt():
        interrupted_s.append(time.perf_counter())
        source.interrupt()

    threading.Timer(0.3, interrupt).start()
    list(frames)  # some had come before
    assert time.perf_counter() - interrupted_s[0] < INTERRUPTED_S
    source.close()


def test_interrupt_before_the_iteration_leaves_nothing_to_take(named):
    source = named.open()
    source.interrupt()
    assert list(source) == []
    source.close()


def test_close_after_the_iteration_or_without_one_may_be_repeated(named):
    source = named.open()
    frames = iter(source)
    next(frames)
    source.interrupt()
    list(frames)
    source.close()
    source.close()
    unused = named.open()
    unused.close()
    unused.close()


def test_frames_are_taken_in_another_thread(named):
    source = named.open()
    taken = []

    def take():
        for frame in source:
            taken.append(frame)
            if len(taken) == 3:
                three.set()

    three = threading.Event()
    thread = threading.Thread(target=take)
    thread.start()
    assert three.wait(DEADLINE_S)
    source.interrupt()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    source.close()


def test_after_a_pause_frames_go_on(named):
    source = named.open()
    frames = iter(source)
    first = next(frames)
    source.pause(True)
    source.pause(True)
    source.pause(False)
    assert next(frames).sequence == first.sequence + 1
    source.interrupt()
    source.close()
