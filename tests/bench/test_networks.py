"""The comparators: their shapes and outputs."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.bench import tensor_decode, zoomnet  # noqa: E402
from hprnet_rt.bench.scenes import planted_heads  # noqa: E402
from hprnet_rt.geometry import Letterbox  # noqa: E402
from hprnet_rt.grouping import GroupingOptions, decode_dense  # noqa: E402
from hprnet_rt.model.hrnet import HeatMapNet, HRNetShape  # noqa: E402
from hprnet_rt.spec import HPRNET_DLA34, HPRNET_MOBILE  # noqa: E402

PUBLISHED_M = {"W32": 28.54, "W18": 9.66, "Faster R-CNN": 41.76}
"""Millions of parameters: HRNet's and HRNetV2's with 17 and 98 points, torchvision's detector."""
WIDE = Letterbox.fit((720, 1280), (224, 384))


def millions(network):
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def test_the_networks_have_the_published_size():
    with torch.device("meta"):
        assert millions(HeatMapNet(HRNetShape(32), None, 17)) == pytest.approx(PUBLISHED_M["W32"], rel=0.001)
        w18 = HeatMapNet(HRNetShape(18), None, 98, every=True)
        assert millions(w18) == pytest.approx(PUBLISHED_M["W18"], rel=0.001)
        assert millions(zoomnet.FasterRcnn()) == pytest.approx(PUBLISHED_M["Faster R-CNN"], rel=0.002)


def test_zoomnet_gives_heat_maps_of_all_parts_of_everyone():
    with torch.device("meta"), torch.no_grad():
        body, face, hands = zoomnet.ZoomNet().eval()(torch.zeros(3, 3, 384, 288))
        assert body.shape == (3, 26, 96, 72)
        assert face.shape == (3, 68, 64, 64)
        assert hands.shape == (6, 21, 64, 64)
        scores, boxes = zoomnet.FasterRcnn().eval()(torch.zeros(1, 3, 320, 512))
        assert scores.shape == (1000, 91)
        assert boxes.shape == (1000, 364)


@pytest.mark.parametrize("spec", [HPRNET_DLA34, HPRNET_MOBILE], ids=lambda spec: spec.name)
def test_the_released_path_as_tensors_gives_what_the_released_matching_gives(spec):
    heads = planted_heads(spec, 6, WIDE.input_hw)
    rows = tensor_decode.group(tensor_decode.decode(heads, spec, 32), spec, WIDE, 0.5)
    options = GroupingOptions(person_threshold=0.5, matching="released")
    (poses,) = decode_dense(heads, spec, [WIDE], options=options)
    rows = np.array(rows)
    assert len(rows) == len(poses) == 6
    joints = rows[:, 5 : 5 + 2 * spec.num_joints].reshape(6, -1, 2)
    known = [
        (joint, keypoint)
        for joint, keypoint in enumerate(spec.keypoint_of_joint)
        if keypoint >= 0 and spec.trained_keypoints[keypoint]
    ]
    for joint, keypoint in known:
        np.testing.assert_allclose(joints[:, joint], poses.xy[:, keypoint], atol=0.01)  # px
    face = 5 + 2 * spec.num_joints + 1
    points = rows[:, face : face + 136].reshape(6, 68, 2)
    np.testing.assert_allclose(points, poses.xy[:, 23:91], atol=0.01)


def test_a_torch_without_a_gpu_runs_the_detector_on_pictures_as_they_come():
    """Channels last, as `permute` leaves them."""
    with torch.inference_mode():
        images = torch.zeros(1, 128, 160, 3).permute(0, 3, 1, 2)
        scores, _ = zoomnet.FasterRcnn().eval()(images)
    assert scores.shape == (1000, 91)
