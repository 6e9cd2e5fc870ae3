"""Faces that are blurred, and drawings on top of one another."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hprnet_rt import PARTS, FaceBlur, Frame, Poses, index
from hprnet_rt.errors import ShapeError, UsageError
from hprnet_rt.render import Overlay, OverlayStyle, draw_onto, drawing_of
from hprnet_rt.render.blur import head_boxes
from hprnet_rt.types import FramePoses

WIDE, HIGH = 200, 300
HEAD = {"nose": (100, 50), "left_eye": (108, 42), "right_eye": (92, 42), "left_ear": (116, 46)}
BODY = {
    "left_shoulder": (130, 90),
    "right_shoulder": (70, 90),
    "left_hip": (115, 180),
    "right_hip": (85, 180),
}


def someone(points=HEAD | BODY, track_id=-1, score=0.9, face=None):
    array = np.full((1, 133, 3), np.nan)
    for name, at in points.items():
        array[0, index(name)] = (*at, score)
    if face is not None:
        array[0, PARTS["face"]] = np.random.default_rng(0).uniform((90, 35, 0.5), (115, 75, 0.9), (68, 3))
    return Poses.from_numpy(array, box_xyxy=[(60, 20, 140, 280)], track_id=[track_id])


def noise(sequence=0):
    image = np.random.default_rng(2).integers(0, 256, (HIGH, WIDE, 3), np.uint8)
    return Frame(sequence, image, 0.0, sequence, Fraction(1, 10))


def changed(frame):
    ys, xs = np.nonzero((frame.image != noise().image).any(axis=2))
    return (xs.min(), ys.min(), xs.max(), ys.max()) if len(xs) else None


@pytest.mark.parametrize(
    "poses",
    [
        someone(),
        someone(face=True),
        someone(HEAD),
        someone(BODY),
        someone({"left_ear": (110, 50), "right_ear": (92, 50)} | BODY),
        someone(score=0.05),
        someone({"left_ankle": (100, 270)}),
    ],
    ids=["body", "face", "head", "no head", "from behind", "guesses", "ankle"],
)
def test_a_head_is_blurred_whatever_is_known_of_it(poses):
    frame = noise()
    FaceBlur()(frame, poses)
    left, top, right, bottom = changed(frame)
    assert left <= 85 and top <= 35 and right >= 115 and bottom >= 60, "the head of the picture"
    assert bottom < 190, "not all of the person"
    head = frame.image[35:60, 90:112].astype(float)
    assert np.abs(np.diff(head, axis=1)).max() < 40, "only a few cells are left of the noise"


def test_a_place_stays_blurred_for_a_second_after_its_person_is_lost():
    for track_id in (3, -1):
        blur = FaceBlur()
        blur(noise(0), someone(track_id=track_id))
        frames = [noise(n) for n in range(1, 13)]
        for frame in frames:
            blur(frame, Poses.empty())
        assert [changed(frame) is not None for frame in frames] == [n <= 10 for n in range(1, 13)]


def test_who_is_seen_is_blurred_where_they_are():
    blur = FaceBlur()
    blur(noise(0), someone(track_id=3))
    moved = someone(track_id=3)
    down = np.array((0, 150), np.float32)
    moved = replace(moved, xy=moved.xy + down, box_xyxy=moved.box_xyxy + np.tile(down, 2))
    frame = noise(1)
    blur(frame, moved)
    assert changed(frame)[1] > 100


def test_who_is_beside_the_picture_does_no_harm():
    far = someone()
    far = replace(far, xy=far.xy + 1000, box_xyxy=far.box_xyxy + 1000)
    frame = noise()
    FaceBlur()(frame, far)
    assert changed(frame) is None
    assert head_boxes(Poses.empty()).shape == (0, 4)


def test_a_skeleton_alone_is_on_black_and_above_a_blur():
    overlay, poses = Overlay(OverlayStyle(ids=False)), someone()
    black = np.zeros((HIGH, WIDE, 3), np.uint8)
    overlay.draw(black, poses)
    item = draw_onto(FramePoses(noise(), poses), drawing_of(overlay, only="skeleton", blur="faces"))
    assert (item.frame.image == black).all() and black.any()
    blurred, drawn = noise(), noise()
    FaceBlur()(blurred, poses)
    overlay.draw(blurred.image, poses)
    draw_onto(FramePoses(drawn, poses), drawing_of(overlay, blur="faces"))
    assert (drawn.image == blurred.image).all()


def test_each_video_has_a_blur_of_its_own():
    overlay = Overlay()
    first, second = (drawing_of(overlay, blur="faces") for _ in range(2))
    first(noise(0), someone(track_id=1))
    frame = noise(1)
    second(frame, Poses.empty())
    assert changed(frame) is None


def test_a_function_that_draws_may_return_another_picture():
    item = FramePoses(noise(), Poses.empty())
    other = 255 - item.frame.image
    assert draw_onto(item, lambda frame, poses: other).frame.image is other
    assert draw_onto(item, lambda frame, poses: None) is item
    for wrong in (other[:9], other.astype(float), "picture"):
        with pytest.raises(ShapeError, match=r"changes frame\.image, or returns a picture"):
            draw_onto(item, lambda frame, poses, wrong=wrong: wrong)


def test_what_cannot_be_hidden_blurred_or_shown_alone_is_a_sentence():
    with pytest.raises(UsageError, match="blurred is faces"):
        drawing_of(Overlay(), blur="hands")
    with pytest.raises(UsageError, match="shown alone is skeleton"):
        drawing_of(Overlay(), only="face")
    with pytest.raises(UsageError, match="hidden is body, face"):
        OverlayStyle().without(["nose"])
