"""When the network looks closer, and that what it finds depends on nothing but the frames before."""

import itertools
import json
import threading
import time

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.bench.scenes import picture
from hprnet_rt.cli import main
from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.inference.crowd import CrowdWatch, WatchMemory
from hprnet_rt.inference.looks import Looks, find_closely, regions_by_shape, watching_stages
from hprnet_rt.inference.regions import parse_region
from hprnet_rt.inference.stages import pose_stages
from hprnet_rt.jobs.fingerprint import make_header
from hprnet_rt.pipeline import Pipeline
from hprnet_rt.types import Frame, Poses
from hprnet_rt.video import BorrowedFrames, VideoSource
from tests import clips

HW = (720, 1280)
NOBODY, LARGE, CROWD, TINY, FEW = range(5)
"""Scenes; what the usual and the closer look find in each is in `FOUND`."""
FOUND = {NOBODY: (0, 0), LARGE: (9, 9), CROWD: (10, 30), TINY: (0, 30), FEW: (2, 3)}


def people(count, height=0.1):
    """People in a row, this part of the longer side high, at places of their own."""
    left = np.arange(count, dtype=np.float32)[:, None] * 40
    box = np.concatenate((left, 0 * left, left + 30, 0 * left + height * max(HW)), axis=1)
    xy = np.repeat(box[:, None, :2], 133, axis=1) + np.linspace(0, 25, 133)[None, :, None]
    one = np.ones(count, np.float32)
    return Poses(
        xy.astype(np.float32),
        np.ones((count, 133), np.float32),
        box.astype(np.float32),
        np.full((count, 4), np.nan, np.float32),
        one,
        np.full(count, -1, np.int64),
    )


class Network:
    """Finds the people that a picture's scene says."""

    name, usual_px = "network", 384

    def __init__(self, is_closer=False):
        self.is_closer = is_closer
        self.opened = threading.Event()
        self.opened.set()
        self.calls = []

    def prepare(self, image):
        return image, None

    def infer(self, batch, _letterbox):
        self.calls.append(int(batch[0, 0, 0]))
        return self.calls[-1]

    def group(self, scene):
        return people(FOUND[scene][self.is_closer], 0.3 if scene == LARGE else 0.1)

    def closer(self, _input_px):
        self.opened.wait(10)
        if not hasattr(self, "other"):
            self.other = Network(is_closer=True)
        return self.other


def image(scene, hw=HW):
    return np.full((*hw, 3), scene, np.uint8)


def run(scenes, watch=None, **options):
    """Send frames through the stages, and return the number of people in each."""
    frames = [Frame(n, image(scene), 0.0) for n, scene in enumerate(scenes)]
    stages = watching_stages(Looks(Network()), watch, **options)
    with Pipeline(BorrowedFrames(iter(frames)), stages) as pipeline:
        return [len(packet.payload.poses) for packet in pipeline]


def test_a_crowd_is_looked_at_closer_after_twelve_frames_of_fifteen():
    assert run([CROWD] * 20) == [10] * 12 + [30] * 8
    assert run([*[CROWD] * 11, *[LARGE] * 4, *[CROWD] * 5])[:20] == [10] * 11 + [9] * 4 + [10] * 5


def test_it_looks_as_usual_again_when_the_crowd_has_gone_for_long():
    watch = CrowdWatch()
    run([CROWD] * 20 + [LARGE] * 35, watch)
    assert watch.close
    watch = CrowdWatch()
    found = run([CROWD] * 20 + [LARGE] * 36 + [CROWD], watch)
    assert not watch.close
    assert found[-1] == 10
    assert (watch.frames, watch.closer) == (57, 44)


def test_people_between_small_and_large_keep_what_is():
    between = people(10, 0.14)
    usual, close = CrowdWatch(), CrowdWatch()
    for _ in range(12):
        close.saw(people(10), HW, closer=False)
    for watch in (usual, close):
        for _ in range(100):
            watch.saw(between, HW, closer=watch.close)
    assert (usual.close, close.close) == (False, True)


def test_who_is_too_small_to_be_found_is_found_by_a_second_look_at_once():
    assert run([TINY] * 3) == [30] * 3


def test_while_nobody_is_found_every_fiftieth_frame_is_looked_at_again():
    network = Network()
    frames = [Frame(n, image(NOBODY), 0.0) for n in range(101)]
    with Pipeline(BorrowedFrames(iter(frames)), watching_stages(Looks(network))) as pipeline:
        assert sum(len(packet.payload.poses) for packet in pipeline) == 0
    assert len(network.calls) == 101
    assert len(network.other.calls) == 3


def test_a_second_look_that_finds_no_crowd_does_not_count():
    assert run([FEW] * 3) == [2] * 3


@pytest.mark.parametrize("scene", FOUND)
def test_stills_are_each_looked_at_on_their_own(scene):
    expected = FOUND[scene][scene in (CROWD, TINY)]
    assert run([scene, NOBODY, LARGE, scene], stills=True) == [expected, 0, 9, expected]
    assert len(find_closely(Looks(Network()), image(scene))) == expected


def test_a_watch_that_continues_decides_as_one_that_was_not_interrupted():
    scenes = [*[NOBODY] * 3, *[CROWD] * 20, *[LARGE] * 40, *[FEW] * 30, *[TINY] * 5]
    whole = run(scenes)
    for cut in (1, 10, 16, 30, 62, 95):
        before = CrowdWatch(remember=True)
        memory = WatchMemory(before)
        first = run(scenes[: cut + 2], before)[:cut]
        for _ in range(cut):  # the last two frames are lost
            memory(people(0), 0.0)
        after = CrowdWatch(remember=True)
        WatchMemory(after).restore(memory.state())
        assert first + run(scenes[cut:], after) == whole
        assert after.frames == len(scenes)


def test_a_live_run_does_not_wait_for_the_network_that_looks_closer():
    network = Network()
    network.opened.clear()
    looks = Looks(network, wait=False)
    assert looks.closer(HW) is None
    network.opened.set()
    deadline = time.perf_counter() + 10
    while looks.closer(HW) is None:
        assert time.perf_counter() < deadline
        time.sleep(0.001)
    assert looks.closer(HW).model is network.other


def test_an_error_in_opening_it_reaches_the_caller():
    network = Network()
    network.closer = lambda _: (_ for _ in ()).throw(BackendError("no memory"))
    with pytest.raises(BackendError, match="no memory"):
        Looks(network).closer(HW)
    looks = Looks(network, wait=False)
    with pytest.raises(BackendError, match="no memory"):
        for _ in range(1000):
            looks.closer(HW)
            time.sleep(0.001)


@pytest.mark.parametrize("hw", [(720, 1280), (1280, 720), (1000, 1999), (100, 100)])
def test_pictures_of_usual_shapes_have_no_regions_by_their_shape(hw):
    assert regions_by_shape(hw) == ()


@pytest.mark.parametrize("hw", [(1080, 3840), (3000, 1000), (100, 201), (100, 700)])
def test_parts_of_a_wide_picture_cover_it_overlap_by_half_its_shorter_side_and_are_not_wide(hw):
    whole, *parts = regions_by_shape(hw)
    assert whole == (0, 0, hw[1], hw[0])
    axis, short = int(hw[0] > hw[1]), min(hw)
    spans = [(part[axis], part[axis + 2]) for part in parts]
    assert (spans[0][0], spans[-1][1]) == (0, max(hw))
    assert all(end - start <= 16 / 9 * short + 1 for start, end in spans)
    overlaps = [end - start for (_, end), (start, _) in itertools.pairwise(spans)]
    assert all(abs(overlap - short / 2) <= 1 for overlap in overlaps)


def test_a_picture_however_wide_has_no_more_than_six_parts():
    assert len(regions_by_shape((50, 5000))) == 1 + 6


def test_regions_are_chosen_by_shape_and_else_by_the_crowd():
    looks = Looks(Network(), regions=True)
    assert len(looks.usual((500, 2000)).parts) == 4
    assert looks.closer((500, 2000)) is None
    assert looks.usual(HW).parts == ()
    assert looks.closer(HW).parts == ((0, 0, 1280, 720), (0, 0, 720, 720), (560, 0, 1280, 720))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size=auto", "--regions=auto"], "--size auto looks at the whole picture"),
        (["--size=auto", "--regions=0,0,5,5"], "--size auto looks at the whole picture"),
        (["--size=keep", "--regions=auto"], "--size keep looks at the whole picture"),
        (["--regions=auto", "--regions=0,0,5,5"], "--regions auto chooses all regions"),
        (["--size=auto", "--batch=4"], "does not go with --batch"),
        (["--regions=auto", "--cluster=local"], "does not go with --cluster"),
        (["--size=large"], "invalid size value"),
        (["--k=0"], "k is at least 1"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, capsys, options, words):
    clips.make(tmp_path / "clip.mp4", frames=1)
    code = main(["annotate", str(tmp_path / "clip.mp4"), "-o", str(tmp_path / "out"), *options])
    assert code == 2
    assert words in capsys.readouterr().err


def test_annotate_says_how_many_frames_it_has_looked_at_closer(annotate_small, tmp_path):
    clips.make(tmp_path / "wide.mp4", frames=2, size=(320, 96))
    code, out, _ = annotate_small(tmp_path / "wide.mp4", "-o", tmp_path, "--regions=auto", "--no-video")
    assert code == 0
    assert "wide.mp4: 2 frames (0 looked at closer), 0 people" in out
    header = json.loads((tmp_path / "wide.jsonl").read_text().splitlines()[0])
    assert header["options"]["regions"] == "auto"
    assert header["options"]["closer_k"] == 128


# --- the shipped model ---


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load(input_px="auto", threads=1) as made:
        yield made


def test_fifty_people_in_a_picture_are_found_by_a_second_look(model):
    crowd, usual = picture(50, (1280, 720)), picture(5, (1280, 720))
    assert len(model(crowd)) == 50
    assert len(model(usual)) == 5
    assert model.closer(2 * model.usual_px) is model.closer(2 * model.usual_px)
    assert model.facts.input_px == "auto"
    info = VideoSource(clips.SAMPLE).info
    assert make_header(info, model.facts)["options"]["closer_k"] == 128
    with hprnet_rt.load(threads=1) as usual_size:
        assert "closer_k" not in make_header(info, usual_size.facts)["options"]


def test_size_and_regions_are_not_chosen_together_nor_regions_at_the_own_size(model):
    with pytest.raises(UsageError, match="leave --regions out"):
        pose_stages(model, regions="auto")
    with pytest.raises(UsageError, match="leave --regions out"):
        pose_stages(model, regions=[parse_region("0,0,50%,50%")])
    with pytest.raises(UsageError, match="leave --batch out"):
        hprnet_rt.load(input_px="auto", batch=2)


def test_a_model_that_is_closed_opens_no_other(monkeypatch):
    made = hprnet_rt.load(input_px=64, threads=1, k=8)
    assert made.model_file.k == 8
    closer = made.closer(128)
    assert closer.model_file.k == 8
    made.close()
    for each in (made, closer):
        with pytest.raises(BackendError, match="closed"):
            each(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(BackendError, match="closed"):
        made.closer(64)
