"""What a name means: a camera, an address, a screen or a file."""

import cv2
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.video.capture import LiveOptions, camera, open_live, screen
from hprnet_rt.video.capture import network as stream
from hprnet_rt.video.capture.playback import Playback
from tests import clips


@pytest.mark.parametrize(
    ("name", "module", "kind"),
    [
        ("0", camera, "CameraSource"),
        ("12", camera, "CameraSource"),
        ("/dev/video2", camera, "CameraSource"),
        ("rtsp://user:pw@host/live", stream, "StreamSource"),
        ("HTTP://host/clip.mp4", stream, "StreamSource"),
        ("udp://127.0.0.1:5000", stream, "StreamSource"),
        ("screen", screen, "ScreenSource"),
        ("screen:2", screen, "ScreenSource"),
    ],
)
def test_name_chooses_the_source(monkeypatch, name, module, kind):
    monkeypatch.setattr(module, kind, lambda *arguments: (kind, *arguments))
    options = LiveOptions()
    assert open_live(name, options) == (kind, name, options)


def test_anything_else_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clips.make(tmp_path / "screen.mp4", frames=2)
    source = open_live("screen.mp4", LiveOptions())
    assert isinstance(source, Playback)
    source.close()


@pytest.mark.parametrize("name", ["no such.mp4", "", "x" * 5000, "-1", "C:/no/such.mp4"])
def test_missing_file_is_wrong_usage(name):
    with pytest.raises(UsageError, match=r"does not exist|too long"):
        open_live(name, LiveOptions())


def test_folder_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="folder"):
        open_live(str(tmp_path), LiveOptions())


def test_still_image_is_wrong_usage(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), clips.picture(0, 64, 48))
    with pytest.raises(UsageError, match="still image"):
        open_live(str(tmp_path / "photo.png"), LiveOptions())
