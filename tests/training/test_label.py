"""A training set is looked at again with the shipped model, on a picture of the sample."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.skeleton import FACE, LEFT_HAND
from tests.scripts import script

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "engines" / "training" / "label.py"


@pytest.fixture(scope="module")
def seen():
    """Return the first picture of the sample, and the people in it, strongest first."""
    with av.open(str(ROOT / "demos" / "sample.mp4")) as container:
        image = next(container.decode(video=0)).to_ndarray(format="bgr24")
    return image, hprnet_rt.load()(image)


def triples(xy, count):
    return np.column_stack((xy, np.full(count, 2))).reshape(-1).round(2).tolist()


def labelled(folder, seen, **changes):
    """Write a set of two images; one person is labelled in each, and there is nobody in the second."""
    image, poses = seen
    cv2.imwrite(str(folder / "person.png"), image)
    cv2.imwrite(str(folder / "nobody.png"), np.full_like(image, 90))
    height, width = image.shape[:2]
    x0, y0, x1, y1 = poses.box_xyxy[0].tolist()
    none = {"box": [0, 0, 0, 0], "valid": False}
    people = []
    for number in (1, 2):
        person = {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "iscrowd": 0,
            "label": "ok",
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "keypoints": triples(np.nan_to_num(poses.xy[0, :17]), 17),
            "foot_kpts": [0] * 18,
            "foot_valid": False,
        }
        for part, count in (("face", 68), ("lefthand", 21), ("righthand", 21)):
            person[f"{part}_kpts"] = [0] * (3 * count)
            person |= {f"{part}_{key}": value for key, value in none.items()}
        people.append(person)
    people[0] |= changes
    names = ((1, "person.png"), (2, "nobody.png"))
    images = [{"id": n, "file_name": name, "width": width, "height": height} for n, name in names]
    with gzip.open(folder / "train.json.gz", "wt") as file:
        json.dump({"images": images, "annotations": people}, file)


def look(folder, *options):
    words = [folder / "train.json.gz", folder, folder / "seen.json.gz", *options]
    done = subprocess.run([sys.executable, SCRIPT, *words], check=True, capture_output=True, text=True)
    with gzip.open(folder / "seen.json.gz", "rt") as file:
        data = json.load(file)
    return data["annotations"], [image["weight"] for image in data["images"]], done.stdout


def test_a_face_that_was_missed_is_labelled_and_what_nobody_sees_is_absent(tmp_path, seen):
    labelled(tmp_path, seen)
    (person, nobody), _, said = look(tmp_path)
    face = np.array(person["face_kpts"]).reshape(-1, 3)
    assert person["face_valid"]
    assert (face[:, 2] == 2).all()
    wanted = seen[1].xy[0, FACE]
    size = np.ptp(wanted, axis=0).max()
    assert np.linalg.norm(face[:, :2] - wanted, axis=1).mean() < 0.1 * size
    assert "face_absent" not in person
    assert all(nobody[f"{part}_absent"] for part in ("face", "lefthand", "righthand"))
    assert "1 face absent" in said
    assert "1 face labelled" in said


def test_known_presences_are_believed(tmp_path, seen):
    """A hand counts as absent only if its wrist has no label, too."""
    labelled(tmp_path, seen)
    known = {"1": [0.1, 0.1, 0.1, 0.1, 0.1, 0.1], "2": [0.1, 0.1, 0.9, 0.9, 0.1, 0.1]}
    with gzip.open(tmp_path / "known.json.gz", "wt") as file:
        json.dump(known, file)
    (person, other), _, _ = look(tmp_path, "--presence", tmp_path / "known.json.gz")
    assert person["face_absent"]
    assert not person["face_valid"]
    assert "lefthand_absent" not in person
    assert other["face_absent"]
    assert "lefthand_absent" not in other


def test_labels_of_a_hand_are_averaged_with_what_is_seen_only_where_both_agree():
    module = script("engines/training/label.py")
    hand = np.random.default_rng(0).uniform(0, 50, (21, 2))
    size = np.ptp(hand, axis=0).max()
    for shift, moves in ((0.04, True), (0.3, False)):
        person = {"lefthand_kpts": triples(hand, 21)}
        xy = np.zeros((133, 2))
        xy[LEFT_HAND] = hand + np.array([shift * size, 0])
        off = module.look_at_hand(person, "lefthand", (xy, np.ones(133)))
        assert off == pytest.approx(shift, abs=1e-3)
        found = np.array(person["lefthand_kpts"]).reshape(-1, 3)[:, :2]
        np.testing.assert_allclose(found, hand + np.array([moves * shift * size / 2, 0]), atol=0.02)
    assert module.look_at_hand(person, "lefthand", None) == 1.0


def test_images_of_hands_weigh_more_and_those_of_hard_ones_most(tmp_path, seen):
    """Nobody is found in the second image, so its hand is as hard as can be."""
    hand = np.random.default_rng(0).uniform(100, 150, (21, 2))
    changes = {
        "image_id": 2,
        "lefthand_kpts": triples(hand, 21),
        "lefthand_box": [100, 100, 50, 50],
        "lefthand_valid": True,
    }
    labelled(tmp_path, seen, **changes)
    assert look(tmp_path)[1] == [0.7, 8.0], "its face is absent, too"
    assert look(tmp_path, "--hands")[1] == [0.7, 24.0]
    people, weights, said = look(tmp_path, "--weights")
    assert weights == [0.7, 1.6]
    assert not any("absent" in key for person in people for key in person)
    assert said.strip().endswith("2 people")
