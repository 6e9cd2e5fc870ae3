"""The networks that others compare HPRNet with, described: OpenPose's, and associative embedding.

They return dense maps, not peaks: `ModelSpec.decoding` says how people are made of them. Their names and
shapes, the numbers of their channels and the measure of their input are those of the published files.

Sources: Cao et al., "OpenPose" (2019), and its released networks; Hidalgo et al., "Single-Network Whole-Body
Pose Estimation" (2019); Newell et al., "Associative Embedding" (2017), and Cheng et al., "HigherHRNet"
(2020), as MMPose 0.x has them for COCO-WholeBody.
"""

from __future__ import annotations

from typing import Final

from hprnet_rt import skeleton
from hprnet_rt.spec.model import HeadSpec, ModelSpec

__all__ = ["CROPS", "FINE", "OPENPOSE_WHOLEBODY", "RIVALS", "WHOLEBODY_PARTS"]

# (pixel / 256 - 0.5), written as a mean and a deviation of values in [0, 1]
_HALF: Final = (128 / 255, 128 / 255, 128 / 255)
_WHOLE: Final = (256 / 255, 256 / 255, 256 / 255)
_IMAGENET_MEAN: Final = (0.406, 0.456, 0.485)  # BGR
_IMAGENET_STD: Final = (0.225, 0.224, 0.229)
FINE: Final = "heat_fine"
"""The head whose maps have half the stride of the others."""
_BODY: Final = skeleton.KEYPOINT_NAMES[skeleton.BODY]


def _openpose(
    name: str,
    decoding: str,
    heat: int,
    paf: int,
    trained: tuple[str, ...],
    *,
    height_px: int,
    multiple_px: int,
) -> ModelSpec:
    heads = [HeadSpec("heat", heat, "parts, and the background where there is one", dense=True)]
    if paf:
        heads.append(HeadSpec("paf", paf, "(x, y) of the part affinity field of each pair", dense=True))
    return ModelSpec(
        name=name,
        joints=_BODY,
        heads=tuple(heads),
        parts=(),
        trained=trained,
        mean=_HALF,
        std=_WHOLE,
        stride_px=8,
        multiple_px=multiple_px,
        input_px=height_px,
        decoding=decoding,
    )


def _associative(name: str, *, higher: bool) -> ModelSpec:
    points = skeleton.NUM_KEYPOINTS
    heads = [HeadSpec("heat_tags", 2 * points, "heat-maps of all points, then their tags", dense=True)]
    if higher:
        heads.append(HeadSpec(FINE, points, "heat-maps of all points at stride 2", dense=True))
    return ModelSpec(
        name=name,
        joints=skeleton.KEYPOINT_NAMES,
        heads=tuple(heads),
        parts=(),
        trained=tuple(skeleton.PARTS),
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        stride_px=4,
        multiple_px=64,
        input_px=512,
        decoding="associative",
    )


RIVALS: Final[dict[str, ModelSpec]] = {
    spec.name: spec
    for spec in (
        _openpose("openpose-body18", "body18", 19, 38, ("body",), height_px=368, multiple_px=8),
        _openpose("openpose-hand", "crop", 22, 0, ("left_hand", "right_hand"), height_px=368, multiple_px=8),
        _openpose("openpose-face", "crop", 71, 0, ("face",), height_px=384, multiple_px=8),
        _openpose("openpose-body25", "affinity", 26, 52, ("body", "feet"), height_px=368, multiple_px=16),
        _openpose(
            "openpose-body135", "affinity", 135, 304, tuple(skeleton.PARTS), height_px=480, multiple_px=16
        ),
        _associative("ae-hrnet-w32", higher=False),
        _associative("ae-higherhrnet-w32", higher=True),
    )
}
"""Every network of a rival, by name. `input_px` is the height of the input, of AE the shorter side; crops of
hands and faces are squares of it."""

OPENPOSE_WHOLEBODY: Final = "openpose-wholebody"
"""OpenPose as its users know it: the body, and for each person two more networks on crops."""

WHOLEBODY_PARTS: Final = ("openpose-body18", "openpose-hand", "openpose-face")
"""The networks of which `OPENPOSE_WHOLEBODY` consists."""

CROPS: Final = ("openpose-hand", "openpose-face")
"""Networks that see a crop, and cannot be run alone."""
