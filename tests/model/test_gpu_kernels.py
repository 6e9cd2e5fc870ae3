"""The kernels for GPUs give what PyTorch's layers give, in Triton's interpreter."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch import nn  # noqa: E402

from hprnet_rt.bench.arithmetic import layers_of  # noqa: E402
from hprnet_rt.model import deform as plain  # noqa: E402
from hprnet_rt.model.deform import DeformConv  # noqa: E402
from tests.model import gpu  # noqa: E402

gpu.interpreted()

from hprnet_rt.model.gpu import blocks, layers, peaks  # noqa: E402

SHRUNK = 16  # channels, and sides even more
FP32, FP16 = torch.float32, torch.float16
NEAR = {FP32: 1e-5, FP16: 4e-3}  # of the largest value; a sum of rounded samples and weights


def deformable_shapes():
    """Channels, height and width of every deformable layer of DLA-34, once each, shrunk."""
    found = {
        (each.inputs, *each.shape[1:]) for each in layers_of("hprnet-dla34", 512) if each.kind == "deformable"
    }
    return sorted(
        (inputs // SHRUNK, outputs // SHRUNK, max(1, height // 32), max(1, width // 32))
        for inputs, outputs, height, width in found
    )


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


def deformable(inputs, outputs, reach=2.0, seed=0):
    """A layer whose offsets are some `reach` cells."""
    torch.manual_seed(seed)
    layer = DeformConv(inputs, outputs)
    nn.init.normal_(layer.bias)
    nn.init.normal_(layer.conv_offset_mask.weight, std=0.3 / inputs**0.5)
    nn.init.normal_(layer.conv_offset_mask.bias, std=reach)
    return layer


def assert_near(found, expected, half):
    assert found.shape == expected.shape
    assert (found.float() - expected).abs().max() <= NEAR[half] * expected.abs().max()


def test_deformable_layers_of_dla34_are_of_seven_shapes():
    assert len(deformable_shapes()) == 7


@pytest.mark.parametrize("shape", deformable_shapes(), ids=str)
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_a_deformable_layer_of_dla34_equals_its_oracle(shape, batch):
    inputs, outputs, height, width = shape
    layer, x = deformable(inputs, outputs), torch.randn(batch, inputs, height, width)
    half = FP16 if batch == 3 else FP32
    fused = layers.FusedDeform(layer, half, relu=False)
    assert_near(fused(x), layer(x.to(half).float()), half)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (5, 7)])
@pytest.mark.parametrize("reach", [0.0, 3.0, 50.0, 1e6])
def test_borders_and_offsets_far_outside_read_zero(size, reach):
    layer, x = deformable(4, 5, reach), torch.randn(2, 4, *size)
    assert_near(layers.FusedDeform(layer, FP32, relu=False)(x), layer(x), FP32)


@pytest.mark.parametrize("taps", [1, 3, 9])
@pytest.mark.parametrize("sizes", [(16, 32, 16), (64, 64, 8)])
def test_how_a_layer_is_divided_does_not_change_it(monkeypatch, taps, sizes):
    chosen = blocks.Blocks(*sizes, taps)
    monkeypatch.setattr(layers, "_DEFORM", (chosen,))
    monkeypatch.setattr(layers, "_EXACT", (chosen,))
    layer, x = deformable(20, 40), torch.randn(1, 20, 3, 7)
    assert_near(layers.FusedDeform(layer, FP32, relu=True)(x), layer(x).relu(), FP32)


def test_every_candidate_shares_out_all_taps():
    for each in (*layers._DEFORM, *layers._EXACT):
        assert 9 % each.taps == 0
        assert each.pixels % 16 == each.inputs % 16 == each.outputs % 16 == 0


def test_offsets_are_not_rounded_to_half_precision():
    """A tenth of what rounding the weights of offsets to float16 would cost."""
    conv, x = nn.Conv2d(32, 27, 3, padding=1), torch.randn(1, 32, 6, 6).half().float()
    expected = conv.double()(x.double()).float()
    layer = layers.ExactConv(conv.float(), FP16)
    exact = layer(x).sum(0)[:, :27].T.reshape(1, 27, 6, 6) + layer.bias.view(1, 27, 1, 1)
    rounded = nn.functional.conv2d(x, conv.weight.half().float(), conv.bias, padding=1)
    assert (exact - expected).abs().max() < 0.1 * (rounded - expected).abs().max()


@pytest.mark.parametrize("factor", [2, 4])
def test_raising_and_adding_is_one_kernel_with_the_same_result(factor):
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(6, 6, 2 * factor, factor, factor // 2, groups=6, bias=False)
    assert layers.can_raise(up)
    low, high = torch.randn(3, 6, 3, 5), torch.randn(3, 6, 3 * factor, 5 * factor)
    assert_near(layers.Raised(up)(low, high), up(low) + high, FP32)


def test_other_up_samplings_are_left_alone():
    assert not layers.can_raise(nn.ConvTranspose2d(6, 6, 4, 2, 1, bias=False))
    assert not layers.can_raise(nn.ConvTranspose2d(6, 6, 4, 2, 1, groups=6))
    assert not layers.can_raise(nn.ConvTranspose2d(6, 6, 3, 3, 1, groups=6, bias=False))


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("most", [None, 6.0])
def test_a_convolution_does_the_sum_and_the_bounds_after_it(monkeypatch, adds, most):
    torch.manual_seed(0)
    gpu.stand_in_for_cudnn(monkeypatch)
    conv, x, other = nn.Conv2d(5, 7, 3, padding=1), torch.randn(2, 5, 4, 6), torch.randn(2, 7, 4, 6)
    expected = (conv(x) + other if adds else conv(x)).clamp(0.0, most)
    done = layers.FinishedConv(conv, adds=adds, least=0.0, most=most)
    assert done.in_cudnn is (most is None)
    for in_cudnn in {done.in_cudnn, False}:
        done.in_cudnn = in_cudnn
        assert_near(done(x, *([other] if adds else [])), expected, FP32)


def test_a_layer_that_cudnn_has_no_fused_form_of_is_finished_by_a_kernel(monkeypatch):
    def refuse(*_):
        raise RuntimeError("GET was unable to find an engine to execute this computation")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", refuse)
    conv, x = nn.Conv2d(5, 7, 1), torch.randn(1, 5, 4, 6)
    done = layers.FinishedConv(conv, adds=False, least=0.0)
    assert_near(done(x), conv(x).relu(), FP32)
    assert not done.in_cudnn


def peaks_by_sorting(heat, k):
    """The k strongest 3x3 maxima of each map, of equal ones the first in row-major order."""
    strongest = torch.nn.functional.max_pool2d(heat, 3, 1, 1)
    kept = torch.where(heat == strongest, heat, -1e4).flatten(2)
    score, cell = torch.sort(kept, dim=-1, descending=True, stable=True)
    return score[..., :k].sigmoid(), cell[..., :k]


@pytest.mark.parametrize("size", [(4, 8), (48, 64), (33, 70)])
@pytest.mark.parametrize("steps", [0, 3])
def test_peaks_equal_those_of_a_whole_sort(size, steps):
    """With few steps most values are equal to others: a cell that comes first is first."""
    torch.manual_seed(0)
    heat = torch.randn(2, *size, 4)
    heat = (heat * steps).round() / steps if steps else heat
    bias = torch.tensor([0.5, -100.0, 0.0])
    score, cell = peaks.peaks_of(heat, bias, 32)
    expected = peaks_by_sorting((heat[..., :3] + bias).permute(0, 3, 1, 2), 32)
    np.testing.assert_array_equal(cell, expected[1])
    np.testing.assert_allclose(score, expected[0], atol=1e-6)


def test_torchvision_is_called_with_its_own_order_of_arguments(monkeypatch):
    """Its operation stands in as the form that is tried elsewhere: only the call is ours."""
    layer, x = deformable(3, 4), torch.randn(2, 3, 5, 6).half()
    expected = layer(x.float())

    def deform_conv2d(x, offset, weight, bias, *, padding, mask):
        assert padding == 1 and {each.dtype for each in (x, offset, weight, bias, mask)} == {FP32}
        assert (offset.shape[1], mask.shape[1]) == (18, 9)
        return layer._sampled(x, offset, mask)

    ops = type("ops", (), {"deform_conv2d": staticmethod(deform_conv2d)})
    monkeypatch.setitem(__import__("sys").modules, "torchvision", type("torchvision", (), {"ops": ops}))
    monkeypatch.setitem(__import__("sys").modules, "torchvision.ops", ops)
    plain.choose_deform_form(layer, "torchvision")
    layer.conv_offset_mask.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    found = layer(x)
    assert found.dtype == FP16
    assert_near(found, expected, FP16)


class Timed:
    """A GPU's clock that says how long each candidate takes."""

    def __init__(self, monkeypatch, seconds):
        self.runs, self.seconds = [], seconds
        monkeypatch.setattr(blocks, "_seconds", self._measure)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
        monkeypatch.setattr(blocks, "_chosen", {})

    def _measure(self, each, run):
        self.runs.append(each)
        return self.seconds[each]


def test_blocks_are_chosen_once_for_a_shape_and_kept_for_the_next_start(monkeypatch, tmp_path):
    monkeypatch.setattr(blocks, "library_cache", lambda _: tmp_path)
    slow, fast, fails = (blocks.Blocks(16, 16, 16, taps) for taps in (1, 3, 9))
    clock = Timed(monkeypatch, {slow: 2.0, fast: 1.0, fails: float("inf")})
    device = torch.device("cuda")
    for _ in range(2):
        assert blocks.chosen_blocks("a layer", device, (slow, fast, fails), print) == fast
    assert clock.runs == [slow, fast, fails]
    monkeypatch.setattr(blocks, "_chosen", {})  # another start
    assert blocks.chosen_blocks("a layer", device, (slow, fast, fails), print) == fast
    assert blocks.chosen_blocks("another", device, (slow, fast), print) == fast
    assert clock.runs == [slow, fast, fails, slow, fast]


def test_nothing_is_timed_while_a_graph_is_captured_or_without_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(blocks, "library_cache", lambda _: tmp_path)
    first, second = (blocks.Blocks(16, 16, 16, taps) for taps in (1, 3))
    clock = Timed(monkeypatch, {})
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert blocks.chosen_blocks("a layer", torch.device("cuda"), (first, second), print) == first
    assert blocks.chosen_blocks("a layer", torch.device("cpu"), (first, second), print) == first
    assert clock.runs == []


def test_where_no_candidate_runs_the_reason_rises(monkeypatch, tmp_path):
    monkeypatch.setattr(blocks, "library_cache", lambda _: tmp_path)
    only = blocks.Blocks(16, 16, 16, 9)
    Timed(monkeypatch, {only: float("inf")})

    def run(_):
        raise RuntimeError("out of resource: shared memory")

    with pytest.raises(RuntimeError, match="shared memory"):
        blocks.chosen_blocks("a layer", torch.device("cuda"), (only,), run)
