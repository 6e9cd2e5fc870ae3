"""Files in batches: the same keypoints as one frame after the other."""

import json

import numpy as np
import pytest

import hprnet_rt
from hprnet_rt.cli import main
from hprnet_rt.errors import BackendError
from hprnet_rt.inference.model import PoseModel
from hprnet_rt.video import VideoSource
from tests.clips import SAMPLE

SMALL = ["--size", "128", "--no-video", "--limit", "10", "-q", "--backend", "onnxruntime"]


def keypoints(tmp_path, *more):
    out = tmp_path / f"{'-'.join(more)}.jsonl"
    assert main(["annotate", str(SAMPLE), "-o", str(out), *SMALL, *more]) == 0
    return [json.loads(line) for line in out.read_text().splitlines()[1:]]


@pytest.mark.parametrize("smooth", ["off", "zero-lag"])
def test_a_video_in_batches_has_the_same_keypoints_in_the_same_order(tmp_path, smooth):
    one = keypoints(tmp_path, "--smooth", smooth)
    four = keypoints(tmp_path, "--smooth", smooth, "--batch", "4")  # 4 + 4 + 2
    assert [line["frame"] for line in four] == list(range(10))
    assert sum(len(line["people"]) for line in one) > 10
    for ours, theirs in zip(four, one, strict=True):
        assert ours["pts_s"] == theirs["pts_s"]
        assert len(ours["people"]) == len(theirs["people"])
        for a, b in zip(ours["people"], theirs["people"], strict=True):
            assert a["track_id"] == b["track_id"]
            points = [np.array([p or (0, 0, 0) for p in each["keypoints"]]) for each in (a, b)]
            np.testing.assert_allclose(*points, atol=0.02)  # written with two decimals


def test_an_error_in_the_third_batch_keeps_what_was_done_before(tmp_path, monkeypatch, capsys):
    begin, calls = PoseModel.begin, []

    def broken(self, inputs):
        calls.append(len(inputs))
        if len(calls) == 3:
            raise BackendError("the engine broke")
        return begin(self, inputs)

    monkeypatch.setattr(PoseModel, "begin", broken)
    out = tmp_path / "clip.jsonl"
    assert main(["annotate", str(SAMPLE), "-o", str(out), *SMALL, "--batch", "4"]) == 1
    assert "the engine broke (the first 8 frames are kept in" in capsys.readouterr().err
    assert len((tmp_path / "clip.partial.jsonl").read_text().splitlines()) == 1 + 8
    assert calls == [4, 4, 2]


def test_images_of_other_sizes_go_through_in_their_order():
    source = VideoSource(SAMPLE)
    image = next(iter(source)).image
    source.close()
    shapes = [image, image[:, :400], image[:, :400], image, image[:300], image]
    with hprnet_rt.load(input_px=128, backend="onnxruntime", batch=4) as model:
        assert model.batch == 4
        inputs = [model.prepare(each) for each in shapes]
        together = model.begin(inputs)()
        for peaks, pair in zip(together, inputs, strict=True):
            alone = model.infer(*pair)
            assert peaks.letterbox == alone.letterbox
            np.testing.assert_allclose(peaks.packed, alone.packed, atol=1e-3)
    with pytest.raises(BackendError, match="closed"):
        model.begin(inputs)


def test_openvino_takes_one_image_at_a_time(tmp_path, capsys):
    out = tmp_path / "clip.jsonl"
    assert (
        main(["annotate", str(SAMPLE), "-o", str(out), "--no-video", "--backend", "openvino", "--batch", "4"])
        == 2
    )
    assert "openvino takes one image at a time" in capsys.readouterr().err
