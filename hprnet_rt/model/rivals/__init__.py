"""Networks of others, named as their released weights: OpenPose's, and associative embedding (torch)."""

from hprnet_rt.model.rivals.create import create_rival
from hprnet_rt.model.rivals.network import RivalNetwork

__all__ = ["RivalNetwork", "create_rival"]
