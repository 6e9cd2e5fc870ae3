"""The released path as a peer: what is timed is the dense network, and the matching of everyone's maps."""

import pytest

pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.bench import networks, released, tensor_decode
from hprnet_rt.bench.scenes import picture
from hprnet_rt.bench.subject import ModelOptions, open_subject


def test_everyone_in_the_planted_maps_is_put_together(monkeypatch):
    seen, groups = [], []
    monkeypatch.setattr(networks, "export_dense", lambda network, folder: folder / "dense.onnx")
    monkeypatch.setattr(released, "dense_run", lambda path, backend, hw, threads: seen.append)
    group = tensor_decode.group
    monkeypatch.setattr(tensor_decode, "group", lambda *given: groups.append(group(*given)))
    with open_subject("hprnet-mobile") as subject:
        options = ModelOptions(threads=1)
        with options.open(subject.model_file) as model:
            backend = model.backend_for(model.letterbox((360, 640)).input_hw)
            peer = released.ReleasedPipeline(subject, options, backend)
        times = [peer(picture(people, (640, 360)), people) for people in (2, 3)]
    assert [batch.shape for batch in seen] == [(1, 224, 384, 3)] * 2
    assert [len(found) for found in groups] == [2, 3]
    for each in times:
        assert each["end to end"] == pytest.approx(each["network, dense maps"] + each["after the network"])
