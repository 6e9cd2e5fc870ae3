"""Parts of the picture that are looked at on their own."""

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.errors import UsageError
from hprnet_rt.inference.regions import merged, parse_region
from hprnet_rt.inference.stages import pose_stages
from hprnet_rt.pipeline import Pipeline
from hprnet_rt.types import Frame, Poses
from hprnet_rt.video import BorrowedFrames
from tests import clips

FAILED, WRONG_USAGE = 1, 2
WHOLE = (0, 0, 1000, 600)


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load() as made:
        yield made


@pytest.mark.parametrize(
    ("text", "corners"),
    [
        ("10,20,30,40", (10, 20, 40, 60)),
        ("0, 0, 100%, 100%", (0, 0, 1000, 600)),
        ("10%,0,50%,100%", (100, 0, 600, 600)),
        ("33.3%,5,66.7%,1", (333, 5, 1000, 6)),
        ("500,50%,500,300", (500, 300, 1000, 600)),
    ],
)
def test_region_is_pixels_or_percent(text, corners):
    assert parse_region(text).corners(1000, 600) == corners


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("1,2,3", "X,Y,W,H"),
        ("1,2,3,4,5", "X,Y,W,H"),
        ("a,b,c,d", "X,Y,W,H"),
        ("", "X,Y,W,H"),
        ("0,0,nan,4", "X,Y,W,H"),
        ("0,0,0,4", "empty"),
        ("-1,0,3,4", "begins outside"),
        ("60%,0,50%,100%", "110%"),
    ],
)
def test_what_is_no_region_is_refused(annotate_small, tmp_path, text, word):
    clips.make(tmp_path / "clip.mp4", frames=1)
    code, _, err = annotate_small(tmp_path / "clip.mp4", "-o", tmp_path / "out", f"--regions={text}")
    assert code == WRONG_USAGE
    assert word in err.splitlines()[-1]


@pytest.mark.parametrize("text", ["0,0,161,96", "150,0,20,96", "0,97,5,5", "0,0,0.2%,100%"])
def test_region_that_is_not_in_the_picture_is_refused(annotate_small, tmp_path, text):
    clips.make(tmp_path / "clip.mp4", frames=1)
    code, _, err = annotate_small(tmp_path / "clip.mp4", "-o", tmp_path / "out", "--regions", text)
    assert code == FAILED
    assert len(err.splitlines()) == 1
    assert "160 x 96" in err
    assert not (tmp_path / "out").exists()


# --- who is the same ---


def people(*boxes, scores=None, joints=None):
    """A person a box (x1, y1, x2, y2), their joints spread over it."""
    box = np.array(boxes, np.float32).reshape(-1, 4)
    place = np.random.default_rng(1).uniform(0.1, 0.9, (133, 2))
    xy = (box[:, None, :2] + place * (box[:, None, 2:] - box[:, None, :2])).astype(np.float32)
    if joints is not None:
        xy[:, joints:] = np.nan
    score = np.where(np.isnan(xy[..., 0]), 0, 0.9).astype(np.float32)
    scores = np.linspace(0.9, 0.5, len(box)) if scores is None else np.array(scores)
    nothing = np.full((len(box), 4), np.nan, np.float32)
    return Poses(xy, score, box, nothing, scores.astype(np.float32), np.full(len(box), -1, np.int64))


def test_person_of_two_regions_is_one_with_the_higher_score():
    left, right = (0, 0, 600, 600), (400, 0, 1000, 600)
    first = people((420, 100, 580, 500), (10, 100, 170, 500), scores=(0.6, 0.5))
    second = people((22, 100, 182, 500), (300, 100, 460, 500), scores=(0.8, 0.55))
    found = merged([first, second], [left, right], 1000, 600)
    assert found.person_score.tolist() == pytest.approx([0.8, 0.55, 0.5])
    assert found.box_xyxy[:, 0].tolist() == [422, 700, 10]
    np.testing.assert_allclose(found.xy[0], second.xy[0] + (400, 0))
    assert np.isnan(found.face_xyxy).all()


def test_two_alike_of_one_region_are_two():
    twins = people((100, 100, 200, 400), (104, 100, 204, 400))
    assert len(merged([twins, Poses.empty()], [WHOLE, WHOLE], 1000, 600)) == 2


def test_person_cut_by_an_edge_counts_where_the_person_is_whole():
    cut = people((500, 100, 600, 500), scores=(0.9,), joints=3)
    whole = people((20, 100, 300, 500), scores=(0.4,))
    found = merged([cut, whole], [(0, 0, 600, 600), (400, 0, 1000, 600)], 1000, 600)
    assert found.box_xyxy[:, 0].tolist() == [420]
    # an edge of the picture cuts nobody off who would be seen elsewhere
    (corner, inside) = people((0, 0, 100, 100), joints=3), people((0, 0, 200, 400))
    assert len(merged([corner, inside], [WHOLE, WHOLE], 1000, 600)) == 2


def test_boxes_that_cover_each_other_are_one_person_whatever_the_joints():
    one, other = people((300, 100, 500, 500), scores=[0.5]), people((305, 90, 495, 505), scores=[0.6])
    other.xy[:, :17] = other.xy[:, 16::-1]
    found = merged([one, other], [WHOLE, (0, 0, 800, 600)], 1000, 600)
    np.testing.assert_allclose(found.person_score, [0.6])


def test_neighbours_of_different_regions_who_overlap_by_half_are_two():
    one, other = people((300, 100, 500, 500)), people((400, 100, 600, 500))
    assert len(merged([one, other], [WHOLE, (200, 0, 1000, 600)], 1000, 600)) == 2


def test_nobody_anywhere_is_nobody():
    assert len(merged([Poses.empty(), Poses.empty()], [WHOLE, WHOLE], 1000, 600)) == 0


# --- with a network ---


def small_people(scale=0.1, at=(900, 420)):
    """The sample's three people, small, in a large empty picture; and where they are: x, y, width, height."""
    frame = clips.decodable(clips.SAMPLE)[0][1]
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = np.full((720, 1280, 3), 90, np.uint8)
    image[at[1] : at[1] + small.shape[0], at[0] : at[0] + small.shape[1]] = small
    return image, (*at, small.shape[1], small.shape[0])


def look(model, images, *texts, batch=1):
    frames = BorrowedFrames([Frame(n, image.copy(), 0.0) for n, image in enumerate(images)])
    stages = pose_stages(model, batch=batch, regions=[parse_region(text) for text in texts])
    with Pipeline(frames, stages) as pipeline:
        return [parcel.payload.poses for parcel in pipeline]


def test_small_people_are_found_in_their_region(model):
    image, place = small_people()
    assert len(look(model, [image])[0]) < 3
    x, y, width, height = place
    (found,) = look(model, [image], "{},{},{},{}".format(*place))
    alone = model(image[y : y + height, x : x + width])
    assert len(found) == len(alone) == 3
    np.testing.assert_allclose(found.xy, alone.xy + np.array((x, y)), atol=1e-3)
    np.testing.assert_array_equal(found.person_score, alone.person_score)


@pytest.mark.parametrize("batch", [1, 3])
def test_regions_that_overlap_count_everyone_once(model, batch):
    frames = [image for _, image in clips.decodable(clips.SAMPLE)[:5]]
    everyone = look(model, frames)
    parts = look(model, frames, "0,0,60%,100%", "40%,0,60%,100%", batch=batch)
    assert [len(poses) for poses in parts] == [len(poses) for poses in everyone] == [3] * 5


def test_whole_picture_as_a_region_is_the_picture(model):
    frame = clips.decodable(clips.SAMPLE)[0][1]
    (plain,), (region,) = look(model, [frame]), look(model, [frame], "0,0,100%,100%")
    for name in ("xy", "score", "box_xyxy", "face_xyxy", "person_score"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(region, name))


def test_region_outside_is_said_by_the_stage(model):
    with pytest.raises(UsageError, match="96 x 64"):
        look(model, [np.zeros((64, 96, 3), np.uint8)], "0,0,97,64")


def test_keypoints_say_the_regions_and_others_do_not_continue(annotate_small, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=3)
    regions = ("--regions", "0,0,50%,100%", "--regions", "80, 0, 80, 96")
    assert annotate_small(source, "-o", tmp_path / "out", *regions)[0] == 0
    header, _ = clips.read_keypoints(tmp_path / "out" / "clip.jsonl")
    assert header["options"]["regions"] == ["0,0,50%,100%", "80,0,80,96"]
    assert "skipped" in annotate_small(source, "-o", tmp_path / "out", *regions)[1]
    code, _, err = annotate_small(source, "-o", tmp_path / "out", *regions[:2])
    assert code == FAILED
    assert "other settings" in err
