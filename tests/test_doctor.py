"""`hprnet-rt doctor`, and what it asks the system."""

import ctypes
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hprnet_rt.backends import ModelFile, registry
from hprnet_rt.backends import model_file as model_files
from hprnet_rt.cli import main
from hprnet_rt.commands import doctor
from hprnet_rt.errors import BackendError
from hprnet_rt.machine import Gpu, Nvidia, cpu, nvidia


@pytest.fixture
def quick(monkeypatch):
    """Backends that need no second each."""
    specs = tuple(spec for spec in registry.BACKEND_SPECS if spec.name in ("tensorrt", "openvino"))
    monkeypatch.setattr(registry, "BACKEND_SPECS", specs)


def rows_of(printed):
    """Each row by its label, however many lines it takes: paths are as long as they are."""
    rows = {}
    for line in printed.splitlines():
        if line[0] != " ":
            label, text = line.split(maxsplit=1)
            rows[label] = text
        else:
            rows[label] += f" {line.strip()}"
    return rows


def test_a_machine_that_works_is_described(quick, capsys, own_cache):
    own_cache.mkdir()
    (own_cache / "file").write_bytes(bytes(2_000_000))
    assert main(["doctor"]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert {"hprnet-rt", "CPU", "NVIDIA", "libraries", "model", "openvino", "tensorrt", "cameras"} <= set(
        rows
    )
    assert rows["telemetry"] == "off"
    assert rows["kernels"] == os.environ["NUMBA_CACHE_DIR"]
    assert "runs: OpenVINO" in rows["openvino"]
    assert rows["model"].endswith("as it should be")
    assert "mpeg4" in rows["encoders"]
    assert rows["cache"].endswith("2.0 MB")
    assert rows["default"].endswith("hprnet-mobile on openvino: runs")


@pytest.mark.parametrize("length", range(1, 97, 5))
def test_a_row_of_any_length_is_read_whole(quick, capsys, monkeypatch, length):
    folder = Path("/" + "x" * length)
    shipped = ModelFile.find("hprnet-mobile")
    monkeypatch.setattr(doctor.ModelFile, "find", lambda _: replace(shipped, path=folder / shipped.path.name))
    assert doctor._check_model()
    row = rows_of(capsys.readouterr().out)["model"]
    assert row.startswith(str(folder)) and row.endswith("as it should be")


def test_a_default_backend_that_cannot_run_is_exit_code_1(quick, monkeypatch, capsys):
    def refuse(*_, **__):
        raise BackendError("openvino cannot load it: no memory")

    monkeypatch.setattr(doctor, "load", refuse)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr()
    assert "cannot run: openvino cannot load it: no memory" in printed.out
    assert "the default cannot run" in printed.err


def test_a_damaged_model_is_exit_code_1(quick, monkeypatch, tmp_path, capsys):
    shipped = ModelFile.find("hprnet-mobile").path
    for path in (shipped, shipped.with_suffix(".json")):
        shutil.copy(path, tmp_path / path.name)
    with (tmp_path / shipped.name).open("ab") as file:
        file.write(b"more")
    monkeypatch.setattr(model_files, "_shipped_folder", lambda: tmp_path)
    assert main(["doctor"]) == 1
    assert "SHA-256" in capsys.readouterr().out


def test_gpus_are_named(quick, monkeypatch, capsys):
    found = Nvidia("570.1", (Gpu("NVIDIA H200", "9.0", 140 * 2**30),))
    monkeypatch.setattr(doctor, "nvidia", lambda: found)
    assert main(["doctor"]) == 0
    assert "NVIDIA H200, compute capability 9.0, 140.0 GiB" in capsys.readouterr().out


class Nvml:
    """The management library of a machine with these GPUs."""

    def __init__(self, status=0, gpus=(("NVIDIA H200", 9, 0, 141 * 2**30),)):
        self.status, self.gpus, self.closed = status, gpus, False

    def nvmlInit_v2(self):  # noqa: N802
        return self.status

    def nvmlShutdown(self):  # noqa: N802
        self.closed = True
        return 0

    def nvmlSystemGetDriverVersion(self, text, _size):  # noqa: N802
        text.value = b"570.86"
        return 0

    def nvmlDeviceGetCount_v2(self, count):  # noqa: N802
        count._obj.value = len(self.gpus)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, handle):  # noqa: N802
        handle._obj.value = index + 1
        return 0

    def nvmlDeviceGetName(self, handle, text, _size):  # noqa: N802
        text.value = self.gpus[handle.value - 1][0].encode()
        return 0

    def nvmlDeviceGetCudaComputeCapability(self, handle, major, minor):  # noqa: N802
        major._obj.value, minor._obj.value = self.gpus[handle.value - 1][1:3]
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle, memory):  # noqa: N802
        memory._obj.total = self.gpus[handle.value - 1][3]
        return 0


def test_gpus_are_asked_of_the_drivers_management_library():
    nvml = Nvml()
    assert nvidia(nvml) == Nvidia("570.86", (Gpu("NVIDIA H200", "9.0", 141 * 2**30),))
    assert nvml.closed


def test_a_driver_that_does_not_answer_is_said():
    assert "does not answer" in nvidia(Nvml(status=9)).why


def test_a_driver_without_gpus_is_said():
    assert "no GPU" in nvidia(Nvml(gpus=())).why


def test_a_machine_without_a_driver_is_said(monkeypatch, tmp_path):
    def missing(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr("hprnet_rt.machine._DRIVER_VERSION", tmp_path / "none")
    assert nvidia() == Nvidia(None, (), "no NVIDIA driver")


def test_a_cpu_is_described_by_its_features(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Some CPU\nflags\t\t: fpu avx2 avx512f amx_bf16\n")
    found = cpu(info)
    assert (found.name, found.features) == ("Some CPU", ("avx2", "avx512f", "amx_bf16"))
    assert found.cores >= 1
    assert cpu(tmp_path / "nothing").features is None
