"""A damaged file of keypoints is read to values that make sense, or refused in a sentence."""

import json
import random
import warnings

import numpy as np
import pytest

from hprnet_rt.errors import DataError, HprnetError, UsageError
from hprnet_rt.formats import KeypointsFrame, Recording, read_keypoints, write_keypoints
from hprnet_rt.formats.format import Format
from tests.formats.damage import damaged
from tests.formats.forms import ALL, MADE_UP, READABLE, usable
from tests.formats.recordings import HEADER, frames, poses

TIMES = 60


def file_of(folder, name, kept):
    """(the file to damage, what to read) of a recording in this format."""
    path = folder / f"clip{usable(name).suffix}"
    write_keypoints(path, HEADER, kept)
    return (sorted(path.iterdir())[-1] if path.is_dir() else path), path


def read_and_write(path, out, names=("jsonl",)):
    """Read a file and write it in these formats: its JSON lines, or None when it was refused."""
    try:
        recording = read_keypoints(path)
        found = list(recording.frames)
    except HprnetError as error:
        assert isinstance(error, DataError), error
        assert path.name in str(error)
        assert len(str(error).replace(str(path.parent), "")) < 400
        return None
    for form in map(usable, names):
        again = out / f"again{form.suffix}"
        try:
            write_keypoints(again, recording.header, found)
        except UsageError:
            assert form.needs_ids or form.needs_times
            continue
        if form.read is not None:
            written = [frame for frame in found if len(frame.poses) or "empty frames" not in form.loses]
            assert len(list(read_keypoints(again).frames)) == len(written)
    write_keypoints(out / "read.jsonl", {}, found)
    return (out / "read.jsonl").read_bytes()


@pytest.mark.parametrize("name", READABLE)
def test_damaged_files_are_read_or_refused(tmp_path, name):
    rng = random.Random(5)
    spoiled, path = file_of(tmp_path, name, frames(4))
    data = spoiled.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = []
        for _ in range(TIMES):
            spoiled.write_bytes(damaged(data, rng))
            found.append(read_and_write(path, tmp_path))
    assert not all(found)
    spoiled.write_bytes(data)
    assert read_and_write(path, tmp_path, ALL)


@pytest.mark.parametrize("name", ["npz", "parquet", "parquet-compact", MADE_UP.name])
def test_a_number_that_has_changed_is_noticed(tmp_path, name):
    """Where a format has checksums of its numbers."""
    rng = random.Random(7)
    spoiled, path = file_of(tmp_path, name, [KeypointsFrame(n, n / 25, poses(40, n)) for n in range(3)])
    data, whole = spoiled.read_bytes(), read_and_write(path, tmp_path)
    for _ in range(20):
        changed = bytearray(data)
        changed[rng.randrange(len(data) // 10, len(data) * 6 // 10)] ^= 1 << rng.randrange(8)
        spoiled.write_bytes(changed)
        assert read_and_write(path, tmp_path) in (None, whole)  # the same where only its description changed


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"number": -1}, "number"),
        ({"number": 10**30}, "number"),
        ({"pts_s": np.inf}, "inf s"),
        ({"score": np.inf}, "scores"),
        ({"score": np.nan}, "scores"),
        ({"box_xyxy": np.nan}, "boxes"),
        ({"face_xyxy": np.inf}, "face"),
        ({"xy": np.inf}, "point"),
    ],
)
def test_values_that_make_no_sense_are_refused_with_their_frame(tmp_path, monkeypatch, value, word):
    people = poses(2)
    fields = {"number": 4, "pts_s": 0.0}
    for name, wrong in value.items():
        if name in fields:
            fields[name] = wrong
        else:
            getattr(people, name)[0, ..., -1] = wrong
    monkeypatch.setattr(
        "hprnet_rt.formats.registry.format_of",
        lambda _path: Format(
            name="made",
            suffix=".jsonl",
            summary="",
            read=lambda _path: Recording({}, iter([KeypointsFrame(**fields, poses=people)])),
            write=None,
        ),
    )
    (tmp_path / "clip.jsonl").write_text("")
    with pytest.raises(DataError, match=f"clip.jsonl: frame {fields['number']} .*{word}"):
        list(read_keypoints(tmp_path / "clip.jsonl").frames)


@pytest.mark.parametrize("order", [(0, 2, 1), (0, 1, 1)])
@pytest.mark.parametrize("name", [name for name in READABLE if ALL[name].loses <= {"header"}])
def test_frames_out_of_order_are_refused(tmp_path, name, order):
    path = tmp_path / f"clip{usable(name).suffix}"
    made = [KeypointsFrame(number, place / 25, poses(1)) for place, number in enumerate(order)]
    write_keypoints(path, {}, made)
    with pytest.raises(DataError, match=f"frame 1 cannot come after frame {order[1]}"):
        list(read_keypoints(path).frames)


@pytest.mark.parametrize("name", ["jsonl", "npz", "parquet"])
@pytest.mark.parametrize("header", ['{"fps": Infinity}', '{"fps": 1e999}', "[1, 2]", "[" * 50_000])
def test_header_that_makes_no_sense_is_refused(tmp_path, monkeypatch, name, header):
    _, path = file_of(tmp_path, name, frames(2))
    if name == "jsonl":
        first, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
        line = first[:-2] + ", " + header[1:] if header.startswith("{") else header
        path.write_text("\n".join([line, *rest]), encoding="utf-8")
    else:
        module = f"hprnet_rt.formats.{name}"
        with monkeypatch.context() as patch:
            patch.setattr(f"{module}.json.dumps", lambda *_, **__: header)
            write_keypoints(path, {}, frames(2))
    with pytest.raises(DataError, match="clip"):
        list(read_keypoints(path).frames)


def test_a_source_with_an_odd_name_gives_names_that_can_be_written(tmp_path):
    write_keypoints(tmp_path / "clip.openpose", {"source": "a\0b\ud800.mp4"}, frames(1))
    (file,) = (tmp_path / "clip.openpose").iterdir()
    assert file.name == "a_b__000000000000_keypoints.json"
    assert json.loads(file.read_text())["people"] == []
