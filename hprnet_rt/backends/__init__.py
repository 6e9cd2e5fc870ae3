"""Inference backends behind one small Protocol. Heavy imports happen inside the chosen backend."""

from hprnet_rt.backends.create import create_backend
from hprnet_rt.backends.model_file import ModelFile, shipped_models
from hprnet_rt.backends.protocol import AsyncBackend, Backend, BackendRequest, GivesMaps, SideBySide
from hprnet_rt.backends.registry import BACKENDS, PRECISIONS, runs_on_gpu

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "AsyncBackend",
    "Backend",
    "BackendRequest",
    "GivesMaps",
    "ModelFile",
    "SideBySide",
    "create_backend",
    "runs_on_gpu",
    "shipped_models",
]
