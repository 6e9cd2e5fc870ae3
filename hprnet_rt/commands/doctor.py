"""`hprnet-rt doctor`: report what this machine can run, and why it cannot run the rest."""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import platform
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.codec.codec import UnknownCodecError

from hprnet_rt.backends import ModelFile
from hprnet_rt.backends.create import auto_backends
from hprnet_rt.backends.registry import backend_specs
from hprnet_rt.backends.trt import load_library
from hprnet_rt.building.targets import TARGETS
from hprnet_rt.commands.console import DONE, FAILED, AddParser, complain
from hprnet_rt.environment import CACHE_VARIABLE, cache_folder, cache_is_temporary, sends_nothing
from hprnet_rt.errors import HprnetError
from hprnet_rt.grouping.compiled import kernel_folder
from hprnet_rt.inference.model import DEFAULT_MODEL, load
from hprnet_rt.machine import Nvidia, cpu, nvidia
from hprnet_rt.version import __version__
from hprnet_rt.video.capture import list_cameras
from hprnet_rt.words import counted, shown_backend

__all__ = ["add_parser"]

_LIBRARIES: Final = (
    "numpy",
    "numba",
    "opencv-python-headless",
    "av",
    "openvino",
    "onnxruntime",
    "torch",
    "triton",
    "onnx",
    "tensorrt",
    "tensorrt-rtx",
    "pycuda",
    "PySide6-Essentials",
    "pyqtgraph",
    "mss",
    "matplotlib",
    "faster-coco-eval",
    "scipy",
)
_ENCODERS: Final = (
    "libx264",
    "libx265",
    "libopenh264",
    "mpeg4",
    "aac",
    "h264_nvenc",
    "hevc_nvenc",
    "h264_qsv",
    "h264_vaapi",
    "h264_videotoolbox",
)
_ON_NVIDIA: Final = "_nvenc"
_TRIAL_PX: Final = 64
_LABEL, _LINE = 13, 96  # columns


def add_parser(add: AddParser) -> None:
    """Add the command; it has no arguments."""
    job = add(
        description="Look at the machine, its libraries, cameras and encoders, and run every backend on an "
        "empty picture. Exit code 1 when the default model cannot run.",
    )
    job.set_defaults(run=_doctor)


def _doctor(_options: argparse.Namespace) -> int:
    log = logging.getLogger("hprnet_rt")
    level = log.level
    log.setLevel(logging.ERROR)  # the report itself names what matters
    try:
        return _examine()
    finally:
        log.setLevel(level)


def _examine() -> int:
    gpus = nvidia()
    for label, text in _machine(gpus):
        _row(label, text)
    _row("libraries", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES))
    model_is_sound = _check_model()
    runs = {spec.name: _try_backend(spec.name, gpus) for spec in backend_specs()}
    for label, text in _devices_and_folders(gpus):
        _row(label, text)
    chosen = _default(runs)
    if model_is_sound and chosen and runs[chosen]:
        _row("default", f"{DEFAULT_MODEL} on {chosen}: runs")
        return DONE
    complain(f"the default cannot run: {DEFAULT_MODEL} on {chosen or 'no backend'}; the reason is above")
    return FAILED


def _row(label: str, text: str) -> None:
    lines = textwrap.wrap(text, _LINE, break_long_words=False, break_on_hyphens=False) or ["-"]
    print(f"{label:<{_LABEL}}" + f"\n{'':{_LABEL}}".join(lines), flush=True)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _machine(gpus: Nvidia) -> Iterator[tuple[str, str]]:
    yield "hprnet-rt", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"
    processor = cpu()
    features = "features unknown" if processor.features is None else " ".join(processor.features) or "no AVX"
    yield "CPU", f"{processor.name}, {counted(processor.cores, 'core')}, {features}"
    yield "NVIDIA", f"driver {gpus.driver}" if gpus.driver else gpus.why
    for gpu in gpus.gpus:
        memory = f"{gpu.memory_bytes / 2**30:.1f} GiB"
        yield "GPU", f"{gpu.name}, compute capability {gpu.compute_capability}, {memory}"


def _check_model() -> bool:
    """Report on the shipped model, and return whether it matches its description."""
    try:
        model_file = ModelFile.find(DEFAULT_MODEL)
    except (HprnetError, OSError) as error:
        _row("model", f"cannot be used: {error}")
        return False
    _row("model", f"{model_file.path}, SHA-256 {model_file.sha256[:12]}..., as it should be")
    return True


def _default(runs: dict[str, bool]) -> str | None:
    """Return the backend that "auto" would choose, None when there is none.

    It is the first that runs or that "auto" would use in any case.
    """
    for spec in auto_backends():
        if spec.name in runs and (runs[spec.name] or spec.auto == "use"):
            return spec.name
    return None


def _try_backend(name: str, gpus: Nvidia) -> bool:
    """Report on a backend, and return whether the default model runs on it."""
    try:
        with load(backend=name, input_px=_TRIAL_PX) as model:
            model(np.zeros((_TRIAL_PX, _TRIAL_PX, 3), np.uint8))
            _row(name, f"runs: {shown_backend(model.description)}")
            return True
    except (HprnetError, ImportError, OSError) as error:
        _row(name, f"cannot run: {error}{_able_to_build(name, gpus)}")
        return False


def _able_to_build(name: str, gpus: Nvidia) -> str:
    """Return the end of a row for a library that cannot run here but can build engines."""
    target = TARGETS.get(name)
    if target is None or not target.tensorrt or (target.own_gpu and not gpus.gpus):
        return ""
    try:
        return f". {load_library(name).__version__} builds engines for other machines (hprnet-rt build)"
    except HprnetError:
        return ""


def _devices_and_folders(gpus: Nvidia) -> Iterator[tuple[str, str]]:
    cameras = list_cameras()
    opened = [camera.device for camera in cameras if camera.opens]
    closed = [f"{camera.device} ({camera.why})" for camera in cameras if not camera.opens]
    yield "cameras", ", ".join([*opened, *closed]) or "none"
    encoders = [
        name if gpus.gpus or not name.endswith(_ON_NVIDIA) else f"{name} (no GPU for it)"
        for name in filter(_has_encoder, _ENCODERS)
    ]
    yield "encoders", ", ".join(encoders) or "none"
    folder = cache_folder()
    held = f"{_size_of(folder) / 1e6:.1f} MB" if folder.is_dir() else "empty"
    lasting = f"; temporary, as no home can be written: {CACHE_VARIABLE} sets another"
    yield "cache", f"{folder}, {held}{lasting if cache_is_temporary() else ''}"
    kept = kernel_folder()
    yield "kernels", str(kept) if kept else "no folder can be written: they are compiled at every start"
    yield (
        "telemetry",
        "off" if sends_nothing() else "on: as the environment or a library before hprnet_rt says",
    )


def _has_encoder(name: str) -> bool:
    """Return whether PyAV was built with an encoder."""
    try:
        av.codec.Codec(name, "w")
    except UnknownCodecError:
        return False
    return True


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # deleted meanwhile
            continue
    return total
