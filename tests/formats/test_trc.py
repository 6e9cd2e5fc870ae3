"""TRC: what a reader of its own, and OpenSim's rules of reading, make of the files."""

from dataclasses import replace

import numpy as np
import pytest
from trc import TRCData

from hprnet_rt.errors import UsageError
from hprnet_rt.formats import KeypointsFrame, read_keypoints, write_keypoints
from hprnet_rt.skeleton import KEYPOINT_NAMES
from tests.formats.recordings import HEADER, poses

TO_PX = 0.006  # written to 0.01 px


def with_ids(number, *ids):
    """A frame at 25 a second with these people."""
    people = replace(poses(len(ids), number), track_id=np.array(ids, np.int64))
    return KeypointsFrame(number, number / 25, people)


def by_opensim(path):
    """(metadata, marker names, times, positions): as OpenSim reads it, with all that it insists on."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n")]
    assert lines[0][0] == "PathFileType"
    assert lines[1] == [
        "DataRate",
        "CameraRate",
        "NumFrames",
        "NumMarkers",
        "Units",
        "OrigDataRate",
        "OrigDataStartFrame",
        "OrigNumFrames",
    ]
    assert len(lines[2]) == len(lines[1])
    metadata = dict(zip(lines[1], lines[2], strict=True))
    frame, time, *names = filter(None, lines[3])
    assert (frame, time, len(names)) == ("Frame#", "Time", int(metadata["NumMarkers"]))
    axes = [f"{axis}{n + 1}" for n in range(len(names)) for axis in "XYZ"]
    assert lines[4] == ["", "", *axes]
    assert lines[5] == [""]
    rows = lines[6 : lines.index([""], 6)]
    assert {len(row) for row in rows} == {2 + len(axes)}
    assert len(rows) == int(metadata["NumFrames"])
    values = np.array([[float(cell) for cell in row] for row in rows])
    return metadata, names, values[:, 1], values[:, 2:].reshape(len(rows), -1, 3)


def test_every_person_is_a_file_of_its_own_from_first_to_last_sight(tmp_path):
    seen = {0: (3,), 1: (3, 12), 2: (), 3: (12,), 4: (12, 3), 5: ()}
    frames = [with_ids(number, *ids) for number, ids in seen.items()]
    write_keypoints(tmp_path / "clip.trc", HEADER, frames)
    folder = tmp_path / "clip.trc"
    names = ["çığ clip_person03.trc", "çığ clip_person12.trc"]
    assert sorted(path.name for path in folder.iterdir()) == names
    for name, person, rows in ((names[0], 3, range(5)), (names[1], 12, range(1, 5))):
        metadata, markers, times, positions = by_opensim(folder / name)
        assert markers == list(KEYPOINT_NAMES)
        assert (float(metadata["DataRate"]), metadata["Units"]) == (25.0, "mm")
        assert times == pytest.approx([number / 25 for number in rows])
        for number, found in zip(rows, positions, strict=True):
            ids = seen[number]
            expected = np.full((133, 2), np.nan)
            if person in ids:
                expected = frames[number].poses.xy[ids.index(person)] * (1, -1)
            np.testing.assert_allclose(found[:, :2], expected, atol=TO_PX)
            assert set(found[~np.isnan(expected[:, 0]), 2]) <= {0.0}


def test_another_program_reads_the_same(tmp_path):
    frame = with_ids(0, 7)
    write_keypoints(tmp_path / "clip.trc", HEADER, [frame, with_ids(1, 7), with_ids(2), with_ids(3, 7)])
    data = TRCData()
    data.load(tmp_path / "clip.trc" / "çığ clip_person07.trc")
    assert (data["NumFrames"], data["NumMarkers"], data["Frame#"]) == (4, 133, [0, 1, 2, 3])
    found = np.array([data[name] for name in KEYPOINT_NAMES])
    assert found.shape == (133, 4, 3)
    np.testing.assert_allclose(found[:, 0, :2], frame.poses.xy[0] * (1, -1), atol=TO_PX)
    assert np.isnan(found[:, 2]).all()


def test_nobody_is_an_empty_folder(tmp_path):
    write_keypoints(tmp_path / "clip.trc", HEADER, [with_ids(0), with_ids(1)])
    assert list((tmp_path / "clip.trc").iterdir()) == []


@pytest.mark.parametrize(
    ("frame", "word"), [(with_ids(4, 1, -1), "without an id"), (KeypointsFrame(4, None, poses(0)), "no time")]
)
def test_what_cannot_be_followed_is_refused(tmp_path, frame, word):
    with pytest.raises(UsageError, match=f"frame 4 .*{word}"):
        write_keypoints(tmp_path / "clip.trc", HEADER, [with_ids(3, 1), frame])
    assert list(tmp_path.iterdir()) == []


def test_it_is_not_read_back(tmp_path):
    write_keypoints(tmp_path / "clip.trc", HEADER, [with_ids(0, 1)])
    for path in (tmp_path / "clip.trc", next((tmp_path / "clip.trc").iterdir())):
        with pytest.raises(UsageError, match="cannot be read from trc"):
            read_keypoints(path)
