"""Every demo runs, and is short."""

import csv
import itertools
import runpy
import socket
import sys
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import Frame, Poses
from tests import clips

DEMOS = Path(__file__).parents[1] / "demos"
PROGRAMS = ("blur_faces", "knee_angle", "opensim", "osc_sender", "squat_counter", "two_cameras", "webcam")
SECONDS = 0.4


@pytest.fixture(scope="module")
def loaded():
    with hprnet_rt.load(input_px=384, threads=1) as made:
        yield made


@pytest.fixture
def model(loaded, monkeypatch):
    """The model that every demo loads, which stays open."""
    monkeypatch.setattr(loaded, "close", lambda: None)
    for place in ("", ".inference.stream", ".jobs.annotate"):
        monkeypatch.setattr(f"hprnet_rt{place}.load", lambda **_: loaded)
    return loaded


@pytest.fixture(scope="module")
def clip(tmp_path_factory, loaded):
    """The beginning of the sample, with its sound."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    hprnet_rt.annotate(
        clips.SAMPLE, path, model=loaded, draw=lambda *_: None, keypoints=False, end_s=SECONDS, crf=10
    )
    return path


def run(name, *arguments):
    runpy.run_path(str(DEMOS / f"{name}.py"))["main"](*map(str, arguments))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_demo_is_short(name):
    assert len((DEMOS / f"{name}.py").read_text().splitlines()) < 40


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "webcam"])
def test_a_demo_uses_what_is_public(name):
    assert "from hprnet_rt" not in (DEMOS / f"{name}.py").read_text()


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("webcam", ["none.mp4"], "none.mp4 does not exist"),
        ("squat_counter", ["none.mp4"], "none.mp4 does not exist"),
        ("two_cameras", ["none.mp4", "other.mp4"], "other.mp4 does not exist"),
        ("knee_angle", [], "VIDEO TABLE.csv"),
        ("knee_angle", ["none.mp4", "table.csv"], "none.mp4 does not exist"),
    ],
)
def test_what_a_demo_cannot_do_is_a_sentence(model, monkeypatch, capsys, tmp_path, name, arguments, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(DEMOS / f"{name}.py"), run_name="__main__")
    assert words in f"{ended.value.code} {capsys.readouterr().err}"


def someone(hip_y, knee_y, track_id=7):
    """A person whose knees are at a right angle when hips are as low as knees, and straight when above."""
    points = np.full((1, 133, 3), np.nan)
    for side, x in (("left", 60.0), ("right", 40.0)):
        for joint, at in (
            ("hip", (x - 20 * (hip_y == knee_y), hip_y)),
            ("knee", (x, knee_y)),
            ("ankle", (x, 90)),
        ):
            points[0, hprnet_rt.index(f"{side}_{joint}")] = (*at, 0.9)
    return Poses.from_numpy(points, track_id=[track_id])


@pytest.fixture
def scene(monkeypatch):
    """A function that puts people in the place of a video."""

    def put(people):
        class Scene:
            def __iter__(self):
                for n, poses in enumerate(people):
                    yield Frame(n, np.zeros((100, 100, 3), np.uint8), 0.0, n, Fraction(1, 2)), poses

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

        monkeypatch.setattr(hprnet_rt, "stream", lambda *_, **__: Scene())

    return put


def test_squats_are_counted(scene, capsys):
    standing, sitting = someone(10, 50), someone(50, 50)
    scene([standing, sitting, sitting, standing, Poses.empty(), sitting, standing])
    run("squat_counter")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], line[3], line[4]) for line in lines] == [("1.50", "7:", "1"), ("3.00", "7:", "2")]


def test_knees_become_a_table(scene, tmp_path, clip, model):
    run("knee_angle", clip, tmp_path / "knees.csv")
    rows = list(csv.reader((tmp_path / "knees.csv").open()))
    assert len(rows) == 1 + 3 * round(25 * SECONDS)
    scene([someone(10, 50), someone(50, 50)])
    run("knee_angle", clip, tmp_path / "knees.csv")
    rows = list(csv.reader((tmp_path / "knees.csv").open()))
    assert rows[1:] == [["0.0", "7", "180.0", "180.0"], ["0.5", "7", "90.0", "90.0"]]


@pytest.mark.usefixtures("model")
def test_faces_of_a_folder_are_blurred(clip, tmp_path, capsys):
    run("blur_faces", tmp_path, clip.parent)
    assert "10 frames" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert clips.audio_packets(tmp_path / "clip.mp4") == clips.audio_packets(clip)


@pytest.mark.usefixtures("model")
def test_two_cameras_are_watched_at_once(capsys, tmp_path, clip):
    other = tmp_path / "other.mp4"
    other.write_bytes(clip.read_bytes())
    run("two_cameras", clip, other)
    out = capsys.readouterr().out
    assert f"{clip}: 3 people" in out
    assert f"{other}: 3 people" in out


@pytest.mark.usefixtures("model")
def test_ctrl_c_ends_all_cameras(monkeypatch, scene):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("concurrent.futures.wait", interrupted)
    scene(itertools.repeat(Poses.empty()))
    monkeypatch.setattr(sys, "argv", ["two_cameras", "0", "1"])
    with pytest.raises(SystemExit, match="False"):
        runpy.run_path(str(DEMOS / "two_cameras.py"), run_name="__main__")


@pytest.mark.usefixtures("model")
def test_joints_are_sent_by_osc(clip):
    osc = pytest.importorskip("pythonosc.osc_packet", reason="python-osc is not installed")
    heard = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)

        def listen():
            while len(heard) < 20:
                heard.extend(each.message for each in osc.OscPacket(server.recv(4096)).messages)

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        run("osc_sender", clip, "127.0.0.1", server.getsockname()[1])
        listener.join(10)
    assert len(heard) == 20
    nose = next(message for message in heard if message.address.endswith("/nose"))
    assert nose.address.startswith("/person/") and all(0 < value < 1 for value in nose.params)


@pytest.mark.usefixtures("model")
def test_opensim_gets_smooth_and_trusted_points(clip, tmp_path, capsys):
    trc = pytest.importorskip("trc", reason="trc-data-reader is not installed")
    run("opensim", clip, tmp_path)
    files = capsys.readouterr().out.splitlines()
    assert len(files) == 3
    data = trc.TRCData()
    data.load(files[0])
    assert int(data["NumFrames"]) == round(25 * SECONDS)
    assert np.isnan(data["left_ankle"]).all() and np.isfinite(data["nose"]).all()


def test_the_notebook_runs(tmp_path, clip):
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    for package in ("ipykernel", "pandas", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(DEMOS / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "committed without its outputs"
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos" / "sample.mp4").symlink_to(clip)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = f"import sys; sys.path.insert(0, {str(DEMOS.parent)!r})\n{first.source}"
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    kinds = {
        kind for cell in notebook.cells for out in cell.get("outputs", ()) for kind in out.get("data", ())
    }
    assert {"image/jpeg", "image/png", "text/html"} <= kinds
