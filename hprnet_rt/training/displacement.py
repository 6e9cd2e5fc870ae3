"""Targets at cells slightly off the exact ones, as the peaks of a network are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from hprnet_rt.spec import ModelSpec
from hprnet_rt.training.targets import BoolArray, FloatArray, IntArray, Targets, zero_where_unknown

__all__ = ["displace_parts", "displace_targets"]

_HALF: Final = 0.5


def _displace_cells(
    cell: IntArray,
    size: FloatArray,
    there: BoolArray,
    share: float,
    map_hw: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[IntArray, FloatArray]:
    """Displace cells (P,) at random, in proportion to the size (P, 2) of what they are the centres of.

    Returns:
        new cells (P,), and what to add to the offsets (P, 2) that start there.
    """
    height, width = map_hw
    xy = np.stack((cell % width, cell // width), axis=1)
    reach = (share * size + np.float32(_HALF)) * there[:, None]
    step = np.rint(rng.uniform(-reach, reach)).astype(np.int64)
    new = np.clip(xy + step, 0, (width - 1, height - 1))
    return new[:, 1] * width + new[:, 0], (xy - new).astype(np.float32)


def displace_targets(targets: Targets, rng: np.random.Generator, share: float) -> Targets:
    """Move the cells of people and joints, where offsets are learned, slightly off the exact ones.

    A network's peaks are not exactly where the labels are. If it learned its offsets at the exact cells only,
    the difference would be an error. Heat-maps do not change. A joint's cell moves by at most one. For the
    centres of parts see `displace_parts`.

    Args:
        targets: from `make_targets`.
        rng: random numbers.
        share: in each direction, a person's cell moves by a uniform distance of up to this share of the box's
            side plus half a cell; it stays on the map.

    Returns:
        new targets; the given ones do not change.
    """
    height, width = targets["hm"].shape[1:]
    out = dict(targets)
    joint, cell = targets["joint_mask"], targets["joint_cell"]
    xy = np.stack((cell % width, cell // width), axis=-1)
    step = np.rint(rng.uniform(-1.0, 1.0, xy.shape)).astype(np.int64) * joint[..., None]
    new = np.clip(xy + step, 0, (width - 1, height - 1))
    out["joint_cell"] = new[..., 1] * width + new[..., 0]
    out["hp_offset"] = targets["hp_offset"] + zero_where_unknown(joint, (xy - new).astype(np.float32))
    person = targets["person_mask"]
    out["person_cell"], shift = _displace_cells(
        targets["person_cell"], targets["wh"], person, share, (height, width), rng
    )
    out["reg"] = targets["reg"] + zero_where_unknown(person, shift)
    out["hps"] = targets["hps"] + zero_where_unknown(
        targets["joint_mask"], np.broadcast_to(shift[:, None], targets["hps"].shape)
    )
    return out


def displace_parts(
    targets: Targets, spec: ModelSpec, rng: np.random.Generator, shares: Mapping[str, float]
) -> Targets:
    """Move the cells of parts' centres slightly off the exact ones, as `displace_targets` does for people.

    Args:
        targets: from `make_targets` or `displace_targets`.
        spec: of the network.
        rng: random numbers.
        shares: by part name, the share of the size of the box around its points; other parts do not change.
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
        size = zero_where_unknown(there, np.where(there[:, None], high, 0) - np.where(there[:, None], low, 0))
        out["part_cell"][:, i], shift = _displace_cells(
            targets["part_cell"][:, i], size, there, shares[part.name], map_hw, rng
        )
        longer = np.broadcast_to(shift[:, None], points.shape)
        out[f"{part.name}_points"] = points + zero_where_unknown(mask, longer)
    return out
