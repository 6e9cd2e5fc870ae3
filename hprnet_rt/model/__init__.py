"""Torch networks, their import and their export to ONNX (extra: train).

Nothing outside this package, training and the torch backend imports torch.
"""

from hprnet_rt.model.export import export_onnx
from hprnet_rt.model.mobile import HprnetMobile
from hprnet_rt.model.weights import load_weights

__all__ = ["HprnetMobile", "export_onnx", "load_weights"]
