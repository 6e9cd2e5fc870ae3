"""Small samples for the tests of augmentations, and functions that compare them."""

import dataclasses

import numpy as np

from hprnet_rt.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from hprnet_rt.training.augment import StrongAugmentation
from hprnet_rt.training.sample import Sample

FACE_BOX, LEFT_BOX, RIGHT_BOX = range(3)


def sample_of(people=1, hw=(60, 80), seed=0):
    """Make a sample with all labels; all points are inside their people's and parts' boxes."""
    rng = np.random.default_rng(seed)
    height, width = hw
    low = rng.uniform(0.1, 0.4, (people, 2)) * (width, height)
    high = rng.uniform(0.6, 0.9, (people, 2)) * (width, height)
    xy = low[:, None] + rng.random((people, 133, 2)) * (high - low)[:, None]
    parts = [xy[:, where] for where in (FACE, LEFT_HAND, RIGHT_HAND)]
    part_box = np.stack([np.concatenate((p.min(axis=1), p.max(axis=1)), axis=1) for p in parts], axis=1)
    return Sample(
        image_id=7,
        image=rng.integers(0, 256, (height, width, 3), np.uint8),
        xy=xy.astype(np.float32),
        labelled=np.ones((people, 133), bool),
        box_xyxy=np.concatenate((low, high), axis=1).astype(np.float32),
        ignore=np.zeros(people, bool),
        part_box_xyxy=part_box.reshape(people, 3, 4).astype(np.float32),
        part_valid=np.ones((people, 3), bool),
        part_absent=np.zeros((people, 3), bool),
    )


def with_one(sample, **values):
    """Return a copy with these values for the first person."""
    changes = {}
    for name, value in values.items():
        array = getattr(sample, name).copy()
        array[0] = value
        changes[name] = array
    return dataclasses.replace(sample, **changes)


def same(a, b, atol=1e-4):
    for field in dataclasses.fields(Sample):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if np.asarray(x).dtype.kind == "f":
            np.testing.assert_allclose(x, y, atol=atol)
        else:
            np.testing.assert_array_equal(x, y)


def identical(a, b):
    return all(
        np.asarray(getattr(a, f.name)).tobytes() == np.asarray(getattr(b, f.name)).tobytes()
        for f in dataclasses.fields(Sample)
    )


def still(sample, **settings):
    """Return the strong augmentation with these settings, and everything else turned off."""
    off = dict.fromkeys(("mirror", "turn", "mosaic", "jitter", "dark", "motion", "blur", "jpeg", "cut"), 0.0)
    hw = sample.image.shape[:2]
    return StrongAugmentation(**{**off, "input_hw": hw, "zoom": (1.0, 1.0), "least_share": 0.0, **settings})


def brightest(image):
    """Return the centre of the brightest pixel."""
    y, x = np.unravel_index(image.sum(axis=2).argmax(), image.shape[:2])
    return np.array([x + 0.5, y + 0.5])


MIRROR = np.array([[-1.0, 0.0, 80.0], [0.0, 1.0, 0.0]])
