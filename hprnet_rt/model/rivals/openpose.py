"""OpenPose's networks from a description of their layers, named as in its Caffe models (torch).

All begin with ten layers of VGG-19 and read the features at stride 8. Then stages follow, each of which sees
the features and what the stages before have found. COCO-18 (body18), hands and faces have large kernels;
BODY_25 and BODY_135 have blocks of three small ones, and find fields before parts.

Sources: Cao et al., "OpenPose" (2019); the released files `pose_deploy.prototxt`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hprnet_rt.model.rivals.network import RivalNetwork
from hprnet_rt.spec import ModelSpec

__all__ = ["Conv", "OpenPoseNet", "body18", "body25", "body135", "crop"]

_IMAGE: Final = "image"
_FEATURES: Final = "conv4_4_CPM"
_CROP_FEATURES: Final = "conv5_3_CPM"
_RELU: Final = "relu"
_STAGES: Final = 6


@dataclass(frozen=True)
class Conv:
    """A convolution that keeps the size of its input, and what follows it.

    Attributes:
        name: in the files.
        inputs: names of the layers whose outputs it reads, side by side.
        channels: of its output.
        kernel: its side.
        after: "relu", the name of a PReLU with a slope per channel, or "" for nothing.
        pool: its input is halved by a max-pool first.
    """

    name: str
    inputs: tuple[str, ...]
    channels: int
    kernel: int = 3
    after: str = _RELU
    pool: bool = False


class OpenPoseNet(RivalNetwork):
    """A network of layers.

    Args:
        spec: the heads.
        layers: in the order in which they run.
        outputs: for each head of `spec` the layer that gives its maps.
        thin: by which hidden channels are divided, for tests; 1 is the published network.
    """

    def __init__(
        self, spec: ModelSpec, layers: Sequence[Conv], outputs: Sequence[str], *, thin: int = 1
    ) -> None:
        super().__init__(spec)
        self._layers = tuple(layers)
        self._outputs = tuple(outputs)
        channels = {_IMAGE: 3}
        for layer in layers:
            is_output = not layer.after
            channels[layer.name] = layer.channels if is_output else layer.channels // thin
            read = sum(channels[name] for name in layer.inputs)
            made = nn.Conv2d(read, channels[layer.name], layer.kernel, padding=layer.kernel // 2)
            self.add_module(layer.name, made)
            if layer.after not in ("", _RELU):
                self.add_module(layer.after, nn.PReLU(channels[layer.name]))

    def run(self, x: Tensor, names: Iterable[str]) -> list[Tensor]:
        """Return the outputs of some layers for normalised input (N, 3, H, W), BGR."""
        made = {_IMAGE: x}
        for layer in self._layers:
            y = torch.cat([made[name] for name in layer.inputs], dim=1)
            y = self.get_submodule(layer.name)(F.max_pool2d(y, 2) if layer.pool else y)
            if layer.after == _RELU:
                y = F.relu(y)
            elif layer.after:
                y = self.get_submodule(layer.after)(y)
            made[layer.name] = y
        return [made[name] for name in names]

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of each head; see `RivalNetwork`."""
        return tuple(self.run(x, self._outputs))

    def last_layers(self) -> list[nn.Module]:
        """Return the layers that give the maps."""
        return [self.get_submodule(name) for name in self._outputs]


class _Plan:
    """A list of layers that grows; a new one reads the one before unless told otherwise."""

    def __init__(self) -> None:
        self.layers: list[Conv] = []
        self._last: tuple[str, ...] = (_IMAGE,)

    def add(
        self,
        name: str,
        channels: int,
        kernel: int = 3,
        *,
        after: str = _RELU,
        pool: bool = False,
        inputs: tuple[str, ...] | None = None,
    ) -> str:
        self.layers.append(Conv(name, inputs or self._last, channels, kernel, after, pool))
        self._last = (name,)
        return name


def _front(plan: _Plan) -> None:
    """Add the layers up to conv3_4."""
    for block, (channels, count) in enumerate(((64, 2), (128, 2), (256, 4)), 1):
        for n in range(1, count + 1):
            plan.add(f"conv{block}_{n}", channels, pool=block > 1 and n == 1)


def _wide_stages(
    plan: _Plan, branches: Sequence[tuple[str, int]], first: Sequence[str], features: str
) -> list[str]:
    """Add stages 2 to 6 of 7x7 kernels, each branch after the other; return the last layers' names.

    Args:
        plan: gets the layers.
        branches: the suffix of each branch's names, and its output's channels.
        first: the outputs of stage 1, by branch.
        features: the layer that every stage reads besides.
    """
    found = list(first)
    for stage in range(2, _STAGES + 1):
        inputs = (*found, features)
        for n, (suffix, outputs) in enumerate(branches):
            end = f"_stage{stage}{suffix}"
            plan.add(f"Mconv1{end}", 128, 7, inputs=inputs)
            for layer in range(2, 6):
                plan.add(f"Mconv{layer}{end}", 128, 7)
            plan.add(f"Mconv6{end}", 128, 1)
            found[n] = plan.add(f"Mconv7{end}", outputs, 1, after="")
    return found


def body18(spec: ModelSpec, *, thin: int = 1) -> OpenPoseNet:
    """Return the network of COCO-18: 18 parts and the background, and the fields of 19 pairs."""
    plan = _Plan()
    _front(plan)
    plan.add("conv4_1", 512, pool=True)
    plan.add("conv4_2", 512)
    plan.add("conv4_3_CPM", 256)
    plan.add(_FEATURES, 128)
    branches = (("_L1", spec.head("paf").channels), ("_L2", spec.head("heat").channels))
    first = []
    for suffix, outputs in branches:
        plan.add(f"conv5_1_CPM{suffix}", 128, inputs=(_FEATURES,))
        plan.add(f"conv5_2_CPM{suffix}", 128)
        plan.add(f"conv5_3_CPM{suffix}", 128)
        plan.add(f"conv5_4_CPM{suffix}", 512, 1)
        first.append(plan.add(f"conv5_5_CPM{suffix}", outputs, 1, after=""))
    paf, heat = _wide_stages(plan, branches, first, _FEATURES)
    return OpenPoseNet(spec, plan.layers, (heat, paf), thin=thin)


def crop(spec: ModelSpec, *, thin: int = 1) -> OpenPoseNet:
    """Return the network of hands or faces, which sees a crop."""
    plan = _Plan()
    _front(plan)
    for n in range(1, 5):
        plan.add(f"conv4_{n}", 512, pool=n == 1)
    plan.add("conv5_1", 512)
    plan.add("conv5_2", 512)
    plan.add(_CROP_FEATURES, 128)
    outputs = spec.head("heat").channels
    plan.add("conv6_1_CPM", 512, 1)
    first = plan.add("conv6_2_CPM", outputs, 1, after="")
    (heat,) = _wide_stages(plan, (("", outputs),), (first,), _CROP_FEATURES)
    return OpenPoseNet(spec, plan.layers, (heat,), thin=thin)


@dataclass(frozen=True)
class _Stage:
    """A stage of BODY_25 or BODY_135: blocks of three 3x3 layers, then two of 1x1.

    Attributes:
        name: "stage0_L2"; fields are L2, parts L1.
        width: channels of the blocks' layers.
        blocks: their number.
        wide: channels of the first 1x1 layer.
        reads: outputs of earlier stages that it reads besides the features.
    """

    name: str
    width: int
    blocks: int
    wide: int
    reads: tuple[str, ...] = ()

    @property
    def output(self) -> str:
        """The layer that gives the stage's maps."""
        return f"Mconv{self.blocks + 2}_{self.name}"


def _dense_stages(spec: ModelSpec, stages: Sequence[_Stage], *, thin: int) -> OpenPoseNet:
    plan = _Plan()
    _front(plan)
    plan.add("conv4_1", 512, pool=True)
    for name, channels in (("4_2", 512), ("4_3_CPM", 256), ("4_4_CPM", 128)):
        plan.add(f"conv{name}", channels, after=f"prelu{name}")
    last = {}
    for stage in stages:
        inputs = (_FEATURES, *stage.reads)
        for block in range(1, stage.blocks + 1):
            made: list[str] = []
            for n in range(3):
                end = f"{block}_{stage.name}_{n}"
                read = (made[-1],) if made else inputs
                made.append(plan.add(f"Mconv{end}", stage.width, after=f"Mprelu{end}", inputs=read))
            inputs = tuple(made)
        end = f"{stage.blocks + 1}_{stage.name}"
        plan.add(f"Mconv{end}", stage.wide, 1, after=f"Mprelu{end}", inputs=inputs)
        head = "paf" if stage.name.endswith("L2") else "heat"
        last[head] = plan.add(stage.output, spec.head(head).channels, 1, after="")
    return OpenPoseNet(spec, plan.layers, (last["heat"], last["paf"]), thin=thin)


def body25(spec: ModelSpec, *, thin: int = 1) -> OpenPoseNet:
    """Return BODY_25: 25 parts and the background, and the fields of 26 pairs."""
    fields = [_Stage("stage0_L2", 96, 5, 256)]
    for n in (1, 2, 3):
        fields.append(_Stage(f"stage{n}_L2", 128, 5, 512, (fields[-1].output,)))
    found = fields[-1].output
    first = _Stage("stage0_L1", 96, 5, 256, (found,))
    second = _Stage("stage1_L1", 128, 5, 512, (first.output, found))
    return _dense_stages(spec, (*fields, first, second), thin=thin)


def body135(spec: ModelSpec, *, thin: int = 1) -> OpenPoseNet:
    """Return BODY_135, the single network of the whole body: 135 parts, and the fields of 152 pairs."""
    fields = [_Stage("stage0_L2", 128, 8, 256)]
    for n, width in ((1, 128), (2, 128), (3, 256)):
        fields.append(_Stage(f"stage{n}_L2", width, 8, 512, (fields[-1].output,)))
    parts = _Stage("stage0_L1", 256, 5, 512, (fields[-1].output,))
    return _dense_stages(spec, (*fields, parts), thin=thin)
