"""The import of a TensorFlow.js graph, on a small graph of our own."""

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra train is not installed")

from hprnet_rt.errors import ModelError
from hprnet_rt.model.movenet import import_movenet, read_graph_model


@pytest.fixture
def graph(tmp_path):
    weights = {"a": np.arange(6, dtype=np.float16).reshape(2, 3), "b": np.array([7], np.int32)}
    entries = [
        {"name": "a", "shape": [2, 3], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {"name": "b", "shape": [1], "dtype": "int32"},
    ]
    (tmp_path / "w.bin").write_bytes(b"".join(w.tobytes() for w in weights.values()))
    path = tmp_path / "graph.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["w.bin"], "weights": entries}]}))
    return path


def test_half_weights_become_floats_under_their_names(graph):
    weights = read_graph_model(graph)
    assert weights["a"].dtype == np.float32
    assert weights["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert weights["b"].tolist() == [7]


def test_a_file_that_is_too_long_is_refused(graph):
    (graph.parent / "w.bin").write_bytes(bytes(100))
    with pytest.raises(ModelError, match="16 bytes"):
        read_graph_model(graph)


def test_another_graph_is_refused_by_the_weight_it_lacks(graph):
    with pytest.raises(ModelError, match="not MoveNet MultiPose"):
        import_movenet(graph)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no TensorFlow\.js graph"):
        read_graph_model(tmp_path / "x.json")
