"""docs/keypoints.md says what the code and the measurements say."""

import json
import re
from pathlib import Path

from hprnet_rt.skeleton import KEYPOINT_NAMES, PARTS, num_points
from hprnet_rt.types import HAND_THRESHOLD, POINT_THRESHOLD, UNREFINED_HAND_THRESHOLD
from tests.scripts import script

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "keypoints.md").read_text(encoding="utf-8")


def test_names_and_numbers_are_those_of_the_code():
    single = re.findall(r"\| (\d+) \| `(\w+)` ", PAGE)
    assert {int(number): name for number, name in single} == dict(enumerate(KEYPOINT_NAMES[:23]))
    face = re.findall(r"^\| `(face_\d+)` - `(face_\d+)` \| (\d+)-(\d+) \|", PAGE, re.M)
    hand = re.findall(r"^\| `(left_\w+)` - `(left_\w+)` \| (\d+)-(\d+) \| (\d+)-(\d+) \|", PAGE, re.M)
    assert len(face) == 9 and len(hand) == 5
    for first, last, *numbers in (*face, *hand):
        begin, end, *right = map(int, numbers)
        assert (KEYPOINT_NAMES[begin], KEYPOINT_NAMES[end]) == (first, last)
        for number, name in zip(right, (first, last), strict=False):
            assert KEYPOINT_NAMES[number] == name.replace("left", "right")
    for name, points in PARTS.items():
        assert f"| `{name}` | {points.start}-{points.stop - 1} | {num_points(name)} |" in PAGE


def test_thresholds_are_those_of_the_code():
    assert f"| body, feet | {POINT_THRESHOLD} |" in PAGE and f"| face | {POINT_THRESHOLD} |" in PAGE
    assert f"| hands | {HAND_THRESHOLD} |" in PAGE
    assert f"take {UNREFINED_HAND_THRESHOLD} for hands" in PAGE


def test_the_table_of_errors_is_what_was_measured():
    module = script("benchmarks/trust_figure.py")
    results = json.loads((ROOT / "benchmarks" / "results" / "trust.json").read_text())
    assert results["edges"][1:3] == [HAND_THRESHOLD, POINT_THRESHOLD]
    assert module.rewritten(PAGE, results) == PAGE, "run python benchmarks/trust_figure.py"
    assert f"| body | trusted | {results['parts']['body']['rows'][-2]['points']} |" in PAGE
