"""Sizes of the blocks in which a kernel works, chosen for each shape of a layer by trying, and kept.

On a GPU they are timed when a shape is met first, which is before the network is captured as a graph. What
was chosen is kept in the cache folder, so that the next start compiles no kernel that is not used.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import torch

from hprnet_rt.environment import library_cache

__all__ = ["Blocks", "chosen_blocks"]

_log = logging.getLogger(__name__)

_FORMAT: Final = "blocks-2.json"  # the number changes with the kernels
_RUNS: Final = 10
_chosen: dict[str, Blocks] = {}


class Blocks(NamedTuple):
    """How a convolution is divided.

    Attributes:
        pixels, outputs, inputs: of the products that a program computes at once.
        taps: that one program sums over; the others are other programs'.
        warps: of a program.
        stages: of the loop over inputs, on their way at the same time.
    """

    pixels: int
    outputs: int
    inputs: int
    taps: int
    warps: int = 4
    stages: int = 2


def chosen_blocks(
    layer: str, device: torch.device, candidates: Sequence[Blocks], run: Callable[[Blocks], Any]
) -> Blocks:
    """Return the blocks of a layer: the fastest candidate on a GPU, the first one elsewhere.

    Args:
        layer: the kernel, its type and its shape in words, by which the choice is kept.
        device: of the maps.
        candidates: at least one.
        run: runs the kernel.

    Raises:
        RuntimeError: no candidate runs.
    """
    if device.type != "cuda":
        return candidates[0]
    key = f"{torch.cuda.get_device_name(device)}, Triton {_version()}: {layer}"
    if not _chosen:
        _chosen.update(_kept())
    if _chosen.get(key) not in candidates:
        if torch.cuda.is_current_stream_capturing():
            return candidates[0]
        times = {blocks: _seconds(blocks, run) for blocks in candidates}
        _chosen[key] = min(times, key=lambda blocks: times[blocks])
        if times[_chosen[key]] == math.inf:
            run(_chosen.pop(key))  # which says why
        _log.debug("%s: %s, of %s", key, _chosen[key], times)
        _keep()
    return _chosen[key]


def _seconds(blocks: Blocks, run: Callable[[Blocks], Any]) -> float:
    """Return the seconds of a run; infinity where it fails, as where the GPU has not the room for it."""
    try:
        run(blocks)
    except RuntimeError as error:  # Triton's are; of memory too
        _log.debug("%s do not run: %s", blocks, error)
        return math.inf
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    for _ in range(_RUNS):
        run(blocks)
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3 / _RUNS


def _version() -> str:
    import triton

    return str(triton.__version__)


def _kept() -> dict[str, Blocks]:
    folder = library_cache("triton")
    try:
        found = json.loads((folder / _FORMAT).read_text(encoding="utf-8")) if folder else {}
        return {key: Blocks(*map(int, numbers)) for key, numbers in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # none yet, or not ours: chosen again
        return {}


def _keep() -> None:
    folder = library_cache("triton")
    if folder is None:
        return
    try:
        partial = folder / f"{_FORMAT}.{os.getpid()}"
        partial.write_text(json.dumps({**_kept(), **_chosen}, indent=1), encoding="utf-8")
        partial.replace(folder / _FORMAT)
    except OSError as error:
        _log.debug("%s cannot be written: %s", folder / _FORMAT, error)
