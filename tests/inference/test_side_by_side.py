"""OpenVINO works on several images of a file at once, and finds what it finds in one after the other."""

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.backends import BackendRequest, ModelFile, SideBySide
from hprnet_rt.backends import openvino as openvino_backend
from hprnet_rt.errors import BackendError
from hprnet_rt.inference.stages import pose_stages
from hprnet_rt.pipeline import Pipeline
from hprnet_rt.video import BorrowedFrames, VideoSource
from tests.clips import SAMPLE

THREADS = 3


@pytest.fixture(scope="module")
def frames():
    source = VideoSource(SAMPLE)
    found = [frame for frame, _ in zip(source, range(8), strict=False)]
    source.close()
    return found


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load(input_px=128, backend="openvino", threads=THREADS, batch=None) as made:
        yield made


@pytest.fixture(scope="module")
def expected(frames):
    with hprnet_rt.load(input_px=128, backend="openvino", threads=1) as one:
        assert one.at_once == 1
        return [one(frame.image.copy()) for frame in frames]


def same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.xy, theirs.xy)
        np.testing.assert_array_equal(ours.score, theirs.score)


def test_a_file_s_frames_arrive_in_order_with_the_people_of_one_thread(model, frames, expected):
    assert model.at_once > THREADS
    with Pipeline(BorrowedFrames(frames), pose_stages(model, batch=model.batch)) as pipeline:
        items = [packet.payload for packet in pipeline]
    assert [item.frame.sequence for item in items] == list(range(len(frames)))
    assert sum(len(item.poses) for item in items) > 10
    same([item.poses for item in items], expected)


def test_parts_of_one_picture_are_given_together(model, frames, expected):
    inputs = [model.prepare(frame.image) for frame in frames]
    same([model.group(peaks) for peaks in model.begin(inputs)()], expected)


def test_a_single_image_needs_nobody_beside_it(model, frames, expected):
    same([model(frames[0].image)], expected[:1])


def test_a_failure_is_raised_where_the_result_is_waited_for_and_closing_is_a_sentence():
    request = BackendRequest(
        model_file=ModelFile.find("hprnet-mobile"), input_hw=(64, 64), threads=2, batch=None
    )
    backend = openvino_backend.create(request)
    assert isinstance(backend, SideBySide)
    good, bad = np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 32, 64, 3), np.uint8)
    waits = [backend.begin(images) for images in (good, bad, good)]
    waits[0]()
    with pytest.raises(BackendError, match="openvino failed on a frame"):
        waits[1]()
    np.testing.assert_array_equal(waits[2]()[0], backend.run(good))
    backend.close()
    backend.close()
    for begin in (backend.begin, backend.run):
        with pytest.raises(BackendError, match="closed"):
            begin(good)


@pytest.mark.parametrize(
    ("cores", "streams"), [(1, (1, 1)), (2, (3, 1)), (4, (5, 1)), (5, (2, 2)), (8, (4, 2)), (64, (4, 16))]
)
def test_all_cores_have_an_image_and_many_cores_share_one(cores, streams):
    assert openvino_backend._streams(cores) == streams
