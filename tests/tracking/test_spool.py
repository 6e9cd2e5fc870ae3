import tempfile

import numpy as np
import pytest

from hprnet_rt import OutputError
from hprnet_rt.tracking import PoseSpool
from hprnet_rt.types import Poses
from tests.tracking.scenes import people

FRAMES = [(0.25 * n, people(centers)) for n, centers in enumerate(([(50, 60)], [(50, 60), (90, 60)], []))]


def same(one, other):
    names = ("xy", "score", "box_xyxy", "face_xyxy", "person_score", "track_id")
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in names)


def test_what_was_put_in_comes_out_in_any_order():
    with PoseSpool() as spool:
        for frame in FRAMES:
            spool.append(frame)
        assert len(spool) == 3
        for found in (list(spool), list(reversed(spool))[::-1], spool[:], [spool[-3], spool[-2], spool[-1]]):
            for (time_s, poses), (true_s, true) in zip(found, FRAMES, strict=True):
                assert time_s == true_s
                assert isinstance(poses, Poses)
                assert same(poses, true)
        spool.append(FRAMES[0])  # after reading
        assert same(spool[3][1], FRAMES[0][1])


def test_beyond_its_end_there_is_nothing():
    with PoseSpool() as spool, pytest.raises(IndexError):
        _ = spool[0]


def test_without_a_folder_for_temporary_files_a_sentence_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputError, match="temporary file"):
        PoseSpool()


def test_a_full_disk_is_a_sentence():
    with open("/dev/full", "wb", buffering=0) as full, PoseSpool() as spool:  # noqa: PTH123
        spool._file.close()
        spool._file = full
        with pytest.raises(OutputError, match="make room"):
            spool.append(FRAMES[1])
