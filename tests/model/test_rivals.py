"""Networks of rivals: their released names, and what they return with weights that anyone can make."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.model.rivals import create_rival  # noqa: E402
from hprnet_rt.spec.rivals import RIVALS  # noqa: E402

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


def values(key, shape):
    """The weights of the golden files, made of a key's name."""
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
    return x.astype(np.float32)


def seeded(name):
    with torch.device("meta"):
        network = create_rival(RIVALS[name])
    state = {
        key: torch.from_numpy(np.asarray(values(key, tuple(tensor.shape))))
        for key, tensor in network.state_dict().items()
    }
    network.load_state_dict(state, assign=True)
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
