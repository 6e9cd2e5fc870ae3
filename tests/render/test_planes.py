"""Drawing on planes looks like drawing on an image whose colours are brought to half the resolution then."""

import numpy as np
import pytest

from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.render import FaceBlur, Overlay, drawing_of, draws_planes
from hprnet_rt.skeleton import NUM_KEYPOINTS
from hprnet_rt.types import Frame, Planes, Poses

# of 255, the largest and the mean where something is drawn. Chroma differs where strokes lie on each other in
# a cell of four pixels: what they cover together is the mean of products there, and the product of means here
LUMA, CHROMA = (20, 1.0), (60, 6.0)
OVERLAY = Overlay()
BT601, BT709 = (0.299, 0.114), (0.2126, 0.0722)


def matrix(luma, is_full):
    """Return what gives Y, Cb and Cr of blue, green and red, and what is added."""
    red, blue = luma
    y = np.array([blue, 1 - red - blue, red])
    rows = [y, (np.array([1, 0, 0]) - y) / (2 - 2 * blue), (np.array([0, 0, 1]) - y) / (2 - 2 * red)]
    scale = [1, 1, 1] if is_full else [219 / 255, 224 / 255, 224 / 255]
    return np.array(rows) * np.array(scale)[:, None], np.array([0 if is_full else 16, 128, 128])


def halved(plane):
    """Return the means of cells of four pixels, of fewer at odd borders."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="constant", constant_values=np.nan)
    return np.nanmean(padded.reshape(-(-height // 2), 2, -1, 2), axis=(1, 3))


def as_planes(image, luma=BT601, is_full=False):
    factors, zero = matrix(luma, is_full)
    y, u, v = np.moveaxis(image.astype(np.float64) @ factors.T + zero, 2, 0)
    planes = (np.floor(plane + 0.5).astype(np.uint8) for plane in (y, halved(u), halved(v)))
    return Planes(*planes, luma, is_full)


def smooth_picture(random, height, width):
    """Return an image without hard edges, of which planes of half the size hold all."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    across, down, at = random.uniform(1, 6, (3, 3))
    waves = np.sin(across * x[..., None] + down * y[..., None] + at)
    return np.floor(128 + 100 * waves).astype(np.uint8)


def crowd(random, people, height, width, size_px):
    """Return people with points at random in boxes that may reach beyond the picture; some are absent."""
    side = random.uniform(*size_px, people)
    corner = random.uniform(-0.6, 0.9, (people, 2)) * (width, height)
    xy = corner[:, None] + random.uniform(0, 1, (people, NUM_KEYPOINTS, 2)) * side[:, None, None]
    score = random.uniform(0, 1, (people, NUM_KEYPOINTS))
    absent = random.uniform(0, 1, score.shape) < 0.2
    xy[absent], score[absent] = np.nan, 0
    box = np.concatenate((corner, corner + side[:, None]), axis=1)
    return Poses(
        xy.astype(np.float32),
        score.astype(np.float32),
        box.astype(np.float32),
        np.full((people, 4), np.nan, np.float32),
        np.ones(people, np.float32),
        random.integers(-1, 1000, people),
    )


def differences(image, poses, overlay=OVERLAY, luma=BT601, is_full=False):
    """Return how far planes that are drawn on are from the same image, and where it was drawn on."""
    drawn, planes = image.copy(), as_planes(image, luma, is_full)
    overlay.draw(drawn, poses)
    overlay.draw(planes, poses)
    expected = as_planes(drawn, luma, is_full)
    pairs = [(getattr(planes, name), getattr(expected, name)) for name in "yuv"]
    return [np.abs(a.astype(int) - b) for a, b in pairs], (drawn != image).any(axis=2)


def assert_alike(off, drawn):
    assert drawn.any()
    for each, (largest, mean) in zip(off, (LUMA, CHROMA, CHROMA), strict=True):
        assert each.max() <= largest
        assert each.mean() <= mean * drawn.mean()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size_px", [(5, 30), (40, 160), (300, 900), (2000, 6000)])
def test_planes_look_like_the_image(seed, size_px):
    """People of all sizes, across all borders, on pictures of even and odd sides."""
    random = np.random.default_rng(seed)
    height, width = random.integers(40, 200, 2)
    image = smooth_picture(random, height, width)
    assert_alike(*differences(image, crowd(random, 6, height, width, size_px)))


@pytest.mark.parametrize(("luma", "is_full"), [(BT601, True), (BT709, False), (BT709, True)])
def test_colours_are_those_of_the_matrix_and_range(luma, is_full):
    random = np.random.default_rng(7)
    image = smooth_picture(random, 160, 160)
    people = crowd(random, 4, 160, 160, (60, 200))
    assert_alike(*differences(image, people, luma=luma, is_full=is_full))


def test_a_single_line_and_dot_are_where_they_are_on_an_image():
    """Without others above them, chroma too is what an encoder makes of the image, to a rounding."""
    random = np.random.default_rng(3)
    for _ in range(60):
        xy = np.full((1, NUM_KEYPOINTS, 2), np.nan, np.float32)
        xy[0, [5, 7]] = random.uniform(-5, 105, (2, 2))
        score = np.isfinite(xy[..., 0]).astype(np.float32)
        size = random.uniform(1, 900)
        box = np.array([[0, 0, size, size]], np.float32)
        face, one = np.full((1, 4), np.nan, np.float32), np.ones(1, np.float32)
        person = Poses(xy, score, box, face, one, np.array([-1]))
        off, _ = differences(np.full((100, 101, 3), 90, np.uint8), person)
        assert max(each.max() for each in off) <= LUMA[0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (5, 3), (17, 40), (40, 17), (63, 65)])
def test_nothing_beyond_the_planes_is_touched(shape):
    """Eight bytes are read and written at once; rows of codecs lie apart, with something between them."""
    random = np.random.default_rng(shape)
    half = ((shape[0] + 1) // 2, (shape[1] + 1) // 2)
    memory = [np.full((height + 4, width + 5), 77, np.uint8) for height, width in (shape, half, half)]
    views = [each[2:-2, 3:-2] for each in memory]
    for size_px in ((2, 20), (30, 90), (500, 1500)):
        for view in views:
            view[:] = 128
        OVERLAY.draw(Planes(*views, BT601), crowd(random, 8, *shape, size_px))
        assert max(shape) < 20 or any((view != 128).any() for view in views)
        for each in memory:
            outside = np.ones(each.shape, np.bool_)
            outside[2:-2, 3:-2] = False
            assert (each[outside] == 77).all()


def test_a_line_as_long_as_the_picture_is_as_thick_everywhere():
    for end in ((1195.0, 30.0), (1190.0, 1190.0), (40.0, 1190.0)):
        xy = np.full((1, NUM_KEYPOINTS, 2), np.nan, np.float32)
        xy[0, 5], xy[0, 7] = (8.3, 8.7), end
        score = np.isfinite(xy[..., 0]).astype(np.float32)
        box, face = np.array([[0, 0, 320, 320]], np.float32), np.full((1, 4), np.nan, np.float32)
        person = Poses(xy, score, box, face, np.ones(1, np.float32), np.array([-1]))
        (luma, *_), drawn = differences(np.full((1200, 1200, 3), 90, np.uint8), person)
        assert drawn.sum() > 2000
        assert luma.max() <= LUMA[0]


def test_absent_and_weak_people_leave_planes_as_they_are():
    random = np.random.default_rng(0)
    planes = as_planes(smooth_picture(random, 90, 90))
    before = [plane.copy() for plane in (planes.y, planes.u, planes.v)]
    people = crowd(random, 3, 90, 90, (20, 90))
    people.score[:] *= 0.05
    OVERLAY.draw(planes, people)
    OVERLAY.draw(planes, Poses.empty())
    people.xy[:], people.score[:] = np.nan, 0
    OVERLAY.draw(planes, people)
    for plane, old in zip((planes.y, planes.u, planes.v), before, strict=True):
        np.testing.assert_array_equal(plane, old)


@pytest.mark.parametrize("at", [(30, 40), (31, 41), (-3, -3), (150, 118)])
def test_ids_are_written_as_on_an_image(at):
    xy = np.full((1, NUM_KEYPOINTS, 2), np.nan, np.float32)
    xy[0, 3] = -300, -300  # shown, and outside
    score = np.isfinite(xy[..., 0]).astype(np.float32)
    for size in (60, 900):
        box = np.array([[*at, at[0] + size, at[1] + size]], np.float32)
        face, one = np.full((1, 4), np.nan, np.float32), np.ones(1, np.float32)
        person = Poses(xy, score, box, face, one, np.array([3091]))
        (luma, u, v), drawn = differences(smooth_picture(np.random.default_rng(1), 120, 161), person)
        assert drawn.mean() > 0.005
        assert luma.max() <= 2  # a rounding of cover
        assert max(u.max(), v.max()) <= 24  # outlines of neighbours share cells


def test_what_cannot_be_drawn_on_is_refused():
    y, u = np.zeros((8, 10), np.uint8), np.zeros((4, 5), np.uint8)
    readonly = y.copy()
    readonly.setflags(write=False)
    for planes, why in (
        ((y, u, u[:3]), r"chroma of luma \(8, 10\) is \(4, 5\)"),
        ((y.astype(np.float32), u, u), r"\(H, W\) uint8"),
        ((y[..., None], u, u), r"\(H, W\) uint8"),
        ((readonly, u, u), "read-only"),
        ((np.zeros((8, 20), np.uint8)[:, ::2], u, u), "in one piece"),
        ((y[::-1], u, u), "one after the other"),
    ):
        with pytest.raises(ShapeError, match=why):
            OVERLAY.draw(Planes(*planes, BT601), Poses.empty())
    with pytest.raises(UsageError, match="drawn are Poses"):
        OVERLAY.draw(Planes(y, u, u, BT601), None)


def test_a_black_picture_with_skeletons_only_is_the_same_on_planes():
    random = np.random.default_rng(2)
    image, people = smooth_picture(random, 90, 120), crowd(random, 2, 90, 120, (60, 90))
    alone = drawing_of(OVERLAY, only="skeleton")
    assert draws_planes(alone)
    for is_full in (False, True):
        planes = as_planes(image, is_full=is_full)
        alone.draw_planes(planes, 0.0, people)
        black = as_planes(np.zeros_like(image), is_full=is_full)
        OVERLAY.draw(black, people)
        for name in "yuv":
            np.testing.assert_array_equal(getattr(planes, name), getattr(black, name))


def test_faces_are_blurred_on_planes_where_they_are_on_an_image():
    random = np.random.default_rng(5)
    noise = random.integers(0, 256, (200, 260, 3)).astype(np.uint8)
    people = crowd(random, 2, 120, 160, (80, 100))
    image, planes = noise.copy(), as_planes(noise)
    FaceBlur()(Frame(0, image, 0.0), people)
    FaceBlur().draw_planes(planes, 0.0, people)
    blurred, plain = (image != noise).any(axis=2), as_planes(noise)
    assert blurred.any() and not blurred.all()
    off = np.abs(planes.y.astype(int) - as_planes(image).y)
    assert off.max() <= 2
    for name in "uv":
        changed = getattr(planes, name) != getattr(plain, name)
        assert changed[halved(blurred.astype(np.float64)) == 1].mean() > 0.9


def test_drawings_of_others_are_not_taken_for_ours():
    class Mine(Overlay):
        pass

    for draw in (OVERLAY, FaceBlur(), drawing_of(OVERLAY, blur="faces")):
        assert draws_planes(draw)
    for draw in (None, lambda *_: None, Mine(), drawing_of(Mine(), only="skeleton")):
        assert not draws_planes(draw)
