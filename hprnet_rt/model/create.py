"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hprnet_rt.errors import UsageError
from hprnet_rt.model.dla import HprnetDla34
from hprnet_rt.model.hourglass import HprnetHourglass104
from hprnet_rt.model.mobile import HprnetMobile
from hprnet_rt.model.network import Network
from hprnet_rt.spec import SPECS, ModelSpec

__all__ = ["create_model"]

_BUILDERS: Final[dict[str, Callable[[ModelSpec], Network]]] = {
    "hprnet-mobile": HprnetMobile,
    "hprnet-dla34": HprnetDla34,
    "hprnet-dla34-r": HprnetDla34,
    "hprnet-dla34-hm1": HprnetDla34,
    "hprnet-dla34-baseline": HprnetDla34,
    "hprnet-hourglass104": HprnetHourglass104,
}


def create_model(model: str | ModelSpec) -> Network:
    """Create a network with random weights, in training mode.

    Args:
        model: a name of `SPECS`, or the description of such a network, with or without a refinement.

    Raises:
        UsageError: there is no network of this name.
    """
    name = model if isinstance(model, str) else model.name
    if name not in _BUILDERS:
        raise UsageError(f"there is no network {name!r}; use one of: {', '.join(_BUILDERS)}")
    return _BUILDERS[name](SPECS[name] if isinstance(model, str) else model)
