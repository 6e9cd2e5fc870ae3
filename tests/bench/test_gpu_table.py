"""The page about GPUs says what the results say."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.bench.arithmetic import CHIPS, chip_of, frame_us, layers_of  # noqa: E402
from tests.scripts import script  # noqa: E402

ROOT = Path(__file__).parents[2]
H200 = ROOT / "benchmarks" / "results" / "gpu-h200.json"


@pytest.fixture(scope="module")
def tables():
    return script("benchmarks/gpu_table.py")


def test_the_page_is_what_the_results_say(tables):
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    assert tables.rewritten(text) == text, "run python benchmarks/gpu_table.py"
    assert "NVIDIA H200, driver 580.159.04" in text


def test_a_run_that_measured_nothing_says_why_and_a_dry_one_is_left_out(tables, tmp_path):
    data = json.loads(H200.read_text())
    dry = {**data, "settings": {**data["settings"], "dry": True}}
    (tmp_path / "gpu-dry.json").write_text(json.dumps(dry))
    (tmp_path / "gpu-other.json").write_text(json.dumps({**data, "torch": "not here: no memory"}))
    text = tables.measured(tmp_path)
    assert "gpu-dry" not in text
    assert text.endswith("Nothing was measured: not here: no memory")


def test_kernels_a_frame_are_a_row(tables):
    data = json.loads(H200.read_text())
    whole = {"all": {"ms a frame": 0.912, "kernels a frame": 231.0}}
    text = tables.table("a.json", {**data, "profile": {"1 images": whole, "16 images": whole}})
    assert text.endswith("| profile | 0.91 ms in 231 kernels | 0.91 ms in 231 kernels |")


def test_a_page_without_markers_is_refused(tables):
    with pytest.raises(SystemExit, match="lacks"):
        tables.rewritten("no markers")


def test_the_arithmetic_of_a_layer_is_that_of_its_shape():
    """64 to 64 channels at 128 x 128: nine taps, for the result and twice for 27 offsets and masks."""
    deformable = [each for each in layers_of("hprnet-dla34", 512) if each.kind == "deformable"]
    layer = next(each for each in deformable if each.shape == (1, 64, 128, 128))
    pixels = 128 * 128
    assert layer.operations == 2 * pixels * 9 * 64 * (64 + 54)
    assert layer.memory_bytes == 2 * (3 * pixels * 64 + 9 * 64 * (64 + 54)) + 2 * 4 * pixels * 27
    assert layer.cache_bytes == 2 * pixels * 9 * 64 * 5
    slow, fast = CHIPS[2], CHIPS[0]
    assert layer.limit_us(fast) < layer.limit_us(slow) < layer.expected_us(slow)


def test_all_of_dla34_is_what_is_known_of_it():
    """25.5 GMAC of the trunk with its offsets counted once, and its dense heads (design/engines.md)."""
    layers = layers_of("hprnet-dla34", 512)
    limit, expected = frame_us(layers, CHIPS[0])
    assert 60e9 < sum(each.operations for each in layers) < 70e9
    assert 0 < limit < expected
    assert len([each for each in layers if each.kind == "deformable"]) == 16


def test_chips_are_known_by_the_beginning_of_their_names():
    assert chip_of("NVIDIA H100 80GB HBM3") is CHIPS[1]
    assert chip_of("NVIDIA GeForce RTX 4090") is None
