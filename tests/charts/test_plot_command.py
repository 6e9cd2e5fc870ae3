"""`hprnet-rt plot`: charts of stored keypoints, and what it says when something is wrong."""

import sys
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from hprnet_rt import cli
from hprnet_rt.formats import write_keypoints
from tests import clips
from tests.charts.moves import HEADER, frames

pytest.importorskip("matplotlib", reason="the extra plot is not installed")

DONE, FAILED, WRONG_USAGE = 0, 1, 2
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def keypoints(tmp_path):
    """Three people, one of whom is away for a while, in a clip that lies beside its keypoints."""
    clips.make(tmp_path / "clip.mp4", frames=6)
    path = tmp_path / "clip.jsonl"
    write_keypoints(path, HEADER, frames([[1, 2, 7], [1, 2, 7], [1, 2], [1, 7], [1, 2, 7], [1, 2]]))
    return path


@pytest.fixture
def plot(capfd):
    """The command in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        code = cli.main(["plot", *map(str, arguments)])
        return code, *capfd.readouterr()

    return run


def texts(svg):
    return [each.text for each in ElementTree.parse(svg).iter(f"{SVG}text")]


def colors(path):
    """The colours of lines in a picture, those of `figure.COLORS`."""
    from hprnet_rt.charts.figure import COLORS

    blue, green, red = cv2.split(cv2.imread(str(path)).astype(np.uint32))
    pixels = red << 16 | green << 8 | blue
    return [color for color in COLORS if (pixels == int(color[1:], 16)).any()]


def test_the_chart_has_x_y_and_speed_of_each_person_in_a_colour_of_their_own(plot, keypoints, tmp_path):
    code, out, err = plot(keypoints, "--point", "left_wrist", "-o", tmp_path / "new" / "a.svg")
    assert (code, err) == (DONE, "")
    assert out == f"wrote {tmp_path / 'new' / 'a.svg'}: 3 people, left_wrist\n"
    shown = texts(tmp_path / "new" / "a.svg")
    assert {"left_wrist in clip.mp4", "time, s", "speed, px / s", "person 1", "person 2", "person 7"} <= set(
        shown
    )
    assert plot(keypoints, "--point", "left_wrist", "-o", tmp_path / "a.png", "-q") == (DONE, "", "")
    assert len(colors(tmp_path / "a.png")) == 3


def test_points_and_a_person_can_be_chosen(plot, keypoints, tmp_path):
    out = tmp_path / "a.svg"
    code, said, _ = plot(keypoints, "--point", "nose", "--point", "left_wrist", "--person", 7, "-o", out)
    assert (code, said) == (DONE, f"wrote {out}: 1 person, nose, left_wrist\n")
    names = [text for text in texts(out) if text and text.startswith("person")]
    assert names == ["person 7, nose", "person 7, left_wrist"]


def test_a_path_lies_over_the_first_frame_of_its_video(plot, keypoints, tmp_path):
    code, _, err = plot(keypoints, "--point", "left_wrist", "--path", "-o", tmp_path / "a.png")
    assert (code, err) == (DONE, "")
    assert len(colors(tmp_path / "a.png")) == 3
    image = cv2.imread(str(tmp_path / "a.png"))
    assert image.std() > 20  # the clip's gradient


def test_a_path_takes_the_picture_that_is_named(plot, keypoints, tmp_path):
    keypoints.with_suffix(".mp4").unlink()
    arguments = (keypoints, "--point", "left_wrist", "--path", "-o", tmp_path / "a.svg")
    code, _, err = plot(*arguments)
    assert code == WRONG_USAGE
    assert "clip.mp4 is not here: name the video or an image by --picture" in err
    for size, code, words in (((96, 160), DONE, ""), ((48, 80), WRONG_USAGE, "of a picture of 160 x 96")):
        cv2.imwrite(str(tmp_path / "p.png"), np.zeros((*size, 3), np.uint8))
        found = plot(*arguments, "--picture", tmp_path / "p.png", "--overwrite")
        assert found[0] == code
        assert words in found[2]


def test_of_a_crowd_those_are_drawn_who_are_there_longest(plot, tmp_path):
    everyone = list(range(12))
    path = tmp_path / "clip.csv"
    write_keypoints(path, {}, frames([everyone, everyone[2:], [-1, *everyone[2:]]]))
    code, out, err = plot(path, "--point", "left_wrist", "-o", tmp_path / "a.svg")
    assert code == DONE
    assert "10 people" in out
    assert "drawn are 10 of 12 people" in err
    assert "people without an id are not drawn: 1 in single frames" in err
    assert "person 11" in texts(tmp_path / "a.svg") and "person 0" not in texts(tmp_path / "a.svg")
    assert any(text and text.startswith("drawn are 10 of 12") for text in texts(tmp_path / "a.svg"))


def test_what_is_never_sure_enough_is_said(plot, keypoints, tmp_path):
    points = ("--point", "nose", "--point", "left_knee")
    code, _, err = plot(keypoints, *points, "-o", tmp_path / "a.svg")
    assert code == DONE
    assert "left_knee is not sure enough in any frame" in err
    assert any(text and text.startswith("left_knee is not sure") for text in texts(tmp_path / "a.svg"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.jsonl", "--point", "nose", "-o", "a.png"], WRONG_USAGE, "none.jsonl does not exist"),
        (["{}", "-o", "a.png"], WRONG_USAGE, "--point"),
        (["{}", "--point", "nose", "-o", "a.pdf"], WRONG_USAGE, ".png or .svg, not to a.pdf"),
        (["{}", "--point", "left_writs", "-o", "a.png"], WRONG_USAGE, "did you mean left_wrist"),
        (["{}", "--point", "nose", "--person", "9", "-o", "a.png"], WRONG_USAGE, "there is no person 9"),
        (["{}", "--point", "nose", "--picture", "a.jpg", "-o", "a.png"], WRONG_USAGE, "is for --path"),
        (["{}", "--point", "nose", "--point-threshold", "2", "-o", "a.png"], WRONG_USAGE, "from 0 to 1"),
        (["{}", "--point", "nose", "-o", "/dev/null/x/a.png"], FAILED, "folder"),
        (["{}", *(f"--point=face_{n}" for n in range(5)), "-o", "a.png"], WRONG_USAGE, "4 points at most"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(plot, keypoints, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    found, _, err = plot(*(str(keypoints) if text == "{}" else text for text in arguments))
    assert found == code
    assert words in err
    assert err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_damage_is_a_failure_and_leaves_no_chart(plot, keypoints, tmp_path):
    lines = keypoints.read_text().splitlines(keepends=True)
    keypoints.write_text("".join([*lines[:3], "nonsense\n", *lines[3:]]))
    code, _, err = plot(keypoints, "--point", "nose", "-o", tmp_path / "a.png")
    assert code == FAILED
    assert "line 4" in err
    assert not list(tmp_path.glob("a*"))


def test_outputs_and_inputs_are_not_replaced_by_themselves(plot, keypoints, tmp_path):
    out = tmp_path / "a.png"
    out.write_text("old")
    code, _, err = plot(keypoints, "--point", "nose", "-o", out)
    assert (code, out.read_text()) == (WRONG_USAGE, "old")
    assert "--overwrite" in err
    assert plot(keypoints, "--point", "nose", "-o", out, "--overwrite")[0] == DONE
    before = out.read_bytes()
    write_keypoints(keypoints, {**HEADER, "source": str(out)}, frames([[1]]))
    for picture in ([], ["--picture", out]):
        code, _, err = plot(keypoints, "--point", "nose", "--path", *picture, "-o", out, "--overwrite")
        assert code == WRONG_USAGE
        assert "is an input" in err
        assert out.read_bytes() == before


def test_without_matplotlib_it_is_said_what_to_install(plot, keypoints, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, err = plot(keypoints, "--point", "nose", "-o", tmp_path / "a.png")
    assert code == WRONG_USAGE
    assert "pip install 'hprnet-rt[plot]'" in err
