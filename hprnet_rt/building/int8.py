"""OpenVINO engines in int8: calibrated with real frames, and accepted only if people and points stay.

The int8 layers are the convolutions from the stride of the heat-maps down to the coarsest map. Earlier ones
stay float because their errors would reach everything. Later ones (pyramids, heads) stay float because a few
of their channels are much larger than the others, which rounding would erase. The decode is always float32.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from hprnet_rt.backends import GivesMaps, ModelFile, create_backend
from hprnet_rt.backends.built_engine import BuiltEngine
from hprnet_rt.backends.registry import INT8, backend_spec
from hprnet_rt.building.calibration import calibration_inputs
from hprnet_rt.errors import BackendError, ModelError, UsageError
from hprnet_rt.evaluation import Movement, movement
from hprnet_rt.geometry import Letterbox
from hprnet_rt.grouping import Grouper, GroupingOptions
from hprnet_rt.spec import PeakLayout
from hprnet_rt.types import Peaks, Poses

__all__ = ["INT8_BOUND", "Int8Bound", "Quantised", "build_int8", "quantise"]

_log = logging.getLogger(__name__)

ImageArray = npt.NDArray[np.uint8]

_BACKEND: Final = "openvino"
_MOST_FRAMES: Final = 128
_HELD_OUT: Final = 4  # every fourth frame is kept for the comparison with float32
_LEAST_FRAMES: Final = 12
_LEAST_SCORE: Final = 0.2  # of people that are compared, see `movement`
_CONVOLUTIONS: Final = ("Convolution", "GroupConvolution")
_NO_OPERATIONS: Final = ("Constant", "Parameter", "Result")


@dataclass(frozen=True)
class Int8Bound:
    """The limits of an int8 engine against float32, on frames that it was not calibrated with.

    Attributes:
        near_px: the distance within which a point counts as near, in pixels of the network's input.
        share: the least share of confident points that stay near.
        changed: the largest share of people who are lost or new.
        people: the least number of people for a judgement.
    """

    near_px: float = 4.0
    share: float = 0.95
    changed: float = 0.03
    people: int = 10


INT8_BOUND: Final = Int8Bound()
"""The limits that `build` applies."""


def build_int8(
    model_file: ModelFile,
    source: Path | None,
    engine: BuiltEngine,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Write an int8 engine, unless it differs too much from float32.

    Args:
        model_file: the network.
        source: a video, or a folder of images, such as the engine will see.
        engine: its .xml file, which is written here with the weights beside it, and its recipe.
        progress: called with a phase, the frames done in it, and all its frames.

    Returns:
        Values for the engine's JSON: the frames, and how far the engine moved people and points on frames
        that were kept apart.

    Raises:
        UsageError: there are no frames to calibrate with, or too few.
        MediaError: the frames cannot be read.
        BackendError: a package is missing.
        ModelError: the engine is not accepted.
    """
    _nncf()  # a missing package is reported before the work, not after it
    if source is None:
        raise UsageError(
            "an int8 engine needs frames such as it will see, of many people and places: --calibrate VIDEO "
            "or FOLDER"
        )
    inputs = calibration_inputs(source, model_file.spec.input_px, _MOST_FRAMES)
    if len(inputs) < _LEAST_FRAMES:
        raise UsageError(f"{source} has {len(inputs)} frames; calibration needs {_LEAST_FRAMES} or more")
    held_out = inputs[::_HELD_OUT]
    calibrating = [image for number, image in enumerate(inputs) if number % _HELD_OUT]
    made = quantise(model_file, calibrating, progress=progress)
    path = engine.path
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    try:
        _save(made.model, partial)
        moved = _compare(model_file, dataclasses.replace(engine, path=partial), held_out, progress)
        flaw = _flaw(moved)
        if flaw:
            raise ModelError(
                f"the int8 engine of {model_file.spec.name} is not accepted: on {len(held_out)} frames of "
                f"{source.name} kept apart, {flaw}; calibrate with more or other frames, or use bf16 or fp32"
            )
        partial.with_suffix(".bin").replace(path.with_suffix(".bin"))
        partial.replace(path)
    finally:
        for file in (partial, partial.with_suffix(".bin")):
            file.unlink(missing_ok=True)
    return {
        "int8_layers": made.int8,
        "layers": made.layers,
        "calibrated_on": source.name,
        "frames": len(calibrating),
        "held_out": len(held_out),
        **moved.to_dict(),
    }


def _save(model: Any, path: Path) -> None:
    import openvino

    openvino.save_model(model, path, compress_to_fp16=False)


def _compare(
    model_file: ModelFile,
    engine: BuiltEngine,
    inputs: Sequence[ImageArray],
    progress: Callable[[str, int, int], None] | None,
) -> Movement:
    """Return how far an engine, run as it will be, moves people and points from float32."""
    side = model_file.spec.input_px
    letterbox = Letterbox.fit((side, side), (side, side))
    layout = PeakLayout.of(model_file.spec)
    options = GroupingOptions(person_threshold=_LEAST_SCORE)
    group = Grouper(model_file.spec, options, model_file.refiner_weights())
    found: list[list[Poses]] = [[], []]
    for people, precision in zip(found, ("fp32", INT8), strict=True):
        backend = create_backend(
            model_file,
            letterbox.input_hw,
            backend=_BACKEND,
            precision=precision,
            find_engine=lambda *_, **__: engine,
        )
        for image in inputs:
            packed, maps = cast(GivesMaps, backend).run_with_maps(image)
            people.append(group(Peaks(packed[0], layout, letterbox, maps[0])))
            if progress is not None:
                progress("judging", sum(map(len, found)), 2 * len(inputs))
        backend.close()
    return movement(found[0], found[1], [1.0] * len(inputs))


def _flaw(moved: Movement, bound: Int8Bound = INT8_BOUND) -> str | None:
    """Return why an engine is not accepted, None when it is."""
    if moved.people < bound.people:
        return f"float32 finds {moved.people} people, too few to judge it ({bound.people} are needed)"
    if moved.lost + moved.new > bound.changed * moved.people:
        return (
            f"of {moved.people} people {moved.lost} are lost and {moved.new} are new, where "
            f"{bound.changed:.0%} may change"
        )
    share = moved.within(bound.near_px)
    if share < bound.share:
        return (
            f"{share:.1%} of {len(moved.distance_px)} points stay within {bound.near_px:g} pixels of the "
            f"network's input, where {bound.share:.0%} must"
        )
    return None


@dataclass(frozen=True)
class Quantised:
    """A network with some of its layers in int8.

    Attributes:
        model: OpenVINO's model, for inputs of any size, with the tensor names of the export.
        int8, layers: the number of int8 convolutions, and of all before the decode.
    """

    model: Any
    int8: int
    layers: int


def quantise(
    model_file: ModelFile,
    inputs: Sequence[ImageArray],
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> Quantised:
    """Convert the layers of the trunk to int8.

    Args:
        model_file: the network.
        inputs: (1, H, W, 3) uint8 BGR each, of one size, like those that it will see.
        progress: see `build_int8`.

    Raises:
        BackendError: nncf is missing, or one of the libraries cannot do it.
    """
    nncf = _nncf()
    runtime: Any = importlib.import_module(backend_spec(_BACKEND).module)
    core = runtime.reader()
    try:
        model = core.read_model(model_file.for_grouping())
        maps = _before(runtime.maps_of(model).values())
        layers = [node for node in maps if node.get_type_name() in _CONVOLUTIONS]
        widths = _widths(model, inputs[0].shape)
        coarsest = min(widths[node.get_friendly_name()] for node in layers)
        ends = [node.output(0) for node in layers if widths[node.get_friendly_name()] == coarsest]
        most = inputs[0].shape[2] // model_file.spec.stride_px
        chosen = [
            node
            for node in _before(ends)
            if node.get_type_name() in _CONVOLUTIONS and widths[node.get_friendly_name()] <= most
        ]
        numbers = itertools.count(1)

        def input_of(image: ImageArray) -> dict[int, ImageArray]:
            if progress is not None:
                progress("calibrating", min(next(numbers), len(inputs)), len(inputs))
            return {0: image}

        with contextlib.redirect_stdout(io.StringIO()):  # NNCF draws its own progress bars
            made = nncf.quantize(
                model,
                nncf.Dataset(inputs, input_of),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(inputs),
                ignored_scope=nncf.IgnoredScope(names=_others(model, chosen), validate=False),
            )
    except RuntimeError as error:
        raise BackendError(f"openvino cannot quantise {model_file.spec.name}: {error}") from error
    return Quantised(made, len(chosen), len(layers))


def _nncf() -> Any:
    try:
        nncf: Any = importlib.import_module("nncf")
    except ImportError as error:
        raise BackendError(
            f"an int8 engine needs the package {error.name or 'nncf'}: pip install 'hprnet-rt[int8]'"
        ) from error
    nncf.set_log_level(logging.ERROR)
    return nncf


def _before(ends: Iterable[Any]) -> list[Any]:
    """Return the nodes that some outputs depend on, with those that compute the outputs."""
    found: dict[str, Any] = {}
    waiting = [end.get_node() for end in ends]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() not in found:
            found[node.get_friendly_name()] = node
            waiting += [node.input_value(i).get_node() for i in range(node.get_input_size())]
    return list(found.values())


def _widths(model: Any, shape: Sequence[int]) -> dict[str, int]:
    """Return the width of the output of every convolution, by name, for inputs of a shape."""
    sized = model.clone()
    sized.reshape({0: list(shape)})
    return {
        node.get_friendly_name(): int(node.output(0).get_shape()[-1])
        for node in sized.get_ops()
        if node.get_type_name() in _CONVOLUTIONS
    }


def _others(model: Any, chosen: Sequence[Any]) -> list[str]:
    """Return the names of all operations except the chosen layers and those that lead to them."""
    names = {node.get_friendly_name() for node in chosen}
    leading = {node.get_friendly_name() for node in _before(node.output(0) for node in chosen)}
    return [
        node.get_friendly_name()
        for node in model.get_ops()
        if node.get_type_name() not in _NO_OPERATIONS
        and (
            node.get_friendly_name() not in leading
            or (node.get_type_name() in _CONVOLUTIONS and node.get_friendly_name() not in names)
        )
    ]
