"""GPUs that a library does not run on are known before an engine is built, by the library's own list."""

import pytest

from hprnet_rt.backends import create, create_backend, registry
from hprnet_rt.backends.trt import load_library, require_support
from hprnet_rt.building import find, find_engine, make
from hprnet_rt.cli import main
from hprnet_rt.commands import doctor
from hprnet_rt.errors import BackendError
from hprnet_rt.machine import Gpu, Nvidia
from tests.backends.cases import change_spec
from tests.backends.test_gpu_choice import MODEL_FILE
from tests.sentences import is_one_sentence
from tests.test_doctor import rows_of

RTX_LIST = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")  # of TensorRT-RTX 1.7
LISTED = "\n".join(f"    SM{each.replace('.', '')} = {n}" for n, each in enumerate(RTX_LIST))
LIBRARY = f"""
__version__ = "1.7.1"

class ComputeCapability:
{LISTED}
    CURRENT = 99
"""


def gpu(capability):
    return Gpu("NVIDIA Any", capability, 80 << 30)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with TensorRT-RTX's list of GPUs; a function says which GPU is there."""
    (tmp_path / "some_rtx.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    change_spec(monkeypatch, "tensorrt-rtx", library="some_rtx")
    specs = tuple(spec for spec in registry.BACKEND_SPECS if spec.name in ("tensorrt-rtx", "openvino"))
    monkeypatch.setattr(registry, "BACKEND_SPECS", specs)

    def with_gpu(capability):
        for module in (create, doctor, find, make):
            monkeypatch.setattr(module, "nvidia", lambda: Nvidia("580.1", (gpu(capability),)))

    return with_gpu


def built(monkeypatch):
    """Stand in for what builds; return whether it was asked."""
    asked = []
    monkeypatch.setattr(make, "_build_typed", lambda *_: asked.append(True) or 1 / 0)
    return asked


@pytest.mark.parametrize("capability", [*RTX_LIST, "12.3", "13.0"])
def test_a_gpu_on_the_list_or_later_than_it_is_supported(machine, capability):
    require_support(load_library("tensorrt-rtx"), gpu(capability))


@pytest.mark.parametrize("capability", ["7.0", "9.0", "10.0"])
def test_a_gpu_that_is_not_on_the_list_is_refused_in_a_sentence(machine, capability):
    with pytest.raises(BackendError) as refusal:
        require_support(load_library("tensorrt-rtx"), gpu(capability))
    assert str(refusal.value) == (
        f"some_rtx 1.7.1 does not run on NVIDIA Any, whose compute capability is {capability}: it supports "
        f"{', '.join(RTX_LIST)} and later; use --backend tensorrt or --backend torch-cuda there"
    )


def test_a_library_without_a_list_refuses_nothing(monkeypatch, tmp_path):
    (tmp_path / "some_trt.py").write_text("__version__ = '11.4'")
    monkeypatch.syspath_prepend(tmp_path)
    change_spec(monkeypatch, "tensorrt", library="some_trt")
    require_support(load_library("tensorrt"), gpu("9.0"))


def test_the_list_of_the_library_that_is_installed_is_read():
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheels for this platform")
    names = [name for name in dir(rtx.ComputeCapability) if name.startswith("SM")]
    for name in names:
        require_support(rtx, gpu(f"{name[2:-1]}.{name[-1]}"))
    if "SM90" not in names:
        with pytest.raises(BackendError, match=r"compute capability is 9\.0: it supports .*8\.9, 12\.0"):
            require_support(rtx, gpu("9.0"))


@pytest.mark.parametrize("capability", ["9.0", "10.0"])
def test_an_engine_is_refused_before_it_is_built(machine, monkeypatch, capsys, capability):
    machine(capability)
    asked = built(monkeypatch)
    assert main(["build", "hprnet-mobile", "--backend", "tensorrt-rtx", "-q"]) == 1
    err = capsys.readouterr().err
    assert is_one_sentence(err, f"compute capability is {capability}", "--backend torch-cuda", "with --gpu")
    with pytest.raises(BackendError, match="does not run on NVIDIA Any"):
        find_engine(MODEL_FILE, "tensorrt-rtx", precision="auto", input_hw=(64, 64), batch=1, may_build=True)
    assert not asked


@pytest.mark.parametrize(("capability", "options"), [("8.9", []), ("9.0", ["--gpu", "sm89"])])
def test_an_engine_for_a_gpu_that_is_supported_is_built(machine, monkeypatch, capability, options):
    """For this machine, or for another one."""
    machine(capability)
    asked = built(monkeypatch)
    with pytest.raises(ZeroDivisionError):
        main(["build", "hprnet-mobile", "--backend", "tensorrt-rtx", "-q", *options])
    assert asked


def test_auto_passes_over_the_library_and_says_why(machine, caplog):
    machine("9.0")
    with caplog.at_level("INFO", logger="hprnet_rt"):
        create_backend(MODEL_FILE, (64, 64), find_engine=find_engine).close()
    assert "backend auto: tensorrt-rtx cannot run: some_rtx 1.7.1 does not run on NVIDIA Any" in caplog.text
    assert "chose openvino" in caplog.text


@pytest.mark.parametrize("capability", ["9.0", "10.0"])
def test_doctor_says_what_to_use_there(machine, capsys, capability):
    machine(capability)
    assert main(["doctor"]) == 0
    row = rows_of(capsys.readouterr().out)["tensorrt-rtx"]
    assert row.startswith("cannot run: some_rtx 1.7.1 does not run on NVIDIA Any, whose compute capability")
    assert "use --backend tensorrt or --backend torch-cuda there" in row


@pytest.mark.parametrize("capability", RTX_LIST)
def test_doctor_finds_no_fault_with_a_gpu_that_is_supported(machine, capsys, capability):
    machine(capability)
    assert main(["doctor"]) == 0
    row = rows_of(capsys.readouterr().out)["tensorrt-rtx"]
    assert "does not run on" not in row and "there is no tensorrt-rtx engine" in row
