"""The zoo: the networks of the project, where their weights come from, and the cache that keeps them."""

from hprnet_rt.zoo.networks import ZOO, ZooEntry, zoo_entry
from hprnet_rt.zoo.weights import engine_for, import_checkpoint

__all__ = ["ZOO", "ZooEntry", "engine_for", "import_checkpoint", "zoo_entry"]
