"""Networks of rivals: their released names, and what they return with weights that anyone can make."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from hprnet_rt.model.caffe import read_caffe  # noqa: E402
from hprnet_rt.model.rivals import create_rival  # noqa: E402
from hprnet_rt.spec.rivals import RIVALS  # noqa: E402
from hprnet_rt.zoo.rivals import RIVAL_ZOO  # noqa: E402
from tests.rivals import values, weights_of  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden" / "rivals"
FILES = {
    "openpose-body18": "op_body18",
    "openpose-hand": "op_hand",
    "openpose-face": "op_face",
    "openpose-body25": "body_25",
    "openpose-body135": "body_135",
    "ae-hrnet-w32": "ae_hrnet_w32",
    "ae-higherhrnet-w32": "ae_higherhrnet_w32",
}
NEAR = 1e-4


def seeded(name):
    with torch.device("meta"):
        network = create_rival(RIVALS[name])
    network.load_state_dict(weights_of(network), assign=True)
    return network.eval()


@pytest.mark.parametrize("name", list(RIVALS))
def test_weights_have_the_names_and_shapes_of_the_released_files(name):
    with torch.device("meta"):
        state = create_rival(RIVALS[name]).state_dict()
    expected = json.loads((GOLDEN / f"keys_{FILES[name]}.json").read_text())
    assert {key: list(tensor.shape) for key, tensor in state.items()} == dict(expected)


def outputs_of(data, file):
    if file.startswith("ae"):
        return [data[key] for key in (f"{file}/out0", f"{file}/out1") if key in data.files]
    if file.startswith("body"):
        return [data[f"{file}/net_output"]]  # parts, then fields
    names = ("heat", "paf") if file == "op_body18" else ("heat",)
    return [data[f"{file}/{name}"] for name in names]


@pytest.mark.parametrize("name", list(RIVALS))
def test_the_networks_return_what_the_originals_return(name):
    data = np.load(GOLDEN / ("nets_ae.npz" if name.startswith("ae") else "nets_openpose.npz"))
    network = seeded(name)
    image = data["image"][..., ::-1].copy() if name.startswith("ae") else data["image"]  # RGB there
    with torch.no_grad():
        packed = network(torch.from_numpy(image)[None])
    expected = np.concatenate([each.ravel() for each in outputs_of(data, FILES[name])])
    assert packed.shape == (1, 1, len(expected))
    np.testing.assert_allclose(packed[0, 0], expected, atol=NEAR)


@pytest.mark.parametrize(("file", "prelu"), [("tiny_v1", False), ("tiny_v2", True)])
def test_both_forms_of_caffe_models_are_read(file, prelu):
    weights = read_caffe(GOLDEN / f"{file}.caffemodel")
    shapes = {"convA.weight": (4, 3, 3, 3), "convA.bias": (4,)} | ({"preluA.weight": (4,)} if prelu else {})
    assert {key: tuple(tensor.shape) for key, tensor in weights.items()} == shapes
    for key, tensor in weights.items():
        np.testing.assert_allclose(tensor, values(key, shapes[key]), atol=1e-6)


@pytest.mark.parametrize("name", list(RIVALS))
def test_parameters_and_multiply_accumulates_are_what_the_list_says(name):
    entry = RIVAL_ZOO[name]
    width, height = entry.input_wh
    with torch.device("meta"):
        network = create_rival(RIVALS[name])
        image = torch.zeros(1, 3, height, width)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.maps(image)
    assert sum(weight.numel() for weight in network.parameters()) == entry.parameters
    assert counter.get_total_flops() / 2e9 == pytest.approx(entry.gmac, rel=0.01)
