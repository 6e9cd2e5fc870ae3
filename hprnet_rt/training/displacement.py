"""Targets asked for at cells a little beside the exact ones, as a network will find them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hprnet_rt.spec import ModelSpec
from hprnet_rt.training.targets import BoolArray, FloatArray, IntArray, Targets, where_known

__all__ = ["displaced", "displaced_parts"]

_HALF: Final = 0.5


def _moved(
    cell: IntArray,
    size: FloatArray,
    there: BoolArray,
    share: float,
    map_hw: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[IntArray, FloatArray]:
    """New cells (P,) beside those of things of a size (P, 2), and by how much offsets are longer (P, 2)."""
    height, width = map_hw
    xy = np.stack((cell % width, cell // width), axis=1)
    reach = (share * size + np.float32(_HALF)) * there[:, None]
    step = np.rint(rng.uniform(-reach, reach)).astype(np.int64)
    new = np.clip(xy + step, 0, (width - 1, height - 1))
    return new[:, 1] * width + new[:, 0], (xy - new).astype(np.float32)


def displaced(targets: Targets, rng: np.random.Generator, share: float) -> Targets:
    """The same, with offsets asked for at cells a little beside the centres of people, and joints.

    Where a network finds them is not quite where the label has them; a network that has learned its offsets
    at the exact cells only is off by that much. Heat-maps stay. Joints' cells move by one at most. Parts'
    centres stay, see `displaced_parts`.

    Args:
        targets: of `make_targets`.
        rng: the chance.
        share: cells move by up to this share of the sides of the person's box, and half a cell, evenly, each
            way; they stay on the map.
    """
    height, width = targets["hm"].shape[1:]
    out = dict(targets)
    joint, cell = targets["joint_mask"], targets["joint_cell"]
    xy = np.stack((cell % width, cell // width), axis=-1)
    step = np.rint(rng.uniform(-1.0, 1.0, xy.shape)).astype(np.int64) * joint[..., None]
    new = np.clip(xy + step, 0, (width - 1, height - 1))
    out["joint_cell"] = new[..., 1] * width + new[..., 0]
    out["hp_offset"] = targets["hp_offset"] + where_known(joint, (xy - new).astype(np.float32))
    person = targets["person_mask"]
    out["person_cell"], shift = _moved(
        targets["person_cell"], targets["wh"], person, share, (height, width), rng
    )
    out["reg"] = targets["reg"] + where_known(person, shift)
    out["hps"] = targets["hps"] + where_known(
        targets["joint_mask"], np.broadcast_to(shift[:, None], targets["hps"].shape)
    )
    return out


def displaced_parts(
    targets: Targets, spec: ModelSpec, rng: np.random.Generator, shares: Mapping[str, float]
) -> Targets:
    """As `displaced`, for the centres of parts.

    Args:
        targets: of `make_targets`, or displaced.
        spec: whose targets they are.
        rng: the chance.
        shares: by a part's name, of what its points cover; parts without one stay.
    """
    map_hw = targets["hm"].shape[1], targets["hm"].shape[2]
    out = targets | {"part_cell": targets["part_cell"].copy()}
    for i, part in enumerate(spec.parts):
        if part.name not in shares:
            continue
        points, mask = targets[f"{part.name}_points"], targets[f"{part.name}_points_mask"]
        there = np.asarray(mask.any(axis=1))
        low = np.where(mask[..., None], points, np.float32(np.inf)).min(axis=1)
        high = np.where(mask[..., None], points, np.float32(-np.inf)).max(axis=1)
        size = where_known(there, np.where(there[:, None], high, 0) - np.where(there[:, None], low, 0))
        out["part_cell"][:, i], shift = _moved(
            targets["part_cell"][:, i], size, there, shares[part.name], map_hw, rng
        )
        out[f"{part.name}_points"] = points + where_known(mask, np.broadcast_to(shift[:, None], points.shape))
    return out
