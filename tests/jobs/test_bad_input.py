"""What annotate does when something is wrong: one sentence, the right exit code, nothing lost."""

import itertools
import re
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import cv2
import pytest

import hprnet_rt
from hprnet_rt import PoseModel, cli
from hprnet_rt.commands import options as model_options
from hprnet_rt.errors import BackendError, MediaError, OutputError
from hprnet_rt.formats import KeypointsSink
from hprnet_rt.jobs.annotate import annotate
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from hprnet_rt.video import VideoSink, VideoSource
from tests import clips

SMALL_PX = 128  # fast, and nobody is in the pictures
LONG = 1200  # frames
FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load(input_px=SMALL_PX) as made:
        yield made


@pytest.fixture
def run(model, monkeypatch, capfd):
    """The command line in this process: (exit code, stderr); usual settings borrow `model`."""

    def load(name, **settings):
        usual = {
            "weights": None,
            "backend": "auto",
            "precision": "auto",
            "threads": None,
            "input_px": SMALL_PX,
            "threshold": model.group.options.person_threshold,
        }
        if (name, settings) == (model.name, usual):
            return model
        return hprnet_rt.load(name, **settings)

    monkeypatch.setattr(model_options, "load", load)
    monkeypatch.setattr(model, "close", lambda: None)

    def run(*arguments):
        size = () if "--size" in arguments else ("--size", SMALL_PX)
        code = cli.main(["annotate", *map(str, (*size, *arguments))])
        return code, capfd.readouterr().err

    return run


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "clip.mp4", frames=5)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert pipeline_threads() == []


def pipeline_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hprnet-")]


def is_one_sentence(err, *words):
    """Whether stderr holds one line that a user can read, with these words."""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("hprnet-rt: ")
    assert "Traceback" not in err
    for word in words:
        assert str(word) in err
    return True


def names(folder):
    """All files but the one that says where to go on, which is there after a while."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".state")
    return sorted(str(path.relative_to(folder)) for path in files)


# --- wrong usage: exit code 2 before anything is done ---


def test_missing_file_is_named(run, tmp_path):
    code, err = run(tmp_path / "no such.mp4", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "no such.mp4", "does not exist")
    assert not (tmp_path / "out").exists()


def test_pattern_without_a_match_is_named(run, tmp_path):
    code, err = run(tmp_path / "*.mp4", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "*.mp4")


def test_name_longer_than_any_file_has_is_refused(run, tmp_path):
    code, err = run(tmp_path / f"{'long ' * 100}.mp4", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err)


def test_output_name_longer_than_any_file_has_is_refused(run, clip, tmp_path):
    code, err = run(clip, "-o", tmp_path / f"{'long ' * 50}.mp4")
    assert code in (FAILED, WRONG_USAGE)
    assert is_one_sentence(err)


def test_empty_name_does_not_mean_the_current_folder(run, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(clip.parent)
    code, err = run("", "-o", tmp_path / "out")  # "$UNSET" in a script
    assert code == WRONG_USAGE
    assert is_one_sentence(err)
    assert not (tmp_path / "out").exists()


def test_folder_without_media_is_named(run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no media")
    code, err = run(tmp_path / "in", "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, tmp_path / "in")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.jsonl"])
def test_output_that_exists_is_refused_and_left_alone(run, clip, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("old")
    code, err = run(clip, "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, tmp_path / "out" / name, "--overwrite")
    assert names(tmp_path / "out") == [name]
    assert (tmp_path / "out" / name).read_text() == "old"


def test_mkv_that_is_made_for_the_sound_is_refused_too_where_it_exists(run, tmp_path):
    source = clips.make(tmp_path / "old.avi", codec="mpeg4", audio="pcm_u8", frames=5)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old.mkv").write_text("old")
    code, err = run(source, "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "old.mkv", "--overwrite")
    assert names(tmp_path / "out") == ["old.mkv"]
    assert (tmp_path / "out" / "old.mkv").read_text() == "old"


def test_output_folder_that_is_a_file_is_refused(run, clip, tmp_path):
    (tmp_path / "out").write_text("a file")
    code, err = run(clip, "-o", tmp_path / "out")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, tmp_path / "out")


def test_two_inputs_do_not_fit_into_one_output_file(run, clip, tmp_path):
    other = clips.make(tmp_path / "other.mp4", frames=5)
    code, err = run(clip, other, "-o", tmp_path / "out.mp4")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, "out.mp4")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model", "openpose"), ("openpose", "hprnet-mobile")),
        (("--model", "no/such.onnx"), ("no/such.onnx",)),
        (("--backend", "abacus"), ("abacus", "openvino")),
        (("--precision", "int3"), ("int3", "fp32")),
        (("--size", "100"), ("100", "32")),
        (("--size", "0"), ("32",)),
        (("--size", "-32"), ("-32",)),
        (("--threads", "0"), ("threads",)),
        (("--threshold", "2"), ("threshold", "2")),
        (("--threshold", "nan"), ("threshold", "nan")),
        (("--limit", "0"), ("limit",)),
        (("--no-video", "--no-keypoints"), ("nothing to write",)),
    ],
)
def test_impossible_setting_is_refused(run, clip, tmp_path, arguments, words):
    code, err = run(clip, "-o", tmp_path / "out", *arguments)
    assert code == WRONG_USAGE
    assert is_one_sentence(err, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("--size", "large"), ("--limit", "ten"), ("--frobnicate",)])
def test_argument_that_cannot_be_parsed_is_refused(run, clip, tmp_path, arguments):
    code, err = run(clip, "-o", tmp_path / "out", *arguments)
    assert code == WRONG_USAGE
    assert arguments[0] in err.splitlines()[-1]
    assert "Traceback" not in err


# --- an input is never written to ---


def test_output_that_is_the_input_is_refused(run, clip):
    before = clip.read_bytes()
    code, err = run(clip, "-o", clip, "--overwrite")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, clip)
    assert clip.read_bytes() == before


def test_output_folder_of_the_input_is_refused_when_the_names_are_equal(run, clip):
    before = clip.read_bytes()
    code, err = run(clip, "-o", clip.parent, "--overwrite")
    assert code == WRONG_USAGE
    assert is_one_sentence(err, clip)
    assert clip.read_bytes() == before


def test_mkv_that_is_made_for_the_sound_does_not_replace_the_input(run, tmp_path):
    source = clips.make(tmp_path / "clip.mkv", audio="pcm_u8", frames=5)
    before = source.read_bytes()
    _, err = run(source, "-o", tmp_path, "--overwrite")
    assert source.read_bytes() == before
    assert "Traceback" not in err


def test_partial_file_does_not_replace_an_input_of_that_name(run, tmp_path):
    source = clips.make(tmp_path / "clip.partial.mp4", frames=5)  # what a stopped run has left
    before = source.read_bytes()
    _, err = run(source, "-o", tmp_path / "clip.mp4")
    assert source.exists()
    assert source.read_bytes() == before
    assert "Traceback" not in err


def test_output_that_is_another_input_is_refused(run, tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    later = clips.make(tmp_path / "in" / "sub" / "clip.mp4", frames=5)
    first = clips.make(tmp_path / "clip.mp4", frames=5, draw=clips.corner)
    before = later.read_bytes()
    _, err = run(first, tmp_path / "in", "-o", tmp_path / "in" / "sub", "--overwrite")
    assert later.read_bytes() == before
    assert "Traceback" not in err


# --- inputs that cannot be read: exit code 1 ---


def _text(path):
    path.write_text("no pictures in here\n" * 20)


def _empty(path):
    path.touch()


def _header_only(path):
    clips.make(path, frames=0)


def _without_index(path):
    clips.cut(clips.make(path, frames=60), 0.6)


def _huge_frames(path):
    """A header that says so, of pictures that have no size of their own."""
    data = bytearray(
        clips.make(path, codec="rawvideo", pix_fmt="bgr24", frames=2, size=(16, 16)).read_bytes()
    )
    sizes = data.index(b"strf") + 8 + 4
    data[sizes : sizes + 8] = struct.pack("<2i", 30_000, 30_000)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("text.mp4", _text, ("not a video",)),
        ("empty.mp4", _empty, ("empty",)),
        ("sound.mp4", clips.make_audio, ("only audio",)),
        ("sound.m4a", clips.make_audio, ("only audio",)),
        ("header.mp4", _header_only, ()),
        ("header.mkv", _header_only, ()),
        ("noindex.mp4", _without_index, ("index", "cut off")),
        ("text.png", _text, ("not an image",)),
        ("empty.jpg", _empty, ("empty",)),
        ("huge.avi", _huge_frames, ()),
    ],
)
def test_unreadable_input_is_explained_in_one_sentence(run, tmp_path, name, write, words):
    write(tmp_path / name)
    code, err = run(tmp_path / name, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, name, *words)
    assert not (tmp_path / "out").exists()


def test_small_file_of_a_huge_picture_is_refused(tmp_path):
    source = clips.make_huge_png(tmp_path / "huge.png")
    assert source.stat().st_size < 100_000
    _, err = (process := start(source, "-o", tmp_path / "out")).communicate(timeout=60)
    assert process.returncode == FAILED
    assert is_one_sentence(err, source, "more pixels")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_image_that_is_cut_off_is_an_error(run, tmp_path, suffix):
    source = tmp_path / f"photo{suffix}"
    assert cv2.imwrite(str(source), clips.noise(0, 160, 96))
    clips.cut(source, 0.6)
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err.splitlines()[-1], source)  # libpng may speak before
    assert not (tmp_path / "out").exists()


def test_clip_whose_every_packet_is_rubbish_is_an_error(run, tmp_path):
    source = clips.make(tmp_path / "rubbish.mp4", container={"movflags": "faststart"})
    data = source.read_bytes()
    start = data.index(b"mdat") + 4
    source.write_bytes(data[:start] + b"\x5a" * (len(data) - start))
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source)
    assert not (tmp_path / "out").exists()


# --- inputs that can be read in part: everything that decodes is kept, and the damage is told ---


@pytest.mark.parametrize("reordered", [0, 3])
def test_mp4_that_is_cut_off_keeps_every_decodable_frame(run, tmp_path, reordered):
    source = clips.make(
        tmp_path / "cut.mp4",
        frames=60,
        audio="aac",
        options={"preset": "veryfast", "bf": str(reordered)},
        container={"movflags": "faststart"},
    )
    expected = clips.times(clips.cut(source, 0.6))
    assert 10 < len(expected) < 50
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source, "cut off")
    assert names(tmp_path / "out") == ["cut.damage.txt", "cut.jsonl", "cut.mp4"]
    assert clips.times(tmp_path / "out" / "cut.mp4") == expected
    assert len(clips.read_keypoints(tmp_path / "out" / "cut.jsonl")[1]) == len(expected)


@pytest.mark.parametrize(
    ("name", "codec", "part"),
    [
        ("cut.avi", "mpeg4", 0.5),
        ("cut.avi", "mpeg4", 0.6),
        ("cut.flv", "libx264", 0.6),
        ("cut.mpg", "mpeg2video", 0.6),
        ("cut.mkv", "libx264", 0.6),
        ("cut.webm", "libvpx-vp9", 0.6),
        ("cut.ts", "libx264", 0.6),
    ],
)
def test_other_files_that_are_cut_off_keep_every_decodable_frame(run, tmp_path, name, codec, part):
    options = {"bf": "2"} if codec != "libvpx-vp9" else {}
    source = clips.cut(clips.make(tmp_path / name, codec=codec, frames=60, options=options), part)
    expected = clips.times(source)
    assert 10 < len(expected) < 50
    _, err = run(source, "-o", tmp_path / "out")
    assert "Traceback" not in err
    assert len(clips.times(tmp_path / "out" / "cut.mp4")) == len(expected)


def test_damage_in_the_middle_costs_only_what_it_hits(run, tmp_path):
    source = clips.make(
        tmp_path / "hit.mp4", frames=60, options={"g": "10"}, container={"movflags": "faststart"}
    )
    data = bytearray(source.read_bytes())
    middle = (data.index(b"mdat") + len(data)) // 2
    data[middle : middle + 600] = bytes(i * 7 % 256 for i in range(600))
    source.write_bytes(data)
    expected = clips.times(source)
    assert 40 < len(expected) < 60
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, source, "damaged")
    assert clips.times(tmp_path / "out" / "hit.mp4") == expected


# --- one bad file among good ones ---


def test_bad_file_does_not_keep_the_others_from_being_done(run, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    clips.make(folder / "1.mp4", frames=5)
    _text(folder / "2.mp4")
    clips.make(folder / "3.mp4", frames=5)
    code, err = run(folder, "-o", tmp_path / "out")
    assert code == FAILED
    first, last = err.splitlines()
    assert is_one_sentence(first, folder / "2.mp4")
    assert is_one_sentence(last, "1 of 3")
    assert names(tmp_path / "out") == ["1.jsonl", "1.mp4", "3.jsonl", "3.mp4"]
    assert [len(clips.times(tmp_path / "out" / name)) for name in ("1.mp4", "3.mp4")] == [5, 5]


# --- outputs that cannot be written: exit code 1 ---


def test_output_folder_below_a_file_cannot_be_made(run, clip, tmp_path):
    (tmp_path / "file").touch()
    code, err = run(clip, "-o", tmp_path / "file" / "out")
    assert code == FAILED
    assert is_one_sentence(err, tmp_path / "file" / "out")


def test_output_folder_of_the_kernel_cannot_be_made(run, clip):
    code, err = run(clip, "-o", "/proc/hprnet")
    assert code == FAILED
    assert is_one_sentence(err, "/proc/hprnet")


def start(*arguments, **settings):
    command = [sys.executable, "-m", "hprnet_rt", "annotate", "--size", SMALL_PX, *arguments]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    )


def kept_frames(err):
    """(number, files) of the frames that a message says are kept; None when it says nothing of them."""
    found = re.search(r"the first (\d+) frames are kept in (.*?)\)?$", err.strip())
    return found and (int(found[1]), found[2].split(", "))


def count_frames(path):
    """Frames that are really in a partial file, 0 when it cannot be read."""
    if path.endswith(".jsonl"):
        return max(0, Path(path).read_bytes().count(b"\n") - 1)
    try:
        return len(clips.times(path))
    except av.FFmpegError:
        return 0


@pytest.fixture(scope="module")
def heavy(tmp_path_factory):
    """A clip of noise, which makes 2 MB of annotated clip."""
    return clips.make(
        tmp_path_factory.mktemp("heavy") / "heavy.mp4", frames=60, size=(320, 180), draw=clips.noise
    )


def test_file_size_limit_ends_the_run_with_a_sentence(heavy, tmp_path):
    limit = 100_000

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = start(heavy, "-o", tmp_path / "out", preexec_fn=limited)
    _, err = process.communicate(timeout=60)
    assert process.returncode == FAILED
    assert is_one_sentence(err, "cannot write", "heavy")
    assert not {"heavy.mp4", "heavy.jsonl"}.intersection(names(tmp_path / "out"))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, timeout=10).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only root can mount a small file system")
    yield folder
    # lazily: a file that is left open is the finding of one test, not an error of all
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=10)


def fill_up(disk, free_bytes):
    """Leave so many bytes of the small file system."""
    (disk / "fill").write_bytes(bytes((1 << 20) - free_bytes))


@pytest.mark.parametrize("free_bytes", [0, 8192, 900_000])
def test_full_disk_ends_the_run_with_a_sentence(run, heavy, small_disk, free_bytes):
    fill_up(small_disk, free_bytes)
    code, err = run(heavy, "-o", small_disk)
    assert code == FAILED
    assert is_one_sentence(err, "cannot write", "No space left on device")
    assert not {"heavy.mp4", "heavy.jsonl"}.intersection(names(small_disk))


@pytest.mark.parametrize("name", ["csv", "npz", "openpose"])
def test_full_disk_leaves_no_other_format_half_written(run, small_disk, name, monkeypatch):
    monkeypatch.setattr(
        "hprnet_rt.jobs.annotate._DURABLE_S", 1e9
    )  # a slow machine would meet the full disk earlier
    fill_up(small_disk, 150_000)  # enough for the JSON lines
    arguments = ("--no-video", "--format", name, "--size", 384, "--limit", 14)
    code, err = run(clips.SAMPLE, "-o", small_disk, *arguments)
    assert code == FAILED
    assert is_one_sentence(err, f"cannot write {small_disk / 'sample'}.{name}", "No space left on device")
    assert [path for path in names(small_disk) if "partial" not in path] == ["fill"]


@pytest.mark.parametrize("free_bytes", [0, 8192, 900_000])
def test_full_disk_message_is_true_about_what_is_kept(run, heavy, small_disk, free_bytes):
    fill_up(small_disk, free_bytes)
    _, err = run(heavy, "-o", small_disk)
    claim = kept_frames(err)
    if claim is not None:
        frames, files = claim
        assert {name: count_frames(name) >= frames for name in files} == dict.fromkeys(files, True)


@pytest.mark.parametrize("free_bytes", [0, 8192])
def test_full_disk_leaves_no_file_open(run, heavy, small_disk, free_bytes):
    fill_up(small_disk, free_bytes)
    assert run(heavy, "-o", small_disk)[0] == FAILED
    opened = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [path for path in opened if path.is_relative_to(small_disk)] == []


def test_full_disk_leaves_what_overwrite_would_replace(run, heavy, small_disk):
    for name in ("heavy.mp4", "heavy.jsonl"):
        (small_disk / name).write_text("old")
    code, _ = run(heavy, "-o", small_disk, "--overwrite")
    assert code == FAILED
    assert [(small_disk / name).read_text() for name in ("heavy.mp4", "heavy.jsonl")] == ["old", "old"]


# --- stopped in the middle ---


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    return clips.make(tmp_path_factory.mktemp("long") / "long.mp4", frames=LONG, size=(320, 180), audio="aac")


def wait_for_frames(process, path, frames):
    """Wait until `path`, a partial JSONL file, holds so many frames; the process must be running still."""
    deadline = time.perf_counter() + 60
    while not path.exists() or path.read_bytes().count(b"\n") <= frames:
        assert process.poll() is None, process.stderr.read()
        assert time.perf_counter() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_keeps_the_same_frames_in_playable_partial_files(long_clip, tmp_path, number):
    out = tmp_path / "out"
    with start(long_clip, "-o", out) as process:
        wait_for_frames(process, out / "long.partial.jsonl", 30)
        process.send_signal(number)
        stopped_s = time.perf_counter()
        stdout, err = process.communicate(timeout=30)
        took_s = time.perf_counter() - stopped_s
    assert process.returncode == INTERRUPTED
    assert is_one_sentence(err, "stopped")
    assert took_s < 5
    assert names(out) == ["long.partial.jsonl", "long.partial.mp4"]
    assert str(out / "long.partial.mp4") in stdout
    frames = clips.read_keypoints(out / "long.partial.jsonl")[1]
    assert 30 <= len(frames) < LONG
    assert clips.times(out / "long.partial.mp4") == clips.times(long_clip)[: len(frames)]
    sound = clips.audio_packets(out / "long.partial.mp4")
    assert sound == clips.audio_packets(long_clip)[: len(sound)]
    assert abs(sound[-1][1] - frames[-1]["pts_s"]) < 0.1


def test_killed_run_leaves_a_partial_clip_that_plays(long_clip, tmp_path):
    out = tmp_path / "out"
    with start(long_clip, "-o", out) as process:
        wait_for_frames(process, out / "long.partial.jsonl", 750)  # 30 s of video
        process.kill()
        process.wait(10)
        process.stdout.close()
        process.stderr.close()
    assert count_frames(str(out / "long.partial.jsonl")) >= 750
    # at least what was 10 s before the end
    assert count_frames(str(out / "long.partial.mp4")) >= 500


def test_cancelled_annotate_reports_what_it_kept(model, tmp_path):
    source = clips.make(tmp_path / "clip.mp4", frames=60)
    cancelled = threading.Event()

    def progress(item):
        if item.frame.sequence == 9:
            cancelled.set()

    options = AnnotateOptions()
    (job,) = plan([str(source)], tmp_path / "out", options)
    report = annotate(job, model, options, progress=progress, cancelled=cancelled)
    assert report.cancelled
    assert report.frames == 10
    kept = {path.name for path in report.written}
    assert kept == {"clip.partial.jsonl", "clip.partial.mp4"} == set(names(tmp_path / "out"))
    assert clips.times(tmp_path / "out" / "clip.partial.mp4") == clips.times(source)[:10]
    assert len(clips.read_keypoints(tmp_path / "out" / "clip.partial.jsonl")[1]) == 10


# --- something breaks in the middle: the error arrives, what was done is kept, no thread is left ---


def break_infer(monkeypatch, at, error):
    calls, infer = itertools.count(), PoseModel.infer

    def broken(self, batch, letterbox):
        if next(calls) == at:
            raise error
        return infer(self, batch, letterbox)

    monkeypatch.setattr(PoseModel, "infer", broken)


def break_write(monkeypatch, sink, at, error):
    write = sink.write

    def broken(self, item):
        if item.frame.sequence == at:
            raise error
        write(self, item)

    monkeypatch.setattr(sink, "write", broken)


def break_source(monkeypatch, at, error):
    frames = VideoSource.__iter__

    def broken(self):
        yield from itertools.islice(frames(self), at)
        raise error

    monkeypatch.setattr(VideoSource, "__iter__", broken)


def annotate_clip(model, tmp_path, frames, **callbacks):
    """Annotate a fresh clip; returns the source, for comparison, and passes errors on."""
    source = clips.make(tmp_path / "clip.mp4", frames=frames, audio="aac")
    options = AnnotateOptions()
    (job,) = plan([str(source)], tmp_path / "out", options)
    annotate(job, model, options, **callbacks)


def assert_kept(tmp_path, frames):
    """Whether both partial files hold exactly the first `frames` frames, and there are no others."""
    out = tmp_path / "out"
    assert names(out) == ["clip.partial.jsonl", "clip.partial.mp4"]
    assert clips.times(out / "clip.partial.mp4") == clips.times(tmp_path / "clip.mp4")[:frames]
    sequences = [frame["frame"] for frame in clips.read_keypoints(out / "clip.partial.jsonl")[1]]
    assert sequences == list(range(frames))
    assert pipeline_threads() == []


def test_engine_that_fails_on_frame_100_leaves_100_frames(model, tmp_path, monkeypatch):
    break_infer(monkeypatch, 100, BackendError("the engine broke"))
    with pytest.raises(BackendError, match="the engine broke") as caught:
        annotate_clip(model, tmp_path, 120)
    frames, files = kept_frames(str(caught.value))
    assert frames == 100
    out = tmp_path / "out"
    assert sorted(files) == [str(out / "clip.partial.jsonl"), str(out / "clip.partial.mp4")]
    assert_kept(tmp_path, 100)


def test_engine_that_fails_is_told_in_one_sentence(run, tmp_path, monkeypatch):
    source = clips.make(tmp_path / "clip.mp4", frames=20)
    break_infer(monkeypatch, 10, BackendError("the engine broke"))
    code, err = run(source, "-o", tmp_path / "out")
    assert code == FAILED
    assert is_one_sentence(err, "the engine broke", "10 frames", tmp_path / "out" / "clip.partial.mp4")


def test_engine_that_fails_on_the_first_frame_leaves_no_file(model, tmp_path, monkeypatch):
    break_infer(monkeypatch, 0, BackendError("the engine broke"))
    with pytest.raises(BackendError, match=r"^the engine broke$"):
        annotate_clip(model, tmp_path, 20)
    assert names(tmp_path / "out") == []
    assert pipeline_threads() == []


def test_unexpected_error_in_a_stage_reaches_the_caller_as_it_is(model, tmp_path, monkeypatch):
    error = ZeroDivisionError("a bug")
    break_infer(monkeypatch, 10, error)
    with pytest.raises(ZeroDivisionError) as caught:
        annotate_clip(model, tmp_path, 20)
    assert caught.value is error
    assert_kept(tmp_path, 10)


def test_source_that_fails_leaves_the_frames_before(model, tmp_path, monkeypatch):
    break_source(monkeypatch, 7, MediaError("the card was pulled out"))
    with pytest.raises(MediaError, match="the card was pulled out") as caught:
        annotate_clip(model, tmp_path, 20)
    assert kept_frames(str(caught.value))[0] == 7
    assert_kept(tmp_path, 7)


def test_keypoints_sink_that_fails_leaves_the_frames_before(model, tmp_path, monkeypatch):
    break_write(monkeypatch, KeypointsSink, 6, OutputError("the disk is gone"))
    with pytest.raises(OutputError, match="the disk is gone") as caught:
        annotate_clip(model, tmp_path, 20)
    assert kept_frames(str(caught.value))[0] == 6
    assert_kept(tmp_path, 6)


def test_video_sink_that_fails_leaves_the_frames_before(model, tmp_path, monkeypatch):
    break_write(monkeypatch, VideoSink, 6, OutputError("the disk is gone"))
    with pytest.raises(OutputError, match="the disk is gone") as caught:
        annotate_clip(model, tmp_path, 20)
    assert kept_frames(str(caught.value))[0] == 6
    assert pipeline_threads() == []
    out = tmp_path / "out"
    assert names(out) == ["clip.partial.jsonl", "clip.partial.mp4"]
    assert len(clips.times(out / "clip.partial.mp4")) == 6
    # keypoints are written before pictures: one frame more is no harm
    assert len(clips.read_keypoints(out / "clip.partial.jsonl")[1]) in (6, 7)


def test_callback_that_fails_leaves_the_frames_before(model, tmp_path):
    error = KeyError("in the caller's code")

    def progress(item):
        if item.frame.sequence == 5:
            raise error

    with pytest.raises(KeyError) as caught:
        annotate_clip(model, tmp_path, 20, progress=progress)
    assert caught.value is error
    assert_kept(tmp_path, 6)
