"""Colours come out as they went in, and are labelled as what they were converted to."""

import av
import cv2
import numpy as np
import pytest

from hprnet_rt.video.color import Color
from hprnet_rt.video.conversion import to_bgr, to_picture
from tests import clips
from tests.media import videos
from tests.media.passing import labels, pass_through, planes, play

BT709, BT601, BT2020 = 1, 6, 9
LUMA = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114), BT2020: (0.2627, 0.0593)}


def exact_planes(image, matrix, is_full):
    """Y, Cb and Cr of a BGR image (H, W, 3) with even sides, as real numbers: ITU-T H.273."""
    red_share, blue_share = LUMA[matrix]
    blue, green, red = np.moveaxis(image.astype(float), 2, 0) / 255
    light = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    blues, reds = (blue - light) / (2 - 2 * blue_share), (red - light) / (2 - 2 * red_share)
    scale, zero, spread = (255, 0, 255) if is_full else (219, 16, 224)
    height, width = light.shape
    halves = [c.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for c in (blues, reds)]
    return [zero + scale * light, *(128 + spread * half for half in halves)]


def exact_bgr(y, u, v, matrix, is_full):
    """A BGR image of the planes, as real numbers from 0 to 255."""
    red_share, blue_share = LUMA[matrix]
    scale, zero, spread = (255, 0, 255) if is_full else (219, 16, 224)
    light = (y - zero) / scale
    blues, reds = ((c.repeat(2, 0).repeat(2, 1)[: y.shape[0], : y.shape[1]] - 128) / spread for c in (u, v))
    blue, red = light + (2 - 2 * blue_share) * blues, light + (2 - 2 * red_share) * reds
    green = (light - red_share * red - blue_share * blue) / (1 - red_share - blue_share)
    return np.clip(np.stack([blue, green, red], axis=2), 0, 1) * 255


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("matrix", LUMA)
def test_conversion_rounds_to_the_nearest(matrix, is_full):
    image = clips.noise(0, 162, 98)
    color = Color(2 if is_full else 1, matrix)
    picture = to_picture(image, color)
    for found, exact in zip(planes(picture), exact_planes(image, matrix, is_full), strict=True):
        assert np.abs(found - np.clip(exact, 0, 255)).max() < 0.51
    found = to_bgr(picture)
    # factors have 14 binary digits
    assert np.abs(found - exact_bgr(*planes(picture), matrix, is_full)).max() < 0.52


@pytest.mark.parametrize(("width", "height"), [(161, 97), (160, 97), (1, 1)])
def test_odd_sides_are_converted_to_their_edges(width, height):
    frame = av.VideoFrame(width, height, "yuv420p")
    rng = np.random.default_rng(1)
    for plane in frame.planes:
        plane.update(rng.integers(40, 200, plane.buffer_size, np.uint8).tobytes())
    y, u, v = planes(frame)
    assert np.abs(to_bgr(frame) - exact_bgr(y, u, v, BT601, False)).max() < 0.52


@pytest.mark.parametrize(("level", "light"), [(255, 235), (128, 126), (0, 16)])
def test_white_stays_white_and_grey_has_no_tint(tmp_path, level, light):
    pass_through(videos.flat(tmp_path / "flat.mkv", level), tmp_path / "out.mp4")
    for frame in play(tmp_path / "out.mp4").frames:
        assert [np.unique(plane).tolist() for plane in planes(frame)] == [[light], [128], [128]]


def test_a_ramp_of_greys_survives_ten_passes(tmp_path):
    source = videos.ramp(tmp_path / "0.mkv")
    first = planes(play(source).frames[0])
    for number in range(10):
        pass_through(tmp_path / f"{number}.mkv", tmp_path / f"{number + 1}.mkv")
    for before, after in zip(first, planes(play(tmp_path / "10.mkv").frames[0]), strict=True):
        assert np.abs(before - after).max() <= 1


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("matrix", [BT709, BT601, 5, BT2020])
def test_what_is_not_drawn_on_keeps_its_colours(tmp_path, matrix, is_full):
    source = videos.natural(tmp_path / "clip.mp4", matrix, is_full)
    pass_through(source, tmp_path / "out.mp4")
    for before, after in zip(play(source).frames, play(tmp_path / "out.mp4").frames, strict=True):
        assert labels(after) == (1, matrix, matrix, matrix)
        light, chroma = (219 / 255, 16), (224 / 255, 128 * (1 - 224 / 255))
        scales = (light, chroma, chroma) if is_full else ((1, 0),) * 3
        for found, given, (scale, zero) in zip(planes(after), planes(before), scales, strict=True):
            # of 255; a full range has more levels than the limited one that they become
            assert np.abs(found - (given * scale + zero)).mean() < (0.35 if is_full else 0.1)


@pytest.mark.parametrize(
    ("pix_fmt", "is_full"),
    [
        ("nv12", False),
        ("nv12", True),
        ("p010le", False),
        ("yuv420p10le", False),
        ("yuv420p10le", True),
        ("yuv420p12le", True),
    ],
)
def test_other_ways_to_store_the_same_picture_keep_its_colours(pix_fmt, is_full):
    with av.open(str(clips.SAMPLE)) as file:
        plain = next(file.decode(video=0))
    plain.color_range = 1 + is_full
    stored = plain.reformat(format=pix_fmt)
    stored.color_range, stored.colorspace = plain.color_range, plain.colorspace
    color = Color.of(plain).written
    expected, found = (planes(to_picture(to_bgr(frame), color)) for frame in (plain, stored))
    for plane, like in zip(found, expected, strict=True):
        assert np.abs(plane - like).mean() < 0.05


def test_deep_pictures_are_rounded_to_the_nearest():
    frame = av.VideoFrame(32, 2, "yuv420p10le")
    levels = np.arange(64, 940, 14, np.uint16)[:64]
    for plane, values in zip(frame.planes, (levels[:64], np.full(16, 512), np.full(16, 512)), strict=True):
        lines = np.zeros((plane.height, plane.line_size // 2), "<u2")
        lines[:, : plane.width] = np.resize(values, (plane.height, plane.width))
        plane.update(lines.tobytes())
    exact = (np.resize(levels, (2, 32)) / 4 - 16) / 219 * 255
    # half a level of eight bits, and half one of the image
    assert np.abs(to_bgr(frame)[..., 1] - exact).max() < 0.5 * 255 / 219 + 0.51


def test_photographs_in_a_row_keep_their_colours(tmp_path):
    source = videos.jpegs(tmp_path / "timelapse.mov", 1)
    pass_through(source, tmp_path / "out.mp4")
    (before, after) = (play(path).frames[0] for path in (source, tmp_path / "out.mp4"))
    assert np.abs(to_bgr(before).astype(int) - to_bgr(after)).mean() < 0.5


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("screen.mkv", videos.screen),
        ("png.mov", lambda path: videos.screen(path, "png")),
        ("moving.gif", videos.last_stays_gif),
        ("flat.mkv", lambda path: videos.flat(path, 200)),
    ],
)
def test_rgb_is_labelled_as_what_it_became(tmp_path, name, make, encoder):
    source = make(tmp_path / name)
    pass_through(source, tmp_path / "out.mp4", encoder=encoder, crf=1)
    before, after = play(source).frames[0], play(tmp_path / "out.mp4").frames[0]
    assert labels(after)[:3] == (1, BT709, BT709)
    shown = exact_bgr(*planes(after), BT709, False)
    # edges have half the colours, and the GIF a coloured edge in every column
    allowed = 10 if name == "moving.gif" else 2.5
    assert np.abs(shown - before.to_ndarray(format="bgr24")).mean() < allowed


def test_numbered_images_are_labelled_as_what_they_became(annotate_small, tmp_path):
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((96, 160, 3), (30, 200, 90), np.uint8))
    assert annotate_small(tmp_path / "%d.png", "-o", tmp_path / "out.mp4", "--crf", "0")[0] == 0
    frame = play(tmp_path / "out.mp4").frames[0]
    assert labels(frame)[:3] == (1, BT709, BT709)
    shown = exact_bgr(*planes(frame), BT709, False).mean(axis=(0, 1))
    assert np.abs(shown - (30, 200, 90)).max() < 1.5  # half a level of Y, Cb and Cr


@pytest.mark.parametrize("matrix", [8, 10, 12, 14])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_a_matrix_that_is_not_known_is_read_as_players_do_with_a_warning(
    annotate_small, tmp_path, caplog, matrix, pix_fmt
):
    images = [clips.corner(n, *videos.SIZE) for n in range(3)]
    source = videos.pictures(
        tmp_path / "clip.mp4", images, "libx264", pix_fmt, labels=(1, matrix, 1, 1), options={"crf": "1"}
    )
    code, _, err = annotate_small(source, "-o", tmp_path / "out.mp4", "--crf", "1")
    assert (code, err) == (0, "")
    (warning,) = caplog.messages
    assert f"matrix {matrix}" in warning
    frame = play(tmp_path / "out.mp4").frames[0]
    assert labels(frame)[1] == BT601
    assert np.abs(exact_bgr(*planes(frame), BT601, False) - images[0]).mean() < 2


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p", "yuv444p", "gray", "nv12"])
def test_other_formats_keep_their_light(pix_fmt):
    grey = np.repeat(np.arange(0, 256, 2, dtype=np.uint8)[None, :, None], 16, 0).repeat(3, 2)
    frame = av.VideoFrame.from_ndarray(grey, format="bgr24").reformat(
        format=pix_fmt, interpolation="ACCURATE_RND"
    )
    assert np.abs(to_bgr(frame).astype(int) - grey).max() <= 2
