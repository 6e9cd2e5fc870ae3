"""Inference backends behind one small Protocol. Heavy imports happen inside the chosen backend."""

from hprnet_rt.backends.create import BACKENDS, create_backend
from hprnet_rt.backends.engine_file import EngineFile, shipped_models
from hprnet_rt.backends.protocol import Backend

__all__ = ["BACKENDS", "Backend", "EngineFile", "create_backend", "shipped_models"]
