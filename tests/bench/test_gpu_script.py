"""The script for GPUs on a machine without one: every path that is possible there runs."""

import runpy
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.backends import ModelFile  # noqa: E402
from hprnet_rt.bench import networks  # noqa: E402
from hprnet_rt.environment import CACHE_VARIABLE  # noqa: E402

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.timeout(300)
def test_a_dry_run_takes_every_path_and_says_what_is_not_here(monkeypatch, capsys, tmp_path):
    """Engines are built of the shipped file instead of one of random weights, whose export takes long."""
    exported = []

    def export(network, folder, k):
        exported.append((network.spec.name, folder.is_dir(), k))
        return ModelFile.find("hprnet-mobile")

    threads = torch.get_num_threads()
    monkeypatch.setattr(networks, "export_model_file", export)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--dry", "--model", "hprnet-mobile"])
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))  # the script sets it
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
    said, complaints = capsys.readouterr()
    assert ended.value.code == 0, complaints
    for words in ("no figure here says anything of a GPU", "two on their way", "released", "dense"):
        assert words in said
    for name in ("pycuda", "cuda.bindings", "tensorrt", "tensorrt-rtx"):
        assert f"{name}: not here: " in said
    assert set(exported) <= {("hprnet-mobile", True, 32)}
