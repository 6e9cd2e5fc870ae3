"""What the zoo says of each network's cost is what the network costs."""

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from hprnet_rt.model import create_model  # noqa: E402
from hprnet_rt.model.peaks import DenseNetwork, PeakNetwork  # noqa: E402
from hprnet_rt.zoo import ZOO  # noqa: E402


def gmac(module, images):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images)
    return counter.get_total_flops() / 2e9  # a multiply-accumulate is two operations


@pytest.mark.parametrize("entry", ZOO.values(), ids=lambda entry: entry.name)
def test_parameters_and_multiply_accumulates(entry):
    side = entry.spec.input_px
    with torch.device("meta"):
        network = create_model(entry.name).eval()
        images = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    assert sum(parameter.numel() for parameter in network.parameters()) == entry.parameters
    assert gmac(PeakNetwork(network, refine="after"), images) == pytest.approx(entry.gmac, rel=0.01)
    assert gmac(DenseNetwork(network), images) == pytest.approx(entry.gmac_dense, rel=0.01)
