"""The kind of live source that a text names: a camera, an address, a screen or a file."""

from dataclasses import replace

import cv2
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.video.capture import LiveOptions, kind_of, open_live, registry
from hprnet_rt.video.capture.camera import CAMERA, CameraSource
from hprnet_rt.video.capture.network import NETWORK, StreamSource
from hprnet_rt.video.capture.playback import Playback
from hprnet_rt.video.capture.registry import LIVE_KINDS
from hprnet_rt.video.capture.screen import SCREEN, ScreenSource
from tests import clips
from tests.video.capture.made_up import MADE_UP, MadeUpSource


@pytest.mark.parametrize(
    ("name", "kind", "source"),
    [
        ("0", CAMERA, CameraSource),
        ("12", CAMERA, CameraSource),
        ("/dev/video2", CAMERA, CameraSource),
        ("rtsp://user:pw@host/live", NETWORK, StreamSource),
        ("HTTP://host/clip.mp4", NETWORK, StreamSource),
        ("udp://127.0.0.1:5000", NETWORK, StreamSource),
        ("screen", SCREEN, ScreenSource),
        ("screen:2", SCREEN, ScreenSource),
        ("made-up:1", MADE_UP, MadeUpSource),
    ],
)
def test_name_chooses_the_source(monkeypatch, name, kind, source):
    monkeypatch.setattr(registry, "LIVE_KINDS", (*LIVE_KINDS, MADE_UP))
    assert kind_of(name) is kind
    assert kind.open is source
    opened = [
        replace(each, open=lambda *given, name=each.name: (name, *given)) for each in registry.LIVE_KINDS
    ]
    monkeypatch.setattr(registry, "LIVE_KINDS", opened)
    options = LiveOptions()
    assert open_live(name, options) == (kind.name, name, options)


def test_anything_else_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clips.make(tmp_path / "screen.mp4", frames=2)
    source = open_live("screen.mp4", LiveOptions())
    assert kind_of("screen.mp4") is None
    assert isinstance(source, Playback)
    source.close()


@pytest.mark.parametrize("name", ["no such.mp4", "", "x" * 5000, "-1", "C:/no/such.mp4"])
def test_missing_file_is_wrong_usage(name):
    with pytest.raises(UsageError, match=r"does not exist|too long"):
        open_live(name, LiveOptions())


def test_missing_file_is_answered_with_all_that_may_be_named(monkeypatch):
    monkeypatch.setattr(registry, "LIVE_KINDS", (*LIVE_KINDS, MADE_UP))
    with pytest.raises(UsageError) as caught:
        open_live("no such.mp4", LiveOptions())
    assert all(kind.summary in str(caught.value) for kind in registry.LIVE_KINDS)


def test_folder_is_wrong_usage(tmp_path):
    with pytest.raises(UsageError, match="folder"):
        open_live(str(tmp_path), LiveOptions())


def test_still_image_is_wrong_usage(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), clips.picture(0, 64, 48))
    with pytest.raises(UsageError, match="still image"):
        open_live(str(tmp_path / "photo.png"), LiveOptions())
