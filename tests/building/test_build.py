"""`hprnet-rt build`: real engines where the library installs, sentences elsewhere."""

import json

import numpy as np
import pytest

pytest.importorskip("hprnet_rt.graph", reason="the extra build is not installed")

import hprnet_rt
from hprnet_rt.backends import ModelFile
from hprnet_rt.backends.trt import InputRange, build_engine, load_library
from hprnet_rt.building import BuildPlan, build
from hprnet_rt.cli import main
from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.machine import Nvidia
from hprnet_rt.spec import HPRNET_HOURGLASS104, HPRNET_MOBILE
from tests.backends.cases import MISSING_LIBRARY, change_spec

SHIPPED = ModelFile.find("hprnet-mobile")
NO_RTX = "tensorrt-rtx has no wheels for this platform"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "tpu"}, "no engine of 'tpu'"),
        ({"precision": "int4"}, "no precision 'int4'"),
        ({"size": "100"}, "multiples of 32"),
        ({"size": "512x"}, "--size takes"),
        ({"size": "0"}, "multiples of 32"),
        ({"batch": "8:1"}, "--batch takes"),
        ({"batch": "many"}, "--batch takes"),
        ({"gpu": "rtx4090"}, "--gpu takes"),
        ({"backend": "onnx", "gpu": "sm89"}, "--gpu is for"),
        ({"backend": "openvino", "precision": "bf16"}, "when it loads"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        BuildPlan.parse(HPRNET_MOBILE, **{"backend": "tensorrt-rtx", **options})


def test_sizes_are_width_times_height():
    plan = BuildPlan.parse(HPRNET_MOBILE, backend="onnx", size="640x384")
    assert plan.fixed_hw == (384, 640)
    assert BuildPlan.parse(HPRNET_MOBILE, backend="onnx").fixed_hw == (384, 384)
    keep = BuildPlan.parse(HPRNET_HOURGLASS104, backend="onnx", size="keep", batch="1:4")
    assert (keep.fixed_hw, keep.fixed_batch, keep.height) == (None, None, (256, 512, 1024))


@pytest.mark.timeout(600)
def test_the_default_model_is_built_by_tensorrt_rtx_without_a_gpu(tmp_path, capsys):
    """Any batch of 1 to 8, for two kinds of GPU; the second time it is there already."""
    rtx = pytest.importorskip("tensorrt_rtx", reason=NO_RTX)
    command = ["build", "hprnet-mobile", "--backend", "tensorrt-rtx", "--size", "384x224", "--batch", "1:8"]
    command += ["--gpu", "sm86,sm89", "-o", str(tmp_path)]
    assert main(command) == 0
    (path,) = tmp_path.glob("*.engine")
    assert path.name.startswith("hprnet-mobile-tensorrt-rtx-fp16-b1-8-384x224-")
    assert path.stat().st_size > 10e6  # 5.5 million weights in fp16
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert sidecar["library_version"] == rtx.__version__
    assert (sidecar["batch"], sidecar["height"], sidecar["width"]) == ([1, 8], [224, 224], [384, 384])
    assert (sidecar["gpus"], sidecar["onnx_sha256"]) == (["sm86", "sm89"], SHIPPED.sha256)
    written = path.stat().st_mtime_ns
    assert main(command) == 0
    assert "already there" in capsys.readouterr().out
    assert path.stat().st_mtime_ns == written


@pytest.mark.timeout(600)
def test_progress_is_reported_and_the_first_engine_lands_in_the_cache(own_cache):
    pytest.importorskip("tensorrt_rtx", reason=NO_RTX)
    steps_reported = []
    plan = BuildPlan.parse(HPRNET_MOBILE, backend="tensorrt-rtx", size="128")
    built = build(SHIPPED, plan, progress=lambda *step: steps_reported.append(step))
    assert built.fresh
    assert built.path.parent == own_cache / "engines" / "built"
    assert len(steps_reported) > 10
    assert all(0 <= done <= steps for _, done, steps in steps_reported)


def test_a_gpu_that_the_library_does_not_know_is_refused():
    rtx = pytest.importorskip("tensorrt_rtx", reason=NO_RTX)
    with pytest.raises(UsageError, match=r"does not build for sm90; it does for: .*sm89"):
        build_engine(rtx, b"", InputRange((1,) * 3, (64,) * 3, (64,) * 3), gpus=("sm90",))


def test_what_the_parser_does_not_know_is_one_sentence_with_the_operation():
    rtx = pytest.importorskip("tensorrt_rtx", reason=NO_RTX)
    import onnx
    from onnx import helper

    shape = (onnx.TensorProto.FLOAT, [1, 2, 8, 8])
    nodes = [helper.make_node("Unheard", ["x"], ["y"], name="one", domain="elsewhere")]
    ends = [helper.make_tensor_value_info(name, *shape) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("elsewhere", 1)],
        ir_version=10,
    )
    sizes = InputRange((1,) * 3, (64,) * 3, (64,) * 3)
    for data in (model.SerializeToString(), b"rubbish"):
        with pytest.raises(BackendError, match="cannot read the network") as raised:
            build_engine(rtx, data, sizes)
        assert "\n" not in str(raised.value)
        assert data == b"rubbish" or "Unheard" in str(raised.value)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_built_onnx_file_is_a_model(tmp_path, precision):
    plan = BuildPlan.parse(HPRNET_MOBILE, backend="onnx", precision=precision, size="keep", batch="1:8")
    built = build(SHIPPED, plan, tmp_path)
    assert not build(SHIPPED, plan, tmp_path).fresh
    with hprnet_rt.load(built.path, backend="onnxruntime", input_px=64) as model:
        assert len(model(np.zeros((64, 64, 3), np.uint8))) == 0


def test_openvinos_own_form_is_read_by_openvino(tmp_path):
    import openvino

    plan = BuildPlan.parse(HPRNET_MOBILE, backend="openvino", precision="fp32", size="128")
    built = build(SHIPPED, plan, tmp_path)
    model = openvino.Core().read_model(built.path)
    assert list(model.inputs[0].get_shape()) == [1, 128, 128, 3]
    weights = built.path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-1])
    assert build(SHIPPED, plan, tmp_path).fresh  # damaged: built again


def test_a_missing_graph_library_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("hprnet_rt.building.make._GRAPH", "a_module_that_nobody_has")
    plan = BuildPlan.parse(HPRNET_MOBILE, backend="onnx")
    with pytest.raises(BackendError, match=r"pip install 'hprnet-rt\[build\]'"):
        build(SHIPPED, plan, tmp_path)


def test_ctrl_c_ends_a_build(tmp_path):
    pytest.importorskip("tensorrt_rtx", reason=NO_RTX)

    def interrupted(*_):
        raise KeyboardInterrupt

    plan = BuildPlan.parse(HPRNET_MOBILE, backend="tensorrt-rtx", size="128")
    with pytest.raises(KeyboardInterrupt):
        build(SHIPPED, plan, tmp_path, progress=interrupted)
    assert not list(tmp_path.glob("*.engine"))


def test_a_library_that_does_not_start_is_a_sentence():
    """Both libraries' bindings raise TypeError where their driver or GPU is of no use."""

    class Library:
        __name__, __version__ = "tensorrt", "10.9"
        ILogger = type("ILogger", (), {"ERROR": 1, "INTERNAL_ERROR": 0})

        @staticmethod
        def Builder(logger):  # noqa: N802
            logger.log(1, "CUDA initialization failure\n  with error: 35")
            raise TypeError("factory function returned nullptr")

    with pytest.raises(BackendError, match="cannot start: CUDA initialization failure with error: 35"):
        build_engine(Library(), b"", InputRange((1,) * 3, (64,) * 3, (64,) * 3))


def test_a_missing_library_is_a_sentence(monkeypatch, capsys):
    change_spec(monkeypatch, "tensorrt", library=MISSING_LIBRARY)
    assert main(["build", "hprnet-mobile", "--backend", "tensorrt"]) == 1
    message = capsys.readouterr().err
    assert "pip install 'hprnet-rt[tensorrt]'" in message
    assert message.count("\n") == 1


def test_a_library_that_cannot_be_loaded_is_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "broken_library.py").write_text("raise OSError('libnvinfer.so: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    change_spec(monkeypatch, "tensorrt", library="broken_library")
    with pytest.raises(BackendError, match="installed but cannot be loaded: libnvinfer"):
        load_library("tensorrt")


def test_tensorrt_without_a_gpu_is_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "some_tensorrt.py").write_text("__version__ = '10.9'")
    monkeypatch.syspath_prepend(tmp_path)
    change_spec(monkeypatch, "tensorrt", library="some_tensorrt")
    monkeypatch.setattr("hprnet_rt.building.make.nvidia", lambda: Nvidia(None, (), "none"))
    plan = BuildPlan.parse(HPRNET_MOBILE, backend="tensorrt")
    with pytest.raises(BackendError, match="there is none here"):
        build(SHIPPED, plan, tmp_path)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["build", "hprnet-mobile", "--backend", "onnx", "-o", str(tmp_path / "file" / "folder")]
    assert main(command) == 1
    assert "cannot write in" in capsys.readouterr().err
