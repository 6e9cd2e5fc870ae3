"""The flip test: the heads of an image averaged with those of its mirror image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hprnet_rt.errors import ShapeError
from hprnet_rt.grouping.dense import probability
from hprnet_rt.spec import ModelSpec

__all__ = ["average_flipped"]

FloatArray = npt.NDArray[np.float32]
_HALF = np.float32(0.5)


def average_flipped(
    heads: Mapping[str, FloatArray], mirrored: Mapping[str, FloatArray], spec: ModelSpec
) -> dict[str, FloatArray]:
    """Average dense heads with those of the mirrored images, as the released flip test does.

    Heat-maps, sizes and regressed joints are averaged; all other heads, such as sub-cell offsets and part
    points, are the plain image's.

    Args:
        heads: of the images, (N, channels, H, W) by name; heat-maps are logits.
        mirrored: of the same images mirrored left to right.
        spec: the network.

    Returns:
        heads by name; heat-maps are probabilities, for `decode_dense(..., probabilities=True)`.

    Raises:
        ShapeError: the two do not match.
    """
    for name in heads:
        if name not in mirrored or mirrored[name].shape != heads[name].shape:
            raise ShapeError(f"head {name} of the mirrored images must be {heads[name].shape}")
    back = {name: values[..., ::-1] for name, values in mirrored.items()}
    partner = np.array(spec.flip_index)
    result = dict(heads)
    for name in {"wh", *(part.size_head for part in spec.parts if part.size_head)}:
        result[name] = (heads[name] + back[name]) * _HALF
    result["hm"] = (probability(heads["hm"]) + probability(back["hm"])) * _HALF
    result["hm_hp"] = (probability(heads["hm_hp"]) + probability(back["hm_hp"])[:, partner]) * _HALF
    batch, channels, height, width = heads["hps"].shape
    offsets = back["hps"].reshape(batch, channels // 2, 2, height, width)[:, partner]
    offsets = offsets * np.array([-1, 1], np.float32).reshape(1, 1, 2, 1, 1)
    result["hps"] = (heads["hps"] + offsets.reshape(heads["hps"].shape)) * _HALF
    return result
