"""The peer from another package: the message without it, and the number of its calls with it."""

import importlib.util
import sys
import types

import pytest

from hprnet_rt.bench.mediapipe import MediaPipePipeline
from hprnet_rt.bench.scenes import picture
from hprnet_rt.cli import main
from hprnet_rt.errors import BackendError

FAILED = 1


def test_without_the_package_the_command_says_what_to_install(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "mediapipe" else find(name, *more)
    )
    assert main(["bench", "people", "--mediapipe"]) == FAILED
    assert "pip install mediapipe==" in capsys.readouterr().err


def test_a_wheel_without_models_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", types.SimpleNamespace(__version__="9.9"))
    with pytest.raises(BackendError, match=r"MediaPipe 9\.9 has no Holistic"):
        MediaPipePipeline(None)


def test_everyone_s_crop_goes_to_an_instance_of_their_own(monkeypatch):
    seen = []

    class Holistic:
        def process(self, image):
            seen.append((id(self), image))

    solutions = types.SimpleNamespace(holistic=types.SimpleNamespace(Holistic=Holistic))
    monkeypatch.setitem(sys.modules, "mediapipe", types.SimpleNamespace(__version__="1", solutions=solutions))
    pipeline = MediaPipePipeline(None)
    scene = picture(3, (640, 360))
    for _ in range(2):
        times = pipeline(scene, 3)
    assert times["end to end"] == times["pose"] > 0
    assert len(seen) == 6
    assert [who for who, _ in seen[:3]] == [who for who, _ in seen[3:]]
    assert len({who for who, _ in seen}) == 3
    crops = [image for _, image in seen[:3]]
    assert all(0 < crop.shape[0] < 360 and 0 < crop.shape[1] < 640 for crop in crops)
    assert len({crop.tobytes() for crop in crops}) == 3
