"""A GPU backend that is named runs or is refused in a sentence; "auto" says what it passes over."""

import dataclasses

import pytest

import hprnet_rt
from hprnet_rt.backends import ModelFile, create, create_backend, registry
from hprnet_rt.backends.built_engine import BuiltEngine
from hprnet_rt.backends.trt import backend as trt_backend
from hprnet_rt.building import find
from hprnet_rt.cli import main
from hprnet_rt.errors import BackendError
from hprnet_rt.machine import Gpu, Nvidia
from tests.backends.cases import MISSING_LIBRARY, change_spec
from tests.backends.test_built_engine import RECIPE
from tests.backends.trt.gpu import FakeDevice, FakeLibrary
from tests.clips import SAMPLE

MODEL_FILE = ModelFile.find("hprnet-mobile")
WITH_GPU = Nvidia("570.1", (Gpu("NVIDIA H200", "9.0", 140 << 30),))
WITHOUT = Nvidia(None, (), "no NVIDIA driver")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine where TensorRT and nothing else for GPUs is installed; a function says what its GPUs are."""
    (tmp_path / "some_tensorrt.py").write_text("__version__ = '10.9'")
    monkeypatch.syspath_prepend(tmp_path)
    change_spec(monkeypatch, "tensorrt", library="some_tensorrt")
    change_spec(monkeypatch, "tensorrt-rtx", library=MISSING_LIBRARY)
    others = tuple(spec for spec in registry.BACKEND_SPECS if spec.name != "torch-cuda")
    monkeypatch.setattr(registry, "BACKEND_SPECS", others)

    def gpus(found):
        for module in (create, find):
            monkeypatch.setattr(module, "nvidia", lambda: found)

    gpus(WITHOUT)
    return gpus


def error_of(capsys, *options):
    """The one line that annotate ends with."""
    assert main(["annotate", str(SAMPLE), "-o", "never-written", "--no-video", *options]) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_a_library_that_is_missing_is_a_sentence(machine, monkeypatch, capsys, name):
    change_spec(monkeypatch, name, library=MISSING_LIBRARY)
    text = error_of(capsys, "--backend", name)
    assert f"the backend {name} needs the package" in text
    assert "pip install" in text


def test_a_machine_without_a_gpu_is_a_sentence(machine, capsys):
    assert "needs an NVIDIA GPU, and there is none here: no NVIDIA driver" in error_of(
        capsys, "--backend", "tensorrt"
    )


def test_a_driver_that_is_broken_is_a_sentence(machine, capsys):
    machine(Nvidia(None, (), "the NVIDIA driver does not answer (NVML status 18)"))
    assert "does not answer (NVML status 18)" in error_of(capsys, "--backend", "tensorrt")


def test_an_engine_that_was_never_built_is_a_sentence_with_the_command(machine, monkeypatch, capsys):
    machine(WITH_GPU)
    monkeypatch.setattr("hprnet_rt.building.make.nvidia", lambda: WITH_GPU)
    text = error_of(capsys, "--backend", "tensorrt")
    assert "there is no tensorrt engine of hprnet-mobile for 384x224" in text
    assert "build it: hprnet-rt build hprnet-mobile --backend tensorrt" in text


def test_without_a_search_for_engines_there_is_a_sentence(machine):
    with pytest.raises(BackendError, match="needs a built engine"):
        create_backend(MODEL_FILE, (64, 64), backend="tensorrt")


def test_auto_without_a_gpu_takes_the_cpu_and_speaks_of_no_gpu(machine, caplog):
    with caplog.at_level("INFO", logger="hprnet_rt"):
        create_backend(MODEL_FILE, (64, 64)).close()
    assert "chose openvino" in caplog.text
    assert "tensorrt" not in caplog.text


def test_auto_says_why_it_passes_over_a_gpu_backend(machine, caplog):
    machine(WITH_GPU)

    def refuse(*_, **__):
        raise BackendError("the GPU has too little memory")

    with caplog.at_level("INFO", logger="hprnet_rt"):
        create_backend(MODEL_FILE, (64, 64), find_engine=refuse).close()
    assert "backend auto: tensorrt cannot run: the GPU has too little memory" in caplog.text
    assert "chose openvino" in caplog.text


def test_auto_passes_over_a_backend_that_takes_one_image_when_more_are_asked_for(machine, caplog):
    with caplog.at_level("INFO", logger="hprnet_rt"):
        made = create_backend(MODEL_FILE, (64, 64), batch=2)
    assert (made.name, made.max_batch) == ("onnxruntime", 2)
    made.close()


def test_auto_chooses_once_and_may_build_for_every_size(machine, monkeypatch, tmp_path):
    machine(WITH_GPU)
    (tmp_path / "some.engine").write_bytes(b"an engine")
    asked, libraries = [], []

    def load_library(_):
        libraries.append(FakeLibrary(FakeDevice()))
        return libraries[-1]

    def found(_model_file, backend, *, precision, input_hw, batch, may_build):
        asked.append((backend, input_hw, may_build))
        recipe = dataclasses.replace(RECIPE, backend=backend, batch=(1, 8))
        return BuiltEngine(tmp_path / "some.engine", recipe)

    monkeypatch.setattr(trt_backend, "load_library", load_library)
    monkeypatch.setattr(trt_backend, "open_device", lambda _: libraries[-1].device)
    monkeypatch.setattr("hprnet_rt.inference.model.find_engine", found)
    with hprnet_rt.load(input_px=128) as model:
        assert model.at_once > 1
        assert model.description.startswith("TensorRT")
        monkeypatch.setattr(create, "auto_backends", lambda: 1 / 0)
        model.backend_for((128, 128))
    assert asked == [("tensorrt", (96, 128), True), ("tensorrt", (128, 128), True)]
    assert [each.device.counts["close"] for each in libraries] == [1, 1]
