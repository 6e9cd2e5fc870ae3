"""The compiled decodes of rivals against plain ones, on noise: no tidy scene hides a difference."""

import numpy as np
import pytest

from hprnet_rt.grouping.rivals import associative, body18, fields, tables
from tests.oracles import rivals as oracle


@pytest.fixture
def rng():
    return np.random.default_rng(26)


def test_enlarged_maps_and_their_peaks(rng):
    low = rng.uniform(-0.2, 1, (3, 7, 9)).astype(np.float32)
    found = fields.find_peaks(low, 8, 0.5)
    for part, each in enumerate(low):
        large = oracle.enlarged(each, 8)
        np.testing.assert_allclose(fields.enlarge(each, 8), large, atol=1e-5)
        expected = oracle.peaks(large, 0.5)
        mine = slice(found.first[part], found.first[part + 1])
        np.testing.assert_allclose(found.xy[mine], expected[:, :2], atol=1e-3)
        np.testing.assert_allclose(found.score[mine], expected[:, 2], atol=1e-5)
    assert found.first[-1] > 10


def test_pairs_of_peaks_along_a_field(rng):
    """Fields that mostly point to the right: some pairs are connected, some are not, some are near."""
    pairs, channels = tables.BODY25_PAIRS[:4], np.arange(0, 8, 2)
    paf = (
        rng.normal((0.6, 0, 0.5, 0.1, 0.3, 0, 0.7, -0.2), 0.15, (9, 11, 8))
        .transpose(2, 0, 1)
        .astype(np.float32)
    )
    xy = rng.uniform(0, (87, 71), (60, 2)).astype(np.float32)
    xy[1::6] = xy[::6] + 0.3
    first = np.arange(0, 61, 60 // 10)
    peaks = fields.PartPeaks(xy, np.ones(60, np.float32), first)
    found = fields.connect(paf, pairs, channels, peaks, 8)
    large = np.stack([oracle.enlarged(each, 8) for each in paf])
    expected = [
        (pair, i, j, score)
        for pair, (a, b) in enumerate(pairs)
        for i in range(first[a], first[a + 1])
        for j in range(first[b], first[b + 1])
        if (score := oracle.pair_score(large[2 * pair : 2 * pair + 2], xy[i], xy[j])) is not None
    ]
    assert 10 < len(expected) < 4 * 36
    np.testing.assert_array_equal(np.column_stack((found.pair, found.ends)), [each[:3] for each in expected])
    np.testing.assert_allclose(found.score, [each[3] for each in expected], atol=1e-5)


def test_limbs_of_coco_18(rng):
    paf = rng.normal(0.3, 0.1, (38, 40, 50)).astype(np.float32)
    candidate = np.column_stack((rng.integers(0, 50, 90), rng.integers(0, 40, 90), rng.random(90))).astype(
        float
    )
    first = np.arange(0, 91, 5)
    who, score = body18.find_limbs(candidate, first, paf)
    expected = oracle.limbs(candidate, first, paf, tables.BODY18_PAIRS, tables.BODY18_FIELDS)
    assert len(expected) > 20
    np.testing.assert_array_equal(who, [each[:3] for each in expected])
    np.testing.assert_allclose(score, [each[3] for each in expected], atol=1e-6)


@pytest.mark.parametrize("runs", [1, 2])
def test_missing_points_are_looked_for_where_a_tag_is_like_the_person_s(rng, runs):
    heat = rng.uniform(-0.1, 1, (6, 20, 30)).astype(np.float32)
    tags = rng.normal(0, 2, (6, 20, 30, runs)).astype(np.float32)
    people = np.zeros((3, 6, 3 + runs), np.float32)
    for n, person in enumerate(people):
        for k in range(0, 6, n + 2):
            person[k, :3] = rng.integers(0, 30) + 0.25, rng.integers(0, 20) + 0.75, 0.8
    np.testing.assert_allclose(
        associative.refine(people, heat, tags), oracle.refined(people, heat, tags), atol=1e-6
    )
