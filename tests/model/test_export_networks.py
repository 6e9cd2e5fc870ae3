"""The paper's networks as ONNX, in every backend that runs such files, against PyTorch."""

import cv2
import numpy as np
import openvino
import pytest
from onnxruntime import InferenceSession

torch = pytest.importorskip("torch", reason="the extra train is not installed")

import onnx  # noqa: E402

from hprnet_rt.backends import ModelFile, create_backend  # noqa: E402
from hprnet_rt.backends.openvino import reader  # noqa: E402
from hprnet_rt.geometry import Letterbox  # noqa: E402
from hprnet_rt.grouping import Grouper, GroupingOptions  # noqa: E402
from hprnet_rt.model import HprnetMobile, load_weights  # noqa: E402
from hprnet_rt.model.deform import DeformConv  # noqa: E402
from hprnet_rt.model.heads import ConvHead  # noqa: E402
from hprnet_rt.model.network import Network  # noqa: E402
from hprnet_rt.model.peaks import PeakNetwork  # noqa: E402
from hprnet_rt.spec import (  # noqa: E402
    HPRNET_DLA34,
    PeakLayout,
    refined,
)
from hprnet_rt.types import Peaks  # noqa: E402
from tests.backends.cases import ON_CPU_FROM_FILE  # noqa: E402
from tests.model.recipe import EXPORTED_K as K  # noqa: E402
from tests.model.recipe import images, recipe_network, unrefined_peaks  # noqa: E402
from tests.model.shrunk import make_shallow  # noqa: E402
from tests.model.test_networks import GOLDEN  # noqa: E402
from tests.specs import ALL_SPECS  # noqa: E402

RAW_ATOL = 1e-3  # of raw heads, stated by the project; 4e-5 measured
POINTS_ATOL = 0.05  # image pixels
SAME_RANK = 2e-5  # scores closer than this may change places between two libraries


class TinyNetwork(Network):
    """Two deformable convolutions on a strided one, with DLA-34's heads."""

    def __init__(self, spec=HPRNET_DLA34):
        super().__init__(spec)
        self.stem = torch.nn.Conv2d(3, 8, 7, stride=4, padding=3)
        self.nodes = torch.nn.Sequential(DeformConv(8, 12), torch.nn.ReLU(), DeformConv(12, 8))
        for head in self.spec.heads:
            self.add_module(head.name, ConvHead(8, 16, head.channels))
        self._add_refiner()
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter, std=0.15)

    def head(self, name):
        return self.get_submodule(name)

    def trunk_map(self, x):
        return self.nodes(self.stem(x))


def heads_by_both_libraries(path, batch):
    """The heads of a dense export, by onnxruntime and by OpenVINO."""
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    compiled = reader().compile_model(reader().read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    yield dict(zip(names, session.run(None, {"images": batch}), strict=True))
    yield dict(zip(names, compiled([batch]).values(), strict=True))


def assert_dense_export_equals_pytorch(network, path):
    """For a batch of two, of a size that the export has not seen."""
    batch = images((256, 128), 2)
    with torch.no_grad():
        expected = {name: maps.numpy() for name, maps in network.dense(torch.from_numpy(batch)).items()}
    for found in heads_by_both_libraries(path, batch):
        assert list(found) == [head.name for head in network.spec.heads]
        for name, maps in found.items():
            np.testing.assert_allclose(maps, expected[name], atol=RAW_ATOL, err_msg=name)


@pytest.mark.parametrize(
    ("form", "node", "other"),
    [("deform_conv", "DeformConv", "GridSample"), ("grid_sample", "GridSample", "DeformConv")],
)
def test_both_forms_of_deformable_convolution_equal_pytorch(tmp_path, export_once, form, node, other):
    torch.manual_seed(0)
    network = TinyNetwork().eval()
    path = tmp_path / "dense.onnx"
    export_once(network, path, dense=True, deform=form)
    kinds = [part.op_type for part in onnx.load(path).graph.node]
    assert (kinds.count(node), kinds.count(other)) == (2, 0)
    assert_dense_export_equals_pytorch(network, path)


def test_openvino_itself_still_lacks_deformable_convolution(tmp_path, export_once):
    """Should this fail one day, `_deform_conv` in the backend can go."""
    torch.manual_seed(0)
    export_once(TinyNetwork().eval(), tmp_path / "dense.onnx", dense=True, deform="deform_conv")
    with pytest.raises(RuntimeError, match="DeformConv"):
        openvino.Core().compile_model(tmp_path / "dense.onnx", "CPU")


@pytest.mark.parametrize("backend", ON_CPU_FROM_FILE)
def test_peaks_of_every_network_equal_pytorch(exported, backend):
    network, folder = exported
    layout = PeakLayout.of(network.spec)
    batch = images((128, 256))
    expected = unrefined_peaks(network, K, batch)[0]
    made = create_backend(
        ModelFile.find(folder / "peaks.onnx"), (128, 256), backend=backend, precision="fp32"
    )
    found = made.run(batch)[0]
    made.close()

    scores = expected[:, layout.columns["peak_score"]]
    gap = np.full((K + 1, scores.shape[1]), np.inf)
    gap[1:-1] = scores[:-1] - scores[1:]
    ranked = (gap[:-1] > SAME_RANK) & (gap[1:] > SAME_RANK)  # (K, joints): no neighbour as strong
    assert ranked.mean() > 0.7
    for name, columns in layout.columns.items():
        ours, theirs = found[:, columns], expected[:, columns]
        if name == "peak_xy":
            sure = ranked.repeat(2, axis=1)
        elif "_peak" in name:
            part = next(part for part in network.spec.parts if name.startswith(part.name))
            sure = np.broadcast_to(ranked[:, [network.spec.joint(part.center)]], ours.shape)
        else:
            sure = np.ones(ours.shape, bool)
        np.testing.assert_allclose(ours[sure], theirs[sure], atol=RAW_ATOL, err_msg=name)


def test_a_network_of_the_paper_with_the_refinement_finds_the_same_people_everywhere(tmp_path, export_once):
    """After grouping, from the file, in each library, and inside the network in PyTorch."""
    torch.manual_seed(0)
    spec = refined(HPRNET_DLA34, 8)
    network, hw, k = TinyNetwork(spec).eval(), (128, 192), 25
    export_once(network, tmp_path / "tiny.onnx", k=k)
    model_file = ModelFile.describe(tmp_path / "tiny.onnx", spec, k, "test", "none")
    letterbox, batch = Letterbox.fit(hw, hw), images(hw)
    everyone = GroupingOptions(person_threshold=0.0, part_threshold=0.0)
    group = Grouper(spec, everyone, model_file.refiner_weights())
    with torch.no_grad():
        inside = PeakNetwork(network, k)(torch.from_numpy(batch)).numpy()
    expected = group(Peaks(inside[0], PeakLayout.of(spec, refined=True), letterbox))
    assert len(expected) > 3
    for backend in ("openvino", "onnxruntime", "made-up"):
        made = create_backend(model_file, hw, backend=backend, precision="fp32")
        packed, maps = made.run_with_maps(batch)
        made.close()
        found = group(Peaks(packed[0], PeakLayout.of(spec), letterbox, maps[0]))
        assert_same_people(found, expected)
        np.testing.assert_allclose(found.score, expected.score, atol=1e-3)


@pytest.mark.parametrize("name", ["hprnet-dla34", "hprnet-hourglass104", "made-up"])
def test_raw_heads_equal_pytorch_in_both_libraries(name, tmp_path, monkeypatch, export_once):
    make_shallow(monkeypatch)
    network = recipe_network(ALL_SPECS[name])
    export_once(network, tmp_path / "dense.onnx", dense=True)
    assert_dense_export_equals_pytorch(network, tmp_path / "dense.onnx")
    (tmp_path / "dense.onnx").unlink()


def poses(run, spec, letterbox, image, options):
    packed = run(letterbox.apply(image))[0]
    return Grouper(spec, options)(Peaks(packed, PeakLayout.of(spec), letterbox))


def assert_same_people(ours, expected):
    assert len(ours) == len(expected)
    np.testing.assert_allclose(ours.person_score, expected.person_score, atol=1e-4)
    for name in ("xy", "box_xyxy", "face_xyxy"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(expected, name), atol=POINTS_ATOL, err_msg=name
        )


@pytest.mark.parametrize("backend", ON_CPU_FROM_FILE)
@pytest.mark.parametrize("matching", ["one-to-one", "released"])
def test_people_of_the_golden_image_equal_pytorch(exported, backend, matching):
    network, folder = exported
    if network.spec is not HPRNET_DLA34:
        return  # the golden image is DLA-34's
    with np.load(GOLDEN / "dla34_small.npz") as file:
        image = file["small_keep/image"]
    letterbox = Letterbox.keep(image.shape[:2], network.spec.multiple_px)
    options = GroupingOptions(person_threshold=0.1, peak_threshold=0.1, matching=matching)
    expected = poses(
        lambda batch: unrefined_peaks(network, K, batch),
        network.spec,
        letterbox,
        image,
        options,
    )
    made = create_backend(
        ModelFile.find(folder / "peaks.onnx"), letterbox.input_hw, backend=backend, precision="fp32"
    )
    found = poses(made.run, network.spec, letterbox, image, options)
    made.close()
    assert len(expected) > 5
    assert_same_people(found, expected)


@pytest.mark.parametrize("backend", ON_CPU_FROM_FILE)
def test_people_of_real_photographs_equal_pytorch_with_the_shipped_model(backend):
    model_file = ModelFile.find("hprnet-mobile")
    network = load_weights(HprnetMobile(), model_file.path)
    with np.load(GOLDEN / "movenet.npz") as file:
        photographs = [file[name][..., ::-1].copy() for name in file.files if name.startswith("image_")]
    photographs.append(cv2.imread(str(GOLDEN.parents[1] / "demos" / "sample.jpg")))
    made = create_backend(model_file, (384, 384), backend=backend, precision="fp32")
    people = 0
    for image in photographs:
        height, width = image.shape[:2]
        letterbox = Letterbox.fit((height, width), (384, 384))
        expected = poses(
            lambda batch: unrefined_peaks(network, model_file.k, batch),
            network.spec,
            letterbox,
            image,
            GroupingOptions(),
        )
        assert_same_people(poses(made.run, network.spec, letterbox, image, GroupingOptions()), expected)
        people += len(expected)
    made.close()
    assert people >= 6
