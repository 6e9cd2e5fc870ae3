"""`hprnet-rt render`: stored keypoints onto the video that they are of."""

import json

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import cli
from hprnet_rt.formats import KeypointsFrame, read_keypoints, write_keypoints
from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from hprnet_rt.skeleton import NUM_KEYPOINTS
from hprnet_rt.types import Poses
from tests import clips
from tests.media import videos
from tests.media.passing import play

FAILED, WRONG_USAGE = 1, 2
WIDTH, HEIGHT = 160, 96


@pytest.fixture
def run(capfd):
    def run(*arguments):
        code = cli.main(["render", *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


def everywhere():
    """Someone whose points are spread over the picture."""
    rng = np.random.default_rng(0)
    xy = rng.uniform((4, 4), (WIDTH - 4, HEIGHT - 4), (1, NUM_KEYPOINTS, 2)).astype(np.float32)
    box = np.array([[0, 0, WIDTH, HEIGHT]], np.float32)
    score = np.ones((1, NUM_KEYPOINTS), np.float32)
    return Poses(xy, score, box, np.full((1, 4), np.nan, np.float32), score[:, 0], np.array([3]))


def black(_index, width, height):
    return np.zeros((height, width, 3), np.uint8)


@pytest.fixture
def clip(tmp_path):
    """A black clip with sound, and keypoints of the even frames."""
    header = {"width": WIDTH, "height": HEIGHT}
    people = [KeypointsFrame(n, n / 25, Poses.empty() if n % 2 else everywhere()) for n in range(8)]
    write_keypoints(tmp_path / "clip.jsonl", header, people)
    return clips.make(tmp_path / "clip.mp4", frames=8, audio="aac", draw=black)


def drawn(path):
    return [bool(image.max() > 80) for _, image in clips.decodable(path)]


@pytest.mark.parametrize("name", ["clip.jsonl", "clip.csv", "clip.npz", "clip.coco.json", "clip.openpose"])
def test_people_are_drawn_where_any_format_has_them(run, clip, tmp_path, name):
    if name != "clip.jsonl":
        recording = read_keypoints(tmp_path / "clip.jsonl")
        write_keypoints(tmp_path / name, recording.header, recording.frames)
    code, out, err = run(clip, tmp_path / name, "-o", tmp_path / "out" / "drawn.mp4")
    assert (code, err) == (0, "")
    assert "8 frames" in out
    assert drawn(tmp_path / "out" / "drawn.mp4") == [True, False] * 4
    assert clips.times(tmp_path / "out" / "drawn.mp4") == clips.times(clip)
    assert clips.audio_packets(tmp_path / "out" / "drawn.mp4") == clips.audio_packets(clip)


def test_hidden_parts_are_not_drawn(run, clip, tmp_path):
    hide = [word for part in ("body", "face", "hands", "ids") for word in ("--hide", part)]
    assert run(clip, tmp_path / "clip.jsonl", "-o", tmp_path / "none.mp4", *hide)[0] == 0
    assert not any(drawn(tmp_path / "none.mp4"))


def test_image_gets_its_person(run, tmp_path):
    assert cv2.imwrite(str(tmp_path / "photo.png"), black(0, WIDTH, HEIGHT))
    write_keypoints(tmp_path / "photo.jsonl", {}, [KeypointsFrame(0, None, everywhere())])
    assert run(tmp_path / "photo.png", tmp_path / "photo.jsonl", "-o", tmp_path / "drawn.png")[0] == 0
    assert cv2.imread(str(tmp_path / "drawn.png")).max() > 80


def test_rendering_equals_annotating(run, tmp_path):
    options = AnnotateOptions(start_s=0.2, stride=2, limit=4)
    (job,) = plan([str(clips.SAMPLE)], tmp_path / "out", options)
    with hprnet_rt.load(threads=1) as model:
        annotate_file(job, model, options)
    code, *_ = run(clips.SAMPLE, tmp_path / "out" / "sample.jsonl", "-o", tmp_path / "again.mp4")
    assert code == 0
    pairs = zip(
        clips.decodable(tmp_path / "out" / "sample.mp4"), clips.decodable(tmp_path / "again.mp4"), strict=True
    )
    for (before_s, before), (after_s, after) in pairs:
        assert after_s == before_s
        # keypoints are stored to 0.01 px, and the encoders have other numbers of threads
        assert cv2.absdiff(before, after).mean() < 1.5


def test_keypoints_beyond_the_end_are_told(run, clip, tmp_path):
    short = clips.make(tmp_path / "short.mp4", frames=5, draw=black)
    code, _, err = run(short, tmp_path / "clip.jsonl", "-o", tmp_path / "out.mp4")
    assert code == FAILED
    assert "frame 7" in err
    assert len(clips.times(tmp_path / "out.mp4")) == 5


def test_damaged_keypoints_keep_what_was_drawn(run, clip, tmp_path):
    lines = (tmp_path / "clip.jsonl").read_text().splitlines()
    (tmp_path / "bad.jsonl").write_text("\n".join([*lines[:5], "rubbish", *lines[6:], ""]))
    code, _, err = run(clip, tmp_path / "bad.jsonl", "-o", tmp_path / "out.mp4")
    assert code == FAILED
    assert "line 6" in err
    assert "Traceback" not in err
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("{}/none.mp4", "{}/clip.jsonl", "-o", "{}/out.mp4"), "none.mp4"),
        (("{}/clip.mp4", "{}/none.jsonl", "-o", "{}/out.mp4"), "none.jsonl"),
        (("{}/clip.mp4", "{}/clip.mp4", "-o", "{}/out.mp4"), "clip.mp4"),
        (("{}/clip.mp4", "{}/clip.jsonl", "-o", "{}/clip.mp4", "--overwrite"), "is an input"),
        (("{}/clip.partial.mp4", "{}/clip.jsonl", "-o", "{}/clip.mp4", "--overwrite"), "is an input"),
        (("{}/clip.mp4", "{}/clip.jsonl", "-o", "{}"), "is a folder"),
        (("{}/clip.mp4", "{}/clip.jsonl", "-o", "{}/out.txt"), ".mp4"),
        (("{}/clip.mp4", "{}/clip.jsonl", "-o", "{}/old.mp4"), "--overwrite"),
        (("{}/large.mp4", "{}/clip.jsonl", "-o", "{}/out.mp4"), "160 x 96"),
        (("{}/clip.mp4", "{}/clip.jsonl", "-o", "{}/out.mp4", "--point-threshold", "2"), "threshold"),
    ],
)
def test_impossible_request_is_refused(run, clip, tmp_path, arguments, word):
    (tmp_path / "old.mp4").write_text("old")
    clips.make(tmp_path / "large.mp4", frames=1, size=(320, 192))
    (tmp_path / "clip.partial.mp4").write_bytes(clip.read_bytes())
    code, _, err = run(*(text.format(tmp_path) for text in arguments))
    assert code == WRONG_USAGE
    assert word in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("out*"))
    assert (tmp_path / "old.mp4").read_text() == "old"


def with_header(path, name, **fields):
    """The keypoints with these fields in their header."""
    header, *frames = path.read_text().splitlines()
    made = path.with_name(name)
    made.write_text("\n".join([json.dumps({**json.loads(header), **fields}), *frames, ""]))
    return made


@pytest.mark.parametrize(
    "options", [{"stride": "two"}, {"stride": 1.5}, {"limit": 10**30}, {"end_s": -1}, {"start_s": [1]}]
)
def test_header_whose_options_make_no_sense_is_a_sentence(run, clip, tmp_path, options):
    odd = with_header(tmp_path / "clip.jsonl", "odd.jsonl", options=options)
    code, _, err = run(clip, odd, "-o", tmp_path / "out.mp4")
    assert code == WRONG_USAGE
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("fps", [float("inf"), 0, -25, 10**400, 1e-30, "fast", True])
def test_rate_that_makes_no_sense_is_a_sentence_or_not_taken(run, clip, tmp_path, fps):
    odd = with_header(tmp_path / "clip.jsonl", "odd.jsonl", fps=fps)
    for number, (_, image) in enumerate(clips.decodable(clip)):
        assert cv2.imwrite(str(tmp_path / f"{number:03}.png"), image)
    code, _, err = run(tmp_path / "%03d.png", odd, "-o", tmp_path / "out.mp4")
    if fps == float("inf"):
        assert (code, len(err.splitlines())) == (FAILED, 1)
        assert "header" in err
    else:
        assert (code, err) == (0, "")
        assert len(clips.times(tmp_path / "out.mp4")) == 8


def test_a_size_of_which_only_half_is_known_is_a_sentence(run, clip, tmp_path):
    (tmp_path / "half.jsonl").write_text((tmp_path / "clip.jsonl").read_text().replace('"width":160,', "", 1))
    (tmp_path / "odd.jsonl").write_text((tmp_path / "half.jsonl").read_text().replace(":96", ":97", 1))
    assert run(clip, tmp_path / "half.jsonl", "-o", tmp_path / "half.mp4")[0] == 0
    code, _, err = run(clip, tmp_path / "odd.jsonl", "-o", tmp_path / "out.mp4")
    assert code == WRONG_USAGE
    assert "160 x 97" in err


def test_keypoints_of_another_file_are_drawn_with_a_warning(run, clip, tmp_path, caplog):
    size = clip.stat().st_size
    same = with_header(tmp_path / "clip.jsonl", "same.jsonl", source="clip.mp4", source_bytes=size)
    other = with_header(tmp_path / "clip.jsonl", "other.jsonl", source="talk.mp4", source_bytes=size + 1)
    assert run(clip, same, "-o", tmp_path / "same.mp4")[0] == 0
    assert caplog.messages == []
    assert run(clip, other, "-o", tmp_path / "other.mp4")[0] == 0
    (warning,) = caplog.messages
    assert f"talk.mp4, a file of {size + 1} bytes" in warning
    assert drawn(tmp_path / "other.mp4") == [True, False] * 4


@pytest.mark.parametrize(
    "command", [("annotate", clips.SAMPLE, "-o", "out"), ("live", clips.SAMPLE, "--no-window")]
)
@pytest.mark.parametrize("score", ["-0.1", "2", "nan"])
def test_a_point_threshold_that_is_no_score_is_refused_before_any_work(
    command, score, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*map(str, command), f"--point-threshold={score}"]) == WRONG_USAGE
    said = capfd.readouterr().err
    assert said.startswith("hprnet-rt: the point threshold is a score from 0 to 1, got")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


RARE = {
    "timelapse.mov": lambda path: videos.jpegs(path, 6),
    "wrap.ts": videos.wraps,
    "late.ts": lambda path: videos.broadcast(path, 80_000),
    "recording.webm": lambda path: videos.browser_recording(path, 2.0),
    "still.mp4": videos.last_stays,
    "fields.mp4": videos.interlaced,
    "phone.mov": lambda path: videos.tagged(path, videos.PHONE_TAGS),
}


@pytest.mark.parametrize("name", RARE)
def test_rare_videos_are_rendered_as_they_are_annotated(run, annotate_small, tmp_path, name):
    source = RARE[name](tmp_path / name)
    assert annotate_small(source, "-o", tmp_path / "annotated.mp4", "--crf", "0")[0] == 0
    code, _, err = run(source, tmp_path / "annotated.jsonl", "-o", tmp_path / "drawn.mp4", "--crf", "0")
    assert (code, err) == (0, "")
    annotated, drawn_again = play(tmp_path / "annotated.mp4"), play(tmp_path / "drawn.mp4")
    assert drawn_again.times == annotated.times
    assert drawn_again.end_s == annotated.end_s
    assert drawn_again.sounds == annotated.sounds
    for one, other in zip(annotated.frames, drawn_again.frames, strict=True):
        assert np.array_equal(one.to_ndarray(), other.to_ndarray())


@pytest.mark.parametrize("mode", ["auto", "off", "on"])
def test_fields_are_rendered_as_the_keypoints_say(run, tmp_path, mode):
    source = videos.interlaced(tmp_path / "fields.mp4")
    header = {"width": WIDTH, "height": HEIGHT, "options": {"deinterlace": mode}}
    write_keypoints(tmp_path / "fields.jsonl", header, [])
    assert run(source, tmp_path / "fields.jsonl", "-o", tmp_path / "drawn.mp4")[0] == 0
    images = [frame.to_ndarray(format="bgr24") for frame in play(tmp_path / "drawn.mp4").frames]
    assert (max(map(videos.combs, images)) > 20) == (mode == "off")


def test_a_way_to_deinterlace_that_is_not_there_is_a_sentence(run, clip, tmp_path):
    header = {"width": WIDTH, "height": HEIGHT, "options": {"deinterlace": "often"}}
    write_keypoints(tmp_path / "clip.jsonl", header, [])
    code, _, err = run(clip, tmp_path / "clip.jsonl", "-o", tmp_path / "drawn.mp4")
    assert code == WRONG_USAGE
    assert "make no sense" in err


def test_what_is_written_on_a_video_can_be_left_out(run, tmp_path):
    source = videos.tagged(tmp_path / "phone.mov", videos.PHONE_TAGS)
    write_keypoints(tmp_path / "phone.jsonl", {"width": WIDTH, "height": HEIGHT}, [])
    for more, expected in (((), "Trial 7"), (("--overwrite", "--strip-metadata"), None)):
        assert run(source, tmp_path / "phone.jsonl", "-o", tmp_path / "drawn.mp4", *more)[0] == 0
        assert play(tmp_path / "drawn.mp4").tags.get("title") == expected
