"""TensorRT 10 and 11, and TensorRT-RTX: one Python API but for some flags, which are looked for."""

from hprnet_rt.backends.trt.builder import InputRange, build_engine
from hprnet_rt.backends.trt.library import LIBRARIES, load_library

__all__ = ["LIBRARIES", "InputRange", "build_engine", "load_library"]
