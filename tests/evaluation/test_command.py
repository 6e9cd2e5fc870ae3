"""`hprnet-rt eval`."""

import dataclasses
import json

import pytest

from hprnet_rt.cli import main
from hprnet_rt.evaluation import MeasureOptions
from tests.evaluation.sets import EXAMPLE_GT, EXAMPLE_RESULTS, known_errors

FILES = ["--annotations", str(EXAMPLE_GT), "--results", str(EXAMPLE_RESULTS)]


def test_a_table_on_stdout(capsys):
    assert main(["eval", *FILES]) == 0
    out = capsys.readouterr().out
    assert "example_pred.json: 26 detections, 26 people in 5 images" in out
    assert "body            85.4  100.0" in out
    assert "wholebody-mean  75.0" in out


def test_parts_of_one_s_own_choice(capsys):
    assert main(["eval", *FILES, "--parts", "hand, face_points_box"]) == 0
    out = capsys.readouterr().out
    assert "left hand" in out
    assert "face points box" in out
    assert "body" not in out


def test_reports_in_a_folder_that_is_made(tmp_path, capsys):
    folder = tmp_path / "a" / "b"
    assert main(["eval", *FILES, "--out", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        f"evaluation.{s}" for s in ("csv", "json", "md")
    ]
    assert json.loads((folder / "evaluation.json").read_text())["scores"]["body"]["AP"] > 0.85
    assert f"wrote {folder / 'evaluation.md'}" in capsys.readouterr().out


def test_a_comparison_with_other_results(tmp_path, capsys):
    other = tmp_path / "other.json"
    other.write_text(json.dumps(json.loads(EXAMPLE_RESULTS.read_text())[:20]))
    assert main(["eval", *FILES, "--compare", str(other), "--out", str(tmp_path / "out")]) == 0
    assert "AP other.json" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"comparison.md", "comparison.csv", "comparison.json", "evaluation.json"} < names
    change = json.loads((tmp_path / "out" / "comparison.json").read_text())["change"]
    assert change["body"]["AR"] < 0


def test_mistakes_are_sentences_with_exit_codes(tmp_path, capsys):
    assert main(["eval", "--annotations", str(EXAMPLE_GT)]) == 2
    assert main(["eval", *FILES, "--parts", "nose"]) == 2
    assert main(["eval", "--annotations", str(tmp_path / "none.json"), *FILES[2:]]) == 1
    (tmp_path / "file").write_text("")
    assert main(["eval", *FILES, "--out", str(tmp_path / "file")]) == 1
    err = capsys.readouterr().err
    assert "give either --results FILE" in err
    assert "no part 'nose'" in err
    assert "there is no file" in err
    assert "cannot make the folder" in err
    assert "Traceback" not in err


def measures_of(tmp_path, *options):
    """Return what `eval --measures` writes with these options for the set with known errors."""
    paths = [tmp_path / "truth.json", tmp_path / "found.json"]
    for path, data in zip(paths, known_errors(), strict=True):
        path.write_text(json.dumps(data))
    files = ("--annotations", str(paths[0]), "--results", str(paths[1]), "--out", str(tmp_path))
    assert main(["eval", *files, "--measures", *options]) == 0
    data = json.loads((tmp_path / "measures.json").read_text())
    return data, {row["part"]: row for row in data["rows"] if row["size"] == "all"}


def test_measures_as_they_are_unless_one_says_otherwise(tmp_path, capsys):
    data, rows = measures_of(tmp_path)
    assert rows["left_hand"]["nme"] == pytest.approx(0.2)
    assert data["options"] == dataclasses.asdict(MeasureOptions(least_score=0.3))
    out = capsys.readouterr().out
    assert "of the found, by size, PCK within 0.1" in out
    assert "wrote " + ", ".join(str(tmp_path / f"measures.{s}") for s in ("md", "csv", "json")) in out
    assert "| hand | all | 6 | 4 | 2 |" in (tmp_path / "evaluation.md").read_text()


def test_every_option_of_measures_counts(tmp_path):
    options = ("--alpha", "0.2", "--missing-wrong", "--whole-parts", "--least-hand-px", "24")
    data, rows = measures_of(tmp_path, *options, "--pair-by", "overlap", "--drawn", "0.5", "0.6")
    assert data["options"] == dataclasses.asdict(
        MeasureOptions(
            pair_by="overlap",
            least_score=0.3,
            alpha=0.2,
            missing_wrong=True,
            whole_parts=True,
            least_hand_px=24,
            hand_drawn=0.5,
            face_drawn=0.6,
        )
    )
    assert (rows["hand"]["people"], rows["right_hand"]["people"]) == (3, 0)
    assert (rows["hand"]["pck"], rows["hand"]["nme_median"]) == pytest.approx((1 / 3, 0.3))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--missing-wrong"], "--missing-wrong says what --measures counts"),
        (["--pair-by", "box"], "--pair-by says what --measures counts"),
        (["--drawn", "0", "0"], "--drawn says what --measures counts"),
        (["--measures", "--alpha", "0"], "alpha is a share"),
        (["--measures", "--drawn", "0.3", "20"], "face that is drawn is 0 to 1, got 20"),
    ],
)
def test_options_of_measures_that_count_nothing_are_refused(options, words, capsys):
    assert main(["eval", *FILES, *options]) == 2
    assert words in capsys.readouterr().err
