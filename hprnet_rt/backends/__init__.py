"""Inference backends behind one small Protocol. Heavy imports happen inside the chosen backend."""

from hprnet_rt.backends.create import BACKENDS, CPU_BACKENDS, GPU_BACKENDS, create_backend
from hprnet_rt.backends.engine_file import EngineFile, shipped_models
from hprnet_rt.backends.protocol import Backend, GivesMaps, Overlapping

__all__ = [
    "BACKENDS",
    "CPU_BACKENDS",
    "GPU_BACKENDS",
    "Backend",
    "EngineFile",
    "GivesMaps",
    "Overlapping",
    "create_backend",
    "shipped_models",
]
