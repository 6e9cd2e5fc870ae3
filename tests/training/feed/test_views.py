"""Views of a batch equal those of `training.affine`, one image at a time."""

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.training import affine  # noqa: E402
from hprnet_rt.training.feed.labels import pack_labels  # noqa: E402
from hprnet_rt.training.feed.views import placement_matrices, transform_labels, warp_images  # noqa: E402
from tests.training.people import wild  # noqa: E402

HW = (96, 128)
OUTPUT = (64, 80)
ROWS = 6
# centre, zoom, mirror, turn in degrees
VIEWS = [
    ((64.0, 48.0), 0.6, False, 0.0),
    ((50.0, 30.0), 1.3, True, 0.0),
    ((80.0, 60.0), 0.9, False, 25.0),
    ((40.0, 50.0), 0.7, True, -30.0),
    ((10.0, 90.0), 2.0, False, 5.0),
]


def matrices():
    center, zoom, mirror, turn = zip(*VIEWS, strict=True)
    radians = torch.tensor([math.radians(degrees) for degrees in turn])
    return placement_matrices(torch.tensor(center), torch.tensor(zoom), OUTPUT, torch.tensor(mirror), radians)


def plain_matrices():
    return [
        affine.placement_matrix(center, zoom, OUTPUT, mirror=mirror, turn_deg=turn)
        for center, zoom, mirror, turn in VIEWS
    ]


def test_matrices_equal_the_plain_ones():
    np.testing.assert_allclose(matrices(), np.stack(plain_matrices()), atol=1e-4)


@pytest.mark.parametrize("least_share", [0.0, 0.3])
def test_labels_equal_the_plain_ones(least_share):
    """People who cross the border, lie outside, lack points and parts, are mirrored and turned."""
    samples = [
        dataclasses.replace(wild(seed), image=np.zeros((*HW, 3), np.uint8)) for seed in range(len(VIEWS))
    ]
    found = transform_labels(
        pack_labels(samples, ROWS, background=True), matrices(), OUTPUT, least_share=least_share
    )
    for image, (sample, matrix) in enumerate(zip(samples, plain_matrices(), strict=True)):
        wanted = affine.transform_sample(sample, matrix, OUTPUT, least_share=least_share)
        rows = found.there[image].numpy()
        assert rows.sum() == len(wanted)
        labelled = found.labelled[image].numpy()[rows]
        np.testing.assert_array_equal(labelled, wanted.labelled)
        np.testing.assert_allclose(
            found.xy[image].numpy()[rows][labelled], wanted.xy[labelled], atol=1e-3, err_msg=str(image)
        )
        for name, value in (
            ("box_xyxy", wanted.box_xyxy),
            ("part_box_xyxy", wanted.part_box_xyxy.reshape(-1, 3, 4)),
        ):
            np.testing.assert_allclose(getattr(found, name)[image].numpy()[rows], value, atol=1e-3)
        for name in ("ignore", "part_valid", "part_absent"):
            got, expected = getattr(found, name)[image].numpy()[rows], getattr(wanted, name)
            np.testing.assert_array_equal(got, expected, err_msg=name)


def test_images_equal_the_plain_ones_within_the_rounding_of_opencv():
    """OpenCV interpolates with positions in steps of 1/32 px."""
    y, x = np.mgrid[0 : HW[0], 0 : HW[1]]
    image = np.stack((2 * x, 2 * y, x + y), axis=-1).clip(0, 255).astype(np.uint8)
    side = max(HW)
    padded = torch.zeros(len(VIEWS), side, side, 3, dtype=torch.uint8)
    padded[:, : HW[0], : HW[1]] = torch.from_numpy(image)
    found = warp_images(padded, matrices(), OUTPUT).permute(0, 2, 3, 1).numpy()
    for got, matrix in zip(found, plain_matrices(), strict=True):
        wanted = affine.warp_image(image, matrix, OUTPUT, smooth=False).astype(np.float32)
        off = np.abs(got - wanted)
        border = affine.warp_image(np.full_like(image, 255), matrix, OUTPUT, smooth=False) < 255
        assert off[~border].max() < 1.5
        assert off[border].mean() < 4.0 if border.any() else True
        assert (wanted > 0).any()
