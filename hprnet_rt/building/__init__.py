"""Engines built ahead of time: from a model file to what a library runs, with a description beside it."""

from hprnet_rt.building.find import find_engine
from hprnet_rt.building.make import Built, build
from hprnet_rt.building.plan import BUILD_BACKENDS, BUILD_PRECISIONS, BuildPlan

__all__ = ["BUILD_BACKENDS", "BUILD_PRECISIONS", "BuildPlan", "Built", "build", "find_engine"]
