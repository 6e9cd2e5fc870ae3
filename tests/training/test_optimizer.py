"""Rates by name, and steps in units of each weight's size."""

import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch import nn  # noqa: E402

from hprnet_rt.errors import ModelError, UsageError  # noqa: E402
from hprnet_rt.model import create_model  # noqa: E402
from hprnet_rt.training.config import TrainConfig  # noqa: E402
from hprnet_rt.training.optimizer import RelativeAdam, make_optimizer, typical_size  # noqa: E402


def rates_of(network, config):
    """Return the multiple of the rate by parameter name; 0 for parameters that do not learn."""
    optimizer = make_optimizer(network, config, config.all_phases[0], ())
    multiple = {id(p): group["multiple"] for group in optimizer.param_groups for p in group["params"]}
    return {name: multiple.get(id(p), 0.0) for name, p in network.named_parameters()}


def test_the_longest_key_gives_the_rate():
    network = create_model("hprnet-mobile")
    rates = {"trunk": 0.0, "trunk.top": 0.1, "heads.hm": 0.5}
    found = rates_of(network, TrainConfig(model="hprnet-mobile", input_px=64, rates=rates))
    assert found["trunk.stem.1.weight"] == 0.0
    assert found["trunk.top.weight"] == 0.1
    assert found["heads.hm.branches.body.out.bias"] == 0.5
    assert found["heads.hm_hp.branches.body.out.bias"] == 1.0  # another head, whose name starts alike
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, rate in found.items() if rate == 0.0}


@pytest.mark.parametrize(
    ("rates", "words"),
    [({"tronk": 0.0}, "no weight of hprnet-mobile starts with 'tronk'"),
     (dict.fromkeys(("trunk", "parts", "heads", "refiner"), 0.0), "nothing is left to learn")],
)  # fmt: skip
def test_rates_that_fit_nothing_are_a_sentence(rates, words):
    with pytest.raises(UsageError, match=words):
        rates_of(create_model("hprnet-mobile"), TrainConfig(model="hprnet-mobile", input_px=64, rates=rates))


def test_a_rate_below_0_is_a_sentence():
    with pytest.raises(UsageError, match="at least 0"):
        TrainConfig(rates={"trunk": -1.0})


def test_weights_that_are_no_numbers_are_a_sentence():
    network = create_model("hprnet-mobile")
    network.parts.top.weight.data[0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"parts\.top\.weight is not finite"):
        rates_of(network, TrainConfig(model="hprnet-mobile", input_px=64))


def test_relative_steps_of_a_refinement_are_alike_for_all_its_weights():
    """Many weights are 0 at the start; with steps in units of their own size they would stay 0."""
    network = create_model("hprnet-mobile")
    rates = {"trunk": 0.0, "heads": 0.0, "parts": 0.0}
    config = TrainConfig(model="hprnet-mobile", input_px=64, optimizer="relative", rates=rates)
    optimizer = make_optimizer(network, config, config.all_phases[0], ())
    before = [parameter.clone() for parameter in network.refiner.parameters()]
    for parameter in network.refiner.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for old, new in zip(before, network.refiner.parameters(), strict=True):
        torch.testing.assert_close(
            old - new, torch.full_like(old, 0.2 * config.learning_rate), rtol=1e-2, atol=1e-7
        )


def test_size_follows_rows_and_columns():
    """If weights differ by row and column only, the size is the magnitude itself."""
    rows, columns = torch.tensor([1.0, 100.0, 0.5]), torch.tensor([2.0, 30.0])
    weight = (rows[:, None] * columns).view(3, 2, 1, 1) * torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(typical_size(weight), weight.abs())


def test_rows_of_zeros_can_learn():
    weight = torch.ones(4, 3, 1, 1)
    weight[2] = 0
    assert (typical_size(weight)[2] > 0).all()


def shares_after_three_steps(scale):
    """Return the relative changes of a layer with scaled weights, whose input is scaled back."""
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 8, 1)
    layer.weight.data *= scale
    inputs, wanted = torch.randn(2, 4, 5, 5) / scale, torch.randn(2, 8, 5, 5)
    sizes = {layer.weight: typical_size(layer.weight), layer.bias: torch.ones(8)}
    before = layer.weight.clone()
    optimizer = RelativeAdam([{"params": [layer.weight, layer.bias]}], sizes, lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        (1e6 * (layer(inputs) - wanted).square().mean()).backward()  # clear of Adam's epsilon
        optimizer.step()
    return (layer.weight - before).detach() / typical_size(before)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_relative_steps_do_not_depend_on_how_a_layer_is_scaled(scale):
    plain = shares_after_three_steps(1.0)
    assert plain.abs().max() == pytest.approx(0.03, rel=0.1)
    torch.testing.assert_close(shares_after_three_steps(scale), plain, rtol=0.0, atol=1e-3)
