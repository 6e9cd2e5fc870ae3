"""Which weights learn, how fast, and with what steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hprnet_rt.errors import ModelError, UsageError
from hprnet_rt.training.config import TrainConfig

__all__ = ["RelativeAdam", "make_optimizer", "typical_size"]

_LEAST_SHARE = 1e-4  # of a tensor's size, that even its smallest rows have
_REFINER, _REFINER_SIZE = "refiner.", 0.2


def typical_size(weight: Tensor) -> Tensor:
    """How large the numbers of a convolution's or linear layer's weight are, of its shape.

    From the root mean squares of its output and of its input channels: as Adafactor's estimate of second
    moments, product over mean. Where batch norms are folded, channels differ by orders of magnitude.

    Source: Shazeer and Stern, "Adafactor" (2018), sections 3 and 8.
    """
    square = weight.detach().double().square()
    rows = square.mean(dim=tuple(range(1, square.ndim)), keepdim=True)
    columns = square.mean(dim=(0, *range(2, square.ndim)), keepdim=True)
    whole = square.mean().clamp(min=1e-24)
    size: Tensor = (rows * columns / whole).sqrt().clamp(min=_LEAST_SHARE * whole.sqrt()).expand_as(square)
    return size.to(weight.dtype)


def _typical_bias(bias: Tensor, weight: Tensor | None) -> Tensor:
    """The same for a bias, which grows with the channel's weights; of other vectors, the mean of all."""
    magnitude = bias.detach().double().abs()
    rows = torch.ones_like(magnitude)
    if weight is not None and len(weight) == len(bias):
        rows = weight.detach().double().square().reshape(len(bias), -1).mean(dim=1).sqrt().clamp(min=1e-12)
    ratio = (magnitude / rows).median().clamp(min=1e-12)
    size: Tensor = torch.maximum(rows * ratio, magnitude)
    return size.to(bias.dtype)


class RelativeAdam(torch.optim.Adam):
    """Adam with steps in units of each weight's size, as it was at the start.

    A rate of 0.001 moves a weight by about a thousandth of what is usual around it. The sizes belong to
    the state: a run that is resumed keeps them.

    Args:
        groups: of parameters, as Adam takes them.
        sizes: of every parameter, of its shape.
        lr: relative.
    """

    def __init__(self, groups: list[dict[str, Any]], sizes: Mapping[Tensor, Tensor], lr: float) -> None:
        super().__init__(groups, lr=lr)
        self._sizes = [sizes[parameter] for parameter in self._parameters()]

    def _parameters(self) -> Iterable[Tensor]:
        return (parameter for group in self.param_groups for parameter in group["params"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """See Adam."""
        before = [parameter.clone() for parameter in self._parameters()]
        loss: float | None = super().step(closure)
        for parameter, old, size in zip(self._parameters(), before, self._sizes, strict=True):
            parameter.copy_(torch.lerp(old, parameter, size.to(old.device)))
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Adam's, with the sizes."""
        return {**super().state_dict(), "sizes": self._sizes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with what `state_dict` gave."""
        others = {key: value for key, value in state_dict.items() if key != "sizes"}
        super().load_state_dict(others)
        pairs = zip(state_dict["sizes"], self._parameters(), strict=True)
        self._sizes = [size.to(parameter) for size, parameter in pairs]


def _rate(name: str, rates: Mapping[str, float]) -> float:
    """The multiple of the weight of this name."""
    keys = [key for key in rates if name == key or name.startswith(f"{key}.")]
    return rates[max(keys, key=len)] if keys else 1.0


def _sizes(named: Mapping[str, nn.Parameter]) -> dict[Tensor, Tensor]:
    """Of every parameter that learns; all alike in a refinement, much of which is 0 at the start."""
    sizes: dict[Tensor, Tensor] = {}
    for name, parameter in named.items():
        if parameter.requires_grad and name.startswith(_REFINER):
            sizes[parameter] = torch.full_like(parameter, _REFINER_SIZE)
        elif parameter.requires_grad:
            weight = named.get(name.removesuffix("bias") + "weight")
            sizes[parameter] = (
                typical_size(parameter) if parameter.ndim > 1 else _typical_bias(parameter, weight)
            )
    return sizes


def make_optimizer(network: nn.Module, config: TrainConfig, unread: tuple[str, ...]) -> torch.optim.Adam:
    """An optimizer of the weights that learn; all others are set to need no gradient.

    Args:
        network: its parameters.
        config: its rates; a group's multiple of the learning rate is its "multiple".
        unread: prefixes of weights that no output reads.

    Raises:
        UsageError: a key of `rates` fits no weight, or none is left to learn.
        ModelError: a weight is not finite.
    """
    named = dict(network.named_parameters())
    for key in config.rates:
        if not any(name == key or name.startswith(f"{key}.") for name in named):
            raise UsageError(f"rates: no weight of {config.model} starts with {key!r}")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named.items():
        multiple = 0.0 if name.startswith(unread) else _rate(name, config.rates)
        parameter.requires_grad_(multiple > 0)
        if not torch.isfinite(parameter).all():
            raise ModelError(f"the weights to start from are damaged: {name} is not finite")
        if multiple > 0:
            groups.setdefault(multiple, []).append(parameter)
    if not groups:
        raise UsageError("rates: nothing is left to learn")
    grouped = [{"params": group, "multiple": multiple} for multiple, group in groups.items()]
    if config.optimizer == "relative":
        return RelativeAdam(grouped, _sizes(named), config.learning_rate)
    return torch.optim.Adam(grouped, lr=config.learning_rate)
