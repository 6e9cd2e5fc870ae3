"""The decodes of OpenPose and of associative embedding give what their own programs gave."""

import json
from pathlib import Path

import numpy as np
import pytest

from hprnet_rt import skeleton
from hprnet_rt.grouping.rivals import affinity, associative, body18, crops, fields, tables
from hprnet_rt.grouping.rivals.placement import place
from hprnet_rt.spec.rivals import RIVALS

GOLDEN = Path(__file__).parents[1] / "golden" / "rivals"
NEAR = 1e-4  # px, and scores: as exact as float32 maps are


@pytest.fixture(scope="module")
def golden():
    """A golden file's arrays of one scene, by name."""
    opened = {}

    def scene(file, name):
        data = opened.setdefault(file, np.load(GOLDEN / f"{file}.npz"))
        return {key.partition("/")[2]: data[key] for key in data.files if key.startswith(f"{name}/")}

    return scene


@pytest.mark.parametrize("name", ["body_18", "body_25", "body_135"])
def test_parts_and_pairs_are_openpose_s(name):
    given = json.loads((GOLDEN / "tables_openpose.json").read_text())[name]
    stem = name.upper().replace("_", "")
    pairs, channels, ours = (getattr(tables, f"{stem}_{what}") for what in ("PAIRS", "FIELDS", "TO_133"))
    np.testing.assert_array_equal(pairs, given["pairs"])
    np.testing.assert_array_equal(np.stack((channels, channels + 1), axis=1), given["paf_xy"])
    expected = given.get("to133", given.get("to133_body"))
    np.testing.assert_array_equal(ours[: len(expected)], expected)
    assert (ours[len(expected) :] == -1).all()


def test_points_of_associative_embedding_are_ours():
    given = json.loads((GOLDEN / "tables_ae.json").read_text())
    assert list(skeleton.FLIP_INDEX) == given["flip_index"]
    assert list(skeleton.KEYPOINT_NAMES)[:23] == given["names"][:23]


# --- COCO-18, the port ---


@pytest.mark.parametrize("scene", ["f1", "f2", "f3", "f5"])
def test_people_of_coco_18_are_those_of_the_port(golden, scene):
    """f2: they overlap; f3: two are merged, and two dropped."""
    given = golden("decode_op18", scene)
    candidate, first = body18.find_peaks(given["heat"])
    np.testing.assert_array_equal(np.diff(first), given["peaks_per_part"])
    np.testing.assert_allclose(candidate, given["candidate"][:, :3], atol=NEAR)
    who, score = body18.find_limbs(candidate, first, given["paf"])
    pair, a, b, mean = given["connections"][:, :4].T
    np.testing.assert_array_equal(who, np.stack((pair, a, b), axis=1))
    np.testing.assert_allclose(score, mean, atol=NEAR)
    found = body18.decode(given["heat"], given["paf"])
    np.testing.assert_allclose(found.subset, given["subset"], atol=NEAR)


@pytest.mark.parametrize("scene", ["l1", "l2", "l5"])
def test_maps_of_the_network_are_enlarged_as_the_port_does(golden, scene):
    given = golden("decode_op18", scene)
    net, image = tuple(given["net_hw"]), tuple(given["image_hw"].tolist())
    placed = place(RIVALS["openpose-body18"], image, 184)
    assert placed.input_hw == net
    sizes = (placed.input_hw, placed.inner_hw, placed.image_hw)
    heat, paf = (body18.to_image_size(given[f"low_{name}"], *sizes) for name in ("heat", "paf"))
    if "heatmap_avg_c0" in given:
        np.testing.assert_allclose(heat[0], given["heatmap_avg_c0"], atol=NEAR)
        np.testing.assert_allclose(paf[12], given["paf_avg_c12"], atol=NEAR)
        shown = placed.apply(given["image"])[0].transpose(2, 0, 1) / 256 - 0.5
        np.testing.assert_allclose(shown, given["net_input"][0], atol=NEAR)
    found = body18.decode(heat, paf)
    np.testing.assert_allclose(found.candidate, given["candidate"][:, :3], atol=NEAR)
    np.testing.assert_allclose(found.subset, given["subset"], atol=NEAR)


@pytest.mark.parametrize("scene", ["f5", "l1", "l2", "l5"])
def test_hands_and_faces_are_looked_for_where_the_port_does(golden, scene):
    given = golden("decode_op18", scene)
    image_hw = tuple(given["image_hw"].tolist()) if "image_hw" in given else given["heat"].shape[1:]
    hands, faces = [], []
    for row in given["subset"].astype(int):
        body = np.concatenate((given["candidate"][:, :2], [[np.nan, np.nan]]))[row[:18]]
        hands += [list(crop) for crop in crops.hand_crops(body, image_hw)]
        faces += [list(crop)[:3] for crop in crops.face_crops(body, image_hw)]
    np.testing.assert_array_equal(np.reshape(hands, (-1, 4)), given["hand_boxes"])
    np.testing.assert_array_equal(np.reshape(faces, (-1, 3)), given["face_boxes"])


def test_points_of_a_hand_are_in_the_region_with_the_largest_sum(golden):
    given = golden("decode_hand_face", "hand")
    points = crops.hand_points(given["heatmap_avg"])
    absent = np.isnan(points[:, 0])
    np.testing.assert_array_equal(given["peaks"][absent], 0)
    np.testing.assert_array_equal(points[~absent, :2], given["peaks"][~absent])


@pytest.mark.parametrize("scene", ["face_a", "face_b"])
def test_points_of_a_face_keep_their_places_where_others_are_absent(golden, scene):
    given, low = golden("decode_hand_face", scene), golden("decode_hand_face", "face")["net_heat"]
    points = crops.face_points(low, tuple(given["crop_hw"].tolist()))
    absent = np.isnan(points[:, 0])
    assert absent.sum() == len(low) - len(given["peaks"])
    np.testing.assert_array_equal(points[~absent, :2], given["peaks"])  # the original leaves absent ones out


# --- BODY_25 and BODY_135 ---


def test_maps_are_enlarged_as_openpose_does(golden):
    given = golden("decode_openpose_cpp", "resize8")
    for low, expected in zip(given["src"], given["out"], strict=True):
        large = fields.enlarge(low, 8)
        np.testing.assert_allclose(large, expected, atol=NEAR)
        for y, x in ((0, 0), (3, 4), (21, 30), (39, 55)):
            assert fields._value(low, x, y, 8) == pytest.approx(large[y, x], abs=1e-6)


def assert_openpose_people(given, peaks, connections, pairs, scale):
    people = affinity.assemble(peaks, connections, pairs)
    expected = given["keypoints"]
    assert len(people.peak) == len(expected)
    for member, points in zip(people.peak, expected, strict=True):
        found = member >= 0
        np.testing.assert_array_equal(found, points[:, 2] > 0)
        np.testing.assert_allclose(scale * peaks.xy[member[found]], points[found, :2], atol=NEAR)
        np.testing.assert_allclose(peaks.score[member[found]], points[found, 2], atol=NEAR)
    total = people.total / (expected.shape[1] + len(pairs))
    np.testing.assert_allclose(total, given["scores"], atol=NEAR)


@pytest.mark.parametrize("scene", ["b25_1", "b25_2", "b25_5", "b25_frag", "b135_1"])
def test_peaks_and_pairs_of_openpose(golden, scene):
    given = golden("decode_openpose_cpp", scene)
    parts, pairs, channels, skip, scale = (
        (25, tables.BODY25_PAIRS, tables.BODY25_FIELDS, 26, 2.0)
        if scene.startswith("b25")
        else (135, tables.BODY135_PAIRS, tables.BODY135_FIELDS, 135, 1.0)
    )
    peaks = fields.find_peaks(given["maps"][:parts], 1, 0.5)
    np.testing.assert_array_equal(
        np.diff(peaks.first), np.bincount(given["peaks"][:, 0].astype(int), minlength=parts)
    )
    np.testing.assert_allclose(peaks.xy, given["peaks"][:, 2:4], atol=NEAR)
    np.testing.assert_allclose(peaks.score, given["peaks"][:, 4], atol=NEAR)
    connections = fields.connect(given["maps"][skip:], pairs, channels, peaks, 1)
    expected = given["pair_scores"]
    np.testing.assert_array_equal(connections.pair, expected[:, 0])
    firsts = peaks.first[pairs[connections.pair]]
    np.testing.assert_array_equal(connections.ends - firsts, expected[:, 1:3])
    np.testing.assert_allclose(connections.score, expected[:, 3], atol=NEAR)
    assert_openpose_people(given, peaks, connections, pairs, scale)


@pytest.mark.parametrize("scene", ["b135_1", "b135_2", "b135_face", "b135_5"])
def test_people_of_body_135_from_their_peaks_and_pairs(golden, scene):
    """b135_face: a face without a body is given to one that has a body."""
    given = golden("decode_openpose_cpp", scene)
    part = given["peaks"][:, 0].astype(int)
    first = np.searchsorted(part, np.arange(136))
    peaks = fields.PartPeaks(
        given["peaks"][:, 2:4].astype(np.float32), given["peaks"][:, 4].astype(np.float32), first
    )
    pair = given["pair_scores"][:, 0].astype(int)
    ends = given["pair_scores"][:, 1:3].astype(int) + first[tables.BODY135_PAIRS[pair]]
    score = given["pair_scores"][:, 3].astype(np.float32)
    assert_openpose_people(given, peaks, fields.Connections(pair, ends, score), tables.BODY135_PAIRS, 1.0)


# --- associative embedding ---


@pytest.mark.parametrize("scene", ["ae_1", "ae_2", "ae_5", "ae_2flip"])
def test_people_of_associative_embedding_are_those_of_mmpose(golden, scene):
    pytest.importorskip("scipy", reason="the extra rivals is not installed")
    given = golden("decode_ae", scene)
    heat, tags = given["heatmaps"], given["tags"]
    found = associative.find_candidates(heat, tags)
    expected = given["candidates"]
    joint = np.repeat(np.arange(133), np.diff(found.first))
    rows = np.concatenate((joint[:, None], found.xy, found.value[:, None], found.tag), axis=1)
    theirs = np.delete(expected, 1, axis=1)
    np.testing.assert_array_equal(rows[:, [0, 3]], theirs[:, [0, 3]])  # strongest first
    for each in (rows, theirs):
        each[:] = each[np.lexsort(each.T)]  # PyTorch puts equal ones into no order
    np.testing.assert_allclose(rows, theirs, atol=NEAR)
    same = associative.Candidates(
        *np.split(expected[:, 2:].astype(np.float32), (2, 3), axis=1),
        np.searchsorted(expected[:, 0], range(134)),
    )
    same = same._replace(value=same.value[:, 0])
    np.testing.assert_allclose(associative.match(same), given["matched_scipy"], atol=NEAR)
    adjusted = associative.adjust(given["matched"], heat)
    np.testing.assert_allclose(adjusted, given["adjusted"], atol=NEAR)
    np.testing.assert_allclose(adjusted[:, :, 2].mean(axis=1), given["scores"], atol=NEAR)
    np.testing.assert_allclose(associative.refine(adjusted, heat, tags), given["refined"], atol=NEAR)


@pytest.mark.parametrize("case", ["plain", "flip", "higher"])
def test_maps_of_associative_embedding_are_averaged_and_enlarged_as_in_mmpose(golden, case):
    given = golden("decode_ae", f"agg_{case}")
    runs = [[given["out0"][0], *(given[name][0] for name in ("out1",) if name in given)]]
    if "out0_of_mirrored_image" in given:
        runs.append([given["out0_of_mirrored_image"][0]])
    heat, tags = associative.to_input_size(runs, (24, 32))
    np.testing.assert_allclose(heat[given["channels"]], given["heatmaps"], atol=NEAR)
    np.testing.assert_allclose(tags[given["channels"]], given["tags"], atol=NEAR)


def test_inputs_of_associative_embedding_have_mmposes_sizes():
    for size in json.loads((GOLDEN / "tables_ae.json").read_text())["sizes"]:
        placed = place(RIVALS["ae-hrnet-w32"], (size["h"], size["w"]), 512)
        assert placed.input_hw[::-1] == tuple(size["size"]), size
        scale, _, x = size["affine"][0]
        assert placed.scale == pytest.approx(scale)
        assert placed.shift == pytest.approx((x, size["affine"][1][2]), abs=1e-6)


@pytest.mark.parametrize("image_hw", [(1, 1), (4000, 60), (3, 500)])
def test_pictures_that_are_very_narrow_have_a_place_in_an_input_of_coco_18(image_hw):
    placed = place(RIVALS["openpose-body18"], image_hw, 32)
    made = placed.apply(np.full((*image_hw, 3), 200, np.uint8))
    assert made.shape == (1, *placed.input_hw, 3)
    assert (made[0, : placed.inner_hw[0], : placed.inner_hw[1]] == 200).all()
