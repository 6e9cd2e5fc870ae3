"""Faulty files, and the message for each fault."""

import copy
import json

import numpy as np
import pytest

from hprnet_rt.errors import DataError, HprnetError
from hprnet_rt.evaluation import evaluate, read_annotations, read_results
from tests.evaluation.sets import EXAMPLE_GT, EXAMPLE_RESULTS

TRUTH = json.loads(EXAMPLE_GT.read_text())
RESULTS = json.loads(EXAMPLE_RESULTS.read_text())


def written(folder, content):
    path = folder / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def changed(data, *where, to):
    """Return a copy with the value under these keys replaced by `to`; None deletes it."""
    data = copy.deepcopy(data)
    place = data
    for key in where[:-1]:
        place = place[key]
    if to is None:
        del place[where[-1]]
    else:
        place[where[-1]] = to
    return data


def test_annotations_are_sorted_by_image_and_keep_the_files_order_within():
    shuffled = copy.deepcopy(TRUTH)
    shuffled["images"].reverse()
    shuffled["annotations"] = shuffled["annotations"][13:] + shuffled["annotations"][:13]
    ours = read_annotations(shuffled)
    assert ours.image_ids.tolist() == sorted(image["id"] for image in TRUTH["images"])
    assert ours.file_names[0] == "000000000785.jpg"
    assert ours.image_hw[0].tolist() == [425, 640]
    assert (np.diff(ours.image) >= 0).all()
    second = [a["area"] for a in shuffled["annotations"] if a["image_id"] == ours.image_ids[1]]
    assert ours.area[ours.image == 1].tolist() == second
    assert len(ours) == 26


def test_files_and_their_content_read_alike(tmp_path):
    for read, data in ((read_annotations, TRUTH), (read_results, RESULTS)):
        from_file, direct = read(written(tmp_path, data)), read(data)
        assert from_file.name == "file.json"
        assert (from_file.xy == direct.xy).all()
        assert (from_file.area == direct.area).all()
        assert from_file.fields == direct.fields


def test_people_of_whom_only_the_body_was_labelled_are_known():
    data = changed(TRUTH, "annotations", 0, "label", to="body")
    data["annotations"][1]["label"] = "ok"
    ours = read_annotations(data)
    image = [a["image_id"] for a in data["annotations"]]
    order = sorted(range(len(image)), key=lambda n: image[n])
    assert np.flatnonzero(ours.body_only).tolist() == [order.index(0)]
    assert not read_annotations(TRUTH).body_only.any()


def test_the_third_number_of_a_point_is_its_score_unless_all_are_whole():
    points = list(RESULTS[0]["lefthand_kpts"])
    points[2] = 0.0
    found = read_results(changed(RESULTS, 0, "lefthand_kpts", to=points))
    assert found.point_score[0, 91] == 0
    assert found.point_score[0, 92] == points[5]
    assert found.visible[0, 91:93].tolist() == [False, True]
    assert found.has_point_scores
    flags = copy.deepcopy(RESULTS)
    for one in flags:
        for field in [name for name in one if name.endswith(("kpts", "keypoints"))]:
            one[field][2::3] = [2] * (len(one[field]) // 3)
    assert not read_results(flags).has_point_scores
    assert read_results([]).has_point_scores


def test_a_byte_order_mark_and_other_categories_do_no_harm(tmp_path):
    data = copy.deepcopy(TRUTH)
    data["annotations"].append({"id": 1, "image_id": 785, "category_id": 18, "bbox": [1, 2, 3, 4]})
    path = tmp_path / "bom.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(data).encode())
    assert len(read_annotations(path)) == 26


def test_crowds_may_lack_what_is_labelled_on_single_people():
    data = changed(TRUTH, "annotations", 3, "iscrowd", to=1)
    data = changed(data, "annotations", 3, "foot_kpts", to=None)
    ours = read_annotations(data)
    assert "foot_kpts" in ours.fields
    assert not ours.labelled[ours.crowd][:, 17:23].any()


def test_unknown_boxes_are_nan_and_the_area_is_then_that_of_the_body():
    ours = read_results(RESULTS)
    assert np.isnan(ours.box_xywh).all()
    x, y = RESULTS[0]["keypoints"][0::3], RESULTS[0]["keypoints"][1::3]
    assert ours.area[0] == pytest.approx((max(x) - min(x)) * (max(y) - min(y)))
    boxed = read_results(changed(RESULTS, 0, "bbox", to=[1, 2, 30, 40]))
    assert boxed.area[0] == 1200
    assert boxed.area[1] == ours.area[1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "file.json is empty"),
        (json.dumps(TRUTH)[:5000], "breaks off in the middle; write or copy it again"),
        ('{"images": [}', "is not JSON: .* in line 1, column"),
        ("Hello {}", "is not JSON"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("read", [read_annotations, read_results])
def test_files_that_are_not_json(tmp_path, read, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read(written(tmp_path, text))


@pytest.mark.parametrize("read", [read_annotations, read_results])
def test_files_that_cannot_be_read(tmp_path, read):
    with pytest.raises(DataError, match=r"there is no file .*nowhere.json"):
        read(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="cannot read"):
        read(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(bytes([0xFF, 0xD8, 0xFF, 0xE0]))
    with pytest.raises(DataError, match="not even text"):
        read(tmp_path / "photo.jpg")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (RESULTS, "is a list, not an annotations file; is it a results file"),
        ({}, "has no list of images"),
        (3, "has no list of images"),
        ({"images": []}, "has no list of annotations"),
        ({"images": [], "annotations": []}, None),
        ({"images": [4], "annotations": []}, "an image is a JSON object, got int at place 1"),
        (changed(TRUTH, "images", 1, "id", to=785), "two images have the id 785"),
        (
            changed(TRUTH, "images", 1, "id", to="a"),
            "the id of an image is a whole number, got 'a' at place 2",
        ),
        (changed(TRUTH, "images", 1, "width", to="wide"), "image 1000 has something in width that is not a"),
        (changed(TRUTH, "annotations", 2, "id", to=442619), "2 annotations have the id 442619"),
        (changed(TRUTH, "annotations", 2, "id", to=None), "the id of an annotation .* got none at place 3"),
        (changed(TRUTH, "annotations", 2, "id", to=1e300), "whole number, got 1e"),
        (changed(TRUTH, "annotations", 2, "id", to=True), "whole number, got True"),
        (changed(TRUTH, "annotations", 2, "image_id", to=7), "annotation 1245349 is of image 7, which"),
        (changed(TRUTH, "annotations", 2, "image_id", to=10**7), "annotation 1245349 is of image 10000000"),
        (changed(TRUTH, "annotations", 2, "area", to=None), "annotation 1245349 has no area"),
        (changed(TRUTH, "annotations", 2, "area", to=-1), "annotation 1245349 has an area below 0"),
        (changed(TRUTH, "annotations", 2, "area", to=[1, 2]), "has 2 in area; it must hold one number"),
        (changed(TRUTH, "annotations", 2, "bbox", to=None), "annotation 1245349 has no bbox"),
        (changed(TRUTH, "annotations", 2, "bbox", to=[1, 2, 3]), "has 3 in bbox; it must hold 4"),
        (changed(TRUTH, "annotations", 2, "bbox", to=[1, 2, 3, -4]), "bbox of negative size"),
        (changed(TRUTH, "annotations", 2, "foot_kpts", to=None), "1245349 has no foot_kpts, though others"),
        (
            changed(TRUTH, "annotations", 2, "keypoints", 4, to=float("nan")),
            "in keypoints that is infinite, or",
        ),
        (changed(TRUTH, "annotations", 2, "keypoints", 4, to=10**400), "in keypoints that is not a number"),
        (changed(TRUTH, "annotations", 2, "bbox", 1, to=[[]]), "in bbox that is not a number"),
        (changed(TRUTH, "annotations", 2, "keypoints", 4, to="x"), "in keypoints that is not a number"),
    ],
)
def test_annotations_that_are_not(tmp_path, data, sentence):
    for source in (data, written(tmp_path, data)) if isinstance(data, (dict, list)) else (data,):
        if sentence is None:
            assert len(read_annotations(source)) == 0
            continue
        with pytest.raises(DataError, match=sentence):
            read_annotations(source)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (TRUTH, "is not a list of detections, as COCO's results are; is it an annotations file"),
        ({"detections": RESULTS}, "is not a list of detections"),
        (changed(RESULTS, 1, to=5), "a detection is a JSON object, got int at place 2"),
        (
            changed(RESULTS, 1, "image_id", to="000785"),
            "image_id of a detection is a whole number, got '000785'",
        ),
        (changed(RESULTS, 1, "score", to=None), "detection 2, of image 1000, has no score"),
        (changed(RESULTS, 1, "score", to="high"), "something in score that is not a number"),
        (changed(RESULTS, 1, "score", to=float("inf")), "number in score that is infinite"),
        (changed(RESULTS, 1, "foot_score", to=float("nan")), "number in foot_score that is infinite"),
        (
            changed(RESULTS, 1, "keypoints", to=[0.0] * 50),
            "50 in keypoints; it must hold 51, that is 17 points",
        ),
        (changed(RESULTS, 1, "keypoints", to=7), "a single number in keypoints; it must hold 51"),
        (changed(RESULTS, 1, "face_kpts", to=[0.0] * 399), "399 in face_kpts; it must hold 204"),
        (changed(RESULTS, 1, "face_kpts", 9, to=float("nan")), "face_kpts that is infinite, or none"),
        (changed(RESULTS, 1, "lefthand_kpts", to=None), "has no lefthand_kpts, though others have"),
        (changed(RESULTS, 1, "bbox", to=[1, 2, 3]), "has 3 in bbox; it must hold 4"),
        ([{"image_id": 785, "score": 1}], "has neither bbox nor keypoints"),
    ],
)
def test_results_that_are_not(tmp_path, data, sentence):
    for source in (data, written(tmp_path, data)):
        with pytest.raises(DataError, match=sentence) as caught:
            read_results(source)
        assert isinstance(caught.value, HprnetError)
        assert isinstance(caught.value, ValueError)


def test_results_of_other_images():
    other = changed(RESULTS, 1, "image_id", to=4)
    with pytest.raises(DataError, match="detections in image 4, which the set of annotations does not list"):
        evaluate(TRUTH, other)
    other = changed(other, 2, "image_id", to=5)
    with pytest.raises(DataError, match="in image 4 and 1 other images"):
        evaluate(TRUTH, other)


def test_annotations_without_keypoints():
    boxes = copy.deepcopy(TRUTH)
    boxes["annotations"] = [
        {k: v for k, v in a.items() if not k.endswith("kpts") and k != "keypoints"}
        for a in boxes["annotations"]
    ]
    with pytest.raises(DataError, match="no keypoints, so there is nothing to evaluate"):
        evaluate(boxes, RESULTS)
