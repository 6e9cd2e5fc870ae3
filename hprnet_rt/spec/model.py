"""The description of a network: its heads, joints and parts."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

from hprnet_rt import skeleton
from hprnet_rt.errors import ModelError
from hprnet_rt.refinement import Refinement

__all__ = ["HeadSpec", "ModelSpec", "PartSpec"]

_ANCHORS: Final = {
    "face": "nose",
    "left_hand": "left_wrist",
    "right_hand": "right_wrist",
    "left_foot": "left_ankle",
    "right_foot": "right_ankle",
}
CENTERS: Final = "centers"
_JOINT_HEADS: Final = ("hm", "hps", "hm_hp", "hp_offset")
_PERSON_FIELDS: Final = {"person_offset": "reg", "person_wh": "wh"}


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
        first_channel: the first channel of this part's points in that branch.
        size_head: the branch that holds the part's box width and height, or None.
    """

    name: str
    center: str
    head: str
    first_channel: int = 0
    size_head: str | None = None

    @property
    def keypoints(self) -> slice:
        """The part's place among the 133 points."""
        return skeleton.REGIONS[self.name]

    @property
    def num_keypoints(self) -> int:
        """Points of the part."""
        return skeleton.num_points(self.name)


@dataclass(frozen=True)
class ModelSpec:
    """A network: of the HPRNet family, unless `decoding` says otherwise.

    Attributes:
        name: public name, e.g. "hprnet-mobile".
        joints: names of the heat-map joints in channel order; a joint is a keypoint or a part's centre.
        heads: every branch. A branch that neither joints nor parts read is read at each person's centre.
        parts: the parts regressed from their own centre.
        trained: keys of `skeleton.PARTS`, and names of keypoints, that the weights know; all others are
            absent in the output.
        mean, std: per BGR channel, of values in [0, 1].
        stride_px: input pixels per output cell.
        multiple_px: input width and height are multiples of this.
        input_px: longer side of the input unless the user gives another.
        margin: how far around a person's box the person's peaks may lie, in units of the box's longer side:
            0 where the box holds the whole person, as in the paper.
        offset_per_joint: `hp_offset` has a pair of channels per joint instead of one shared pair.
        refinement: the parts that are refined, and how; None where points stay as they are regressed.
        decoding: how people are made of the heads: "centers" in every network of this family; another word
            for a network that returns dense maps (`spec.rivals`).
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
    decoding: str = CENTERS

    @property
    def is_rival(self) -> bool:
        """Whether it is not of the HPRNet family, and returns dense maps."""
        return self.decoding != CENTERS

    @property
    def num_joints(self) -> int:
        """Joints with a heat-map, part centres included."""
        return len(self.joints)

    def head(self, name: str) -> HeadSpec:
        """Return the branch called `name`; KeyError when the network has none."""
        return {head.name: head for head in self.heads}[name]

    def joint(self, name: str) -> int:
        """Return the channel of the joint called `name`."""
        return self.joints.index(name)

    @property
    def person_fields(self) -> dict[str, str]:
        """For each field of `PeakLayout` that is read at a person's centre as it is, the name of its head.

        The box's offset and size come first; the field of another head is called "person_" and its name.
        """
        elsewhere = {*_JOINT_HEADS, *_PERSON_FIELDS.values()}
        for part in self.parts:
            elsewhere.update(name for name in (part.head, part.size_head) if name)
        others = (head.name for head in self.heads if head.name not in elsewhere)
        return {**_PERSON_FIELDS, **{f"person_{name}": name for name in others}}

    @property
    def keypoint_of_joint(self) -> tuple[int, ...]:
        """For each joint its index among the 133 points, -1 for a part's centre."""
        index = {name: i for i, name in enumerate(skeleton.KEYPOINT_NAMES)}
        return tuple(index.get(name, -1) for name in self.joints)

    @property
    def anchor_of_joint(self) -> tuple[int, ...]:
        """For each joint the joint of the body that it goes with (a foot's ankle), -1 for the body's own."""
        anchors = [-1] * self.num_joints
        for region, anchor in _ANCHORS.items():
            names = {*skeleton.KEYPOINT_NAMES[skeleton.REGIONS[region]], f"{region}_center"}
            for joint, name in enumerate(self.joints):
                if name in names:
                    anchors[joint] = self.joint(anchor)
        return tuple(anchors)

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
        """Return the description as plain lists and numbers, for the JSON of a model file."""
        data = dataclasses.asdict(self)
        if self.refinement is None:
            del data["refinement"]
        if not self.is_rival:
            del data["decoding"]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelSpec:
        """Read back what `to_dict` returned.

        Raises:
            ModelError: a field, or a head that every network has, is missing; or a field is unknown or of
                the wrong shape.
        """
        try:
            fields = dict(data)
            fields["heads"] = tuple(HeadSpec(**head) for head in fields["heads"])
            fields["parts"] = tuple(PartSpec(**part) for part in fields["parts"])
            for name in ("joints", "trained", "mean", "std"):
                fields[name] = tuple(fields[name])
            if fields.get("refinement") is not None:
                fields["refinement"] = Refinement.from_dict(fields["refinement"])
            spec = cls(**fields)
            for name in () if spec.is_rival else spec.person_fields.values():
                spec.head(name)
            return spec
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model description cannot be read: {error}") from error
