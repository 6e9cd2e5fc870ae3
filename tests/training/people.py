"""Labelled people for the tests of targets and losses, and how their targets are read."""

import dataclasses

import numpy as np
import pytest

from hprnet_rt.skeleton import FACE, FEET, LEFT_HAND, RIGHT_HAND
from hprnet_rt.spec import SPECS
from hprnet_rt.training.sample import Sample

ALL_SPECS = pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))


def sample_of(boxes, size=(96, 128), seed=0):
    """Make a sample with people in these boxes (px), of size (height, width), with all labels.

    No position is a whole number of cells, and no box of a part is empty.
    """
    rng = np.random.default_rng(seed)
    box = np.array(boxes, np.float32).reshape(-1, 4)
    people = len(box)
    first, extent = box[:, None, :2], (box[:, 2:] - box[:, :2])[:, None]
    xy = first + extent * rng.uniform(0.03, 0.97, (people, 133, 2))
    part_box = np.zeros((people, 3, 4))
    for i, (points, middle) in enumerate(
        ((FACE, (0.5, 0.2)), (LEFT_HAND, (0.8, 0.5)), (RIGHT_HAND, (0.2, 0.6)))
    ):
        low = first[:, 0] + extent[:, 0] * (np.array(middle) - 0.1)
        high = first[:, 0] + extent[:, 0] * (np.array(middle) + 0.11)
        part_box[:, i] = np.concatenate((low, high), axis=1)
        count = points.stop - points.start
        xy[:, points] = low[:, None] + (high - low)[:, None] * rng.uniform(0, 1, (people, count, 2))
    return Sample(
        image_id=7,
        image=np.zeros((*size, 3), np.uint8),
        xy=xy.astype(np.float32),
        labelled=np.ones((people, 133), bool),
        box_xyxy=box,
        ignore=np.zeros(people, bool),
        part_box_xyxy=part_box.astype(np.float32),
        part_valid=np.ones((people, 3), bool),
        part_absent=np.zeros((people, 3), bool),
    )


def wild(seed, people=6):
    """Make a sample with people who cross the border, lack points and parts, or are ignored."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-30, 100, (people, 2))
    boxes = np.concatenate((low, low + rng.uniform(5, 90, (people, 2))), axis=1)
    sample = sample_of(boxes, seed=seed)
    labelled = rng.random((people, 133)) < 0.7
    labelled[0] = False
    labelled[1, FEET] = False
    return dataclasses.replace(
        sample,
        labelled=labelled,
        ignore=rng.random(people) < 0.3,
        part_valid=rng.random((people, 3)) < 0.6,
        part_absent=rng.random((people, 3)) < 0.5,
    )


def cell_xy(targets, name, *where, width=32):
    y, x = divmod(int(targets[name][where]), width)
    return x, y


def heads_of(targets, spec):
    """Make dense heads (1, C, h, w) that equal the targets; heat-maps are probabilities.

    If joints in one cell share an offset, it is the middle of the range of theirs.
    """
    height, width = targets["hm"].shape[1:]
    maps = {head.name: np.zeros((head.channels, height * width), np.float32) for head in spec.heads}
    maps["hm"], maps["hm_hp"] = targets["hm"], targets["hm_hp"]
    offsets = {}
    for row in np.flatnonzero(targets["person_mask"]):
        cell = targets["person_cell"][row]
        for name in ("wh", "reg", "hps"):
            maps[name][:, cell] = targets[name][row].reshape(-1)
        for j in np.flatnonzero(targets["joint_mask"][row]):
            first = 2 * j if spec.offset_per_joint else 0
            where = first, targets["joint_cell"][row, j]
            offsets.setdefault(where, []).append(targets["hp_offset"][row, j])
        for part in spec.parts:
            cell = targets["joint_cell"][row, spec.joint(part.center)]
            channels = slice(part.first_channel, part.first_channel + 2 * part.num_keypoints)
            maps[part.head][channels, cell] = targets[f"{part.name}_points"][row].reshape(-1)
            if part.size_head:
                maps[part.size_head][:, cell] = targets[part.size_head][row]
    for (first, cell), found in offsets.items():
        middle = (np.min(found, axis=0) + np.max(found, axis=0)) / 2
        maps["hp_offset"][first : first + 2, cell] = middle
    return {name: values.reshape(1, -1, height, width) for name, values in maps.items()}
