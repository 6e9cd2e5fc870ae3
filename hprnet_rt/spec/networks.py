"""Every network of this project, described."""

from __future__ import annotations

import dataclasses
from typing import Final

from hprnet_rt import skeleton
from hprnet_rt.errors import ModelError
from hprnet_rt.refinement import RefinedPart, Refinement
from hprnet_rt.spec.model import HeadSpec, ModelSpec, PartSpec

__all__ = [
    "HPRNET_DLA34",
    "HPRNET_DLA34_BASELINE",
    "HPRNET_DLA34_HM1",
    "HPRNET_DLA34_R",
    "HPRNET_HOURGLASS104",
    "HPRNET_MOBILE",
    "JOINTS_26",
    "SPECS",
    "refined",
]

_CENTERS: Final = {
    "face": "face_center",
    "left_hand": "left_hand_center",
    "right_hand": "right_hand_center",
}
JOINTS_26: Final[tuple[str, ...]] = (
    *skeleton.KEYPOINT_NAMES[skeleton.BODY],
    *skeleton.KEYPOINT_NAMES[skeleton.FEET],
    *_CENTERS.values(),
)
"""HPRNet's joints (HM-II): 17 body, 6 feet, then the centres of the face and of both hands."""


def _person_heads(joints: int, offset_channels: int = 2) -> dict[str, HeadSpec]:
    """Return CenterNet's branches, which every network of the family has, by name."""
    heads = (
        HeadSpec("hm", 1, "person centre, logit", dense=True),
        HeadSpec("wh", 2, "person box width, height"),
        HeadSpec("hps", 2 * joints, "(dx, dy) of each joint from the integer person centre"),
        HeadSpec("reg", 2, "sub-cell offset of the person centre"),
        HeadSpec("hm_hp", joints, "joints, logits", dense=True),
        HeadSpec("hp_offset", offset_channels, "sub-cell offset of a joint"),
    )
    return {head.name: head for head in heads}


_FACE: Final = HeadSpec(
    "face_lms", 2 * skeleton.num_points("face"), "(dx, dy) of each face point from its centre"
)
_HANDS: Final = HeadSpec(
    "hand_lms", 4 * skeleton.num_points("left_hand"), "(dx, dy) of each hand point, left hand first"
)
_FEET: Final = HeadSpec(
    "foot_lms", 4 * skeleton.num_points("left_foot"), "(dx, dy) of each foot point, left foot first"
)
_FACE_SIZE: Final = HeadSpec("wh_face", 2, "face box width, height")


def _hierarchical_heads(joints: int, offset_channels: int = 2) -> tuple[HeadSpec, ...]:
    """Return the nine branches of HPRNet, in the released code's order."""
    person = _person_heads(joints, offset_channels)
    return (
        person["hm"],
        person["wh"],
        person["hps"],
        _FACE_SIZE,
        _FACE,
        _HANDS,
        person["reg"],
        person["hm_hp"],
        person["hp_offset"],
    )


_FACE_AND_HANDS: Final = (
    PartSpec("face", _CENTERS["face"], "face_lms", size_head="wh_face"),
    PartSpec("left_hand", _CENTERS["left_hand"], "hand_lms"),
    PartSpec(
        "right_hand", _CENTERS["right_hand"], "hand_lms", first_channel=2 * skeleton.num_points("left_hand")
    ),
)

_REFINED: Final = (
    RefinedPart("face", steps=2, width=16),
    RefinedPart("left_hand", steps=2, width=32, reach=(0.25, 0.15)),
    RefinedPart("right_hand", steps=2, width=32, reach=(0.25, 0.15)),
)

HPRNET_MOBILE: Final = ModelSpec(
    name="hprnet-mobile",
    joints=JOINTS_26,
    heads=_hierarchical_heads(len(JOINTS_26), 2 * len(JOINTS_26)),
    parts=_FACE_AND_HANDS,
    trained=(
        "body",
        "left_big_toe",
        "left_heel",
        "right_big_toe",
        "right_heel",
        "face",
        "left_hand",
        "right_hand",
    ),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    input_px=384,
    margin=0.35,
    offset_per_joint=True,
    refinement=Refinement(_REFINED, features=24 + 64, local=(24, 24 + 64)),
)
"""HPRNet's heads on MoveNet MultiPose's trunk, whose boxes ended at the body's joints, before hands and feet.

Face and hands are refined. There were no labels of small toes to learn from.
"""

HPRNET_DLA34: Final = ModelSpec(
    name="hprnet-dla34",
    joints=JOINTS_26,
    heads=_hierarchical_heads(len(JOINTS_26)),
    parts=_FACE_AND_HANDS,
    trained=tuple(skeleton.PARTS),
    mean=(0.40789654, 0.44719302, 0.47026115),
    std=(0.28863828, 0.27408164, 0.27809835),
)
"""The paper's network: feet are joints of their own (HM-II)."""

HPRNET_HOURGLASS104: Final = dataclasses.replace(HPRNET_DLA34, name="hprnet-hourglass104", multiple_px=128)
"""The paper's slower, more accurate network."""

_FOOT_CENTERS: Final = ("left_foot_center", "right_foot_center")

HPRNET_DLA34_HM1: Final = dataclasses.replace(
    HPRNET_DLA34,
    name="hprnet-dla34-hm1",
    joints=(*skeleton.KEYPOINT_NAMES[skeleton.BODY], *_CENTERS.values(), *_FOOT_CENTERS),
    heads=(*_hierarchical_heads(len(_CENTERS) + skeleton.num_points("body") + len(_FOOT_CENTERS)), _FEET),
    parts=(
        *_FACE_AND_HANDS,
        PartSpec("left_foot", _FOOT_CENTERS[0], "foot_lms"),
        PartSpec(
            "right_foot", _FOOT_CENTERS[1], "foot_lms", first_channel=2 * skeleton.num_points("left_foot")
        ),
    ),
)
"""The paper's HM-I: feet are read at their centres, as hands are. Not among the released networks."""

HPRNET_DLA34_BASELINE: Final = dataclasses.replace(
    HPRNET_DLA34,
    name="hprnet-dla34-baseline",
    joints=skeleton.KEYPOINT_NAMES,
    heads=tuple(_person_heads(skeleton.NUM_KEYPOINTS).values()),
    parts=(),
)
"""The paper's baseline (figure 4a): CenterNet, all 133 points regressed from the person's centre."""

_DLA_FEATURES: Final = 64


def refined(spec: ModelSpec, features: int) -> ModelSpec:
    """Return a network of the paper with its face and hands refined; its name gets the ending "-r".

    Args:
        spec: a network with parts that have centres of their own.
        features: channels of its feature map.

    Raises:
        ModelError: its points are all regressed from the person's centre.
    """
    if not spec.parts:
        raise ModelError(f"{spec.name} has no parts with a centre of their own, which could be refined")
    return dataclasses.replace(
        spec, name=f"{spec.name}-r", refinement=Refinement(_REFINED, features, (0, features))
    )


HPRNET_DLA34_R: Final = refined(HPRNET_DLA34, _DLA_FEATURES)
"""The paper's network with face and hands refined: for those who have COCO-WholeBody to train it on."""

SPECS: Final[dict[str, ModelSpec]] = {
    spec.name: spec
    for spec in (
        HPRNET_MOBILE,
        HPRNET_DLA34,
        HPRNET_HOURGLASS104,
        HPRNET_DLA34_HM1,
        HPRNET_DLA34_BASELINE,
        HPRNET_DLA34_R,
    )
}
"""Every network of this project, by name."""
