"""OpenPose and associative embedding as models like ours: everyone where they are, in every command."""

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra train is not installed")
pytest.importorskip("scipy", reason="the extra rivals is not installed")

import hprnet_rt
from hprnet_rt import cli, skeleton
from hprnet_rt.backends import ModelFile
from hprnet_rt.bench.planted_maps import people_in, planted_maps
from hprnet_rt.bench.scenes import picture
from hprnet_rt.errors import UsageError
from hprnet_rt.grouping.rivals import RivalGrouper, place
from hprnet_rt.inference import model as model_module
from hprnet_rt.inference import rivals as rivals_module
from hprnet_rt.live.session import Session, SessionOptions
from hprnet_rt.spec.rivals import CROPS, OPENPOSE_WHOLEBODY, RIVALS
from hprnet_rt.zoo.networks import zoo_entry
from tests.clips import make
from tests.live.driving import Clip
from tests.rivals import IMAGE_WH, Seeing

BODIES = [name for name in RIVALS if name not in CROPS]
NEAR_PX = {8: 3.0, 4: 1.5}  # by stride: half a cell of the network, in the picture


def file_of(name):
    """A model file that nobody reads."""
    spec = zoo_entry(name).spec
    parts = zoo_entry(name).parts[1:]
    return ModelFile(__file__, spec, 32, "0" * 64, crops=tuple(map(file_of, parts)))


@pytest.fixture
def seeing(monkeypatch):
    """Networks see three people; `model_file_for` finds every one of them."""
    for module in (model_module, rivals_module):
        monkeypatch.setattr(
            module, "create_backend", lambda model_file, input_hw, **settings: Seeing(model_file, input_hw)
        )
    monkeypatch.setattr(model_module, "model_file_for", lambda model, weights=None, k=None: file_of(model))


@pytest.mark.parametrize("name", BODIES)
def test_everyone_is_found_where_they_are(name):
    """In a picture that is higher than wide, and fills no input exactly."""
    spec, image_hw = RIVALS[name], (500, 375)
    poses = RivalGrouper(spec)(planted_maps(spec, 3, place(spec, image_hw, spec.input_px)))
    assert len(poses) == 3
    expected = people_in(3, image_hw)
    for person in poses:
        truth = min(expected, key=lambda points: np.abs(points[0] - person.xy[0]).sum())
        known = np.array(spec.trained_keypoints)
        assert np.isnan(person.xy[~known]).all()
        body = known & (np.arange(133) < 17)
        away = np.abs(person.xy[body] - truth[body]).max(axis=1)
        assert away.max() < NEAR_PX[spec.stride_px]
        assert (person.score[body] > 0.5).all()
        assert (person.score[np.isnan(person.xy[:, 0])] == 0).all()
        assert 0.3 < person.person_score <= 1


def test_hands_and_faces_of_everyone_are_looked_at(seeing):
    """Each crop has its peaks in the middle, so that a hand's points are where its arm points."""
    with hprnet_rt.load(OPENPOSE_WHOLEBODY) as model:
        image = picture(3, IMAGE_WH)
        poses = model(image)
        assert model.name == OPENPOSE_WHOLEBODY
        assert model.facts.threshold == 0
    assert len(poses) == 3
    for person in poses:
        for region, wrist, elbow in (("left_hand", 9, 7), ("right_hand", 10, 8)):
            points = person.xy[skeleton.REGIONS[region]]
            centre = person.xy[wrist] + 0.33 * (person.xy[wrist] - person.xy[elbow])
            assert np.abs(points - centre).max() < 6
        assert np.isfinite(person.xy[skeleton.FACE]).all()
        assert np.isnan(person.xy[skeleton.PARTS["feet"]]).all()
        assert np.abs(np.nanmean(person.xy[skeleton.FACE], axis=0) - person.xy[0]).max() < 6


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("openpose-body18", 368),
        (OPENPOSE_WHOLEBODY, 368),
        ("openpose-body135", 480),
        ("ae-higherhrnet-w32", 256),
    ],
)
def test_annotate_eval_and_live_take_them_as_they_take_ours(name, size, seeing, tmp_path, capsys):
    images = tmp_path / "images"
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), picture(3, IMAGE_WH))
    clip = make(tmp_path / "clip.mp4", frames=2, size=IMAGE_WH)
    model_options = ["--model", name, "--size", str(size)]
    assert cli.main(["annotate", str(clip), "-o", str(tmp_path / "out"), *model_options, "-q"]) == 0
    header, *lines = map(json.loads, next((tmp_path / "out").glob("*.jsonl")).read_text().splitlines())
    assert header["model"] == name
    assert [len(line["people"]) for line in lines] == [3, 3]
    truth = people_in(3, IMAGE_WH[::-1])
    people = [person_of(number, points) for number, points in enumerate(truth, 1)]
    info = {"id": 1, "file_name": "a.png", "height": IMAGE_WH[1], "width": IMAGE_WH[0]}
    (tmp_path / "truth.json").write_text(json.dumps({"images": [info], "annotations": people}))
    done = [
        "eval",
        "--annotations",
        tmp_path / "truth.json",
        "--images",
        images,
        "--out",
        tmp_path / "scores",
    ]
    assert cli.main([*map(str, done), *model_options, "--table", "3"]) == 0
    out = capsys.readouterr().out
    assert any(line.startswith(name) and "measured here" in line for line in out.splitlines())
    scores = json.loads((tmp_path / "scores" / "evaluation.json").read_text())["scores"]
    assert scores["body"]["AP"] > 0.9
    source = Clip([picture(3, IMAGE_WH)], rate=50)
    with (
        hprnet_rt.load(name, input_px=size) as model,
        Session(source, model, SessionOptions(limit=2)) as session,
    ):
        assert [len(item.result.poses) for item in session] == [3, 3]


def person_of(number, points):
    """An annotation of the body, with the box of its points."""
    low, high = points[:17].min(axis=0).tolist(), points[:17].max(axis=0).tolist()
    wide, tall = high[0] - low[0], high[1] - low[1]
    return {
        "id": number,
        "image_id": 1,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [*low, wide, tall],
        "area": wide * tall,
        "keypoints": [value for x, y in points[:17].tolist() for value in (x, y, 2)],
        "num_keypoints": 17,
    }


def test_the_flip_test_is_for_associative_embedding(seeing):
    with hprnet_rt.load("ae-hrnet-w32", flip=True) as model:
        peaks = model.infer(*model.prepare(picture(3, IMAGE_WH)))
        assert len(peaks.packed) == 2
    with pytest.raises(UsageError, match="no flip test"):
        hprnet_rt.load("openpose-body18", flip=True)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("openpose-hand", {}, "use --model openpose-wholebody"),
        ("openpose-body18", {"input_px": "keep"}, "give --size a number"),
        ("openpose-body18", {"input_px": 100}, "multiples of 8, got 100"),
        ("ae-hrnet-w32", {"input_px": 500}, "multiples of 64"),
        ("openpose-body25", {"matching": "released"}, "leave --matching out"),
    ],
)
def test_what_a_rival_has_not_is_refused(seeing, name, options, words):
    with pytest.raises(UsageError, match=words):
        hprnet_rt.load(name, **options)
