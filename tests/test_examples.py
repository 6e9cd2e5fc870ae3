"""The examples of the docstrings and of docs/python.md run, on a short copy of the sample."""

import doctest
import inspect
import re
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.types import FramePoses, Poses
from hprnet_rt.video import VideoSink, open_source
from tests import clips

ROOT = Path(__file__).parents[1]
FRAMES = 6
WITHOUT_EXAMPLE = {"BackendError", "PipelineError", "__version__"}
"""What one needs another machine or a fault of ours to see."""
BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.M | re.S)
PROGRAMS, LONGEST_PROGRAM = 3, 14
LONGEST = 12


def documented():
    """Public functions and classes, by their names."""
    named = {name: getattr(hprnet_rt, name) for name in hprnet_rt.__all__}
    return {name: value for name, value in named.items() if inspect.isclass(value) or callable(value)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the first frames of the sample as video.mp4, with sound, and two of them as photos."""
    made = tmp_path_factory.mktemp("examples")
    source = open_source(clips.SAMPLE)
    sink = VideoSink(made / "video.mp4", source.info, audio_from=clips.SAMPLE)
    (made / "photos").mkdir()
    for frame in islice(source, FRAMES):
        sink.write(FramePoses(frame, Poses.empty()))
        if frame.sequence < 2:
            cv2.imwrite(str(made / "photos" / f"{frame.sequence}.jpg"), frame.image)
    sink.close()
    sink.commit()
    source.close()
    return made


@pytest.fixture(scope="module")
def loaded():
    with hprnet_rt.load(input_px=384, threads=1) as made:
        yield made


@pytest.fixture
def model(loaded, folder, monkeypatch):
    """The model that every example loads, which stays open; the working folder is that of the examples."""
    monkeypatch.setattr(loaded, "close", lambda: None)

    def load(model="hprnet-mobile", **options):
        return loaded if model == "hprnet-mobile" else known(model, **options)

    known = hprnet_rt.load
    load.__doc__ = known.__doc__
    for place in ("inference.model", "inference.stream", "jobs.annotate"):
        monkeypatch.setattr(f"hprnet_rt.{place}.load", load)
    monkeypatch.setattr(hprnet_rt, "load", load)
    monkeypatch.chdir(folder)
    if not Path("video.jsonl").exists():
        hprnet_rt.annotate("video.mp4", "video.jsonl", video=False)
    return loaded


@pytest.mark.parametrize("name", sorted(documented()))
def test_every_public_name_has_an_example_that_runs(name, model, folder):
    value = documented()[name]
    image = cv2.imread(str(folder / "photos" / "0.jpg"))
    given = {"hprnet_rt": hprnet_rt, "np": np, "model": model, "image": image}
    parts = [value, *(each for _, each in inspect.getmembers(value, inspect.isfunction))]
    if not inspect.isclass(value):
        parts = parts[:1]
    examples = 0
    for part in parts:
        found = doctest.DocTestParser().get_doctest(inspect.getdoc(part) or "", dict(given), name, None, 0)
        told = []
        doctest.DocTestRunner(verbose=False).run(found, out=told.append)
        assert not told, "".join(told)
        examples += len(found.examples)
    assert (examples > 0) == (name not in WITHOUT_EXAMPLE)


@pytest.mark.parametrize("number", range(PROGRAMS, len(BLOCKS)))
@pytest.mark.usefixtures("model")
def test_a_program_of_the_page_runs(number, capsys):
    if "pandas" in BLOCKS[number]:
        pytest.importorskip("pandas", reason="pandas is not installed")
    exec(compile(BLOCKS[number], f"docs/python.md, block {number}", "exec"), {"__name__": "example"})


def test_programs_of_the_page_are_short_and_public():
    assert len(BLOCKS) >= PROGRAMS + 10
    for number, block in enumerate(BLOCKS):
        most = LONGEST_PROGRAM if number < PROGRAMS else LONGEST
        assert len([line for line in block.splitlines() if line]) <= most, block
        assert not re.search(r"cv2|from hprnet_rt|hprnet_rt\._|\b_\w", block), block


@pytest.mark.usefixtures("model")
def test_the_three_programs_do_what_the_page_says(capsys):
    def run(number):
        exec(compile(BLOCKS[number], "docs/python.md", "exec"), {"__name__": "example"})
        return capsys.readouterr().out

    for name in ("blurred.mp4", "knee.csv"):
        Path(name).unlink(missing_ok=True)
    lines = run(0).splitlines()
    assert lines[0] == f"25.0 (1280, 720) {FRAMES} 0.24"
    assert lines[1:] == [f"{n / 25:.2f} s: 3 people" for n in range(FRAMES)]
    run(1)
    header, *rows = Path("knee.csv").read_text().splitlines()
    assert header == "time_s,person,left_knee_degrees"
    assert len(rows) == 3 * FRAMES
    assert all(row.endswith(",") for row in rows), "nobody's knee is in the sample"
    run(2)
    assert clips.audio_packets("blurred.mp4") == clips.audio_packets("video.mp4")
    blurred, plain = (clips.decodable(name)[0][1] for name in ("blurred.mp4", "video.mp4"))
    for x1, y1, x2, y2 in hprnet_rt.load()(plain).face_xyxy.astype(int):
        was, became = (cv2.Laplacian(image[y1:y2, x1:x2], cv2.CV_32F).std() for image in (plain, blurred))
        assert became < was / 4


def test_help_begins_with_what_to_do():
    first = hprnet_rt.__doc__.split("\n\n")
    assert "load()" in first[3] and "stream(" in first[5] and "annotate(" in first[7]


def test_every_name_of_the_module_s_overview_is_public_and_all_are_there():
    overview = hprnet_rt.__doc__.partition("What there is:")[2]
    for name in hprnet_rt.__all__:
        if not name.endswith(("Error", "Options", "__")):
            assert re.search(rf"\b{name}\b", overview), name
