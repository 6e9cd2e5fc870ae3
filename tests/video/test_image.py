"""Image files that have more in them, or are no files."""

import os
import types

import cv2
import numpy as np
import pytest

from hprnet_rt.errors import MediaError, OutputError
from hprnet_rt.types import Frame
from hprnet_rt.video import ImageSink, ImageSource, VideoSource
from hprnet_rt.video.silence import quiet
from tests import clips


@pytest.mark.parametrize("pages", [1, 3])
def test_pages_of_a_tiff_are_not_passed_over_in_silence(tmp_path, caplog, pages):
    path = tmp_path / "scan.tif"
    assert cv2.imwritemulti(str(path), [clips.picture(n, 160, 96) for n in range(pages)])
    assert (ImageSource(path).info.width, ImageSource(path).info.height) == (160, 96)
    assert ("only the first" in caplog.text) == (pages > 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
@pytest.mark.parametrize(("name", "kind"), [("pipe.jpg", ImageSource), ("pipe.mp4", VideoSource)])
def test_pipe_is_refused_at_once(tmp_path, name, kind):
    path = tmp_path / name
    os.mkfifo(path)
    with pytest.raises(MediaError, match="a pipe or a device"):
        kind(path)


def test_opencv_says_nothing_of_a_picture_that_is_too_wide(tmp_path, capfd):
    sink = ImageSink(tmp_path / "wide.jpg")
    wide = Frame(0, np.zeros((1, 70_000, 3), np.uint8), 0.0)
    with pytest.raises(OutputError, match="cannot encode"):
        sink.write(types.SimpleNamespace(frame=wide))
    assert capfd.readouterr().err == ""


def test_opencv_speaks_again_when_the_last_is_out():
    before = cv2.utils.logging.getLogLevel()
    with quiet():
        with quiet():
            pass
        assert cv2.utils.logging.getLogLevel() == cv2.utils.logging.LOG_LEVEL_SILENT
    assert cv2.utils.logging.getLogLevel() == before
