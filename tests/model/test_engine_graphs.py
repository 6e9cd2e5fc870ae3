"""Every network as the graph that engines are built from, and DLA-34 as a TensorRT-RTX engine."""

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession, SessionOptions

pytest.importorskip("torch", reason="the extra train is not installed")
graph = pytest.importorskip("hprnet_rt.graph", reason="the extra build is not installed")

from hprnet_rt.backends import ModelFile  # noqa: E402
from hprnet_rt.building import BuildPlan, build  # noqa: E402
from hprnet_rt.spec import (  # noqa: E402
    HPRNET_DLA34,
    PeakLayout,
)
from tests.model.recipe import images  # noqa: E402

ATOL = 1e-3  # the same graph in another form
HALF_SHARE = 0.02  # of a head's own spread: fp16 against fp32 with the recipe's weights, 99% of cells
STANDARD = {
    "Add",
    "And",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Div",
    "Equal",
    "Expand",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "GridSample",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Pad",
    "Pow",
    "Range",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "Sub",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Where",
}
SIZE = (128, 256)


def maps_of(model, batch, names=("hm", "hm_hp")):
    """Heat-maps and peaks."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = SessionOptions()
    options.log_severity_level = 3
    run = InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return run.run([*names, "peaks"], {"images": batch})


def assert_standard(model):
    onnx.checker.check_model(model, full_check=True)
    assert {each.domain for each in model.opset_import} == {""}
    assert {node.domain for node in model.graph.node} == {""}
    assert not model.functions
    assert {node.op_type for node in model.graph.node} <= STANDARD


@pytest.mark.timeout(600)
def test_every_network_becomes_a_graph_of_standard_operations(exported):
    _, folder = exported
    plain = graph.engine_graph(folder / "peaks.onnx", "fp32")
    half = graph.engine_graph(folder / "peaks.onnx", "fp16")
    for model in (plain, half):
        assert_standard(model)
    batch = images(SIZE)
    *before, _ = maps_of(onnx.load(folder / "peaks.onnx"), batch)
    *after, _ = maps_of(plain, batch)
    *rounded_maps, _ = maps_of(graph.rounded(half), batch)
    for expected, same, near in zip(before, after, rounded_maps, strict=True):
        np.testing.assert_allclose(same, expected, atol=ATOL)
        lost = np.abs(near - expected) / expected.std()
        assert np.quantile(lost, 0.99) < HALF_SHARE


@pytest.mark.timeout(600)
def test_a_batch_gives_what_its_images_give_one_by_one(exported):
    _, folder = exported
    session = InferenceSession(folder / "peaks.onnx", providers=["CPUExecutionProvider"])
    batch = np.concatenate((images(SIZE), images(SIZE)[:, ::-1]))
    (together,) = session.run(None, {"images": batch})
    alone = [session.run(None, {"images": image[None]})[0] for image in batch]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=ATOL)


def test_the_shipped_model_becomes_a_graph_of_standard_operations():
    for precision in graph.GRAPH_PRECISIONS:
        assert_standard(graph.engine_graph(ModelFile.find("hprnet-mobile").path, precision))


@pytest.mark.timeout(600)
def test_fp16_reads_the_same_points_of_the_same_people_with_dla34(exported):
    network, folder = exported
    if network.spec is not HPRNET_DLA34:
        return  # the others' heads are of the same kind
    layout = PeakLayout.of(network.spec)
    full, half = (graph.engine_graph(folder / "peaks.onnx", each) for each in ("fp32", "fp16"))
    batch = images(SIZE)
    expected, found = maps_of(full, batch)[-1][0], maps_of(graph.rounded(half), batch)[-1][0]
    cells = layout.columns["person_cell"]
    same = (expected[:, cells] == found[:, cells]).all(axis=1)
    assert same.mean() > 0.6  # people of nearly equal score change places
    for name in ("person_wh", "person_offset", "joint_regressed"):
        away = np.abs(expected[same][:, layout.columns[name]] - found[same][:, layout.columns[name]])
        assert np.quantile(away, 0.99) < 0.05, name  # cells


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", ["1", "1:8"])
def test_dla34_is_built_by_tensorrt_rtx_without_a_gpu(exported, tmp_path, batch):
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheels for this platform")
    network, folder = exported
    if network.spec is not HPRNET_DLA34:
        return  # the largest of what can be built in a few seconds
    model_file = ModelFile.find(folder / "peaks.onnx")
    plan = BuildPlan.parse(model_file.spec, backend="tensorrt-rtx", precision="fp16", size="512", batch=batch)
    built = build(model_file, plan, tmp_path)
    assert built.path.stat().st_size > 40e6  # 20.6 million weights in fp16
