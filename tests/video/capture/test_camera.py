"""Cameras, simulated by a device that does as it is told."""

import errno
import logging
import os
import threading
import time

import cv2
import pytest

from hprnet_rt import cli
from hprnet_rt.errors import MediaError
from hprnet_rt.video.capture import CameraInfo, CameraMode, LiveOptions, camera, device, list_cameras
from hprnet_rt.video.capture.camera import CameraSource
from tests import clips
from tests.video.capture.devices import FakeDevice
from tests.video.conftest import source_threads, wait_for


def test_frames_are_numbered_and_timed(fake):
    source = CameraSource("0", LiveOptions())
    frames = iter(source)
    taken = [next(frames) for _ in range(5)]
    assert [frame.sequence for frame in taken] == [0, 1, 2, 3, 4]
    assert taken[0].pts == 0
    for frame in taken:
        assert frame.pts_s == pytest.approx(frame.captured_s - taken[0].captured_s, abs=1e-4)
        assert frame.captured_s <= time.perf_counter()
    assert (source.info.width, source.info.height, source.info.rate) == (640, 480, 30)
    assert source.info.source == "camera 0"
    source.close()
    source.close()
    assert fake.released.is_set()
    assert fake.threads == {"hprnet-camera"}


def test_slow_taker_gets_the_newest_picture(fake):
    source = CameraSource("0", LiveOptions())
    frames = iter(source)
    next(frames)
    reads = fake.reads
    assert wait_for(lambda: fake.reads > reads + 10)
    at_s = time.perf_counter()
    assert at_s - next(frames).captured_s < 0.1
    source.close()


def test_camera_is_asked_for_size_rate_and_mjpg_and_says_what_it_gives(fake, caplog):
    caplog.set_level(logging.INFO, "hprnet_rt")
    source = CameraSource("0", LiveOptions(width=1920, height=1080, fps=30, mjpg=True))
    source.close()
    assert (source.info.width, source.info.height, source.info.rate) == (1280, 720, 30)
    (message,) = caplog.messages
    assert "1920 px wide" in message
    assert "it gives 1280x720 at 30" in message
    assert "30 frames a second," not in message  # that was given


def test_nothing_is_said_when_the_camera_gives_what_was_asked(fake, caplog):
    caplog.set_level(logging.INFO, "hprnet_rt")
    CameraSource("0", LiveOptions(width=1280, height=720, fps=10)).close()
    assert caplog.messages == []


def test_single_bad_reads_are_left_out(fake):
    source = CameraSource("0", LiveOptions())
    frames = iter(source)
    next(frames)
    fake.failures = 3
    assert [next(frames).sequence for _ in range(5)] == [1, 2, 3, 4, 5]
    source.close()


@pytest.mark.parametrize("how", ["fails", "raises"])
def test_camera_that_vanishes_is_an_error_at_once(fake, how):
    source = CameraSource("0", LiveOptions())
    frames = iter(source)
    next(frames)
    if how == "fails":
        fake.failures = 10**9
    else:
        fake.broken.set()
    started_s = time.perf_counter()
    with pytest.raises(MediaError, match="camera 0 stopped giving pictures"):
        list(frames)
    assert time.perf_counter() - started_s < 2
    source.close()
    assert fake.released.is_set()


def test_camera_that_blocks_is_an_error_after_the_timeout_and_not_a_hang(fake, caplog):
    source = CameraSource("0", LiveOptions(timeout_s=1.3))
    frames = iter(source)
    next(frames)
    fake.block.set()
    seen = set()
    watching = threading.Event()

    def watch():
        while not watching.wait(0.01):
            seen.add(source.status)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started_s = time.perf_counter()
    with pytest.raises(MediaError, match=r"camera 0 stopped giving pictures \(none came for 1.3 s\)"):
        list(frames)
    assert 1 < time.perf_counter() - started_s < 2
    watching.set()
    watcher.join()
    assert "no picture for 1 s" in seen
    started_s = time.perf_counter()
    source.close()
    source.close()
    assert time.perf_counter() - started_s < 1
    assert caplog.messages == ["camera 0 does not answer; it is freed when it does"]
    assert not fake.released.is_set()
    fake.unblock.set()
    assert fake.released.wait(5)


def test_interrupt_ends_the_iteration_while_the_camera_blocks(fake):
    source = CameraSource("0", LiveOptions())
    frames = iter(source)
    next(frames)
    fake.block.set()
    interrupted_s = []

    def interrupt():
        interrupted_s.append(time.perf_counter())
        source.interrupt()

    threading.Timer(0.2, interrupt).start()
    list(frames)
    assert time.perf_counter() - interrupted_s[0] < 0.2
    source.pause(True)  # nothing, and no error
    fake.unblock.set()
    source.close()


def test_camera_that_never_gives_a_picture_is_an_error(fake):
    fake.block.set()
    with pytest.raises(MediaError, match=r"camera 0 gives no pictures \(none came within 0.2 s\)"):
        CameraSource("0", LiveOptions(timeout_s=0.2))


def test_frames_before_a_late_iteration_are_not_given_late(fake):
    source = CameraSource("0", LiveOptions())
    assert wait_for(lambda: fake.reads > 10)  # a model is loaded meanwhile
    assert time.perf_counter() - next(iter(source)).captured_s < 0.1
    source.close()


def test_what_opencv_itself_gives_is_read_to_its_end(monkeypatch, tmp_path):
    clip = clips.make(tmp_path / "clip.avi", codec="mjpeg", pix_fmt="yuvj420p", frames=5)
    monkeypatch.setattr(camera, "open_device", lambda _device: cv2.VideoCapture(str(clip)))
    source = CameraSource("0", LiveOptions(width=640))
    assert (source.info.width, source.info.height, source.info.rate) == (160, 96, 25)
    with pytest.raises(MediaError, match="stopped giving pictures"):
        for frame in source:
            assert frame.image.shape == (96, 160, 3)
    source.close()


# --- why a camera does not open ---


@pytest.fixture
def closed(monkeypatch, tmp_path):
    """A device file that OpenCV does not open; what the system says of it."""
    monkeypatch.setattr(device.sys, "platform", "linux")
    monkeypatch.setattr(camera, "open_device", lambda _device: FakeDevice(opens=False))
    path = tmp_path / "video3"
    monkeypatch.setattr(device, "_path", lambda _device: path)

    def says(number):
        path.touch()
        real = os.open

        def refuse(file, *arguments):
            if file == path:
                raise OSError(number, os.strerror(number))
            return real(file, *arguments)

        monkeypatch.setattr(device.os, "open", refuse)

    return says


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOENT, "camera 3 does not exist; `hprnet-rt cameras` lists those that do"),
        (errno.ENODEV, "camera 3 does not exist"),
        (errno.EACCES, "may not be opened by this user; on Linux, join the group video"),
        (errno.EBUSY, "is used by another program"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_the_system_says_why_a_camera_does_not_open(closed, number, words):
    closed(number)
    with pytest.raises(MediaError) as caught:
        CameraSource("3", LiveOptions())
    assert words in str(caught.value)
    assert source_threads() == []


@pytest.mark.skipif(os.name != "posix", reason="asks the driver through ioctl")
def test_device_file_that_is_no_camera_is_named_so(closed, tmp_path):
    (tmp_path / "video3").touch()
    with pytest.raises(MediaError, match="camera 3 gives no pictures"):
        CameraSource("3", LiveOptions())


def test_camera_that_opens_for_the_system_only_is_busy(closed, tmp_path, monkeypatch):
    (tmp_path / "video3").touch()
    monkeypatch.setattr(device, "_captures", lambda _path: True)
    with pytest.raises(MediaError, match="used by another program"):
        CameraSource("3", LiveOptions())


def test_without_device_files_the_usual_reasons_are_named(monkeypatch):
    monkeypatch.setattr(camera, "open_device", lambda _device: FakeDevice(opens=False))
    monkeypatch.setattr(device, "_path", lambda _device: None)
    with pytest.raises(MediaError, match="privacy settings"):
        CameraSource("3", LiveOptions())


def test_missing_camera_of_this_computer_is_one_sentence_without_noise():
    with pytest.raises(MediaError, match="camera 97"):
        CameraSource("97", LiveOptions())


# --- which cameras there are ---

MODES = (
    CameraMode(640, 480, 30.0, False),
    CameraMode(1280, 720, 10.0, False),
    CameraMode(640, 480, 30.0, True),
    CameraMode(1280, 720, 30.0, True),
)


@pytest.fixture
def listed(fake, monkeypatch, tmp_path):
    """Linux with a camera, its metadata node, and a camera that may not be opened."""
    monkeypatch.setattr(device.sys, "platform", "linux")
    monkeypatch.setattr(device, "_CLASS", tmp_path)
    for number, name in (("0", "Front camera"), ("1", "Front camera"), ("10", "Grabber")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(f"{name}\n")
    can = {"0": True, "1": False, "10": None}
    monkeypatch.setattr(device, "_captures", lambda path: can[path.name.removeprefix("video")])
    monkeypatch.setattr(device, "open_device", lambda name: fake if name == "0" else FakeDevice(opens=False))
    monkeypatch.setattr(device, "why_closed", lambda _device: "is used by another program")
    return fake


def test_cameras_are_listed_with_name_and_modes_each_once(listed):
    assert list_cameras() == [
        CameraInfo("0", "Front camera", True, modes=MODES),
        CameraInfo("10", "Grabber", False, "is used by another program"),
    ]
    assert listed.released.is_set()


def test_where_the_system_lists_none_numbers_are_tried(monkeypatch, fake):
    monkeypatch.setattr(device.sys, "platform", "darwin")
    monkeypatch.setattr(device, "open_device", lambda name: fake if name == "1" else FakeDevice(opens=False))
    assert list_cameras() == [CameraInfo("1", "", True, modes=MODES)]


def test_command_prints_a_line_for_each_camera(listed, capfd):
    assert cli.main(["cameras"]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert first == (
        "0  Front camera  640x480 at 30, 1280x720 at 10, 640x480 at 30 mjpg, 1280x720 at 30 mjpg"
    )
    assert second == "10  Grabber  is used by another program"


def test_command_says_when_there_is_none(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(device.sys, "platform", "linux")
    monkeypatch.setattr(device, "_CLASS", tmp_path / "none")
    assert cli.main(["cameras"]) == 0
    assert capfd.readouterr().out == "no camera was found\n"
