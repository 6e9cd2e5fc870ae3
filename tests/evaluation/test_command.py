"""`hprnet-rt eval`."""

import json

from hprnet_rt.cli import main
from tests.evaluation.sets import EXAMPLE_GT, EXAMPLE_RESULTS

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
