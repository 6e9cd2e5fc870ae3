"""Rivals' networks at a hundredth of their size, weights for them, and a backend that sees people."""

import zlib

import numpy as np
import torch

from hprnet_rt.bench.planted_maps import planted_maps
from hprnet_rt.grouping.rivals import place
from hprnet_rt.model.hrnet import HRNetShape, conv_bn
from hprnet_rt.model.rivals import openpose
from hprnet_rt.model.rivals.associative import HigherAssociativeNet
from hprnet_rt.onnx_file import _field
from hprnet_rt.spec.rivals import OPENPOSE_WHOLEBODY, RIVALS, WHOLEBODY_PARTS

IMAGE_WH = (640, 360)
_SMALL = HRNetShape(4, stem=4, blocks=1, modules=(1, 1, 1))


def _few_layers(spec):
    layers = [openpose.Conv("conv1_1", ("image",), 8, after="prelu1_1", pool=True)]
    layers += [openpose.Conv(f"conv{n}_1", (layers[-1].name,), 8, pool=n < 4) for n in (2, 3)]
    outputs = [openpose.Conv(f"conv4_{head.name}", ("conv3_1",), head.channels, 1, "") for head in spec.heads]
    return openpose.OpenPoseNet(spec, [*layers, *outputs], [layer.name for layer in outputs])


class _NoBackbone(HigherAssociativeNet):
    """The head of HigherHRNet on two layers."""

    def __init__(self, spec):
        super().__init__(spec, _SMALL)
        self.backbone = torch.nn.Sequential(conv_bn(3, 8, 3, 2), conv_bn(8, _SMALL.width, 3, 2))

    def maps(self, x):
        return self.keypoint_head(self.backbone(x))


SMALL = {name: _few_layers for name in RIVALS if name.startswith("openpose")} | {
    "ae-higherhrnet-w32": _NoBackbone
}
"""Builders of shrunk networks."""


def values(key, shape):
    """Weights that anyone can make of a key's name; the golden outputs were made with them."""
    x = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if len(shape) == 4:
        x *= np.sqrt(2 / np.prod(shape[1:]))
    elif key.endswith("running_mean"):
        x = 0.1 * x
    elif key.endswith("running_var"):
        x = 1 + 0.2 * np.abs(x)
    elif key.endswith("bias"):
        x = 0.05 * x
    else:
        x = 0.25 + 0.05 * x if "prelu" in key else 0.3 + 0.1 * x
    return np.asarray(x, np.float32)


def weights_of(network):
    """The weights of a network, by name."""
    return {
        key: torch.from_numpy(np.asarray(values(key, tuple(tensor.shape))))
        for key, tensor in network.state_dict().items()
    }


def caffe_model(weights):
    """The bytes of a Caffe model with these weights, in the newer form."""
    layers = {}
    for key, tensor in weights.items():
        layers.setdefault(key.rpartition(".")[0], []).append(tensor)
    return b"".join(_field(100, _caffe_layer(name, blobs)) for name, blobs in layers.items())


def _caffe_layer(name, blobs):
    made = _field(1, name.encode())
    for blob in blobs:
        dims = b"".join(_varint(side) for side in blob.shape)
        made += _field(7, _field(7, _field(1, dims)) + _field(5, blob.numpy().tobytes()))
    return made


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class Seeing:
    """A backend whose maps are those of a scene of three people in a picture of `IMAGE_WH`."""

    name, precision, description, max_batch = "seeing", "fp32", "a scene that is known", 1

    def __init__(self, model_file, input_hw, people=3, **_settings):
        self.spec, self.input_hw = model_file.spec, input_hw
        if self.spec.decoding == "crop":
            cells = (
                np.arange(input_hw[0] // self.spec.stride_px) + 0.5 - input_hw[0] / self.spec.stride_px / 2
            )
            bell = 0.8 * np.exp(-(cells**2 + cells[:, None] ** 2) / 32).astype(np.float32)
            self._maps = np.tile(bell.ravel(), self.spec.heads[0].channels).reshape(1, 1, -1)
        else:
            spec = RIVALS[WHOLEBODY_PARTS[0]] if self.spec.name == OPENPOSE_WHOLEBODY else self.spec
            size = min(input_hw) if spec.decoding == "associative" else input_hw[0]
            self._maps = planted_maps(spec, people, place(spec, IMAGE_WH[::-1], size)).packed[None]

    def run(self, images):
        return self._maps.copy()

    def close(self):
        """Nothing is held."""
