"""The curves of others beside ours: what is measured, what is extended, and what is said of both."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra train is not installed")

import torch

from hprnet_rt.bench import rivals
from hprnet_rt.bench.measure import Limits
from hprnet_rt.bench.people import ALL, PeopleOptions
from hprnet_rt.bench.report import BenchReport, Series, read_report, write_report
from hprnet_rt.bench.subject import ModelOptions
from hprnet_rt.commands.bench import _say_rivals
from hprnet_rt.model.rivals import create
from hprnet_rt.spec.rivals import OPENPOSE_WHOLEBODY, RIVALS
from hprnet_rt.words import counted
from tests.rivals import SMALL

COUNTS, PEER_COUNTS = (0, 1, 2, 3), (1, 2)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """OpenPose, shrunk, beside a model that takes 5 ms; as it is read from its file."""
    options = PeopleOptions(COUNTS, None, (320, 180), Limits(seconds=0.01), PEER_COUNTS)
    settings = {"model": "ours", "counts": list(COUNTS), "peers": {"top-down": [1, 2]}}
    series = [Series(counted(n, "person"), ALL, (5.0,)) for n in COUNTS]
    series += [Series(f"top-down, {counted(n, 'person')}", "end to end", (10.0 * n,)) for n in (1, 2)]
    peers = {"top-down": {"fixed_ms": 0.0, "ms_per_person": 10.0}}
    ours = BenchReport("people", settings, tuple(series), {"engine": "imaginary", "peers": peers})
    backend = SimpleNamespace(name="onnxruntime", precision="fp32")
    with pytest.MonkeyPatch.context() as patch:
        for name, build in SMALL.items():
            patch.setitem(create.BUILDERS, name, build)
        names = ("openpose-body18", OPENPOSE_WHOLEBODY)
        found = rivals.add_rivals(ours, backend, ModelOptions(threads=1), options, names=names)
    return read_report(write_report(found, tmp_path_factory.mktemp("report"))[0])


def test_a_network_is_timed_once_and_its_decode_for_everyone(report):
    line = report.summary["rivals"]["openpose-body18"]
    assert "random weights" in line["engine"]
    assert line["found"] == {str(n): n for n in COUNTS}
    for n in map(str, COUNTS):
        assert line["whole_ms"][n] == pytest.approx(line["network_ms"] + line["decode_ms"][n], abs=0.01)
    assert line["extended_ms"] == {}


def test_hands_and_faces_are_timed_for_a_few_people_and_extended_beyond(report):
    line = report.summary["rivals"][OPENPOSE_WHOLEBODY]
    assert set(line["crops_ms"]) == set(map(str, PEER_COUNTS))
    assert line["crop_ms_per_person"] > 0
    assert set(line["whole_ms"]) == {"0", "1", "2"}
    assert set(line["extended_ms"]) == {"3"}
    assert line["whole_ms"]["2"] > line["network_ms"] + line["decode_ms"]["2"]


def test_the_chart_has_every_curve_and_dashes_what_was_not_measured(report):
    chart = rivals.rivals_chart(report)
    curves = {curve.name: curve for curve in chart.curves}
    assert list(curves) == ["ours", "top-down", "openpose-body18", OPENPOSE_WHOLEBODY]
    assert (curves["top-down"].points, curves["top-down"].extension) == (
        [(1, 10), (2, 20)],
        [(2, 20), (3, 30)],
    )
    whole = curves[OPENPOSE_WHOLEBODY]
    assert [x for x, _ in whole.points] == [0, 1, 2]
    assert [x for x, _ in whole.extension] == [2, 3]
    assert not any(curves[name].extension for name in ("ours", "openpose-body18"))
    assert any("random weights" in note for note in chart.notes)


def test_what_was_extended_is_marked_in_words(report, capsys):
    _say_rivals(json.loads(report.to_json())["summary"]["rivals"])
    whole = capsys.readouterr().out.splitlines()[-1]
    assert whole.startswith(OPENPOSE_WHOLEBODY)
    assert "3: ~" in whole
    assert "2: ~" not in whole


def test_a_network_that_is_timed_gives_the_maps_that_it_gives(monkeypatch):
    name, image = "openpose-hand", np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    monkeypatch.setitem(create.BUILDERS, name, SMALL[name])
    for backend in ("openvino", "onnxruntime"):
        (maps,) = rivals._random(name, SimpleNamespace(name=backend, precision="fp32"), 1)(image)
        torch.manual_seed(0)
        with torch.no_grad():
            expected = create.create_rival(RIVALS[name])(torch.from_numpy(image)).numpy()
        np.testing.assert_allclose(maps.ravel(), expected.ravel(), atol=1e-5)
