"""Image, points and boxes move together; checked with cases small enough to do by hand."""

import dataclasses

import numpy as np
import pytest

from hprnet_rt.errors import UsageError
from hprnet_rt.skeleton import FACE, FLIP_INDEX, LEFT_HAND, RIGHT_HAND
from hprnet_rt.training import affine, colour
from hprnet_rt.training.affine import clipped, moved, placed
from hprnet_rt.training.augment import Letterboxed, PaperAugmentation, StrongAugmentation, border_px
from hprnet_rt.training.sample import Sample

FACE_BOX, LEFT_BOX, RIGHT_BOX = range(3)


def sample_of(people=1, hw=(60, 80), seed=0):
    """Everyone fully labelled, all points inside their boxes, parts inside theirs."""
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
    )


def with_one(sample, **values):
    """A copy in which the first person's values are these."""
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
    """The strong augmentation without everything that is not asked for."""
    off = dict.fromkeys(("mirror", "turn", "mosaic", "jitter", "dark", "motion", "blur", "jpeg", "cut"), 0.0)
    hw = sample.image.shape[:2]
    return StrongAugmentation(**{**off, "input_hw": hw, "zoom": (1.0, 1.0), "least_share": 0.0, **settings})


def brightest(image):
    """Position of the middle of the brightest pixel."""
    y, x = np.unravel_index(image.sum(axis=2).argmax(), image.shape[:2])
    return np.array([x + 0.5, y + 0.5])


MIRROR = np.array([[-1.0, 0.0, 80.0], [0.0, 1.0, 0.0]])


def test_mirroring_all_points_twice_gives_the_sample_back():
    sample = sample_of(people=3)
    sample = dataclasses.replace(sample, labelled=np.random.default_rng(1).random((3, 133)) < 0.9)
    sample = with_one(
        sample, part_valid=[True, False, True], part_box_xyxy=[[9, 9, 20, 20], [0] * 4, [1, 2, 8, 8]]
    )
    sample = clipped(
        with_one(sample, labelled=[not LEFT_HAND.start <= i < LEFT_HAND.stop for i in range(133)])
    )
    once = moved(sample, MIRROR, (60, 80))
    assert not identical(once, sample)
    same(moved(once, MIRROR, (60, 80)), sample)


def test_a_mirrored_left_hand_is_a_right_hand():
    sample = with_one(
        sample_of(),
        part_box_xyxy=[[30, 10, 40, 20], [50, 20, 60, 35], [0, 0, 0, 0]],
        part_valid=[True, True, False],
        labelled=[not RIGHT_HAND.start <= i < RIGHT_HAND.stop for i in range(133)],
    )
    out = moved(sample, MIRROR, (60, 80))
    assert out.part_valid[0].tolist() == [True, False, True]
    assert out.part_box_xyxy[0].tolist() == [[40, 10, 50, 20], [0, 0, 0, 0], [20, 20, 30, 35]]
    np.testing.assert_allclose(out.xy[0, RIGHT_HAND, 0], 80 - sample.xy[0, LEFT_HAND, 0], atol=1e-5)
    assert out.labelled[0, RIGHT_HAND].all()
    assert not out.labelled[0, LEFT_HAND].any()
    np.testing.assert_allclose(out.xy[0, 5], (80, 0) + sample.xy[0, 6] * (-1, 1), atol=1e-5)
    assert FLIP_INDEX[5] == 6


@pytest.mark.parametrize(
    "matrix",
    [
        placed((40, 30), 1.0, (60, 80)),
        MIRROR,
        placed((40, 30), 1.0, (60, 80), turn_deg=180),
        np.array([[1.0, 0, 3], [0, 1, -2]]),
    ],
)
def test_one_bright_pixel_stays_one_pixel_and_its_point_in_its_middle(matrix):
    sample = sample_of()
    sample.image[:] = 0
    sample.image[21, 33] = 255
    sample.xy[0, 0] = (33.5, 21.5)
    out = moved(sample, matrix, (60, 80))
    assert (out.image > 0).sum() == 3
    np.testing.assert_allclose(brightest(out.image), out.xy[0, 0], atol=1e-4)


@pytest.mark.parametrize("zoom", [1.0, 3.0, 0.5, 0.2])
@pytest.mark.parametrize("smooth", [False, True])
def test_a_bright_square_and_its_middle_move_together(zoom, smooth):
    sample = sample_of(hw=(400, 400))
    sample.image[:] = 0
    sample.image[190:220, 222:248] = 255
    sample.xy[0, 0] = (235, 205)
    matrix = placed((220, 210), zoom, (300, 320), mirror=True, turn_deg=25)
    out = moved(sample, matrix, (300, 320), smooth=smooth)
    weight = out.image[..., 0].astype(float)
    ys, xs = np.mgrid[:300, :320] + 0.5
    center = np.array([(weight * xs).sum(), (weight * ys).sum()]) / weight.sum()
    np.testing.assert_allclose(center, out.xy[0, 0], atol=0.1)  # px; interpolation weights have 5 bits


def test_smooth_shrinking_looks_at_every_pixel():
    sample = sample_of(hw=(400, 400))
    sample.image[:] = 0
    sample.image[::8] = 255  # every eighth row: an eighth of white
    small = {s: moved(sample, placed((200, 200), 0.125, (50, 50)), (50, 50), smooth=s) for s in (True, False)}
    assert np.abs(small[True].image.astype(int) - 255 / 8).max() <= 2
    assert np.abs(small[False].image.astype(int) - 255 / 8).max() > 25


def test_a_quarter_turn_by_hand():
    sample = with_one(sample_of(), xy=(20, 10), box_xyxy=[10, 5, 30, 45], part_box_xyxy=[[12, 6, 22, 11]] * 3)
    sample.image[:] = 0
    sample.image[10, 20] = 255
    # Clockwise about the middle (40, 30) of 80 x 60, onto (30, 40) of 60 x 80: (x, y) goes to (60 - y, x).
    out = moved(sample, placed((40, 30), 1.0, (80, 60), turn_deg=90), (80, 60))
    np.testing.assert_allclose(out.xy[0], np.full((133, 2), (50, 20)), atol=1e-4)
    np.testing.assert_allclose(out.box_xyxy[0], [15, 10, 55, 30], atol=1e-4)
    np.testing.assert_allclose(out.part_box_xyxy[0], [[49, 12, 54, 22]] * 3, atol=1e-4)
    assert brightest(out.image).tolist() == [49.5, 20.5]
    assert out.labelled.all()


def test_a_turned_box_also_holds_the_points_that_stuck_out_but_not_the_unlabelled():
    sample = with_one(
        sample_of(), xy=(20, 20), box_xyxy=[10, 10, 30, 30], part_box_xyxy=[[15, 15, 25, 25]] * 3
    )
    sample.xy[0, 9] = (50, 20)
    sample.xy[0, 10] = (70, 20)
    sample.labelled[0, 10] = False
    out = moved(sample, placed((40, 30), 1.0, (80, 60), turn_deg=90), (80, 60))
    np.testing.assert_allclose(out.box_xyxy[0], [30, 10, 50, 50], atol=1e-4)
    straight = moved(sample, placed((40, 30), 1.0, (60, 80)), (60, 80))
    assert straight.box_xyxy[0].tolist() == [10, 10, 30, 30]  # as annotated where nothing turns


def test_points_pushed_outside_become_unlabelled_and_boxes_are_clipped():
    sample = with_one(
        sample_of(), xy=(20, 20), box_xyxy=[10, 10, 30, 30], part_box_xyxy=[[15, 15, 25, 25]] * 3
    )
    sample.xy[0, :4] = [(15, 20), (14.9, 20), (20, 70), (20, 69.9)]
    out = moved(sample, np.array([[1.0, 0, -15], [0, 1, -10]]), (60, 80))
    assert out.labelled[0, :5].tolist() == [True, False, False, True, True]
    assert out.box_xyxy[0].tolist() == [0, 0, 15, 20]
    assert out.part_box_xyxy[0].tolist() == [[0, 5, 10, 15]] * 3


def test_a_part_outside_is_invalid_and_its_points_unlabelled():
    sample = with_one(
        sample_of(), part_box_xyxy=[[1, 1, 9, 9], [5, 5, 10.5, 20], [5, 5, 15, 20]], xy=(30, 30)
    )
    out = moved(sample, np.array([[1.0, 0, -10], [0, 1, 0]]), (60, 80))
    assert out.part_valid[0].tolist() == [False, False, True]  # of the left hand, half a pixel is left
    assert not out.labelled[0, FACE].any()
    assert not out.labelled[0, LEFT_HAND].any()
    assert out.labelled[0, RIGHT_HAND].all()
    assert out.labelled[0, :17].all()


def test_people_outside_are_gone_and_ignored_slivers_stay():
    sample = sample_of(people=4)
    sample.box_xyxy[:, :] = [[-20, 5, -3, 9], [-5, 5, 0.9, 9], [-5, 5, 1, 9], [-5, 5, 0.5, 9]]
    sample.ignore[3] = True
    out = clipped(sample)
    assert out.box_xyxy.tolist() == [[0, 5, 1, 9], [0, 5, 0.5, 9]]
    assert out.ignore.tolist() == [False, True]


def test_people_of_whom_too_little_is_in_view_are_ignored():
    sample = with_one(sample_of(people=2), box_xyxy=[-18, 5, 2, 25])
    sample.xy[0] = (1, 10)
    out = clipped(sample, least_share=0.11)
    assert out.ignore.tolist() == [True, False]
    assert not out.labelled[0].any()
    assert not out.part_valid[0].any()
    assert not clipped(sample, least_share=0.09).ignore.any()


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


def float_jitter(image, rng, strength, lighting):
    """The released code's order of events, on float images without bounds."""
    image = image / 255
    grey = image @ [0.114, 0.587, 0.299]
    mean = grey.mean()
    for step in rng.permutation(3):
        factor = 1 + rng.uniform(-strength, strength)
        other = (0.0, mean, grey[..., None])[step]
        image = image * factor + (1 - factor) * other
    vectors = np.array(
        [
            [-0.58752847, -0.69563484, 0.41340352],
            [-0.5832747, 0.00994535, -0.81221408],
            [-0.56089297, 0.71832671, 0.41158938],
        ]
    )
    return image + vectors @ ([0.2141788, 0.01817699, 0.00341571] * rng.normal(0, lighting, 3))


@pytest.mark.parametrize("seed", range(12))
def test_colours_are_the_released_code_s_cut_to_bytes(seed):
    image = sample_of().image
    expected = np.clip(255 * float_jitter(image, np.random.default_rng(seed), 0.4, 0.1), 0, 255)
    ours = colour.jittered(image, np.random.default_rng(seed))
    assert np.abs(ours - expected).max() < 1.5  # levels: rounding, and OpenCV's 10-bit weights


def test_colour_strength_of_nothing_changes_nothing():
    image = sample_of().image
    assert (colour.jittered(image, np.random.default_rng(0), 0.0, 0.0) == image).all()


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


def test_motion_blur_spreads_a_pixel_along_its_line_and_keeps_its_middle():
    image = np.zeros((31, 31, 3), np.uint8)
    image[15, 15] = 255
    out = colour.motion_blurred(image, 9, 0)[..., 0]
    assert (out[15, 11:20] > 0).all()
    assert not np.delete(out, 15, axis=0).any()
    assert (out[15] * np.arange(31)).sum() / out[15].sum() == pytest.approx(15, abs=0.1)
    assert (colour.motion_blurred(image, 9, 90)[..., 0] == out.T).all()


def test_degradations_do_what_they_are_called():
    image = np.full((64, 64, 3), 200, np.uint8)
    dark = colour.dark_and_noisy(image, np.random.default_rng(0), 0.5, 5.0)
    assert dark.mean() == pytest.approx(100, abs=0.5)
    assert dark.std() == pytest.approx(5, abs=0.3)
    noise = sample_of().image
    assert colour.blurred(noise, 2.0).std() < 0.4 * noise.std()
    photo = colour.blurred(noise, 2.0)
    worse, better = (np.abs(colour.compressed(photo, q).astype(int) - photo).mean() for q in (10, 95))
    assert worse > 2 * better > 0


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


def test_a_turned_box_is_the_bound_of_the_ellipse_in_it():
    """By hand: a box of 40 x 20 around the origin, turned by 30 degrees."""
    cos, sin = np.sqrt(0.75), 0.5
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    bound = affine._bound(np.array([-20, -10, 20, 10], np.float32), matrix)
    across = np.hypot(20 * cos, 10 * sin)
    down = np.hypot(20 * sin, 10 * cos)
    np.testing.assert_allclose(bound, [-across, -down, across, down], rtol=1e-6)
