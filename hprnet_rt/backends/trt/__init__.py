"""TensorRT 10 and 11, and TensorRT-RTX: one Python API except for some flags, which are looked up."""

from hprnet_rt.backends.trt.builder import InputRange, build_engine
from hprnet_rt.backends.trt.library import load_library, require_support

__all__ = ["InputRange", "build_engine", "load_library", "require_support"]
