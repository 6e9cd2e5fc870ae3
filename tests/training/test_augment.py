"""The augmentations, checked with cases small enough to do by hand."""

import dataclasses

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.skeleton import FACE, LEFT_HAND, RIGHT_HAND
from hprnet_rt.training.augment import Letterboxed, PaperAugmentation, StrongAugmentation, border_px
from tests.training.samples import (
    FACE_BOX,
    LEFT_BOX,
    RIGHT_BOX,
    identical,
    same,
    sample_of,
    still,
    with_one,
)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1000, 128), (257, 128), (256, 64), (200, 64), (128, 32), (100, 32), (2, 0), (1, 0)],
)
def test_the_border_halves_until_something_is_left(size, expected):
    assert border_px(128, size) == expected


def test_a_side_of_nothing_has_no_border():
    with pytest.raises(UsageError, match="at least 1 px, got 0"):
        border_px(128, 0)


def test_paper_scales_and_centers_are_those_of_the_paper():
    sample = with_one(sample_of(hw=(300, 400)), box_xyxy=[0, 0, 400, 300])
    marks = np.array([(190, 150), (200, 150), (190, 160)], np.float32)
    zooms, mirrored, centers = set(), 0, []
    for seed in range(300):
        sample.xy[0, 23 + np.array([27, 28, 29])] = (
            marks  # on the ridge of the nose: their own mirror partners
        )
        out = PaperAugmentation(512)(sample, np.random.default_rng(seed))
        a, b, c = out.xy[0, 23 + np.array([27, 28, 29])]
        assert out.image.shape == (512, 512, 3)
        zoom = (c - a)[1] / 10
        assert abs((b - a)[0]) / 10 == pytest.approx(zoom, abs=1e-4)
        assert (b - a)[1] == pytest.approx(0, abs=1e-4)
        zooms.add(round(512 / (zoom * 400), 3))
        mirrored += b[0] < a[0]
        centers.append((190 + (256 - a[0]) / zoom * (-1 if b[0] < a[0] else 1), 150 + (256 - a[1]) / zoom))
    assert sorted(zooms) == [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3]
    assert 110 < mirrored < 190
    centers = np.array(centers)
    assert np.abs(centers % 1 - 0.5).max() < 0.01  # middles of pixels
    assert centers.min(axis=0) == pytest.approx((128.5, 128.5), abs=4)
    assert centers.max(axis=0) == pytest.approx((271.5, 171.5), abs=4)


def test_the_given_sample_stays_as_it_is():
    before, sample = sample_of(people=2), sample_of(people=2)
    everything = StrongAugmentation((64, 96), mirror=1, turn=1, mosaic=1, dark=1, jpeg=1, cut=1)
    for transform in (PaperAugmentation(64), Letterboxed((64, 64)), everything):
        transform(sample, np.random.default_rng(0), lambda: sample)
        assert identical(before, sample)


def test_letterboxed_by_hand():
    sample = with_one(sample_of(hw=(100, 200)), xy=(50, 80), box_xyxy=[20, 10, 120, 90])
    sample.part_box_xyxy[0, FACE_BOX] = [40, 70, 60, 90]
    out = Letterboxed((64, 64))(sample)  # scaled by 0.32 to 32 x 64, 16 px above
    np.testing.assert_allclose(out.xy[0, 0], (16, 41.6), atol=1e-4)
    np.testing.assert_allclose(out.box_xyxy[0], (6.4, 19.2, 38.4, 44.8), atol=1e-4)
    np.testing.assert_allclose(out.part_box_xyxy[0, FACE_BOX], (12.8, 38.4, 19.2, 44.8), atol=1e-4)
    assert not out.image[:16].any()
    assert out.image[16:48].any(axis=(1, 2)).all()


def test_letterboxed_at_its_own_size_only_moves():
    sample = sample_of(hw=(60, 80))
    out = Letterboxed(None, 32)(sample)
    assert out.image.shape == (64, 96, 3)
    assert (out.image[2:62, 8:88] == sample.image).all()
    np.testing.assert_allclose(out.xy, sample.xy + np.array([8, 2]), atol=1e-5)


def test_strong_with_everything_off_is_the_image_itself():
    sample = sample_of()
    same(still(sample, border=0.49999999)(sample, np.random.default_rng(0)), sample, atol=1e-3)


def test_a_mosaic_keeps_everyone_in_the_corner_of_their_own_image():
    flat = np.full((60, 80, 3), 0, np.uint8)
    samples = [dataclasses.replace(sample_of(seed=n), image=flat + np.uint8(50 * (n + 1))) for n in range(4)]
    rest = iter(samples[1:])
    mosaic = still(
        samples[0],
        mosaic=1,
        input_hw=(120, 160),
        mosaic_split=(0.5, 0.5),
        border=0.49999999,
        mosaic_zoom=(1, 1),
    )
    out = mosaic(samples[0], np.random.default_rng(0), lambda: next(rest))
    assert out.image_id == samples[0].image_id
    assert [int(out.image[y, x, 0]) for y in (30, 90) for x in (40, 120)] == [50, 100, 150, 200]
    assert len(out) == 4
    for n, shift in enumerate([(0, 0), (80, 0), (0, 60), (80, 60)]):
        np.testing.assert_allclose(out.xy[n], samples[n].xy[0] + shift, atol=1e-3)
        np.testing.assert_allclose(out.box_xyxy[n], samples[n].box_xyxy[0] + np.tile(shift, 2), atol=1e-3)
        np.testing.assert_allclose(
            out.part_box_xyxy[n], samples[n].part_box_xyxy[0] + np.tile(shift, 2), atol=1e-3
        )


def test_no_label_of_a_mosaic_leaves_its_corner():
    mosaic = still(sample_of(), mosaic=1, turn=1, mirror=0.5, mosaic_zoom=(0.5, 3), mosaic_split=(0.5, 0.5))
    for seed in range(20):
        out = mosaic(sample_of(), np.random.default_rng(seed), sample_of)
        for n in range(len(out)):
            x, y = out.box_xyxy[n, [0, 2]], out.box_xyxy[n, [1, 3]]
            assert x[0] // 40 == (x[1] - 0.01) // 40
            assert y[0] // 30 == (y[1] - 0.01) // 30
            points = out.xy[n, out.labelled[n]]
            assert len(np.unique(points // (40, 30), axis=0)) <= 1


def test_without_other_samples_there_is_no_mosaic():
    sample = sample_of()
    same(still(sample, mosaic=1, border=0.49999999)(sample, np.random.default_rng(0)), sample, atol=1e-3)


def test_a_hidden_hand_is_not_labelled_and_a_person_is_never_hidden():
    sample = with_one(sample_of(hw=(200, 200)), xy=(100, 100), box_xyxy=[20, 20, 180, 180])
    sample.part_box_xyxy[0] = [[30, 30, 31, 31], [60, 60, 140, 140], [100, 100, 104, 104]]
    cut = still(sample, cut=1, cut_count=8, cut_share=(0.2, 0.3), border=0.49999999)
    hidden = np.zeros(3, int)
    for seed in range(60):
        out = cut(sample, np.random.default_rng(seed))
        hidden += ~out.part_valid[0]
        assert out.labelled[0, :23].all()
        for part, where in enumerate((FACE, LEFT_HAND, RIGHT_HAND)):
            assert out.labelled[0, where].all() == out.part_valid[0, part]
    assert hidden[RIGHT_BOX] > 10
    assert hidden[LEFT_BOX] == 0  # no rectangle hides half of it
    small = with_one(sample, box_xyxy=[90, 90, 110, 110], part_valid=[False] * 3)
    covered = [cut(small, np.random.default_rng(seed)).image[95:105, 95:105] for seed in range(60)]
    assert not any((image == image[0, 0]).all() for image in covered)


def test_the_same_numbers_give_the_same_sample_and_others_another():
    everything = StrongAugmentation(
        (64, 96), mirror=0.5, turn=1, mosaic=0.5, jitter=1, dark=1, motion=0.5, blur=0.5, jpeg=1, cut=1
    )
    for transform in (everything, PaperAugmentation(64)):
        a, b, c = (
            transform(sample_of(2), np.random.default_rng(seed), lambda: sample_of(3)) for seed in (5, 5, 6)
        )
        assert identical(a, b)
        assert not np.array_equal(a.image, c.image)


def test_an_image_without_people_stays_without():
    empty = sample_of(people=0)
    everything = StrongAugmentation((64, 64), mirror=1, turn=1, mosaic=1, cut=1)
    for transform in (everything, PaperAugmentation(64), Letterboxed((64, 64))):
        out = transform(empty, np.random.default_rng(0), lambda: empty)
        assert len(out) == 0
        assert out.xy.shape == (0, 133, 2)
        assert out.part_box_xyxy.shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"turn": 1.5}, "turn is a probability, 0 to 1, got 1.5"),
        ({"zoom": (2.0, 1.0)}, "zoom is a range above 0, least first"),
        ({"blur_px": (0.0, 1.0)}, "blur_px is a range above 0"),
        ({"motion": 0.7, "blur": 0.7}, "together they are at most 1"),
        ({"border": 0.5}, "border is at least 0 and below 0.5"),
        ({"jpeg_quality": (20, 101)}, "jpeg_quality at 100"),
        ({"cut_count": 0}, "cut_count at least 1"),
    ],
)
def test_settings_that_cannot_be(settings, sentence):
    with pytest.raises(UsageError, match=sentence):
        StrongAugmentation(**settings)
