"""The networks of others that HPRNet is compared with, their cost, and where users get their weights.

None of them comes with the package or is fetched by it: `hprnet-rt models import NAME PATH` takes the files.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from hprnet_rt.spec import ModelSpec
from hprnet_rt.spec.rivals import OPENPOSE_WHOLEBODY, RIVALS, WHOLEBODY_PARTS
from hprnet_rt.zoo.networks import ZooEntry

__all__ = ["RIVAL_ZOO", "RivalEntry"]

_CMU_TERMS: Final = (
    "OpenPose's licence: for academic or non-profit organisations, noncommercial research only, and so is "
    "everything made of it. The weights are not part of this package."
)
_CONTROL_NET: Final = "https://huggingface.co/lllyasviel/ControlNet"
_ANNOTATORS: Final = "https://huggingface.co/lllyasviel/Annotators"
_OPENPOSE: Final = "https://github.com/CMU-Perceptual-Computing-Lab/openpose"
_OPENPOSE_TRAIN: Final = "https://github.com/CMU-Perceptual-Computing-Lab/openpose_train"
_MMPOSE: Final = "https://download.openmmlab.com/mmpose/bottom_up/"
_MMPOSE_TERMS: Final = (
    "MMPose is Apache-2.0; no licence is stated for its weights, which were trained on COCO-WholeBody, whose "
    "annotations are for non-commercial research only. They are not part of this package."
)


@dataclass(frozen=True)
class RivalEntry(ZooEntry):
    """A network of others; see `ZooEntry`.

    The multiply-accumulates are for the network's usual input, without crops of people.

    Attributes:
        input_wh: its usual input.
        files: the published files that `models import` takes.
    """

    input_wh: tuple[int, int] = (0, 0)
    files: tuple[str, ...] = ()

    @property
    def spec(self) -> ModelSpec:
        """The network's heads and how people are made of them."""
        if self.name != OPENPOSE_WHOLEBODY:
            return RIVALS[self.name]
        body = RIVALS[WHOLEBODY_PARTS[0]]
        trained = tuple(part for name in WHOLEBODY_PARTS for part in RIVALS[name].trained)
        return dataclasses.replace(body, name=self.name, trained=trained)

    @property
    def published(self) -> bool:
        """Whether its weights can be got somewhere: always."""
        return True

    @property
    def parts(self) -> tuple[str, ...]:
        """OpenPose as its users know it consists of three networks."""
        return WHOLEBODY_PARTS if self.name == OPENPOSE_WHOLEBODY else ()

    @property
    def how(self) -> str:
        """How to get the weights."""
        if self.parts:
            return f"import each of {', '.join(self.parts)}"
        first, *others = self.files
        other = "".join(f" or OpenPose's {each}" for each in others)
        return f"get {first} ({self.page}){other}, and: hprnet-rt models import {self.name} PATH"


def _entry(
    name: str,
    parameters: int,
    gmac: float,
    input_wh: tuple[int, int],
    files: tuple[str, ...],
    homepage: str,
    terms: str = _CMU_TERMS,
) -> RivalEntry:
    of_cmu = terms == _CMU_TERMS
    return RivalEntry(
        name=name,
        parameters=parameters,
        gmac=gmac,
        gmac_dense=gmac,
        released=False,
        licence="academic, non-commercial" if of_cmu else "not stated, non-commercial data",
        terms=terms,
        origin="OpenPose, CMU" if of_cmu else "MMPose 0.x",
        homepage=homepage,
        input_wh=input_wh,
        files=files,
    )


_CAFFE: Final = "pose_iter_{}.caffemodel"

RIVAL_ZOO: Final[dict[str, RivalEntry]] = {
    entry.name: entry
    for entry in (
        _entry(
            "openpose-body18",
            52_311_446,
            242.3,
            (656, 368),
            ("body_pose_model.pth", _CAFFE.format(440000)),
            _CONTROL_NET,
        ),
        _entry(
            "openpose-hand",
            36_832_324,
            103.2,
            (368, 368),
            ("hand_pose_model.pth", _CAFFE.format(102000)),
            _CONTROL_NET,
        ),
        _entry(
            "openpose-face",
            38_425_706,
            116.0,
            (384, 384),
            ("facenet.pth", _CAFFE.format(116000)),
            _ANNOTATORS,
        ),
        _entry(OPENPOSE_WHOLEBODY, 127_569_476, 242.3, (656, 368), (), _OPENPOSE),
        _entry("openpose-body25", 26_166_084, 143.6, (656, 368), (_CAFFE.format(584000),), _OPENPOSE),
        _entry(
            "openpose-body135", 63_578_247, 480.0, (848, 480), (_CAFFE.format("XXXXXX"),), _OPENPOSE_TRAIN
        ),
        _entry(
            "ae-hrnet-w32",
            28_544_330,
            76.7,
            (960, 512),
            ("hrnet_w32_coco_wholebody_512x512_plus-f1f1185c_20210517.pth",),
            _MMPOSE,
            _MMPOSE_TERMS,
        ),
        _entry(
            "ae-higherhrnet-w32",
            28_775_599,
            91.0,
            (960, 512),
            ("higher_hrnet32_coco_wholebody_512x512_plus-2fa137ab_20210517.pth",),
            _MMPOSE,
            _MMPOSE_TERMS,
        ),
    )
}
"""By name: those of `spec.RIVALS`, and OpenPose as its users know it, which consists of three of them."""
