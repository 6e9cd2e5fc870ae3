"""The paper's networks against the released code's numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.errors import UsageError  # noqa: E402
from hprnet_rt.geometry import Letterbox  # noqa: E402
from hprnet_rt.grouping import GroupingOptions, decode_dense  # noqa: E402
from hprnet_rt.grouping.flip import average_flipped  # noqa: E402
from hprnet_rt.model import create_model  # noqa: E402
from hprnet_rt.model.deform import DeformConv  # noqa: E402
from hprnet_rt.skeleton import PARTS  # noqa: E402
from hprnet_rt.spec import HPRNET_DLA34, PeakLayout  # noqa: E402
from tests.model.recipe import images, recipe_network, unrefined_peaks  # noqa: E402
from tests.model.shrunk import make_thin  # noqa: E402
from tests.oracles.decode import peaks_from_dense  # noqa: E402
from tests.oracles.deform import deform_conv  # noqa: E402
from tests.specs import ALL_SPECS  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden"
RELEASED = GroupingOptions(person_threshold=0.0, matching="released")


@pytest.fixture(scope="module")
def dla34():
    return recipe_network("hprnet-dla34")


@pytest.fixture(scope="module")
def small():
    """The released network's run on one image."""
    with np.load(GOLDEN / "dla34_small.npz") as file:
        return {name.removeprefix("small_keep/"): file[name] for name in file.files}


def dense(network, batch):
    with torch.no_grad():
        return {name: maps.numpy() for name, maps in network.dense(torch.from_numpy(batch)).items()}


@pytest.mark.parametrize(
    ("name", "keys"), [("hprnet-dla34", "dla34_keys.json"), ("hprnet-hourglass104", "hourglass_keys.json")]
)
def test_weights_have_the_released_names_order_and_shapes(name, keys):
    with torch.device("meta"):
        state = create_model(name).state_dict()
    ours = [
        [key, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")] for key, tensor in state.items()
    ]
    assert ours == json.loads((GOLDEN / keys).read_text())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("hprnet-dla34", 21_132_475),
        ("hprnet-hourglass104", 198_479_590),
        ("hprnet-dla34-baseline", 20_714_782),
    ],
)
def test_networks_have_the_released_size(name, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in create_model(name).parameters()) == parameters


def test_an_unknown_network_is_a_sentence():
    with pytest.raises(UsageError, match=r"hprnet-dla99.*hprnet-dla34"):
        create_model("hprnet-dla99")


def test_recipe_weights_are_those_of_the_golden_run(dla34, small):
    checks = [name for name in small if name.startswith("weightcheck/")]
    assert len(checks) > 3
    for name in checks:
        key = name.removeprefix("weightcheck/")
        ours = dla34.state_dict()[key].numpy().reshape(-1)[:8]
        np.testing.assert_array_equal(ours, small[name][: len(ours)])


def test_raw_heads_equal_the_released_ones(dla34, small):
    letterbox = Letterbox.keep(small["image"].shape[:2], 32)
    batch = letterbox.apply(small["image"])
    assert batch.shape[1:3] == tuple(small["input_shape"][2:])
    ours = dense(dla34, batch)
    for head in HPRNET_DLA34.heads:
        # 1e-4: the whole network in float32 is within 1.1e-5 of float64
        np.testing.assert_allclose(ours[head.name], small[f"raw/{head.name}"], atol=1e-4, err_msg=head.name)


def test_detections_equal_the_released_ones(dla34, small):
    letterbox = Letterbox.keep(small["image"].shape[:2], 32)
    heads = dense(dla34, letterbox.apply(small["image"]))
    (poses,) = decode_dense(heads, HPRNET_DLA34, [letterbox], k=25, options=RELEASED)
    expected = small["post"]
    assert len(poses) == len(expected) == 25
    np.testing.assert_allclose(poses.person_score, expected[:, 4], atol=1e-5)
    np.testing.assert_allclose(poses.xy[:, :23].reshape(25, -1), expected[:, 5:51], atol=1e-3)
    for part, columns in (
        ("face", slice(56, 192)),
        ("left_hand", slice(193, 235)),
        ("right_hand", slice(236, 278)),
    ):
        np.testing.assert_allclose(poses.xy[:, PARTS[part]].reshape(25, -1), expected[:, columns], atol=1e-3)


@pytest.fixture(scope="module", params=ALL_SPECS.values(), ids=list(ALL_SPECS))
def network(request):
    with pytest.MonkeyPatch.context() as patch:
        make_thin(patch)
        yield recipe_network(request.param)


def test_sparse_heads_equal_dense_ones(network):
    """Every head of every network, for a batch with peaks at the borders."""
    spec, k = network.spec, 12
    batch = images((128, 256), 2)
    maps = dense(network, batch)
    sparse = unrefined_peaks(network, k, batch)
    layout = PeakLayout.of(spec)
    for n in range(2):
        oracle = peaks_from_dense({name: values[n] for name, values in maps.items()}, spec, k)
        for name, columns in layout.columns.items():
            np.testing.assert_allclose(sparse[n, :, columns], oracle[:, columns], atol=1e-4, err_msg=name)


def test_dense_heads_have_the_widths_of_the_spec(network):
    maps = dense(network, images((128, 128)))
    assert {name: values.shape for name, values in maps.items()} == {
        head.name: (1, head.channels, 32, 32) for head in network.spec.heads
    }


@pytest.mark.parametrize("size", [(5, 7), (1, 4), (3, 1)])
def test_deformable_convolution_equals_its_plain_twin(size):
    """Offsets reach outside the map, and a map may be one cell wide."""
    torch.manual_seed(0)
    layer = DeformConv(3, 4)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        ours = layer(x).numpy()
        offset_mask = layer.conv_offset_mask(x).double()
    assert offset_mask[:, :18].abs().max() > 2
    for n in range(2):
        expected = deform_conv(
            x[n].double().numpy(),
            layer.weight.detach().double().numpy(),
            layer.bias.detach().double().numpy(),
            offset_mask[n, :18].numpy(),
            offset_mask[n, 18:].sigmoid().numpy(),
        )
        np.testing.assert_allclose(ours[n], expected, atol=2e-5)  # float32 sums of 27 products


def test_a_fresh_deformable_convolution_is_half_a_plain_one():
    """Offsets start at 0 and masks at a half."""
    layer = DeformConv(3, 4)
    x = torch.randn(1, 3, 6, 5)
    plain = torch.nn.functional.conv2d(x, 0.5 * layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), plain, atol=1e-5, rtol=1e-5)


def test_gradients_reach_every_weight_that_is_used():
    network = create_model("hprnet-dla34").train()
    maps = network.dense(torch.from_numpy(images((64, 64), 2)))
    sum(values.square().mean() for values in maps.values()).backward()
    idle = {name.rsplit(".", 2)[0] for name, p in network.named_parameters() if p.grad is None}
    # in the released files, but read by nothing
    assert idle == {"base", "base.level3.project", "base.level4.project"}


def test_flip_test_of_a_mirrored_image_is_the_mirrored_flip_test(dla34):
    """Averaging must not know which of the two images was the plain one."""
    spec = dla34.spec
    batch = images((64, 96))
    plain, mirrored = dense(dla34, batch), dense(dla34, batch[:, :, ::-1].copy())
    one, other = average_flipped(plain, mirrored, spec), average_flipped(mirrored, plain, spec)
    swap = np.array(spec.flip_index)
    for name in ("hm", "wh", "wh_face"):
        np.testing.assert_allclose(one[name], other[name][..., ::-1], atol=1e-6)
    np.testing.assert_allclose(one["hm_hp"], other["hm_hp"][:, swap, :, ::-1], atol=1e-6)
    across, down = one["hps"][:, 0::2], one["hps"][:, 1::2]
    np.testing.assert_allclose(across, -other["hps"][:, 0::2][:, swap, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(down, other["hps"][:, 1::2][:, swap, :, ::-1], atol=1e-6)
    for name in ("reg", "hp_offset", "face_lms", "hand_lms"):
        assert one[name] is plain[name]


def test_flip_test_finds_a_left_wrist_on_the_right_side_of_the_mirror_image():
    """By hand: a left wrist two cells right of the person's cell, seen the same way in both images."""
    spec, shape = HPRNET_DLA34, (4, 6)
    left, right = spec.joint("left_wrist"), spec.joint("right_wrist")

    def heads(person_x, wrist, dx):
        maps = {head.name: np.zeros((1, head.channels, *shape), np.float32) for head in spec.heads}
        maps["hm"] -= 9
        maps["hm"][0, 0, 1, person_x] = 2
        maps["hps"][0, 2 * wrist, 1, person_x] = dx
        maps["hm_hp"] -= 9
        maps["hm_hp"][0, wrist, 1, person_x + dx] = 3
        return maps

    merged = average_flipped(heads(1, left, 2), heads(4, right, -2), spec)
    assert merged["hps"][0, 2 * left, 1, 1] == pytest.approx(2)
    assert merged["hm"][0, 0, 1, 1] == pytest.approx(1 / (1 + np.exp(-2)))
    assert merged["hm_hp"][0, left, 1, 3] == pytest.approx(1 / (1 + np.exp(-3)))
    (poses,) = decode_dense(
        merged, spec, k=4, probabilities=True, options=GroupingOptions(person_threshold=0)
    )
    assert poses.xy[0, spec.keypoint_of_joint[left]] == pytest.approx([3, 1])
