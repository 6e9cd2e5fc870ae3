"""The optimizer: which weights learn, and at which rates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hprnet_rt.errors import ModelError, UsageError
from hprnet_rt.training.config import Phase, TrainConfig

__all__ = ["RelativeAdam", "make_optimizer", "make_plain", "make_recordable", "set_rate", "typical_size"]

_LEAST_SHARE = 1e-4  # least size of a weight, as a share of the root mean square of its tensor
_EPSILON = 1e-12  # Adam's own, 1e-8, would freeze weights whose gradients are small
_REFINER, _REFINER_SIZE = "refiner.", 0.2


def typical_size(weight: Tensor) -> Tensor:
    """Return the typical magnitude of each number in a convolution's or linear layer's weight, same shape.

    It is estimated from the mean squares of the output channels and of the input channels: their product over
    the mean of all, as Adafactor estimates second moments. Where batch norms are folded, channels differ by
    orders of magnitude.

    Source: Shazeer and Stern, "Adafactor" (2018), sections 3 and 8.
    """
    square = weight.detach().double().square()
    rows = square.mean(dim=tuple(range(1, square.ndim)), keepdim=True)
    columns = square.mean(dim=(0, *range(2, square.ndim)), keepdim=True)
    whole = square.mean().clamp(min=1e-24)
    size: Tensor = (rows * columns / whole).sqrt().clamp(min=_LEAST_SHARE * whole.sqrt()).expand_as(square)
    return size.to(weight.dtype)


def _typical_bias(bias: Tensor, weight: Tensor | None) -> Tensor:
    """Return the typical magnitude of each number of a bias or another vector.

    It is the median magnitude, or the number's own where that is larger. The median of a bias is taken
    relative to the weights of its channel, with which a bias grows.
    """
    magnitude = bias.detach().double().abs()
    rows = torch.ones_like(magnitude)
    if weight is not None and len(weight) == len(bias):
        rows = weight.detach().double().square().reshape(len(bias), -1).mean(dim=1).sqrt().clamp(min=1e-12)
    ratio = (magnitude / rows).median().clamp(min=1e-12)
    size: Tensor = torch.maximum(rows * ratio, magnitude)
    return size.to(bias.dtype)


class RelativeAdam(torch.optim.Adam):
    """Adam with steps in units of each weight's size at the start.

    A rate of 0.001 moves a weight by about a thousandth of the magnitude that is typical for it. The sizes
    are part of the state, so a resumed run keeps them.

    Args:
        groups: parameter groups, as for Adam.
        sizes: typical magnitudes of every parameter, in its shape.
        lr: learning rate relative to the sizes.
    """

    def __init__(self, groups: list[dict[str, Any]], sizes: Mapping[Tensor, Tensor], lr: float) -> None:
        super().__init__(groups, lr=lr, eps=_EPSILON)
        self._sizes = [sizes[parameter].to(parameter.device) for parameter in self._parameters()]

    def _parameters(self) -> Iterable[Tensor]:
        return (parameter for group in self.param_groups for parameter in group["params"])

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Do one step; see `torch.optim.Adam`."""
        parameters = list(self._parameters())
        moved = torch._foreach_mul(parameters, 1.0)  # copies
        loss: float | None = super().step(closure)
        torch._foreach_lerp_(moved, parameters, self._sizes)
        torch._foreach_copy_(parameters, moved)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return Adam's state with the sizes."""
        return {**super().state_dict(), "sizes": self._sizes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        others = {key: value for key, value in state_dict.items() if key != "sizes"}
        super().load_state_dict(others)
        pairs = zip(state_dict["sizes"], self._parameters(), strict=True)
        self._sizes = [size.to(parameter) for size, parameter in pairs]


def make_recordable(optimizer: torch.optim.Adam, device: torch.device) -> None:
    """Keep rates and counts of an optimizer on a GPU, as a recorded step needs; see `Recorded`."""
    for group in optimizer.param_groups:
        group["capturable"] = True
        group["lr"] = torch.tensor(float(group["lr"]), device=device)
    for state in optimizer.state.values():
        state["step"] = state["step"].to(device)
    optimizer._warned_capturable_if_run_uncaptured = True  # the first steps are not recorded


def make_plain(optimizer: torch.optim.Adam) -> None:
    """Undo `make_recordable`, in the state of a run that was recorded where it began."""
    for group in optimizer.param_groups:
        group["capturable"] = False
        group["lr"] = float(group["lr"])
    for state in optimizer.state.values():
        state["step"] = state["step"].cpu()


def set_rate(optimizer: torch.optim.Adam, rate: float) -> None:
    """Set the learning rate: that of each group is a multiple of it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate * group["multiple"])
        else:
            group["lr"] = rate * group["multiple"]


def _rate(name: str, rates: Mapping[str, float]) -> float:
    """Return the multiple of the learning rate for the weight of this name: that of the longest key."""
    keys = [key for key in rates if name == key or name.startswith(f"{key}.")]
    return rates[max(keys, key=len)] if keys else 1.0


def _sizes(named: Mapping[str, nn.Parameter]) -> dict[Tensor, Tensor]:
    """Return the sizes of every parameter that learns.

    In a refinement they are all equal, because many of its weights are 0 at the start.
    """
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


def make_optimizer(
    network: nn.Module, config: TrainConfig, phase: Phase, unread: tuple[str, ...]
) -> torch.optim.Adam:
    """Make an optimizer for the weights that learn, and mark all others as needing no gradient.

    Args:
        network: whose parameters learn.
        config: of the run.
        phase: its rates; each group has its multiple of the learning rate under "multiple".
        unread: prefixes of weights that no output reads.

    Raises:
        UsageError: a key of `rates` matches no weight, or no weight is left to learn.
        ModelError: a weight is not finite.
    """
    named = dict(network.named_parameters())
    for key in phase.rates:
        if not any(name == key or name.startswith(f"{key}.") for name in named):
            raise UsageError(f"rates: no weight of {config.model} starts with {key!r}")
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named.items():
        multiple = 0.0 if name.startswith(unread) else _rate(name, phase.rates)
        parameter.requires_grad_(multiple > 0)
        if not torch.isfinite(parameter).all():
            raise ModelError(f"the weights to start from are damaged: {name} is not finite")
        if multiple > 0:
            groups.setdefault(multiple, []).append(parameter)
    if not groups:
        raise UsageError("rates: nothing is left to learn")
    grouped = [{"params": group, "multiple": multiple} for multiple, group in groups.items()]
    if config.optimizer == "relative":
        return RelativeAdam(grouped, _sizes(named), phase.learning_rate)
    return torch.optim.Adam(grouped, lr=phase.learning_rate)
