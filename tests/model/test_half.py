"""Networks made for inference: norms folded without a trace, half precision without moving the points."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch import nn  # noqa: E402

from hprnet_rt.backends import ModelFile  # noqa: E402
from hprnet_rt.geometry import Letterbox, input_hw_for  # noqa: E402
from hprnet_rt.grouping import Grouper, GroupingOptions  # noqa: E402
from hprnet_rt.model import load_weights  # noqa: E402
from hprnet_rt.model.create import create_model  # noqa: E402
from hprnet_rt.model.deform import DeformConv  # noqa: E402
from hprnet_rt.model.half import fold_batch_norms, use_half  # noqa: E402
from hprnet_rt.model.peaks import PeakNetwork  # noqa: E402
from hprnet_rt.spec import (  # noqa: E402
    HPRNET_MOBILE,
    PeakLayout,
)
from hprnet_rt.types import Peaks  # noqa: E402
from hprnet_rt.video import VideoSource  # noqa: E402
from tests.clips import SAMPLE  # noqa: E402
from tests.model.recipe import images, recipe_network  # noqa: E402
from tests.model.shrunk import make_thin  # noqa: E402

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
NEAR_PX = {"fp16": 0.5, "bf16": 4.0}  # of the input; of 99% of the points that are sure
ROUNDED = {"fp16": 2e-3, "bf16": 1.5e-2}  # of the largest value of a feature map; 0.0007 and 0.006 measured


@pytest.fixture(autouse=True)
def one_thread():
    """Half precision on a CPU is many small pieces: threads cost more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["hprnet-dla34", "hprnet-hourglass104"])
def test_folded_norms_change_nothing_and_half_precision_little(name, monkeypatch):
    make_thin(monkeypatch)
    network = recipe_network(name)
    side = network.spec.multiple_px
    batch = torch.from_numpy(images((side, 2 * side)))
    folded = copy.deepcopy(network)
    fold_batch_norms(folded)
    left = {key for key, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert all(key.startswith(network.unread) for key in left)
    with torch.inference_mode():
        plain, same = network.feature(batch), folded.feature(batch)
        largest = plain.abs().max()
        assert (same - plain).abs().max() < 1e-5 * largest
        for precision, dtype in HALVES.items():
            half = copy.deepcopy(folded)
            use_half(half, dtype)
            offsets = [each.conv_offset_mask for each in half.modules() if isinstance(each, DeformConv)]
            assert {weights.dtype for conv in offsets for weights in conv.parameters()} <= {torch.float32}
            feature = half.feature(batch)
            assert feature.dtype == dtype
            assert (feature.float() - plain).abs().max() < ROUNDED[precision] * largest
            for head in ("hm", "hm_hp"):
                assert half.head(head)(feature).dtype == torch.float32  # before NMS and top-K
            assert PeakNetwork(half, 4)(batch).dtype == torch.float32


@pytest.mark.parametrize(("precision", "pyramid"), [("fp16", torch.float16), ("bf16", torch.float32)])
def test_the_body_s_pyramid_of_the_shipped_model_is_never_bfloat16(precision, pyramid):
    """Rounded to 8 bits it sends one sure joint of a hundred to another peak."""
    network = create_model("hprnet-mobile").eval()
    use_half(network, HALVES[precision])
    assert {weights.dtype for weights in network.trunk.smooth.parameters()} == {pyramid}
    assert network.trunk.stem[1].weight.dtype == HALVES[precision]
    assert PeakNetwork(network, 4)(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)).dtype == torch.float32


def test_a_layer_that_half_precision_cannot_hold_stays_as_it_is():
    network = create_model("hprnet-mobile").eval()
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    with torch.no_grad():
        convs[3].weight.view(-1)[0] = 1e6
    use_half(network, torch.float16)
    assert convs[3].weight.dtype == torch.float32
    assert convs[4].weight.dtype == torch.float16
    with torch.inference_mode():
        network.feature(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))


@pytest.mark.parametrize("precision", HALVES)
def test_the_shipped_model_finds_the_same_people_and_points(precision):
    source = VideoSource(SAMPLE)
    image = next(iter(source)).image
    source.close()
    letterbox = Letterbox.fit(image.shape[:2], input_hw_for(image.shape[:2], 384, 32))
    group, layout = Grouper(HPRNET_MOBILE, GroupingOptions()), PeakLayout.of(HPRNET_MOBILE, refined=True)
    network = load_weights(create_model("hprnet-mobile"), ModelFile.find("hprnet-mobile").path)
    half = copy.deepcopy(network)
    use_half(half, HALVES[precision])

    def poses(of):
        with torch.inference_mode():
            packed = PeakNetwork(of)(torch.from_numpy(letterbox.apply(image))).numpy()
        return group(Peaks(packed[0], layout, letterbox))

    full, rounded = poses(network), poses(half)
    assert len(full) == len(rounded) == 3
    order = [np.argsort(each.box_xyxy[:, 0]) for each in (full, rounded)]
    sure = full.score[order[0]] > 0.3
    away = np.linalg.norm(full.xy[order[0]] - rounded.xy[order[1]], axis=2)[sure]
    scale = 384 / max(image.shape[:2])
    assert np.quantile(away * scale, 0.99) < NEAR_PX[precision]
