"""Which layers of the shipped model lose points when they are rounded to bfloat16.

    python benchmarks/rounding.py [VIDEO]

Weights, inputs and results of some layers are rounded to bfloat16's 8 bits, sums are float32, as on a GPU;
the last layers and the decode are float32. Printed for each group of layers: how far sure points of every
fourth frame move in pixels of the source, if these layers alone are rounded, and if all others are.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hprnet_rt.backends import ModelFile
from hprnet_rt.bench.scenes import sample_video
from hprnet_rt.geometry import Letterbox, input_hw_for
from hprnet_rt.grouping import Grouper
from hprnet_rt.model import create_model, load_weights
from hprnet_rt.model.peaks import PeakNetwork
from hprnet_rt.spec import HPRNET_MOBILE, PeakLayout
from hprnet_rt.types import Peaks, Poses
from hprnet_rt.video import VideoSource

EVERY, MOST = 4, 24  # frames
SURE = 0.3  # score of a point
BLOCKS = 6  # of the trunk, in a group


def rounded(x: Tensor) -> Tensor:
    return x.to(torch.bfloat16).float()


def group_of(name: str) -> str:
    parts = name.split(".")
    if parts[:2] == ["trunk", "blocks"]:
        first = int(parts[2]) // BLOCKS * BLOCKS
        return f"trunk.blocks {first} to {first + BLOCKS - 1}"
    return ".".join(parts[: 2 if parts[0] == "trunk" else 1])


class Rounding:
    """A network of which some layers are rounded at a time."""

    def __init__(self, network: Any) -> None:
        last = {conv for head in network.spec.heads for conv in network.head(head.name).last}
        last.update(network.refiner.local.last)
        convs = {name: each for name, each in network.named_modules() if isinstance(each, nn.Conv2d)}
        self.layers = {name: each for name, each in convs.items() if each not in last}
        self._weights = {name: each.weight.detach().clone() for name, each in self.layers.items()}
        self._on: set[str] = set()
        self._network = PeakNetwork(network)
        for name, layer in self.layers.items():
            layer.register_forward_pre_hook(self._before(name))
            layer.register_forward_hook(self._after(name))

    def _before(self, name: str) -> Callable[..., Any]:
        return lambda _, inputs: (rounded(inputs[0]),) if name in self._on else None

    def _after(self, name: str) -> Callable[..., Any]:
        return lambda _, __, output: rounded(output) if name in self._on else None

    def run(self, names: Collection[str], inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Return the peaks of inputs with the layers of these names rounded."""
        self._on = set(names)
        for name, layer in self.layers.items():
            weights = self._weights[name]
            layer.weight.data = rounded(weights) if name in self._on else weights
        with torch.inference_mode():
            return [self._network(torch.from_numpy(each)).numpy()[0] for each in inputs]


def moved(found: list[Poses], expected: list[Poses]) -> str:
    away = []
    for ours, theirs in zip(found, expected, strict=True):
        if len(ours) != len(theirs):
            return f"{len(ours)} people in place of {len(theirs)}"
        order = [np.argsort(each.box_xyxy[:, 0]) for each in (ours, theirs)]
        sure = theirs.score[order[1]] > SURE
        away.append(np.linalg.norm(ours.xy[order[0]] - theirs.xy[order[1]], axis=2)[sure])
    px = np.concatenate(away)
    quantiles = ", ".join(
        f"{100 * share:.0f}% {np.quantile(px, share):.2f}" for share in (0.5, 0.95, 0.98, 0.99)
    )
    return f"px: {quantiles}, most {px.max():.1f}; {100 * (px > 6).mean():.2f}% over 6"


def main() -> None:
    source = VideoSource(sys.argv[1] if len(sys.argv) > 1 else sample_video())
    frames = [frame.image for number, frame in enumerate(source) if number % EVERY == 0][:MOST]
    source.close()
    sizes = [each.shape[:2] for each in frames]
    letterboxes = [Letterbox.fit(hw, input_hw_for(hw, HPRNET_MOBILE.input_px, 32)) for hw in sizes]
    inputs = [letterbox.apply(frame) for letterbox, frame in zip(letterboxes, frames, strict=True)]
    network = load_weights(create_model("hprnet-mobile"), ModelFile.find("hprnet-mobile").path).eval()
    rounding, layout = Rounding(network), PeakLayout.of(HPRNET_MOBILE, refined=True)
    group = Grouper(HPRNET_MOBILE)

    def people(names: Collection[str]) -> list[Poses]:
        pairs = zip(rounding.run(names, inputs), letterboxes, strict=True)
        return [group(Peaks(packed, layout, letterbox)) for packed, letterbox in pairs]

    expected, everything = people(()), list(rounding.layers)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in everything:
        groups[group_of(name)].append(name)
    print(f"{len(frames)} frames of {frames[0].shape[1]} x {frames[0].shape[0]}")
    print(f"all {len(everything)} layers: {moved(people(everything), expected)}")
    for title, names in groups.items():
        others = [name for name in everything if name not in names]
        print(f"{title} ({len(names)}) alone: {moved(people(names), expected)}", flush=True)
        print(f"{title} ({len(names)}) left out: {moved(people(others), expected)}", flush=True)


if __name__ == "__main__":
    main()
