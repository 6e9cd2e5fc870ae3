"""ModelSpec and HeadSpec: every head's name, channels, stride and meaning. The one source of widths.

A network is described once by its `ModelSpec`. The torch module, the ONNX export, the decode, training
and evaluation all read names and widths from it, and so does the layout of the packed output that an
engine returns (`PeakLayout`).
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, Final

from hprnet_rt import skeleton
from hprnet_rt.errors import ModelError
from hprnet_rt.refinement import RefinedPart, Refinement

__all__ = [
    "HPRNET_DLA34",
    "HPRNET_DLA34_BASELINE",
    "HPRNET_DLA34_HM1",
    "HPRNET_DLA34_R",
    "HPRNET_HOURGLASS104",
    "HPRNET_MOBILE",
    "JOINTS_26",
    "SPECS",
    "HeadSpec",
    "ModelSpec",
    "PartSpec",
    "PeakLayout",
    "refined",
]

_CENTERS: Final = {
    "face": "face_center",
    "left_hand": "left_hand_center",
    "right_hand": "right_hand_center",
}
_ANCHORS: Final = {
    "face": "nose",
    "left_hand": "left_wrist",
    "right_hand": "right_wrist",
    "left_foot": "left_ankle",
    "right_foot": "right_ankle",
}
JOINTS_26: Final[tuple[str, ...]] = (
    *skeleton.KEYPOINT_NAMES[skeleton.BODY],
    *skeleton.KEYPOINT_NAMES[skeleton.FEET],
    *_CENTERS.values(),
)
"""HPRNet's joints (HM-II): 17 body, 6 feet, then the centres of the face and of both hands."""


@dataclass(frozen=True)
class HeadSpec:
    """One output branch of the network.

    Attributes:
        name: the released code's name of the branch.
        channels: output channels.
        meaning: what a value is, in output cells unless it is a logit.
        dense: read everywhere (a heat-map), not only at peaks.
    """

    name: str
    channels: int
    meaning: str
    dense: bool = False


@dataclass(frozen=True)
class PartSpec:
    """A part whose points are regressed from the part's own centre (paper, section 3.1).

    Attributes:
        name: "face", "left_hand", ...; a key of `skeleton.REGIONS`.
        center: the joint that is the part's centre.
        head: the branch that holds the points as (dx, dy) pairs.
        first_channel: where this part's points start in that branch.
        size_head: the branch that holds the part's box width and height, or None.
    """

    name: str
    center: str
    head: str
    first_channel: int = 0
    size_head: str | None = None

    @property
    def keypoints(self) -> slice:
        """Where the part stands among the 133 points."""
        return skeleton.REGIONS[self.name]

    @property
    def num_keypoints(self) -> int:
        """Points of the part."""
        return skeleton.num_points(self.name)


@dataclass(frozen=True)
class ModelSpec:
    """A network of the HPRNet family.

    Attributes:
        name: public name, e.g. "hprnet-mobile".
        joints: names of the heat-map joints in channel order; a joint is a keypoint or a part's centre.
        heads: every branch.
        parts: the parts regressed from their own centre.
        trained: keys of `skeleton.PARTS`, and names of keypoints, that the weights know; all others are
            absent in the output.
        mean, std: per BGR channel, of values in [0, 1].
        stride_px: input pixels per output cell.
        multiple_px: input width and height are multiples of this.
        input_px: longer side of the input unless the user says otherwise.
        margin: how far around a person's box the person's peaks may lie, in units of its longer side: 0 where
            the box holds the whole person, as in the paper.
        offset_per_joint: `hp_offset` has a pair of channels per joint instead of one shared pair.
        refinement: which parts are refined, and how; None where points stay as they are regressed.
    """

    name: str
    joints: tuple[str, ...]
    heads: tuple[HeadSpec, ...]
    parts: tuple[PartSpec, ...]
    trained: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    stride_px: int = 4
    multiple_px: int = 32
    input_px: int = 512
    margin: float = 0.0
    offset_per_joint: bool = False
    refinement: Refinement | None = None

    @property
    def num_joints(self) -> int:
        """Joints with a heat-map, part centres included."""
        return len(self.joints)

    def head(self, name: str) -> HeadSpec:
        """The branch called `name`; KeyError when the network has none."""
        return {head.name: head for head in self.heads}[name]

    def joint(self, name: str) -> int:
        """Channel of the joint called `name`."""
        return self.joints.index(name)

    @property
    def keypoint_of_joint(self) -> tuple[int, ...]:
        """For each joint its index among the 133 points, -1 for a part's centre."""
        index = {name: i for i, name in enumerate(skeleton.KEYPOINT_NAMES)}
        return tuple(index.get(name, -1) for name in self.joints)

    @property
    def anchor_of_joint(self) -> tuple[int, ...]:
        """For each joint the joint of the body that it goes with (a foot's ankle), -1 for the body's own."""
        found = [-1] * self.num_joints
        for region, anchor in _ANCHORS.items():
            names = {*skeleton.KEYPOINT_NAMES[skeleton.REGIONS[region]], f"{region}_center"}
            for joint, name in enumerate(self.joints):
                if name in names:
                    found[joint] = self.joint(anchor)
        return tuple(found)

    @property
    def flip_index(self) -> tuple[int, ...]:
        """For each joint its mirror partner (itself on the middle line)."""
        keypoints = self.keypoint_of_joint
        joint_of = {keypoint: joint for joint, keypoint in enumerate(keypoints) if keypoint >= 0}
        partner = []
        for joint, keypoint in enumerate(keypoints):
            if keypoint >= 0:
                partner.append(joint_of[skeleton.FLIP_INDEX[keypoint]])
                continue
            side, _, rest = self.joints[joint].partition("_")
            other = {"left": "right", "right": "left"}.get(side)
            partner.append(self.joint(f"{other}_{rest}") if other else joint)
        return tuple(partner)

    @property
    def trained_keypoints(self) -> tuple[bool, ...]:
        """For each of the 133 points whether the weights know it."""
        known = {name for name in self.trained if name not in skeleton.PARTS}
        for part in self.trained:
            known.update(skeleton.KEYPOINT_NAMES[skeleton.PARTS.get(part, slice(0))])
        return tuple(name in known for name in skeleton.KEYPOINT_NAMES)

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers, for a sidecar file."""
        data = dataclasses.asdict(self)
        if self.refinement is None:
            del data["refinement"]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelSpec:
        """Read back what `to_dict` wrote.

        Raises:
            ModelError: a field is missing, unknown or of the wrong shape.
        """
        try:
            fields = dict(data)
            fields["heads"] = tuple(HeadSpec(**head) for head in fields["heads"])
            fields["parts"] = tuple(PartSpec(**part) for part in fields["parts"])
            for name in ("joints", "trained", "mean", "std"):
                fields[name] = tuple(fields[name])
            if fields.get("refinement") is not None:
                fields["refinement"] = Refinement.from_dict(fields["refinement"])
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model description cannot be read: {error}") from error


def _person_heads(joints: int, offset_channels: int = 2) -> dict[str, HeadSpec]:
    """CenterNet's branches, which every network of the family has."""
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
    """The nine branches of HPRNet, in the released code's order."""
    person = _person_heads(joints, offset_channels)
    return (
        *(person["hm"], person["wh"], person["hps"], _FACE_SIZE, _FACE, _HANDS),
        *(person["reg"], person["hm_hp"], person["hp_offset"]),
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
        *("body", "left_big_toe", "left_heel", "right_big_toe", "right_heel"),
        *("face", "left_hand", "right_hand"),
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
    """A network of the paper with its face and hands refined, called after it with "-r" behind.

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
        *(HPRNET_MOBILE, HPRNET_DLA34, HPRNET_HOURGLASS104),
        *(HPRNET_DLA34_HM1, HPRNET_DLA34_BASELINE, HPRNET_DLA34_R),
    )
}
"""Every network of this project, by name."""


@dataclass(frozen=True)
class PeakLayout:
    """Columns of an engine's one output, (batch, K, width) float32; row k belongs to rank k.

    A row holds the k-th strongest person, the k-th strongest peak of every joint, and the part points
    read at the k-th strongest peak of the part's centre; `*_regressed` parts are read at the centre that
    person k regresses instead. Positions are absolute, in output cells, x before y; scores are
    probabilities.

    An engine that refines has refined points here, and behind all else the confidence of each
    (`face_peak_confidence`, ...).

    Attributes:
        fields: (name, first column, columns a row) in order.
    """

    fields: tuple[tuple[str, int, int], ...]

    @classmethod
    @functools.cache
    def of(cls, spec: ModelSpec, *, refined: bool = False) -> PeakLayout:
        """The layout of `spec`'s output; `refined` of an engine that refines."""
        joints = spec.num_joints
        widths = [
            ("person_score", 1),
            ("person_cell", 2),
            ("person_offset", 2),
            ("person_wh", 2),
            ("joint_regressed", 2 * joints),
            ("joint_regressed_score", joints),
            ("peak_score", joints),
            ("peak_xy", 2 * joints),
        ]
        for part in spec.parts:
            for where in ("peak", "regressed"):
                widths.append((f"{part.name}_{where}", 2 * part.num_keypoints))
                if part.size_head:
                    widths.append((f"{part.name}_{where}_wh", 2))
        if refined and spec.refinement is not None:
            for corrected in spec.refinement.parts:
                widths += [
                    (f"{corrected.name}_{where}_confidence", corrected.num_keypoints)
                    for where in ("peak", "regressed")
                ]
        fields, first = [], 0
        for name, width in widths:
            fields.append((name, first, width))
            first += width
        return cls(tuple(fields))

    @classmethod
    def matching(cls, spec: ModelSpec, width: int) -> PeakLayout:
        """The layout of `spec`'s output that has so many columns; the usual one where none has."""
        inside = cls.of(spec, refined=True)
        return inside if inside.width == width else cls.of(spec)

    @property
    def is_refined(self) -> bool:
        """Whether points have been refined, and have a confidence."""
        return self.fields[-1][0].endswith("_confidence")

    @property
    def width(self) -> int:
        """Columns of a row."""
        _, first, columns = self.fields[-1]
        return first + columns

    @functools.cached_property
    def columns(self) -> dict[str, slice]:
        """Field name to its columns."""
        return {name: slice(first, first + width) for name, first, width in self.fields}
