"""The script for GPUs on a machine without one: every path that is possible there runs."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra train is not installed")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


START = f"""
import runpy, sys
from hprnet_rt.backends import ModelFile
from hprnet_rt.bench import networks

networks.export_model_file = lambda *_, **__: ModelFile.find("hprnet-mobile")
sys.argv[0] = {str(SCRIPT)!r}
sys.path.insert(0, {str(SCRIPT.parent)!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""The script, which builds engines of the shipped file: an export of random weights takes long."""


@pytest.mark.timeout(300)
def test_a_dry_run_takes_every_path_and_says_what_is_not_here():
    command = [sys.executable, "-c", START, "--dry", "--model", "hprnet-mobile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    for words in ("no figure here says anything of a GPU", "two on their way", "released", "dense"):
        assert words in done.stdout
    for name in ("pycuda", "cuda.bindings", "tensorrt", "tensorrt-rtx"):
        assert f"{name}: not here: " in done.stdout
