"""The zoo: the networks of the project, where their weights come from, and the cache that keeps them."""

from hprnet_rt.zoo.networks import ZOO, ZooEntry, zoo_entry
from hprnet_rt.zoo.people import with_people
from hprnet_rt.zoo.weights import import_checkpoint, model_file_for

__all__ = ["ZOO", "ZooEntry", "import_checkpoint", "model_file_for", "with_people", "zoo_entry"]
