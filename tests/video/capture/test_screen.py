"""Pictures of a monitor, of a virtual one where there is Xvfb."""

import sys
import threading
import time

import pytest

from hprnet_rt.errors import BackendError, MediaError, UsageError
from hprnet_rt.video.capture import LiveOptions
from hprnet_rt.video.capture.screen import ScreenSource
from tests.video.capture.conftest import SIZE


@pytest.mark.parametrize("name", ["screen", "screen:1"])
def test_screen_gives_frames_at_the_rate(on_screen, name):
    source = ScreenSource(name, LiveOptions(fps=50))
    assert (source.info.width, source.info.height, source.info.rate) == (*SIZE, 50)
    frames = iter(source)
    taken = [next(frames) for _ in range(11)]
    source.interrupt()
    assert list(frames) == []
    source.close()
    assert [frame.sequence for frame in taken] == list(range(11))
    assert taken[0].image.shape == (SIZE[1], SIZE[0], 3)
    assert 0.15 < taken[-1].pts_s < 1
    assert source.status == ""


def test_iteration_in_another_thread_works(on_screen):
    source = ScreenSource("screen", LiveOptions())
    taken = []
    thread = threading.Thread(target=lambda: taken.append(next(iter(source))))
    thread.start()
    thread.join(5)
    source.close()
    assert len(taken) == 1


def test_interrupt_ends_the_waiting_for_the_next_frame(on_screen):
    source = ScreenSource("screen", LiveOptions(fps=0.01))
    frames = iter(source)
    next(frames)
    threading.Timer(0.1, source.interrupt).start()
    started_s = time.perf_counter()
    assert list(frames) == []
    assert time.perf_counter() - started_s < 0.3
    source.close()


def test_screen_that_does_not_exist_is_wrong_usage(on_screen):
    with pytest.raises(UsageError, match="there is no screen 2: this computer has 1"):
        ScreenSource("screen:2", LiveOptions())


@pytest.mark.parametrize("name", ["screen:", "screen:0", "screen:left", "screen:-1"])
def test_strange_name_is_wrong_usage(name):
    with pytest.raises(UsageError, match="screen:1"):
        ScreenSource(name, LiveOptions())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
@pytest.mark.parametrize("name", [None, ":4711"])
def test_computer_without_a_display_is_one_sentence(monkeypatch, name):
    pytest.importorskip("mss")
    monkeypatch.delenv("DISPLAY", raising=False)
    if name:
        monkeypatch.setenv("DISPLAY", name)
    with pytest.raises(MediaError, match="screen cannot be seen"):
        ScreenSource("screen", LiveOptions())


def test_missing_library_of_the_system_is_one_sentence(monkeypatch):
    mss = pytest.importorskip("mss")

    def without_xcb(*_):
        raise OSError("libxcb-randr.so.0: cannot open shared object file")

    monkeypatch.setattr(mss, "MSS", without_xcb)
    with pytest.raises(MediaError, match=r"screen cannot be seen \(libxcb-randr.so.0"):
        ScreenSource("screen", LiveOptions())


def test_missing_package_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(BackendError, match=r"pip install 'hprnet-rt\[live\]'"):
        ScreenSource("screen", LiveOptions())
