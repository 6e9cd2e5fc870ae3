"""A model over annotated images: nothing lost, nothing done twice, and the numbers at the end."""

import json
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt import cli
from hprnet_rt.commands import contenders
from hprnet_rt.errors import MediaError, UsageError
from hprnet_rt.evaluation import PART_TYPES, read_annotations
from hprnet_rt.jobs.predict import known_parts, predict

COUNT = 6
GOLDEN = Path(__file__).parents[1] / "golden" / "movenet.npz"


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Six photographs, and as annotations the people whom MoveNet itself found in them."""
    folder = tmp_path_factory.mktemp("truth")
    images, people = [], []
    with np.load(GOLDEN) as file:
        names = sorted(name for name in file.files if name.startswith("image_"))[:COUNT]
        for number, name in enumerate(names, start=7):
            image = file[name][..., ::-1]
            cv2.imwrite(str(folder / f"{name}.png"), image)
            images.append({"id": number, "file_name": f"{name}.png", "height": 256, "width": 256})
            for person in file[name.replace("image", "out")]:
                if person[55] < 0.3:
                    continue
                joints = person[:51].reshape(17, 3)
                points = [[256 * x, 256 * y, 2 if score > 0.3 else 0] for y, x, score in joints.tolist()]
                top, left, bottom, right = (256 * person[51:55]).tolist()
                box = [left, top, right - left, bottom - top]
                people.append(
                    {
                        "id": len(people) + 1,
                        "image_id": number,
                        "category_id": 1,
                        "iscrowd": 0,
                        "bbox": box,
                        "area": 0.53 * box[2] * box[3],
                        "keypoints": [value for point in points for value in point],
                        "num_keypoints": sum(point[2] > 0 for point in points),
                    }
                )
    (folder / "truth.json").write_text(json.dumps({"images": images, "annotations": people}))
    return folder


@pytest.fixture(scope="module")
def model():
    with hprnet_rt.load(threshold=0.05, input_px=256, precision="fp32") as made:
        yield made


@pytest.fixture
def annotations(truth):
    return read_annotations(truth / "truth.json")


def by_image(path):
    results = json.loads(path.read_text())
    return sorted(results, key=lambda one: (one["image_id"], -one["score"]))


def test_every_image_is_done_once_and_its_people_are_in_its_pixels(model, annotations, truth, tmp_path):
    made = predict(model, annotations, truth, tmp_path / "results.json")
    results = by_image(tmp_path / "results.json")
    assert (made.images, made.detections, made.resumed, made.cancelled) == (COUNT, len(results), 0, False)
    assert {one["image_id"] for one in results} <= set(annotations.image_ids.tolist())
    fields = {field for part in PART_TYPES.values() for field in part.fields}
    assert {"image_id", "category_id", "bbox", "score", *fields} <= set(results[0])
    assert known_parts(model.model_file.spec) == ("body", "foot", "face", "left_hand", "right_hand")
    assert list(tmp_path.iterdir()) == [tmp_path / "results.json"]


def test_a_stopped_run_continues_and_ends_as_an_uninterrupted_one(model, annotations, truth, tmp_path):
    whole, broken = tmp_path / "whole.json", tmp_path / "broken.json"
    predict(model, annotations, truth, whole)
    stop = threading.Event()

    def progress(done, _all):
        if done == 2:
            stop.set()

    first = predict(model, annotations, truth, broken, progress=progress, cancelled=stop)
    assert first.cancelled
    assert 2 <= first.images < COUNT
    assert not broken.exists()
    with first.path.open("a") as file:
        file.write('{"image_id": 9, "resul')  # a crash in the middle of a line
    second = predict(model, annotations, truth, broken)
    assert (second.resumed, second.images, second.cancelled) == (first.images, COUNT, False)
    assert by_image(broken) == by_image(whole)


def test_what_other_settings_left_is_not_continued(model, annotations, truth, tmp_path):
    stop = threading.Event()
    stop.set()
    out = tmp_path / "results.json"
    predict(model, annotations, truth, out, cancelled=stop)
    with (
        hprnet_rt.load(threshold=0.2, input_px=256, precision="fp32") as other,
        pytest.raises(UsageError, match=r"^[^(]*other settings; delete it, or write to another place$"),
    ):
        predict(other, annotations, truth, out)
    (tmp_path / "results.partial.jsonl").write_text("hello\n")
    with pytest.raises(UsageError, match="not a journal"):
        predict(model, annotations, truth, out)


def test_what_was_made_of_other_images_is_not_continued(model, truth, tmp_path):
    """Two files of annotations of one name, with as many images, and two folders with images of one name."""
    stop = threading.Event()
    stop.set()
    out = tmp_path / "results.json"
    listed = json.loads((truth / "truth.json").read_text())
    halves = []
    for name, images in (("one", listed["images"][:3]), ("two", listed["images"][3:])):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "truth.json"
        path.write_text(json.dumps({"images": images, "annotations": []}))
        halves.append(read_annotations(path))
    predict(model, halves[0], truth, out, cancelled=stop)
    with pytest.raises(UsageError, match=r"^[^(]*was made of other images"):
        predict(model, halves[1], truth, out)
    for path in truth.glob("*.png"):
        (tmp_path / "one" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match=r"^[^(]*was made of other images"):
        predict(model, halves[0], tmp_path / "one", out)
    assert predict(model, halves[0], truth, out).images == 3


def test_a_file_name_too_long_for_a_file_is_a_sentence(model, truth, tmp_path):
    image = {"id": 1, "file_name": "x" * 5000, "height": 2, "width": 2}
    annotations = read_annotations({"images": [image], "annotations": []})
    with pytest.raises(MediaError, match=r"cannot look for the images.*too long.*correct their file_name"):
        predict(model, annotations, truth, tmp_path / "results.json")


def test_images_of_another_folder_are_missed_at_once(model, annotations, tmp_path):
    with pytest.raises(MediaError, match=r"lacks 6 of 6 images: image_0\.png"):
        predict(model, annotations, tmp_path, tmp_path / "results.json")
    assert not list(tmp_path.iterdir())


def test_an_unreadable_image_stops_the_run_and_keeps_what_is_done(model, annotations, truth, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for path in truth.glob("*.png"):
        (images / path.name).write_bytes(path.read_bytes())
    last = sorted(images.iterdir())[-1]
    good = last.read_bytes()
    last.write_bytes(good[:0])
    with pytest.raises(MediaError, match=f"{last.name} is empty"):
        predict(model, annotations, images, tmp_path / "results.json")
    last.write_bytes(good)
    made = predict(model, annotations, images, tmp_path / "results.json")
    assert made.resumed == COUNT - 1


def run(*arguments):
    return cli.main(["eval", *map(str, arguments)])


def test_the_command_scores_the_shipped_model(truth, tmp_path, capsys):
    """Against MoveNet's own findings at its own input size, of which our weights are a copy."""
    arguments = ("--annotations", truth / "truth.json", "--images", truth, "--out", tmp_path, "--size", "256")
    extra = ("--compare", "precision=fp32", "--table", "3", "--measures", "--worst", "2")
    assert run(*arguments, *extra) == 0
    out = capsys.readouterr().out
    assert "published" in out
    assert "measured" in out
    evaluations = json.loads((tmp_path / "evaluation.json").read_text())
    for evaluation in evaluations:
        assert evaluation["scores"]["body"]["AP"] > 0.9
    report = (tmp_path / "evaluation.md").read_text()
    assert "HPRNet DLA" in report
    assert "NME" in report
    assert (tmp_path / "comparison.csv").exists()
    pictures = sorted((tmp_path / "worst").iterdir())
    assert len(pictures) == 2
    assert cv2.imread(str(pictures[0])).shape[0] == 640

    assert run(*arguments) == 2  # finished results are not made again by accident
    assert "--overwrite" in capsys.readouterr().err
    assert run("--annotations", truth / "truth.json", "--results", tmp_path / "results.json") == 0
    assert "results.json" in capsys.readouterr().out


def test_the_command_takes_images_at_their_own_size_and_the_flip_test(truth, tmp_path, capsys):
    pytest.importorskip("torch", reason="the extra train is not installed")
    arguments = ("--annotations", truth / "truth.json", "--images", truth, "--out", tmp_path)
    assert run(*arguments, "--size", "keep", "--backend", "torch", "--flip", "--quiet") == 0
    out = capsys.readouterr().out
    assert "body" in out
    assert json.loads((tmp_path / "evaluation.json").read_text())["scores"]["body"]["AP"] > 0.7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--results FILE"),
        (["--images", "."], "--out FOLDER"),
        (["--images", "nowhere", "--out", "out"], "no folder nowhere"),
        (["--results", "r.json", "--worst", "3"], "--worst needs --out"),
        (["--results", "r.json", "--images", "."], "either"),
        (["--images", ".", "--out", "out", "--worst", "-1"], "number of people"),
        (["--images", ".", "--out", "out", "--flip"], "--backend torch"),
        (["--images", ".", "--out", "out", "--compare", "speed=3"], "KEY=VALUE"),
        (["--images", ".", "--out", "out", "--size", "100"], "multiple of 32"),
        (["--images", ".", "--out", "out", "--compare", "weights=none.pth"], "none.pth"),
        (["--images", ".", "--out", "out", "--compare", "precision=fp8"], "no precision 'fp8'"),
        (["--images", ".", "--out", "out", "--compare", "flip=perhaps"], "'perhaps' is no flip"),
    ],
)
def test_wrong_usage_is_a_sentence(truth, tmp_path, monkeypatch, capsys, arguments, words):
    """And is told before any image is looked at."""
    monkeypatch.chdir(truth)
    monkeypatch.setattr(contenders, "predict", lambda *_, **__: pytest.fail("a model ran"))
    assert run("--annotations", truth / "truth.json", *arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_a_missing_evaluator_is_told_before_the_work(truth, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "faster_coco_eval.core.coco", None)
    arguments = ("--annotations", truth / "truth.json", "--images", truth, "--out", tmp_path / "out")
    assert run(*arguments) == 1
    assert "hprnet-rt[eval]" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
