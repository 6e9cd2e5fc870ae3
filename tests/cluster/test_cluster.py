"""Two workers on a local Ray cluster, one of which is killed, give the results of one process."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import cli
from hprnet_rt.cluster import ModelChoice, connect, worker, workers
from hprnet_rt.cluster.requests import SourceFile
from hprnet_rt.errors import BackendError, MediaError
from hprnet_rt.inference.regions import parse_region
from hprnet_rt.jobs.annotate_file import annotate_file
from hprnet_rt.jobs.options import AnnotateOptions
from hprnet_rt.jobs.plan import plan
from hprnet_rt.video.identity import source_check
from tests import clips
from tests.video.test_seeking import B_FRAMES, moving, spoil

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "hprnet-rt[cluster]"')

PEOPLE_PX = 192  # three people are found all the same
FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def local_ray(tmp_path_factory):
    """Start one cluster for all tests; its workers import this checkout."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_AUTH_TOKEN", "of the tests")  # else Ray writes one to the home
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        ray.init(
            "local",
            num_cpus=4,  # two workers and those of single tests take one each; Ray starts as many processes
            include_dashboard=False,
            object_store_memory=80 * 2**20,
            log_to_driver=False,
            logging_level="ERROR",
            _node_ip_address="127.0.0.1",
        )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load(input_px=PEOPLE_PX, threads=1) as made:
        yield made


@pytest.fixture(scope="module")
def cluster():
    with connect("local", ModelChoice(input_px=PEOPLE_PX, threads=1), 2) as made:
        yield made


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Write the sample with people, with a key frame every 12 frames."""
    path = tmp_path_factory.mktemp("people") / "people.mp4"
    images = [image for _, image in clips.decodable(clips.SAMPLE)[:120]]
    height, width = images[0].shape[:2]
    return clips.make(
        path,
        frames=len(images),
        size=(width // 2, height // 2),
        draw=lambda index, *_: np.ascontiguousarray(images[index][::2, ::2]),
        options={"g": "12", "bf": "2", "preset": "veryfast"},
        audio="aac",
    )


def do(finder, out, options, source, stop_at=None):
    """Annotate; cancel after `stop_at` frames have been reported."""
    (job,) = plan([str(source)], out, options)
    cancelled, count = threading.Event(), 0

    def progress(_item):
        nonlocal count
        count += 1
        if count == stop_at:
            cancelled.set()

    return annotate_file(job, finder, options, progress=progress, cancelled=cancelled)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


KEYPOINTS = AnnotateOptions(video=False, smooth="one-euro")
HALVES = (parse_region("0,0,60%,100%"), parse_region("40%,0,60%,100%"))


@pytest.fixture(scope="module")
def alone(model, people, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    do(model, folder, KEYPOINTS, people)
    found = contents(folder)
    assert b'"track_id":1' in found["people.jsonl"]
    return found


def test_one_of_two_workers_killed_in_the_middle(cluster, people, alone, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("hprnet_rt.cluster.finder._LEAST_FRAMES", 12)  # ten parts
    before = cluster._workers.pids()
    ask, asked = workers.RayWorkers._ask, itertools.count(1)

    def ask_and_kill(self, number, method, *arguments):
        if number == 0 and method == "look" and next(asked) == 2:
            os.kill(before[0], signal.SIGKILL)
        return ask(self, number, method, *arguments)

    monkeypatch.setattr(workers.RayWorkers, "_ask", ask_and_kill)
    report = do(cluster, tmp_path, KEYPOINTS, people)
    assert (report.frames, report.damage) == (120, None)
    assert contents(tmp_path) == alone
    assert "Worker" not in capfd.readouterr().out  # Ray tells of it at length
    after = cluster._workers.pids()
    assert before[0] not in after
    assert before[1] in after


@pytest.mark.parametrize(
    "options",
    [
        AnnotateOptions(video=False, smooth="zero-lag", formats=("jsonl", "npz")),
        AnnotateOptions(video=False, start_s=1.3, end_s=3.0, stride=3),
        AnnotateOptions(smooth="one-euro", limit=70),
        AnnotateOptions(video=False, stride=4, regions=HALVES),
    ],
)
def test_every_output_is_the_one_of_a_single_process(cluster, model, people, tmp_path, options):
    do(model, tmp_path / "alone", options, people)
    do(cluster, tmp_path / "cluster", options, people)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "alone")


@pytest.mark.parametrize("first", ["cluster", "model"])
@pytest.mark.parametrize("video", [False, True])
def test_what_was_begun_elsewhere_is_continued(cluster, model, people, alone, tmp_path, first, video):
    options = AnnotateOptions(video=video, smooth="one-euro")
    one, other = (cluster, model) if first == "cluster" else (model, cluster)
    assert do(one, tmp_path, options, people, stop_at=40).cancelled
    report = do(other, tmp_path, options, people)
    assert report.frames == 120
    assert (tmp_path / "people.jsonl").read_bytes() == alone["people.jsonl"]


@pytest.mark.parametrize("video", [False, True])
def test_damaged_file_is_read_as_one_machine_reads_it(cluster, model, tmp_path, video):
    spoiled = spoil(clips.make(tmp_path / "clip.mp4", frames=80, draw=moving, options=B_FRAMES), 60)
    cut = clips.cut(clips.make(tmp_path / "cut.ts", frames=80, draw=moving, options=B_FRAMES), 0.7)
    for path in (spoiled, cut):
        options = AnnotateOptions(video=video)
        alone = do(model, tmp_path / "alone", options, path)
        found = do(cluster, tmp_path / "cluster", options, path)
        assert (found.damage, found.frames) == (alone.damage, alone.frames)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "alone")


def test_damage_that_loses_frames_is_the_same_sentence(cluster, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = clips.make(Path("clip.mp4"), frames=60, container={"movflags": "faststart"})
    clips.cut(source, 0.6)
    alone = do(model, Path("alone"), KEYPOINTS, source)
    assert "clip.mp4 is damaged or cut off" in alone.damage
    assert do(cluster, Path("cluster"), KEYPOINTS, source).damage == alone.damage
    assert contents(Path("cluster")) == contents(Path("alone"))


def test_images_and_files_without_an_index(cluster, model, tmp_path):
    image = clips.make_jpeg_on_its_side(tmp_path / "photo.jpg")
    gif = clips.make(tmp_path / "clip.gif", frames=20, codec="gif", pix_fmt="rgb8")
    (tmp_path / "many").mkdir()
    for number in (3, 4, 6):
        shutil.copy(image, tmp_path / "many" / f"{number:03}.jpg")
    for source in (image, gif, tmp_path / "many" / "%03d.jpg"):
        options = replace(KEYPOINTS, rate=Fraction(10))
        do(model, tmp_path / "alone", options, source)
        do(cluster, tmp_path / "cluster", options, source)
    assert contents(tmp_path / "cluster") == contents(tmp_path / "alone")


# --- what cannot be done ---


def test_worker_that_finds_no_such_file_is_a_sentence(cluster, people, tmp_path, monkeypatch):
    elsewhere = tmp_path / "only here.mp4"

    def asked(source):
        return SourceFile(elsewhere, source.path.stat().st_size)

    monkeypatch.setattr("hprnet_rt.cluster.finder._shared", asked)
    with pytest.raises(MediaError, match=r"worker on .* has no .*people.mp4: inputs must lie"):
        do(cluster, tmp_path / "out", KEYPOINTS, people)
    assert not list((tmp_path / "out").iterdir())


def test_worker_that_finds_another_file_is_a_sentence(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"short")
    with pytest.raises(MediaError, match=r"has another .*clip.mp4: inputs must lie where all machines"):
        worker._require(SourceFile(path, 100))
    worker._require(SourceFile(path, 3))  # it has grown since


def test_worker_that_finds_another_file_of_one_size_is_a_sentence(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"mine")
    file = SourceFile(path, 4, check=source_check(path, 4))
    path.write_bytes(b"mine, which grows")
    worker._require(file)
    path.write_bytes(b"ours")
    with pytest.raises(MediaError, match="has another"):
        worker._require(file)


def test_workers_that_die_over_the_same_frames_are_given_up(cluster, people, tmp_path, monkeypatch):
    made = cluster._workers
    real = made._answer
    monkeypatch.setattr(
        made,
        "_answer",
        lambda answer, timeout_s=None: die() if timeout_s is None else real(answer, timeout_s),
    )

    def die():
        raise ray.exceptions.ActorDiedError

    monkeypatch.setattr(made, "_check_started", lambda _actor: None)
    with pytest.raises(BackendError, match="3 workers died one after the other"):
        do(cluster, tmp_path / "out", KEYPOINTS, people)


def test_worker_of_another_version_is_a_sentence(monkeypatch):
    monkeypatch.setattr(workers, "__version__", "9.9")
    with (
        pytest.raises(BackendError, match=r"has hprnet-rt .*, and this machine 9\.9"),
        connect("local", ModelChoice(input_px=64, threads=1), 1),
    ):
        pass


def test_model_that_is_missing_is_the_sentence_of_one_machine(tmp_path):
    choice = ModelChoice(model=tmp_path / "none.onnx")
    with pytest.raises(hprnet_rt.HprnetError) as alone:
        hprnet_rt.load(choice.model)
    with pytest.raises(type(alone.value)) as found, connect("local", choice, 1):
        pass
    assert str(found.value) == str(alone.value)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:99999"])
def test_address_where_nobody_listens_is_a_sentence(address):
    with pytest.raises(BackendError, match=r"cannot join the Ray cluster .*: nobody answers there"):
        workers._require_listener(address)


def test_cluster_without_room_is_a_sentence(monkeypatch):
    monkeypatch.setattr(workers, "_START_S", 0.5)
    monkeypatch.setattr(workers, "_share", lambda *_: (2, {"num_cpus": 64}))
    with (
        pytest.raises(BackendError, match=r"did not start within .* fewer --workers"),
        connect("local", ModelChoice(), 2),
    ):
        pass


# --- the command ---


@pytest.fixture
def run(capfd):
    def run(*arguments):
        code = cli.main(["annotate", *map(str, arguments), "--size", str(PEOPLE_PX), "--threads", "1"])
        return code, *capfd.readouterr()

    return run


def test_command_annotates_several_files_at_once(run, people, alone, tmp_path):
    (tmp_path / "in").mkdir()
    clips.make(tmp_path / "in" / "other.mp4", frames=30)
    (tmp_path / "in" / "broken.mp4").write_text("no video")
    arguments = (people, tmp_path / "in", "-o", tmp_path / "out", "--no-video", "--smooth", "one-euro")
    code, out, err = run(*arguments, "--cluster", "local", "--workers", 2)
    assert code == FAILED
    assert "2 workers on local" in out
    assert "3 files: 2 done, 1 failed" in out
    assert [line for line in err.splitlines() if "broken.mp4" in line or "1 of 3" in line] == err.splitlines()
    assert (tmp_path / "out" / "people.jsonl").read_bytes() == alone["people.jsonl"]


def test_without_ray_the_sentence_says_what_to_install(run, people, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = run(people, "-o", tmp_path / "out", "--cluster", "local")
    assert code == FAILED
    assert 'pip install "hprnet-rt[cluster]"' in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("--workers", 2), "--cluster"), (("--cluster", "local", "--workers", 0), "at least 1")],
)
def test_impossible_request_is_refused(run, people, tmp_path, arguments, word):
    code, _, err = run(people, "-o", tmp_path / "out", *arguments)
    assert code == WRONG_USAGE
    assert word in err


def test_ctrl_c_ends_the_workers_and_the_same_command_continues(
    run, cluster, people, alone, tmp_path, monkeypatch
):
    arguments = (people, "-o", tmp_path, "--no-video", "--smooth", "one-euro")
    monkeypatch.setattr("hprnet_rt.jobs.file_run._DURABLE_S", 0.0)
    timer = threading.Thread(target=interrupt_when, args=(tmp_path / "people.partial.state",))
    timer.start()
    code, _, err = run(*arguments, "--cluster", "local", "--workers", 1)
    timer.join()
    assert code == INTERRUPTED
    assert "the same command continues" in err
    assert (tmp_path / "people.partial.jsonl").exists()
    assert run(*arguments)[0] == 0
    assert (tmp_path / "people.jsonl").read_bytes() == alone["people.jsonl"]


def interrupt_when(path):
    deadline_s = time.perf_counter() + 60
    while not path.exists() and time.perf_counter() < deadline_s:
        time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGINT)


KILLED = """
import os, signal, sys, time
from hprnet_rt import cli
from hprnet_rt.cluster import workers

def start(_workers):
    os.killpg(0, signal.SIGTERM)
    time.sleep(60)

workers.RayWorkers.start = start
sys.exit(cli.main(["annotate", {source!r}, "-o", {out!r}, "--cluster", "local", "--workers", "1"]))
"""


def test_a_kill_of_all_processes_before_the_workers_have_begun_is_a_sentence(tmp_path):
    script = KILLED.format(source=str(clips.SAMPLE), out=str(tmp_path / "out"))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, start_new_session=True
    )
    assert (done.returncode, done.stdout) == (INTERRUPTED, "")
    assert done.stderr.splitlines() == ["hprnet-rt: stopped before the beginning"]
