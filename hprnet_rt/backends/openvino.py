"""OpenVINO on the CPU: the network in bf16 or fp32, the decode always in fp32.

bf16 has 8 bits of precision: a whole graph in bf16 rounds positions to half a cell and gathers from wrong
cells. So the graph is cut at the feature map and the heat-maps, and its two parts are compiled separately;
they share memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import openvino.passes
from openvino import opset8, opset13
from openvino.frontend import NodeContext
from openvino.frontend.onnx import ConversionExtension

from hprnet_rt.backends.protocol import BackendRequest, refinement_text
from hprnet_rt.backends.registry import INT8
from hprnet_rt.errors import BackendError, UsageError
from hprnet_rt.machine import give_back_memory
from hprnet_rt.types import Maps

__all__ = ["create", "maps_of", "reader"]

_PEAKS = "peaks"
_OUT_OF_MEMORY = "bad_alloc"
_CUT = ("feature", "hm", "hm_hp")  # tensor names, given by the export
_CUT_REFINING = ("features", "hm", "hm_hp")
_LOCAL_MAPS = "local_maps"
_MOST_STREAMS = 4
"""On more cores an image gets several of them: each that is worked on needs memory."""


def _deform_conv(node: NodeContext) -> list[openvino.Output]:
    """Convert ONNX's DeformConv of one group, which OpenVINO's importer lacks, to OpenVINO's own."""
    image, weight, offset, bias, mask = (node.get_input(i) for i in range(5))
    strides, pads = node.get_attribute("strides", [1, 1]), node.get_attribute("pads", [0, 0, 0, 0])
    sums = opset8.deformable_convolution(
        image,
        offset,
        weight,
        strides,
        pads[:2],
        pads[2:],
        [1, 1],
        mask=mask,
        bilinear_interpolation_pad=True,
    )
    per_channel = opset8.constant(np.array([1, -1, 1, 1], np.int64))
    outputs: list[openvino.Output] = opset8.add(
        sums, opset8.reshape(bias, per_channel, special_zero=False)
    ).outputs()
    return outputs


def reader() -> openvino.Core:
    """Return an OpenVINO core that can read every network of this project."""
    core = openvino.Core()
    core.add_extension(ConversionExtension("DeformConv", _deform_conv))
    return core


def maps_of(model: openvino.Model, names: Sequence[str] = _CUT) -> dict[str, openvino.Output]:
    """Return the tensors between network and decode, by name.

    Raises:
        BackendError: the model lacks one of them.
    """
    found = {}
    for node in model.get_ops():
        for output in node.outputs():
            for name in output.get_names() & set(names):
                found[name] = output
    missing = set(names) - found.keys()
    if missing:
        raise BackendError(f"the network has no tensors named {', '.join(sorted(missing))}; export it again")
    return found


def _cut(model: openvino.Model, refines: bool) -> tuple[openvino.Model, openvino.Model]:
    """Split a model into (images -> maps) and (maps -> peaks).

    The first part of a network that refines returns the local maps too, last.
    """
    names = _CUT_REFINING if refines else _CUT
    decode = model.clone()
    folding = openvino.passes.Manager()
    folding.register_pass(openvino.passes.ConstantFolding())
    folding.run_passes(
        decode
    )  # else the decode would need the image for its shape; int8 weights must not be folded
    parameters = []
    outputs = maps_of(decode, names)
    for name in names:
        output = outputs[name]
        parameter = opset13.parameter(output.get_shape(), output.get_element_type(), name=name)
        for user in list(output.get_target_inputs()):
            user.replace_source_output(parameter.output(0))
        parameters.append(parameter)
    given = (*names, _LOCAL_MAPS) if refines else names
    maps = maps_of(model, given)
    return (
        openvino.Model([maps[name] for name in given], model.get_parameters(), "maps"),
        openvino.Model([decode.output(_PEAKS)], parameters, "decode"),
    )


def _streams(cores: int) -> tuple[int, int]:
    """Return how many images to work on at the same time, and the threads of each.

    Where each has one thread there is one image more than cores: it is taken while another is handed over.
    """
    threads = -(-cores // _MOST_STREAMS)
    streams = cores // threads
    return (streams + 1 if threads == 1 < streams else streams), threads


def _options(threads: int, streams: int = 1) -> dict[str, Any]:
    """Return the settings of a compiled network, but for its precision.

    Args:
        threads: of each stream.
        streams: images that are worked on at the same time.
    """
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * threads,
        "ENABLE_CPU_PINNING": False,  # decoding and drawing need the cores too
    }


def _refusal(error: RuntimeError, input_hw: tuple[int, int], path: Path) -> BackendError:
    """Return the error for a network that the library does not take, with a remedy."""
    if _OUT_OF_MEMORY in str(error):
        height, width = input_hw
        return BackendError(f"an input of {width} x {height} does not fit into memory; take a smaller --size")
    return BackendError(f"openvino cannot load {path}: {error}")


class _Decode:
    """From the network's tensors to peaks, one image after the other: that is short, and needs memory."""

    def __init__(self, decoder: openvino.CompiledModel) -> None:
        self._request = decoder.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, tensors: Sequence[openvino.Tensor]) -> npt.NDArray[np.float32]:
        with self._lock:
            for i, tensor in enumerate(tensors):
                self._request.set_input_tensor(i, tensor)
            self._request.infer()
            result: npt.NDArray[np.float32] = self._request.get_output_tensor(0).data.copy()
            return result


class _Stream:
    """The network for one image at a time.

    Args:
        network: compiled.
        decode: reads its tensors where they lie.
        gives_maps: the network's last output are the local maps.
    """

    def __init__(self, network: openvino.CompiledModel, decode: _Decode, *, gives_maps: bool) -> None:
        self._request, self._decode = network.create_infer_request(), decode
        self._shapes = [tuple(network.output(i).shape) for i in (0, len(_CUT)) if gives_maps]

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], list[Maps | None]]:
        """Return the peaks and the maps, new ones; not for two threads at a time."""
        maps = self._own_maps() if self._shapes else None
        self._request.infer({0: images}, share_inputs=True)
        return self._decode([self._request.get_output_tensor(i) for i in range(len(_CUT))]), [maps]

    def _own_maps(self) -> Maps:
        """Return new maps for the caller to own; the library writes into them, so that nothing is copied."""
        features, local = (np.empty(shape, np.float32) for shape in self._shapes)
        self._request.set_output_tensor(0, openvino.Tensor(features, shared_memory=True))
        self._request.set_output_tensor(len(_CUT), openvino.Tensor(local, shared_memory=True))
        return Maps(features[0], local[0])


class _OpenVinoBackend:
    name = "openvino"
    max_batch = 1

    def __init__(self, request: BackendRequest, precision: str) -> None:
        """Compile a request with its float layers in `precision`, "bf16" or "f32"."""
        model_file, input_hw, threads = request.model_file, request.input_hw, request.threads
        path = model_file.path if request.engine is None else request.engine.path
        self.spec = model_file.spec
        self.input_hw = input_hw
        streams, of_each = _streams(threads) if request.batch is None else (1, threads)
        core, options = reader(), _options(of_each, streams)
        try:
            model = core.read_model(model_file.for_grouping() if request.engine is None else path)
            model.reshape({0: [1, *input_hw, 3]})
            self.gives_maps = len(model.outputs) > 1
            maps, decode = _cut(model, self.gives_maps)
            network = core.compile_model(maps, "CPU", {**options, "INFERENCE_PRECISION_HINT": precision})
            alone = {**_options(of_each), "INFERENCE_PRECISION_HINT": "f32"}
            decoder = _Decode(core.compile_model(decode, "CPU", alone))
        except RuntimeError as error:
            raise _refusal(error, input_hw, path) from error
        self.at_once = 1 if streams == 1 else streams + 1  # one more waits, so that no stream does
        self._free: SimpleQueue[_Stream | None] = SimpleQueue()
        for _ in range(streams):
            self._free.put(_Stream(network, decoder, gives_maps=self.gives_maps))
        self._streams = streams
        self._workers = ThreadPoolExecutor(streams, "hprnet-engine")
        shown = "bf16" if precision == "bf16" else "fp32"
        if request.engine is not None:
            shown = f"{INT8} and {shown}"
        version = openvino.__version__.split("-")[0]
        self.precision = shown
        refined = refinement_text(self.spec, after_grouping=self.gives_maps)
        self.description = f"OpenVINO {version}, CPU, {shown}, {threads} threads{refined}"

        # The first run sets things up lazily; and two threads that convert their first array at the same time
        # would deadlock in the binding.
        for _ in range(streams):
            self.run(np.zeros((1, *input_hw, 3), np.uint8))
        del model, maps, decode
        give_back_memory()

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return self.run_with_maps(images)[0]

    def run_with_maps(
        self, images: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.float32], list[Maps | None]]:
        stream = self._free.get()
        try:
            if stream is not None:
                return stream.run(images)
        except RuntimeError as error:
            raise BackendError(f"openvino failed on a frame: {error}") from error
        finally:
            self._free.put(stream)
        raise BackendError("the openvino backend is closed")

    def begin(
        self, images: npt.NDArray[np.uint8]
    ) -> Callable[[], tuple[npt.NDArray[np.float32], list[Maps | None]]]:
        try:
            return self._workers.submit(self.run_with_maps, images).result
        except RuntimeError as error:  # its threads have ended
            raise BackendError("the openvino backend is closed") from error

    def close(self) -> None:
        self._workers.shutdown()
        for _ in range(self._streams):
            self._free.get()
            self._free.put(None)


class _OpenVinoMaps:
    """A network that returns dense maps, in fp32; there is no decode behind it."""

    name = "openvino"
    precision = "fp32"
    max_batch = 1

    def __init__(self, request: BackendRequest) -> None:
        model_file, input_hw, threads = request.model_file, request.input_hw, request.threads
        self.spec = model_file.spec
        self.input_hw = input_hw
        try:
            model = reader().read_model(model_file.path)
            model.reshape({0: [1, *input_hw, 3]})
            options = {**_options(threads), "INFERENCE_PRECISION_HINT": "f32"}
            network = reader().compile_model(model, "CPU", options)
        except RuntimeError as error:
            raise _refusal(error, input_hw, model_file.path) from error
        self._network: openvino.InferRequest | None = network.create_infer_request()
        self.description = f"OpenVINO {openvino.__version__.split('-')[0]}, CPU, fp32, {threads} threads"
        self._lock = threading.Lock()
        self.run(np.zeros((1, *input_hw, 3), np.uint8))

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with self._lock:
            if self._network is None:
                raise BackendError("the openvino backend is closed")
            try:
                self._network.infer({0: images}, share_inputs=True)
            except RuntimeError as error:
                raise BackendError(f"openvino failed on a frame: {error}") from error
            result: npt.NDArray[np.float32] = self._network.get_output_tensor(0).data.copy()
            return result

    def close(self) -> None:
        with self._lock:
            self._network = None


def create(request: BackendRequest) -> _OpenVinoBackend | _OpenVinoMaps:
    """Compile the network, or a built int8 engine; see `BackendModule`.

    "auto" is bf16 where it is known to cost no accuracy and the CPU has it, else fp32; so are those layers
    of an int8 engine that are not int8.

    Raises:
        UsageError: bf16 is asked for, and the CPU does not have it.
    """
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if request.precision == "bf16" and not has_bf16:
        raise UsageError("this CPU does not compute in bf16; use --precision fp32 or auto")
    if request.model_file.spec.is_rival:
        if request.precision not in ("auto", "fp32"):
            raise UsageError(
                f"{request.model_file.spec.name} runs in fp32 with openvino; leave --precision out"
            )
        return _OpenVinoMaps(request)
    may_bf16 = request.precision in ("auto", INT8) and has_bf16 and request.model_file.bf16
    return _OpenVinoBackend(request, "bf16" if request.precision == "bf16" or may_bf16 else "f32")
