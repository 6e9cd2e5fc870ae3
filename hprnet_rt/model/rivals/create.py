"""A rival's networks by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hprnet_rt.model.rivals import openpose
from hprnet_rt.model.rivals.associative import AssociativeNet, HigherAssociativeNet
from hprnet_rt.model.rivals.network import RivalNetwork
from hprnet_rt.spec import ModelSpec
from hprnet_rt.spec.rivals import OPENPOSE_WHOLEBODY

__all__ = ["BUILDERS", "create_rival"]

BUILDERS: Final[dict[str, Callable[[ModelSpec], RivalNetwork]]] = {
    "openpose-body18": openpose.body18,
    OPENPOSE_WHOLEBODY: openpose.body18,
    "openpose-hand": openpose.crop,
    "openpose-face": openpose.crop,
    "openpose-body25": openpose.body25,
    "openpose-body135": openpose.body135,
    "ae-hrnet-w32": AssociativeNet,
    "ae-higherhrnet-w32": HigherAssociativeNet,
}
"""By the names of `spec.RIVALS`, and for OpenPose with its crops the network of the body."""


def create_rival(spec: ModelSpec) -> RivalNetwork:
    """Create a network of `BUILDERS` with random weights, in evaluation mode."""
    return BUILDERS[spec.name](spec).eval()
