"""What is read of an ONNX file without the package onnx, against the package."""

import numpy as np
import pytest

from hprnet_rt.backends import ModelFile
from hprnet_rt.errors import ModelError
from hprnet_rt.onnx_file import FOR_GROUPING, HALF_SUFFIX, OUTPUTS, only_outputs, read_weights, with_k

SHIPPED = ModelFile.find("hprnet-mobile")


@pytest.fixture(scope="module")
def model():
    return SHIPPED.path.read_bytes()


def test_the_weights_are_those_that_the_package_reads(model):
    onnx = pytest.importorskip("onnx", reason="the extra build is not installed")
    from onnx import numpy_helper

    weights = read_weights(model, "refiner")
    names = {
        tensor.name.removesuffix(HALF_SUFFIX): tensor
        for tensor in onnx.load_from_string(model).graph.initializer
        if tensor.name.startswith("network.refiner.")
    }
    assert {f"network.refiner.{name}" for name in weights} == names.keys()
    for name, values in weights.items():
        expected = numpy_helper.to_array(names[f"network.refiner.{name}"]).astype(np.float32)
        np.testing.assert_array_equal(values, expected, err_msg=name)
        assert values.dtype == np.float32


def test_there_are_no_weights_of_a_module_that_is_not_there(model):
    assert read_weights(model, "colour") == {}


def test_what_other_outputs_need_is_left_out_and_the_rest_computes_the_same(model):
    import onnxruntime

    cut = only_outputs(model, FOR_GROUPING)
    assert len(cut) < len(model) - 3_000_000  # the refinement's weights
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    cpu = ["CPUExecutionProvider"]
    sessions = [onnxruntime.InferenceSession(each, options, cpu) for each in (model, cut)]
    assert [tuple(out.name for out in each.get_outputs()) for each in sessions] == [OUTPUTS, FOR_GROUPING]
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    whole, part = (each.run(FOR_GROUPING, {"images": image}) for each in sessions)
    for ours, theirs in zip(part, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_package_calls_the_cut_model_valid(model):
    onnx = pytest.importorskip("onnx", reason="the extra build is not installed")
    cut = onnx.load_from_string(only_outputs(model, ["peaks"]))
    onnx.checker.check_model(cut, full_check=True)
    assert [output.name for output in cut.graph.output] == ["peaks"]
    made = {name for node in cut.graph.node for name in node.output}
    read = {name for node in cut.graph.node for name in node.input} | {"peaks"}
    assert all(read & set(node.output) for node in cut.graph.node)
    assert {tensor.name for tensor in cut.graph.initializer} <= read
    assert read - made - {""} == {"images"} | {tensor.name for tensor in cut.graph.initializer}


@pytest.mark.parametrize("damage", ["cut", "noise"])
def test_a_damaged_file_is_a_sentence(model, damage):
    wrong = model[: len(model) // 2] if damage == "cut" else b"\xff" * 100
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        only_outputs(wrong, FOR_GROUPING)
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        read_weights(wrong, "refiner")


@pytest.mark.parametrize("k", [5, 64])
def test_with_another_number_of_people_the_strongest_stay_as_they_were(model, k):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    image = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), np.uint8)
    before, after = (
        onnxruntime.InferenceSession(each, options, ["CPUExecutionProvider"]).run(OUTPUTS, {"images": image})
        for each in (model, with_k(model, k))
    )
    least = min(k, SHIPPED.k)
    for name, ours, theirs in zip(OUTPUTS, after, before, strict=True):
        if name.endswith("peaks"):
            assert ours.shape[1] == k
            np.testing.assert_allclose(ours[:, :least], theirs[:, :least], atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(ours, theirs)


def test_the_same_number_of_people_leaves_the_file_as_it_is(model):
    assert with_k(model, SHIPPED.k) == model


def test_a_file_that_does_not_say_where_its_number_of_people_is_says_so(model):
    with pytest.raises(ModelError, match="export or import it again"):
        with_k(only_outputs(model, ["peaks"]).replace(b"hprnet-rt K", b"hprnet-rt k"), 64)
