"""The script for GPUs on a machine without one: every section runs, and one that fails fails alone."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def gpu():
    """The script as a module, beside its own modules."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import gpu

        yield gpu
    finally:
        sys.path.remove(str(BENCHMARKS))


START = """
import sys
from pathlib import Path
import machine
import gpu
from hprnet_rt.backends import ModelFile
from hprnet_rt.bench import networks

machine.RESULTS = Path(sys.argv[1])
networks.export_model_file = lambda *_, **__: ModelFile.find("hprnet-mobile")
sys.exit(gpu.main(["--dry", "--model", "hprnet-mobile", "--save", "dry"]))
"""
"""The script, which builds engines of the shipped file: an export of random weights takes long."""


@pytest.fixture(scope="module")
def dry(tmp_path_factory):
    """A dry run of all sections, in a process of its own: exit code and what was written."""
    folder = tmp_path_factory.mktemp("results")
    paths = [str(BENCHMARKS), str(BENCHMARKS.parent)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "HPRNET_RT_CACHE": str(folder),
        "TRITON_CACHE_DIR": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", START, folder], env=environment, capture_output=True, text=True, timeout=280
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads((folder / "dry.json").read_text())


@pytest.mark.timeout(300)
def test_a_dry_run_takes_every_section_and_says_what_is_not_here(gpu, dry):
    code, written = dry
    assert code == 0
    assert set(written["torch"]["2 images"]) == {"ours", "ours, two on their way", "dense", "released"}
    for name in ("pycuda", "cuda.bindings", "tensorrt", "tensorrt-rtx"):
        assert written[name].startswith("not here: ")


def test_a_dry_profile_has_groups_and_kernels_a_frame(dry):
    profile = dry[1]["profile"]
    whole = profile["1 images"].pop("all")
    groups = profile["1 images"]
    assert {"convolutions and products", "gathers", "NMS and top-K"} <= set(groups)
    assert sum(each["kernels a frame"] for each in groups.values()) == pytest.approx(whole["kernels a frame"])
    assert whole["kernels a frame"] > 100


def test_a_dry_pipeline_has_every_stage_and_the_whole(dry):
    pipeline = dry[1]["pipeline"]
    for stage in ("capture", "preprocess", "engine", "grouping", "tracking", "render", "sink"):
        assert f"alone: {stage}" in pipeline
    assert pipeline["slowest stage"].split(",")[0] in ("capture", "preprocess", "engine", "sink", "render")
    assert "OpenVINO" in pipeline["engine"]


def test_a_section_that_fails_leaves_the_others_alone_and_all_is_written_at_once(gpu, capsys):
    def fails():
        raise RuntimeError("an illegal memory access\nwas encountered")

    def errs():
        raise AssertionError("the peaks are others")

    kept, wrong = [], []
    sections = {"fails": fails, "errs": errs, "runs": lambda: {"p50": 1.0}}
    result = gpu.measure(sections, lambda found: kept.append(dict(found)), wrong)
    assert [list(each) for each in kept] == [["fails"], ["fails", "errs"], ["fails", "errs", "runs"]]
    assert result["runs"] == {"p50": 1.0}
    assert result["fails"].startswith("FAILED: RuntimeError: an illegal memory access was encountered (test_")
    assert result["errs"] == "WRONG: the peaks are others"
    assert len(wrong) == 2
    assert "Traceback" not in capsys.readouterr().out


def test_what_would_begin_too_late_is_left_out(gpu):
    ran = []
    result = gpu.measure({"first": lambda: ran.append(1), "second": lambda: ran.append(2)}, dict, [], -1.0)
    assert ran == []
    assert result["second"].startswith("left out: ")


def test_only_and_profile_choose_sections(gpu):
    assert gpu.options_of(["--only", "torch", "--only", "profile"]).only == ["torch", "profile"]
    assert gpu.options_of([]).only is None
    with pytest.raises(SystemExit):
        gpu.options_of(["--only", "nothing"])


@pytest.mark.parametrize(
    ("kernel", "group"),
    [
        ("deform_0d1d2d", "deformable"),
        ("convolve_exactly", "offsets and heat-maps, exact"),
        ("sm90_xmma_fprop_implicit_gemm_f16f16_f16f32", "convolutions and products"),
        ("void at::native::sbtopk::gatherTopK<float>", "NMS and top-K"),
        ("void at::native::index_elementwise_kernel", "gathers"),
        ("Memcpy HtoD (Pinned -> Device)", "copies"),
        ("raise_and_add", "up-sampling and sums"),
        ("void at::native::vectorized_elementwise_kernel<4, sigmoid>", "small kernels"),
    ],
)
def test_kernels_are_grouped_by_name(gpu, kernel, group):
    import gpu_torch

    assert gpu_torch.group_of(kernel) == group


def test_layers_are_said_with_what_the_chip_allows(gpu, capsys):
    assert gpu.main(["--arithmetic", "--size", "64"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| deformable |") == 7
    assert "GFLOP each" in printed


def test_without_a_gpu_it_ends_in_a_sentence(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 1
    assert "has no GPU here" in capsys.readouterr().err


def test_goals_are_judged_by_latency_and_by_a_frame_of_a_batch(gpu):
    times = {"ours": {"end to end": {"p50": 0.9}}, "ours, two on their way": {"end to end": {"p50": 0.4}}}
    judged = gpu.judge({"1 images": times, "16 images": times}, 16)
    assert judged == {
        "latency": "0.900 ms, goal 1.0 ms: reached",
        "a frame of a batch": "0.400 ms, goal 0.3 ms: missed",
    }
    assert isinstance(gpu.options_of(["--dry"]), argparse.Namespace)
