"""Half precision against float32: the shipped model on real pictures, DLA-34 on its recipe's weights."""

import cv2
import numpy as np
import onnx
import pytest
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions

graph = pytest.importorskip("hprnet_rt.graph", reason="the extra build is not installed")

from hprnet_rt.backends import ModelFile, create_backend  # noqa: E402
from hprnet_rt.errors import ModelError  # noqa: E402
from hprnet_rt.evaluation import movement  # noqa: E402
from hprnet_rt.geometry import Letterbox, input_hw_for  # noqa: E402
from hprnet_rt.graph.rounding import EXACT_SUFFIX  # noqa: E402
from hprnet_rt.grouping import Grouper, GroupingOptions  # noqa: E402
from hprnet_rt.spec import (  # noqa: E402
    HPRNET_MOBILE,
    PeakLayout,
)
from hprnet_rt.types import Peaks  # noqa: E402
from hprnet_rt.video import VideoSource  # noqa: E402
from tests.clips import SAMPLE  # noqa: E402

SHIPPED = ModelFile.find("hprnet-mobile")
NEAR_PX = {"fp16": 0.5, "bf16": 4.0}  # of the input
NEAR_SHARE = {"fp16": 0.99, "bf16": 0.98}  # of the sure points that are as near as this
MEDIAN_PX = {"fp16": 0.02, "bf16": 0.2}
REFINED_PX = 0.05  # of the picture
LARGEST_HALF = 65504
EVERY = 40  # frames of the sample


def session(model):
    options = SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC
    return InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def full():
    return session(graph.engine_graph(SHIPPED.path, "fp32"))


@pytest.fixture(scope="module")
def half():
    return graph.engine_graph(SHIPPED.path, "fp16")


@pytest.fixture(scope="module")
def bhalf():
    return graph.engine_graph(SHIPPED.path, "bf16")


@pytest.fixture(scope="module")
def frames():
    source = VideoSource(SAMPLE)
    found = [frame.image for number, frame in enumerate(source) if number % EVERY == 0]
    source.close()
    return [*found, cv2.imread(str(SAMPLE.with_suffix(".jpg")))]


def poses(run, letterbox, batch):
    (packed,) = run.run(["peaks"], {"images": batch})
    group = Grouper(HPRNET_MOBILE, GroupingOptions(person_threshold=0.2))
    return group(Peaks(packed[0], PeakLayout.of(HPRNET_MOBILE, refined=True), letterbox))


@pytest.mark.parametrize("px", [384, 512])
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_finds_the_same_people_and_points_in_real_pictures(full, half, bhalf, frames, px, precision):
    """Rounded as a GPU rounds. What differs by more is a joint whose peak was only just preferred, or not."""
    as_gpu = session(graph.rounded({"fp16": half, "bf16": bhalf}[precision]))
    pairs, scales = [], []
    for image in frames:
        letterbox = Letterbox.fit(image.shape[:2], input_hw_for(image.shape[:2], px, 32))
        batch = letterbox.apply(image)
        pairs.append([poses(run, letterbox, batch) for run in (full, as_gpu)])
        scales.append(letterbox.inner_hw[1] / image.shape[1])
    moved = movement(*zip(*pairs, strict=True), scales)
    assert (moved.lost, moved.new) == (0, 0)
    assert moved.people >= len(frames)
    assert len(moved.distance_px) > 500
    assert moved.within(NEAR_PX[precision]) >= NEAR_SHARE[precision]
    assert np.median(moved.distance_px) < MEDIAN_PX[precision]


def test_the_typed_file_itself_runs_in_onnxruntime(full, half, frames):
    image = frames[0]
    letterbox = Letterbox.fit(image.shape[:2], input_hw_for(image.shape[:2], 384, 32))
    people = [poses(run, letterbox, letterbox.apply(image)) for run in (full, session(half))]
    assert len(people[0]) == len(people[1]) > 0


def test_a_graph_refines_inside_as_grouping_does_after_it(full, frames):
    """The same candidate gives the same points, wherever it is refined."""
    group = Grouper(HPRNET_MOBILE, GroupingOptions(person_threshold=0.2), SHIPPED.refiner_weights())
    backend = create_backend(SHIPPED, (224, 384), backend="onnxruntime")
    for image in frames:
        letterbox = Letterbox.fit(image.shape[:2], (224, 384))
        packed, maps = backend.run_with_maps(letterbox.apply(image))
        after = group(Peaks(packed[0], PeakLayout.of(HPRNET_MOBILE), letterbox, maps[0]))
        inside = poses(full, letterbox, letterbox.apply(image))
        assert len(after) > 0
        np.testing.assert_allclose(inside.xy, after.xy, atol=REFINED_PX)
        np.testing.assert_allclose(inside.score, after.score, atol=1e-4)
    backend.close()


def test_no_value_of_the_shipped_model_comes_near_the_end_of_fp16(half, frames):
    """Its weights reach 1121; some of its maps reach 4700."""
    names = sorted(graph.half_tensors(half))
    probe = graph.rounded(half)
    probe.graph.output.extend(onnx.ValueInfoProto(name=f"{name}{EXACT_SUFFIX}") for name in names)
    image = frames[0]
    letterbox = Letterbox.fit(image.shape[:2], input_hw_for(image.shape[:2], 384, 32))
    run = session(probe)
    values = run.run([f"{name}{EXACT_SUFFIX}" for name in names], {"images": letterbox.apply(image)})
    assert 1000 < max(float(np.abs(value).max()) for value in values) < LARGEST_HALF / 4


def kinds_of(model):
    return {info.name: info.type.tensor_type.elem_type for info in typed(model).graph.value_info}


def typed(model):
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_layers_are_half_and_positions_are_not(precision):
    model = graph.engine_graph(SHIPPED.path, precision)
    kinds = kinds_of(model)
    number = {"fp16": onnx.TensorProto.FLOAT16, "bf16": onnx.TensorProto.BFLOAT16}[precision]
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul")]
    halves = [node for node in layers if kinds[node.output[0]] == number]
    assert len(halves) / len(layers) > 0.7  # the refinement has a quarter of them, and is float32
    for name in ("hm", "hm_hp"):
        assert kinds[name] == onnx.TensorProto.FLOAT
    for node in model.graph.node:
        if node.op_type in ("TopK", "MaxPool", "Sigmoid", "Floor", "Range", "Div", "GridSample", "Softmax"):
            assert kinds[node.output[0]] != number, node.name
    readers = {node.op_type for node in model.graph.node if "images" in node.input}
    assert readers == {"Cast", "Shape"}  # TensorRT-RTX transposes no uint8


def test_weights_that_fp16_cannot_hold_keep_their_layer_in_fp32():
    large = np.full((4, 4, 1, 1), 1e5, np.float32)
    small = np.full((4, 4, 1, 1), 1e-7, np.float32)
    usual = np.ones((4, 4, 1, 1), np.float32)
    names = ["usual", "large", "small", "again", "end"]
    weights = [usual, large, small, usual, usual]
    nodes, before = [], "x"
    for name in names:
        nodes.append(onnx.helper.make_node("Conv", [before, f"{name}.w"], [name]))
        before = name
    shape = (onnx.TensorProto.FLOAT, [1, 4, 8, 8])
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            nodes,
            "five",
            [onnx.helper.make_tensor_value_info("x", *shape)],
            [onnx.helper.make_tensor_value_info("end", *shape)],
            [onnx.numpy_helper.from_array(w, f"{n}.w") for n, w in zip(names, weights, strict=True)],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 18)],
        ir_version=10,
    )
    graph.assign_precision(model, "fp16")
    onnx.checker.check_model(model, full_check=True)
    kinds = kinds_of(model)
    is_half = [kinds.get(name) == onnx.TensorProto.FLOAT16 for name in names]
    assert is_half == [True, False, False, True, False]


def test_what_is_no_network_is_refused(tmp_path):
    path = tmp_path / "text.onnx"
    path.write_text("hello")
    with pytest.raises(ModelError, match=r"text\.onnx"):
        graph.engine_graph(path, "fp16")
