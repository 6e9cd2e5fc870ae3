"""Which built engine a GPU backend gets: the one that fits, a new one for "auto", a sentence otherwise."""

import dataclasses
import json
import os

import pytest

from hprnet_rt.backends import ModelFile
from hprnet_rt.backends.built_engine import sidecar_path, write_sidecar
from hprnet_rt.backends.trt import load_library
from hprnet_rt.building import find, find_engine, make
from hprnet_rt.building.make import Built, recipe_of
from hprnet_rt.building.plan import BuildPlan
from hprnet_rt.errors import BackendError, ModelError
from hprnet_rt.machine import Gpu, Nvidia
from tests.backends.cases import change_spec

MODEL_FILE = ModelFile.find("hprnet-mobile")
HW = (256, 384)
H200 = Gpu("NVIDIA H200", "9.0", 140 << 30)


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def backend(request, monkeypatch, tmp_path):
    """A library of this backend, on a machine with a GPU."""
    (tmp_path / "some_library.py").write_text("__version__ = '10.9'")
    monkeypatch.syspath_prepend(tmp_path)
    change_spec(monkeypatch, request.param, library="some_library")
    for module in (find, make):
        monkeypatch.setattr(module, "nvidia", lambda: Nvidia("570.1", (H200,)))
    return request.param


def put(backend, *, precision="fp16", size="384x256", batch="1", **changes):
    """An engine as `build` leaves it."""
    plan = BuildPlan.parse(MODEL_FILE.spec, backend=backend, precision=precision, size=size, batch=batch)
    recipe = recipe_of(MODEL_FILE, plan, load_library(backend))
    recipe = dataclasses.replace(recipe, **changes)
    make.built_folder().mkdir(parents=True, exist_ok=True)
    path = make.built_folder() / f"{recipe.stem}.engine"
    path.write_bytes(b"an engine")
    write_sidecar(path, recipe, MODEL_FILE.spec, build_seconds=1.0)
    return path


def ask(backend, *, precision="auto", input_hw=HW, batch=1, may_build=False):
    return find_engine(
        MODEL_FILE, backend, precision=precision, input_hw=input_hw, batch=batch, may_build=may_build
    )


@pytest.fixture
def built(monkeypatch):
    """Plans that were built."""
    plans = []

    def build(model_file, plan):
        plans.append(plan)
        return Built(put(plan.backend), fresh=True, seconds=1.0)

    monkeypatch.setattr(find, "build", build)
    return plans


def test_the_engine_for_this_size_and_batch_is_taken(backend):
    put(backend, size="512")
    put(backend, batch="8")
    path = put(backend)
    assert ask(backend).path == path


def test_an_engine_for_a_range_does_where_there_is_none_for_the_size(backend):
    wide = put(backend, size="keep", batch="1:8")
    assert ask(backend).path == wide
    assert ask(backend, batch=None).recipe.batch == (1, 8)
    exact = put(backend)
    assert ask(backend).path == exact
    assert ask(backend, batch=4).path == wide


def test_another_precision_is_taken_when_it_is_asked_for(backend):
    put(backend)
    full = put(backend, precision="fp32")
    assert ask(backend, precision="fp32").path == full


def test_no_engine_is_a_sentence_with_the_command_that_builds_it(backend, built):
    with pytest.raises(BackendError) as raised:
        ask(backend, batch=4)
    assert str(raised.value) == (
        f"there is no {backend} engine of hprnet-mobile for 384x256 and 4 images at a time; build it: "
        f"hprnet-rt build hprnet-mobile --backend {backend} --precision fp16 --size 384x256 --batch 4"
    )
    assert built == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("library_version", "10.3"), ("onnx_sha256", "ab" * 32), ("precision", "fp32"), ("gpus", ("sm61",))],
)
def test_an_engine_that_does_not_fit_is_refused_when_named_and_built_again_by_auto(
    backend, built, caplog, field, value
):
    put(backend, **{field: value})
    with pytest.raises(
        ModelError, match=f"another {field.replace('_', ' ')}.*build it again: hprnet-rt build"
    ):
        ask(backend)
    assert built == []
    found = ask(backend, may_build=True)
    assert found.recipe.height == (256, 256)
    (plan,) = built
    assert (plan.precision, plan.batch, plan.fixed_hw) == ("fp16", (1, 1), HW)
    assert f"another {field.replace('_', ' ')}" in caplog.text
    assert ask(backend) == found


def test_auto_builds_what_was_never_built(backend, built, caplog):
    ask(backend, may_build=True, batch=None)
    assert built[0].batch == (8, 8)
    assert "there is none yet" in caplog.text


def test_a_damaged_engine_is_refused(backend):
    put(backend).write_bytes(b"half")
    with pytest.raises(ModelError, match="damaged"):
        ask(backend)


def test_a_newer_refusal_is_told_before_an_older_one(backend):
    old, new = put(backend, library_version="10.1"), put(backend, library_version="10.2")
    os.utime(old, (1, 1))
    with pytest.raises(ModelError, match=r"10\.2"):
        ask(backend)
    assert new.is_file()


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"batch": 1}'])
def test_a_json_that_says_nothing_counts_as_no_engine(backend, text):
    sidecar_path(put(backend)).write_text(text)
    with pytest.raises(BackendError, match="there is no"):
        ask(backend)


def test_an_engine_of_a_network_with_a_longer_name_is_not_this_ones(backend):
    path = put(backend)
    other = path.with_name(path.name.replace("hprnet-mobile-", "hprnet-mobile-tensorrt-"))
    sidecar = json.loads(sidecar_path(path).read_text())
    path.rename(other)
    sidecar_path(other).write_text(json.dumps({**sidecar, "model": "hprnet-mobile-tensorrt"}))
    sidecar_path(path).unlink()
    with pytest.raises(BackendError, match="there is no"):
        ask(backend)


def test_an_engine_for_several_kinds_of_gpu_runs_on_each(monkeypatch, backend):
    if backend == "tensorrt":
        pytest.skip("tensorrt builds for the GPU that is there")
    path = put(backend, gpus=("sm86", "sm90"))
    assert ask(backend).path == path
    turing = Gpu("T4", "7.5", 16 << 30)
    monkeypatch.setattr(find, "nvidia", lambda: Nvidia("570.1", (turing,)))
    with pytest.raises(ModelError, match="another gpus"):
        ask(backend)


def test_no_gpu_is_a_sentence_with_the_drivers_words(monkeypatch, backend):
    why = "the NVIDIA driver does not answer (NVML status 18)"
    monkeypatch.setattr(find, "nvidia", lambda: Nvidia(None, (), why))
    with pytest.raises(
        BackendError, match=f"{backend} needs an NVIDIA GPU, and there is none here: the NVIDIA"
    ):
        ask(backend, may_build=True)
