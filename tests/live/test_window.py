"""The window of a live run: keys, plots, its end, and what it says where it cannot open."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.errors import HprnetError, OutputError
from hprnet_rt.live import display
from hprnet_rt.live.session import Session, SessionOptions
from hprnet_rt.live.window import open_display
from hprnet_rt.video import VideoSink, VideoSource
from tests.live.driving import DEADLINE_S, Clip, drive, own_threads, sample_pictures

try:
    import PySide6
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from hprnet_rt.live.picture import Picture
    from hprnet_rt.live.plots import History, round_scale
    from hprnet_rt.live.viewer import KEYS
except ImportError as missing:
    pytest.skip(f"Qt cannot be loaded: {missing}", allow_module_level=True)
if display.loses_references():
    pytest.skip("this PySide6 is not for this Python", allow_module_level=True)


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load() as loaded:
        yield loaded


@pytest.fixture(scope="module")
def pictures():
    return sample_pictures(10)


@pytest.fixture(autouse=True)
def offscreen(monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture
def make_session(model, pictures, tmp_path):
    """Makes sessions on a clip, and closes them at the end."""
    made = []

    def make(options=None, folder=tmp_path, **clip):
        made.append(Session(Clip(pictures, **clip), model, options, folder=folder))
        return made[-1]

    yield make
    for session in made:
        session.close(whole=False)


def _press(viewer, name):
    special = {"Space": Qt.Key.Key_Space, "Esc": Qt.Key.Key_Escape}
    if name in special:
        QTest.keyClick(viewer, special[name])
    else:
        QTest.keyClicks(viewer, name)


def _frames(session, more):
    """A condition: so many more frames have been shown."""
    target = session.count + more
    return lambda: session.count >= target


def test_every_key_does_what_the_help_says(make_session, tmp_path):
    session = make_session()
    pressed = set()

    def script(viewer):
        def press(name):
            pressed.add(name)
            _press(viewer, name)

        yield _frames(session, 2)
        press("Space")
        assert session.paused and session.source.paused and "paused" in viewer.status.text()
        press("Space")
        assert not session.paused and "paused" not in viewer.status.text()
        yield _frames(session, 2)

        press("s")
        (saved,) = tmp_path.glob("*.png")
        assert saved.name in viewer.status.text()
        press("r")
        assert session.recording and f"recording {session.recording.name}" in viewer.status.text()
        yield _frames(session, 3)
        press("r")
        assert not session.recording
        yield lambda: "recorded" in viewer.status.text()
        (recorded,) = tmp_path.glob("*.mp4")
        assert f"recorded {recorded.name}" in viewer.status.text()

        before = session.threshold
        press("-")
        assert session.threshold == pytest.approx(before - 0.05)
        press("=")
        press("+")
        assert session.threshold == pytest.approx(before + 0.05)
        assert f"threshold {before + 0.05:.2f}" in viewer.status.text()

        for name, part in (("b", "body"), ("z", "face"), ("x", "hands")):
            press(name)
            assert not getattr(session.overlay.style, part) and f"{part} hidden" in viewer.status.text()
            press(name)
            assert getattr(session.overlay.style, part)

        press("m")
        assert session.mirror
        press("m")
        press("p")
        assert not viewer.plots.isVisible() and viewer.picture.width() > 0
        press("p")
        assert viewer.plots.isVisible()
        press("f")
        assert viewer.isFullScreen()
        press("f")
        assert not viewer.isFullScreen()
        for name in ("h", "?"):
            press(name)
            assert viewer.help.isVisible() and not viewer.hint.isVisible()
            press(name)
            assert not viewer.help.isVisible()
        yield _frames(session, 1)
        pressed.add("q")
        press("Esc")

    drive(session, script)
    assert pressed == {name for key in KEYS for name in key.names}

    (saved,) = tmp_path.glob("*.png")
    assert cv2.imread(str(saved)).shape == (720, 1280, 3)
    (recorded,) = tmp_path.glob("*.mp4")
    source = VideoSource(recorded)
    assert len(list(source)) >= 3 and source.info.width == 1280
    source.close()


def test_q_quits(make_session):
    def script(viewer):
        yield _frames(viewer.session, 1)
        _press(viewer, "q")
        yield lambda: False

    drive(make_session(), script)
    assert own_threads() == []


def test_the_help_names_every_key_and_what_it_does(make_session):
    from PySide6.QtWidgets import QLabel

    def script(viewer):
        assert viewer.hint.isVisible() and "h" in viewer.hint.text()
        texts = [label.text() for label in viewer.help.findChildren(QLabel)]
        for key in KEYS:
            assert {*key.names, key.does} <= set(texts)
        viewer.close()
        yield lambda: False

    drive(make_session(), script)


def test_mirror_swaps_the_picture_and_not_the_poses(make_session, pictures):
    session = make_session()

    def script(viewer):
        yield _frames(session, 1)
        session.overlay.style = hprnet_rt.render.OverlayStyle(ids=False, body=False, face=False, hands=False)
        _press(viewer, "m")
        yield _frames(session, 3)
        shown = viewer.picture.pixels
        assert any(np.array_equal(shown, cv2.flip(picture, 1)) for picture in pictures)
        viewer.close()

    drive(session, script)


def test_closing_in_mid_frame_leaves_no_thread(make_session, model, monkeypatch):
    session = make_session()
    inside = threading.Event()
    infer = model.infer

    def watched(*arguments):
        inside.set()
        return infer(*arguments)

    monkeypatch.setattr(model, "infer", watched)

    def script(viewer):
        yield _frames(session, 1)
        inside.clear()
        yield inside.is_set
        viewer.close()

    drive(session, script)
    assert own_threads() == [] and session.source.closed


def test_an_error_in_a_stage_closes_the_window_and_rises(make_session, model, monkeypatch):
    session = make_session()

    def script(viewer):
        yield _frames(session, 2)
        monkeypatch.setattr(model, "infer", lambda *_: 1 // 0)
        yield lambda: False

    with pytest.raises(ZeroDivisionError):
        drive(session, script)
    assert own_threads() == []


def test_an_error_in_the_window_itself_rises_too(make_session, monkeypatch):
    session = make_session()

    def script(viewer):
        monkeypatch.setattr(viewer.plots, "add", lambda *_: 1 // 0)
        yield lambda: False

    with pytest.raises(ZeroDivisionError):
        drive(session, script)
    assert own_threads() == []


def test_the_end_of_the_source_closes_the_window_after_the_last_picture(make_session):
    session = make_session(frames=3)
    drive(session, lambda viewer: iter([lambda: False]))
    assert session.count + session.pipeline.dropped == 3 and session.profiler.age().frames == session.count


def test_a_signal_and_the_end_of_time_close_it_though_no_picture_comes(make_session):
    cancelled = threading.Event()

    def script(viewer):
        yield lambda: "no picture" in viewer.status.text()
        cancelled.set()
        yield lambda: False

    drive(make_session(frames=1, stalls=True), script, cancelled=cancelled)
    options = SessionOptions(duration_s=0.3)
    drive(make_session(options, frames=1, stalls=True), lambda viewer: iter([lambda: False]))
    assert own_threads() == []


def test_the_run_goes_on_while_nobody_can_see_it(make_session):
    session = make_session()

    def script(viewer):
        yield _frames(session, 1)
        viewer.showMinimized()
        yield _frames(session, 4)
        viewer.hide()
        yield _frames(session, 4)
        viewer.show()
        yield _frames(session, 2)
        viewer.close()

    drive(session, script)


def test_a_recording_that_fails_is_told_and_does_not_end_the_run(make_session, tmp_path, monkeypatch):
    session = make_session(folder=tmp_path / "nowhere")

    def fail(*_):
        raise OutputError("cannot write it: No space left on device")

    def script(viewer):
        yield _frames(session, 1)
        for name in ("r", "s"):
            _press(viewer, name)
            assert "cannot write" in viewer.status.text() and not session.recording
        session.folder = tmp_path
        _press(viewer, "r")
        monkeypatch.setattr(VideoSink, "write", fail)
        yield lambda: "recording has ended" in viewer.status.text()
        assert not session.recording
        yield _frames(session, 2)
        viewer.close()

    drive(session, script)


def test_the_window_answers_keys_while_a_recording_cannot_be_written(make_session, monkeypatch):
    session = make_session()
    writing, released, written = threading.Event(), threading.Event(), []
    write = VideoSink.write

    def wait(sink, item):
        assert threading.current_thread() is not threading.main_thread()
        writing.set()
        assert released.wait(DEADLINE_S)
        write(sink, item)
        written.append(item.frame.sequence)

    monkeypatch.setattr(VideoSink, "write", wait)

    def script(viewer):
        yield _frames(session, 1)
        _press(viewer, "r")
        before = session.count
        yield writing.is_set
        yield lambda: session.count > before + 1  # shown though none of them is written
        _press(viewer, "h")
        assert viewer.help.isVisible() and not written
        _press(viewer, "r")
        assert not session.recording and not written
        path = session.record()  # the next one, while the first one is still queued
        released.set()
        yield lambda: "recorded" in viewer.status.text()
        assert session.recording == path and f"recorded {path.name}" not in viewer.status.text()
        yield _frames(session, 2)
        viewer.close()

    drive(session, script)
    files = session.close()
    assert len(files) == 1 and len(set(written)) == len(written) >= 4
    assert sorted(written) == written and own_threads() == []


def test_plots_get_data_and_the_parts_make_up_the_age(make_session):
    session = make_session()

    def script(viewer):
        history = viewer.plots.history
        yield lambda: len(history) >= 5 and (history.fps[-3:] > 0).all() and session.count > 10
        assert history.stages == ("preprocess", "engine", "grouping", "tracking", "render", "output")
        assert history.people[-1] == 3
        # a mean of ages and means of parts look back on the same 2 s, but not on quite the same frames
        assert history.parts_ms[-1].sum() == pytest.approx(history.age_ms[-1], rel=0.4)
        x, y = viewer.plots.fps_curve.getData()
        assert len(x) == len(history) and x[-1] == 0 and y[-1] == history.fps[-1]
        viewer.close()

    drive(session, script)


def test_history_keeps_the_last_readings_in_constant_memory(make_session):
    readings = make_session().readings()
    history = History(("a", "b"), capacity=3)
    for now_s in range(5):
        history.add(now_s, readings)
    assert history.time_s.tolist() == [2, 3, 4] and np.isnan(history.age_ms).all()
    assert history.parts_ms.shape == (3, 3)


@pytest.mark.parametrize(
    ("highest", "lines", "scale"),
    [(0, 2, (1, 0.5)), (3.3, 2, (4, 2)), (27, 3, (30, 10)), (30, 3, (30, 10)), (140, 4, (150, 50))],
)
def test_scales_end_at_round_numbers(highest, lines, scale):
    assert round_scale(highest, lines) == pytest.approx(scale)


@pytest.mark.parametrize(
    ("size", "pixel_aspect", "target"),
    [
        ((640, 640), 1, (0, 140, 640, 360)),
        ((1000, 360), 1, (180, 0, 640, 360)),
        ((640, 640), Fraction(1, 2), (35, 0, 569, 640)),
    ],
)
def test_the_picture_keeps_its_proportions(size, pixel_aspect, target):
    application = open_display()
    picture = Picture(float(pixel_aspect))
    picture.put(np.full((720, 1280, 3), (10, 200, 30), np.uint8))
    picture.resize(*size)
    assert picture.target().getRect() == pytest.approx(target, abs=1)
    grabbed = picture.grab().toImage()
    for x, y, inside in (
        (target[0] + 3, target[1] + 3, True),
        (target[0] + target[2] - 3, target[1] + target[3] - 3, True),
        (max(target[0] - 4, 0), max(target[1] - 4, 0), False),
    ):
        assert (grabbed.pixelColor(x, y).getRgb()[:3] == (30, 200, 10)) == inside
    application.processEvents()


def _sentence():
    with pytest.raises(HprnetError) as caught:
        open_display()
    return f"{type(caught.value).__name__}: {caught.value}"


OPEN = """
from hprnet_rt.errors import HprnetError
from hprnet_rt.live.window import open_display
try:
    open_display()
except HprnetError as error:
    print(f"{type(error).__name__}: {error}")
"""
INSTEAD = "add --no-window, or --serve PORT to watch from a browser"
linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")


def missing_for_x():
    """The first system library that Qt wants for X and that is not here; None where they all are."""
    plugin = Path(PySide6.__file__).parent / "Qt" / "plugins" / "platforms" / "libqxcb.so"
    load = f"import PySide6.QtGui, ctypes; ctypes.CDLL({str(plugin)!r})"
    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, timeout=100)
    found = re.search(r"(lib\S+): cannot open shared object file", done.stderr)
    assert (done.returncode == 0) == (found is None), done.stderr
    return found and found[1]


@linux
def test_without_a_display_there_is_a_sentence(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert _sentence() == f"UsageError: there is no display; {INSTEAD}"


@linux
def test_a_display_that_cannot_be_reached_is_a_sentence_and_no_crash():
    environment = {**os.environ, "DISPLAY": ":7654", "QT_QPA_PLATFORM": "xcb"}
    done = subprocess.run(
        [sys.executable, "-c", OPEN], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    missing = missing_for_x()
    if missing:
        assert done.stdout.startswith(
            f"BackendError: the window needs the system library {missing}; on Debian"
        )
    else:
        assert done.stdout.strip() == f"UsageError: the display :7654 cannot be reached; {INSTEAD}"


def test_without_pyside_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "PySide6.QtWidgets", None)
    sentence = _sentence()
    assert sentence.startswith("BackendError: the window needs PySide6 and pyqtgraph")
    assert sentence.endswith("pip install 'hprnet-rt[live]'")


def test_a_pyside_that_would_end_python_is_refused(monkeypatch):
    from PySide6.QtWidgets import QApplication

    monkeypatch.setattr(display, "loses_references", lambda: True)
    monkeypatch.setattr(QApplication, "instance", lambda: None)
    assert "pip install 'PySide6-Essentials<6.12'" in _sentence()


def test_a_missing_system_library_is_named_with_its_packages(monkeypatch):
    class Broken:
        def find_spec(self, name, *_):
            if name == "PySide6.QtWidgets":
                raise ImportError("libEGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.delitem(sys.modules, "PySide6.QtWidgets")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    sentence = _sentence()
    assert sentence.startswith("BackendError: the window needs the system library libEGL.so.1; on Debian")
    assert "apt install libegl1 libgl1" in sentence


def test_plugins_of_opencv_are_forgotten_and_those_of_others_are_not(monkeypatch):
    name = "QT_QPA_PLATFORM_PLUGIN_PATH"
    monkeypatch.setenv(name, str(Path(cv2.__file__).parent / "qt" / "plugins"))
    open_display()
    assert name not in os.environ
    monkeypatch.setenv(name, "/elsewhere/plugins")
    open_display()
    assert os.environ[name] == "/elsewhere/plugins"


UNDER_X = """
import sys
from pathlib import Path
import cv2
import os
os.environ["QT_QPA_PLATFORM_PLUGIN_PATH"] = str(Path(cv2.__file__).parent / "qt" / "plugins")
import hprnet_rt
from hprnet_rt.commands.console import cancelled_by_signals
from hprnet_rt.live.session import Session
from tests.live.driving import Clip, drive, own_threads, sample_pictures

def script(viewer):
    history = viewer.plots.history
    yield lambda: viewer.session.count >= 5 and len(history.fps) and history.fps[-1] > 0
    viewer.move(0, 0)
    yield lambda: viewer.pos().x() == 0 and viewer.session.count >= 8
    viewer.screen().grabWindow(0).save(sys.argv[1])
    corner = viewer.picture.mapToGlobal(viewer.picture.target().topLeft())
    target = viewer.picture.target()
    print("shown", corner.x(), corner.y(), target.width(), target.height(), flush=True)
    yield lambda: False

with hprnet_rt.load() as model, cancelled_by_signals() as cancelled:
    with Session(Clip(sample_pictures(1)), model) as session:
        drive(session, script, cancelled=cancelled)
print("ended", own_threads(), flush=True)
"""


@pytest.fixture
def x_server():
    """A display of our own, as its address."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    if missing := missing_for_x():
        pytest.skip(f"Qt's system library {missing} is not installed")
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", "1", "-screen", "0", "1600x900x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield f":{server.stdout.readline().strip()}"
    server.terminate()
    server.wait(DEADLINE_S)
    server.stdout.close()


@linux
def test_under_a_real_x_server_the_video_is_on_the_screen_and_ctrl_c_ends_it(x_server, tmp_path, pictures):
    grab = tmp_path / "screen.png"
    process = subprocess.Popen(
        [sys.executable, "-c", UNDER_X, str(grab)],
        env={**os.environ, "DISPLAY": x_server, "QT_QPA_PLATFORM": "xcb"},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        if line:
            process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert line.startswith("shown"), errors
    assert process.returncode == 0 and rest.strip() == "ended []", errors
    assert "platform plugin" not in errors and "Traceback" not in errors
    x, y, width, height = map(int, line.split()[1:])
    screen = cv2.imread(str(grab))[y : y + height, x : x + width]
    expected = cv2.resize(pictures[0], (width, height), interpolation=cv2.INTER_AREA)
    far = np.abs(screen.astype(int) - expected).max(axis=2) > 40
    assert width > 900 and far.mean() < 0.1  # skeletons, ids and the hint
