"""Engines built ahead of time: from a model's ONNX file to what a library runs, with its description."""

from hprnet_rt.building.built_int8 import find_int8
from hprnet_rt.building.find import find_built
from hprnet_rt.building.make import Built, build
from hprnet_rt.building.plan import BUILD_BACKENDS, BUILD_PRECISIONS, BuildPlan

__all__ = ["BUILD_BACKENDS", "BUILD_PRECISIONS", "BuildPlan", "Built", "build", "find_built", "find_int8"]
