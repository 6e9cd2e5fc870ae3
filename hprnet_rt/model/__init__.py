"""Torch networks, their weights and their export to ONNX (extra: train).

Nothing outside this package, training and the torch backend imports torch.
"""

from hprnet_rt.model.checkpoint import load_checkpoint, save_checkpoint
from hprnet_rt.model.create import create_model
from hprnet_rt.model.export import export_onnx
from hprnet_rt.model.mobile import HprnetMobile
from hprnet_rt.model.weights import load_weights

__all__ = [
    "HprnetMobile",
    "create_model",
    "export_onnx",
    "load_checkpoint",
    "load_weights",
    "save_checkpoint",
]
