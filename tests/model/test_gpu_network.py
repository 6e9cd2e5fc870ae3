"""Networks rewritten for GPUs: the same people from fewer kernels, in a form that a CUDA graph can hold."""

import operator

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from hprnet_rt.backends import torch_layers  # noqa: E402
from hprnet_rt.backends.torch_cuda import for_inference  # noqa: E402
from hprnet_rt.model import dla  # noqa: E402
from hprnet_rt.model.peaks import PeakNetwork  # noqa: E402
from hprnet_rt.spec import PeakLayout  # noqa: E402
from tests.model import gpu  # noqa: E402

gpu.interpreted()

from hprnet_rt.model.gpu import kernels, layers  # noqa: E402
from hprnet_rt.model.gpu.blocks import Blocks  # noqa: E402
from hprnet_rt.model.gpu.decode import fused_peaks  # noqa: E402
from hprnet_rt.model.gpu.network import FusedNetwork  # noqa: E402
from tests.model.recipe import images, recipe_network  # noqa: E402
from tests.model.shrunk import make_thin  # noqa: E402

CPU = torch.device("cpu")
K = 1  # every map has one peak; where there are fewer than K, the others are any cells
NARROW = (8, 8, 16, 16, 24, 32)  # a DLA-34 of the same build
MOST_KERNELS = {"hprnet-dla34": 206, "hprnet-hourglass104": 309, "hprnet-mobile": 598}
"""Of a frame of one image; there were 910, 854 and 856 before."""
MEMORY = ("detach_", "empty", "empty_like", "new_empty")
FLOAT32_COPIES = {"hprnet-mobile": 5}
"""Of whole maps: before the last layers of its split branches, and for the refinement."""
VIEWS = ("split", "split_with_sizes", "unbind", "select", "slice", "flatten", "reshape")
ASKS_THE_HOST = frozenset(
    ["_local_scalar_dense", "nonzero", "item", "lift_fresh", "is_nonzero", "masked_select"]
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One thread, and blocks as small maps fill them."""
    small = (Blocks(64, 32, 32, 9),)
    for name, value in (("_DEFORM", small), ("_EXACT", small), ("_NUMBERS", 1 << 12)):
        monkeypatch.setattr(layers, name, value)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["hprnet-dla34", "hprnet-hourglass104", "hprnet-mobile"])
def network(request):
    with pytest.MonkeyPatch.context() as patch:
        make_thin(patch)
        patch.setattr(dla, "_CHANNELS", NARROW)
        return for_inference(recipe_network(request.param), "fp32", CPU)


class Operations(TorchDispatchMode):
    """Notes what is asked of PyTorch that computes something: name, shape and type, in order."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.split("::")[1]
        result = function(*args, **(kwargs or {}))
        if name not in (*MEMORY, *VIEWS) and not (
            torch.is_tensor(result) and self.is_view(name, result, args)
        ):
            self.found.append((name, result.shape, result.dtype) if torch.is_tensor(result) else (name,))
        return result

    @staticmethod
    def is_view(name, result, args):
        """Whether a result is an argument's memory, as where a tensor has the type already."""
        places = [each.data_ptr() for each in args if torch.is_tensor(each)]
        return result.data_ptr() in places and not name.endswith("_")


def test_a_rewritten_network_gives_the_same_maps_and_peaks(monkeypatch, network):
    gpu.stand_in_for_cudnn(monkeypatch)
    side = network.spec.multiple_px
    batch = torch.from_numpy(images((side, side), 1))
    fused = FusedNetwork(network, torch.float32)
    ours, theirs = fused.feature(batch), network.feature(batch)
    assert (ours - theirs).abs().max() < 2e-5 * theirs.abs().max()
    expected, found = PeakNetwork(network, K)(batch), fused_peaks(network, torch.float32, K)(batch)
    columns = PeakLayout.of(network.spec, refined=network.refiner is not None).columns
    assert (expected[..., columns["peak_score"]] > 0).all()
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=1e-3)


def test_what_follows_a_layer_is_done_by_it(network):
    """What is left of sums and activations follows no convolution."""
    trunk = FusedNetwork(network, torch.float32).trunk
    left = [each for each in trunk.graph.nodes if "relu" in str(each.target) or each.target is operator.add]
    before = {type(trunk.get_submodule(str(node.target))) for each in left for node in each.all_input_nodes
              if node.op == "call_module"}  # fmt: skip
    assert not any(issubclass(kind, torch.nn.Conv2d) for kind in before), left


def run_noted(monkeypatch, module, batch):
    """Run a module whose kernels compute nothing, and return all that a GPU would be asked for, in order."""
    launches = gpu.Launches().replace(monkeypatch, kernels)
    gpu.stand_in_for_cudnn(monkeypatch, launches)
    with Operations() as operations:
        module(batch)
    return operations.found, list(launches)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_frame_is_a_fixed_row_of_few_kernels_that_a_graph_can_hold(monkeypatch, network, precision):
    """A capture allows no question to the host, and replays what was launched, whatever the images are."""
    half = torch.float16 if precision == "fp16" else torch.float32
    made = for_inference(network, precision, CPU)
    side = made.spec.multiple_px
    module = fused_peaks(made, half, K)
    first, second = (
        run_noted(monkeypatch, module, torch.from_numpy(images((side, side), 1) // divisor))
        for divisor in (1, 3)
    )
    assert first == second
    names = [each[0] for each in first[0]]
    assert not ASKS_THE_HOST & set(names)
    assert len(first[0]) + len(first[1]) <= MOST_KERNELS[made.spec.name]
    if half is torch.float16:
        cells = made.feature(torch.from_numpy(images((side, side), 1))).shape[2:]
        copies = [each for each in first[0] if each[0] in ("to", "_to_copy", "float") and len(each[1]) == 4]
        large = [each for each in copies if each[2] is torch.float32 and each[1][2:] == cells]
        assert len(large) == FLOAT32_COPIES.get(made.spec.name, 0)


def broken(monkeypatch, error):
    """A GPU on which the kernels do what `error` says, and the network for it."""
    monkeypatch.setattr(torch_layers, "_difference", error)
    return torch.device("cuda")


@pytest.mark.parametrize(
    ("difference", "reason"),
    [
        (lambda *_: 0.5, "their maps differ by 50.0%"),
        (lambda *_: float("nan"), "nan%"),
        (None, "no C compiler"),
    ],
)
def test_kernels_that_fail_or_err_are_left_out_with_a_warning(
    monkeypatch, caplog, network, difference, reason
):
    def fail(*_):
        raise RuntimeError("no C compiler was found\nand more")

    half = for_inference(network, "fp16", CPU)
    device = broken(monkeypatch, difference or fail)
    made, text = torch_layers.peak_network(half, "fp16", device, K)
    assert type(made) is PeakNetwork
    assert caplog.text.count("torch-cuda does without its fused kernels") == 1
    assert reason in caplog.text and "and more" not in caplog.text
    assert text == ("" if "dla34" not in network.spec.name else ", deformable convolutions by GridSample")


def test_kernels_that_agree_are_used_and_named(monkeypatch, network):
    gpu.stand_in_for_cudnn(monkeypatch)
    half = for_inference(network, "fp16", CPU)
    made, text = torch_layers.peak_network(half, "fp16", broken(monkeypatch, lambda *_: 0.001), K)
    assert isinstance(made.network, FusedNetwork)
    assert text.startswith(", fused kernels (Triton ")
    assert torch_layers.peak_network(half, "fp32", torch.device("cpu"), K)[1] == ""


@pytest.mark.parametrize("network", ["hprnet-mobile"], indirect=True)
def test_the_trial_at_the_start_sees_what_is_wrong(monkeypatch, network):
    gpu.stand_in_for_cudnn(monkeypatch)
    fused = FusedNetwork(network, torch.float32)
    assert torch_layers._difference(fused, network, CPU) < 1e-4
    first = next(each for each in fused.trunk.modules() if isinstance(each, layers.FinishedConv))
    first.weight = torch.nn.Parameter(first.weight + 0.01)
    assert torch_layers._difference(fused, network, CPU) > 1e-3
