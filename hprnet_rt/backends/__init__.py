"""Inference backends behind one small Protocol. Heavy imports happen inside the chosen backend."""

from hprnet_rt.backends.create import BACKENDS, CPU_BACKENDS, GPU_BACKENDS, create_backend
from hprnet_rt.backends.model_file import ModelFile, shipped_models
from hprnet_rt.backends.protocol import AsyncBackend, Backend, GivesMaps

__all__ = [
    "BACKENDS",
    "CPU_BACKENDS",
    "GPU_BACKENDS",
    "AsyncBackend",
    "Backend",
    "GivesMaps",
    "ModelFile",
    "create_backend",
    "shipped_models",
]
