"""The targets of a refinement's local maps."""

import dataclasses
import math

import numpy as np
import pytest

from hprnet_rt.skeleton import LEFT_HAND, RIGHT_HAND
from hprnet_rt.spec import HPRNET_DLA34, SPECS
from hprnet_rt.training.local_maps import local_targets
from hprnet_rt.training.targets import make_targets
from tests.training.people import sample_of, wild


def plain_local_targets(hands, height, width):
    """Compute the targets one hand, one point and one cell at a time."""
    heat = np.zeros((21, height, width))
    window = np.zeros((1, height, width), bool)
    for hand in hands:
        (left, top), (right, bottom) = hand.min(axis=0), hand.max(axis=0)
        size = max(right - left, bottom - top)
        sigma = min(max(size / 24, 0.55), 2.0)
        around = 0.35 * size + 1
        for row in range(height):
            for column in range(width):
                x, y = column + 0.5, row + 0.5
                if not (left - around <= x <= right + around and top - around <= y <= bottom + around):
                    continue
                window[0, row, column] = True
                for point in range(21):
                    far = (hand[point, 0] - x) ** 2 + (hand[point, 1] - y) ** 2
                    value = math.exp(-far / (2 * sigma**2))
                    heat[point, row, column] = max(heat[point, row, column], value)
    return heat, window


@pytest.mark.parametrize("seed", range(4))
def test_local_targets_equal_the_plain_ones(seed):
    """Small and large hands, some across the border, some over one another."""
    rng = np.random.default_rng(seed)
    low, size = rng.uniform(-5, 25, (4, 1, 2)), rng.choice([1, 6, 14, 60], (4, 1, 1))
    hands = (low + size * rng.uniform(0, 1, (4, 21, 2))).astype(np.float32)
    heat, window = local_targets(hands, (24, 32))
    expected, where = plain_local_targets(hands.astype(np.float64), 24, 32)
    np.testing.assert_array_equal(window, where)
    np.testing.assert_allclose(heat, expected, atol=1e-6)


def test_both_hands_share_the_maps_and_only_whole_hands_are_in_them():
    sample = wild(2)
    targets = make_targets(sample, SPECS["hprnet-mobile"], max_people=len(sample))
    assert not targets["local_window"].any()  # everyone lacks points
    sample = sample_of([(8, 8, 70, 88), (60, 20, 124, 92)])
    sample.labelled[0, LEFT_HAND.start] = False
    sample.labelled[1, RIGHT_HAND] = False
    targets = make_targets(sample, SPECS["hprnet-dla34-r"])
    hands = np.stack((sample.xy[1, LEFT_HAND], sample.xy[0, RIGHT_HAND])).astype(np.float64) / 4
    heat, window = plain_local_targets(hands, 24, 32)
    np.testing.assert_array_equal(targets["local_window"], window)
    np.testing.assert_allclose(targets["local"], heat, atol=1e-6)


def test_a_hand_that_is_not_wholly_on_the_map_is_not_learned():
    sample = sample_of([(8, 8, 70, 88)])
    targets = make_targets(dataclasses.replace(sample, xy=sample.xy - 1000), SPECS["hprnet-mobile"])
    assert not targets["local_window"].any()


def test_networks_without_local_maps_have_no_such_targets():
    assert "local" not in make_targets(sample_of([]), HPRNET_DLA34)
