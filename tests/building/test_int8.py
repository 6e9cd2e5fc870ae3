"""Int8 engines: which layers, who judges them, and how they are found."""

import json

import cv2
import numpy as np
import openvino
import pytest

import hprnet_rt
from hprnet_rt.backends import ModelFile, create_backend
from hprnet_rt.backends import openvino as openvino_backend
from hprnet_rt.backends.built_engine import BuiltEngine
from hprnet_rt.building import BuildPlan, build, find_engine, int8
from hprnet_rt.building.calibration import calibration_inputs
from hprnet_rt.building.make import recipe_of
from hprnet_rt.cli import main
from hprnet_rt.errors import BackendError, MediaError, ModelError, UsageError
from hprnet_rt.evaluation import Movement
from hprnet_rt.spec import HPRNET_MOBILE
from tests.clips import SAMPLE

SHIPPED = ModelFile.find("hprnet-mobile")
PLAN = BuildPlan.parse(HPRNET_MOBILE, backend="openvino", precision="int8")
FRAMES = 125  # of the sample


def moved(people=100, lost=0, new=0, away=0.0):
    return Movement(people, lost, new, np.full(1000, away))


def find_int8():
    return find_engine(SHIPPED, "openvino", precision="int8", input_hw=(128, 128), batch=1, may_build=False)


def roundings(model):
    return {node.get_friendly_name() for node in model.get_ops() if node.get_type_name() == "FakeQuantize"}


@pytest.fixture
def unquantised(monkeypatch):
    """Engines come out as float32 ones."""

    def quantise(model_file, inputs, *, progress=None):
        return int8.Quantised(openvino_backend.reader().read_model(model_file.for_grouping()), 0, 80)

    monkeypatch.setattr(int8, "_nncf", lambda: None)
    monkeypatch.setattr(int8, "quantise", quantise)


@pytest.mark.timeout(600)
def test_the_trunk_is_int8_and_first_layers_heads_and_decode_are_not(tmp_path):
    pytest.importorskip("nncf", reason="the extra int8 is not installed")
    inputs = calibration_inputs(SAMPLE, 128, 2)
    made = int8.quantise(SHIPPED, inputs)
    assert (made.int8, made.layers) == (50, 80)
    path = tmp_path / "engine.xml"
    openvino.save_model(made.model, path, compress_to_fp16=False)
    model = openvino.Core().read_model(path)
    model.reshape({0: [1, 224, 384, 3]})  # of any size
    before = roundings(model)
    maps, decode = openvino_backend._cut(model, refines=True)
    assert len(before) > made.int8
    assert roundings(maps) == before  # folded ones would leave float32 layers
    assert not roundings(decode)
    engine = BuiltEngine(path, recipe_of(SHIPPED, PLAN, None))
    with_int8 = create_backend(
        SHIPPED, (128, 128), backend="openvino", precision="int8", find_engine=lambda *_, **__: engine
    )
    assert "int8 and" in with_int8.description
    assert np.isfinite(with_int8.run(inputs[0])).all()
    with_int8.close()


def test_an_engine_that_moves_nothing_is_built_with_its_figures_and_found_by_name(unquantised, own_cache):
    built = build(SHIPPED, PLAN, calibrate=SAMPLE)
    assert built.path.parent == own_cache / "engines" / "built"
    assert not list(built.path.parent.glob("*partial*"))
    sidecar = json.loads(built.path.with_suffix(".json").read_text())["measured"]
    assert (sidecar["calibrated_on"], sidecar["frames"], sidecar["held_out"]) == ("sample.mp4", 93, 32)
    assert (sidecar["lost"], sidecar["new"]) == (0, 0)
    assert sidecar["within"]["4.0"] > 0.99
    assert sidecar["people"] > 50
    assert not build(SHIPPED, PLAN).fresh
    assert find_int8().path == built.path
    with hprnet_rt.load(backend="openvino", precision="int8", input_px=128) as model:
        assert "int8" in model.description


def test_an_engine_that_moves_people_is_refused_and_gone(unquantised, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(int8, "_compare", lambda *_: moved(lost=3, new=2))
    command = ["build", "hprnet-mobile", "--backend", "openvino", "--precision", "int8", "-o", str(tmp_path)]
    assert main([*command, "--calibrate", str(SAMPLE)]) == 1
    message = capsys.readouterr().err
    assert "not accepted: on 32 frames of sample.mp4 kept apart" in message
    assert "of 100 people 3 are lost and 2 are new" in message
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (moved(people=9), "too few to judge"),
        (moved(lost=4), "4 are lost"),
        (moved(new=4), "4 are new"),
        (moved(away=4.1), "0.0% of 1000 points stay within 4 pixels"),
        (moved(lost=2, new=1, away=3.9), None),
    ],
)
def test_the_bound_is_told_by_what_breaks_it(found, words):
    flaw = int8._flaw(found)
    assert flaw is None if words is None else words in flaw


def test_an_engine_that_was_not_built_is_a_sentence_with_the_command():
    with pytest.raises(BackendError, match=r"build it: hprnet-rt build hprnet-mobile .* --calibrate VIDEO"):
        hprnet_rt.load(backend="openvino", precision="int8")


@pytest.mark.parametrize("field", ["library_version", "onnx_sha256", "spec_sha256", "k"])
def test_a_stale_engine_is_refused_by_what_differs(unquantised, monkeypatch, field):
    monkeypatch.setattr(int8, "_compare", lambda *_: moved())
    built = build(SHIPPED, PLAN, calibrate=SAMPLE)
    sidecar = built.path.with_suffix(".json")
    data = json.loads(sidecar.read_text())
    stale = built.path.with_name("hprnet-mobile-openvino-int8-old.xml")
    for file in (built.path, built.path.with_suffix(".bin")):
        file.rename(stale.with_suffix(file.suffix))
    stale.with_suffix(".json").write_text(json.dumps({**data, field: "other"}))
    sidecar.unlink()
    with pytest.raises(ModelError, match=f"another {field.replace('_', ' ')}: other.*build it again"):
        find_int8()


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_int8_is_for_openvino_and_by_name_only(backend):
    with pytest.raises(UsageError, match="int8 needs --backend openvino"):
        hprnet_rt.load(backend=backend, precision="int8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "tensorrt-rtx"}, "for openvino only"),
        ({"size": "384"}, "any size"),
        ({"batch": "1:8"}, "one image at a time"),
    ],
)
def test_a_plan_that_int8_cannot_keep_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        BuildPlan.parse(HPRNET_MOBILE, **{"backend": "openvino", "precision": "int8", **options})


def test_calibrating_what_is_not_int8_is_refused(capsys):
    assert main(["build", "hprnet-mobile", "--backend", "onnx", "--calibrate", str(SAMPLE)]) == 2
    assert "--calibrate is for --precision int8" in capsys.readouterr().err


def test_frames_are_asked_for(unquantised):
    with pytest.raises(UsageError, match="--calibrate VIDEO or FOLDER"):
        build(SHIPPED, PLAN)


def test_a_missing_package_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "nncf", None)
    assert main(["build", "hprnet-mobile", "--backend", "openvino", "--precision", "int8"]) == 1
    assert "pip install 'hprnet-rt[int8]'" in capsys.readouterr().err


def test_frames_are_evenly_spaced_inputs(tmp_path):
    assert len(calibration_inputs(SAMPLE, 64, FRAMES)) == FRAMES
    some = calibration_inputs(SAMPLE, 64, 40)
    assert len(some) == -(-FRAMES // 4)
    assert {each.shape for each in some} == {(1, 64, 64, 3)}
    for number in range(7):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((20, 30, 3), 30 * number, np.uint8))
    (tmp_path / "notes.txt").write_text("")
    assert [int(each[0, 32, 32, 0]) for each in calibration_inputs(tmp_path, 64, 4)] == [0, 60, 120, 180]


def test_frames_that_are_not_there_are_sentences(tmp_path, unquantised):
    with pytest.raises(UsageError, match="no images"):
        calibration_inputs(tmp_path, 64, 4)
    with pytest.raises(UsageError, match="no video or folder"):
        calibration_inputs(tmp_path / "clip.mp4", 64, 4)
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(MediaError, match="empty"):
        calibration_inputs(tmp_path, 64, 4)
    cv2.imwrite(str(tmp_path / "empty.png"), np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(UsageError, match="has 1 frames; calibration needs 12"):
        build(SHIPPED, PLAN, calibrate=tmp_path)
    (tmp_path / "clip.mp4").write_text("no video")
    with pytest.raises(MediaError, match=r"^cannot open .*clip\.mp4"):
        build(SHIPPED, PLAN, calibrate=tmp_path / "clip.mp4")
