"""Building of an engine from a strongly typed ONNX graph; TensorRT-RTX needs no GPU for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hprnet_rt.backends.trt.library import compute_capabilities, error_log, library_text
from hprnet_rt.errors import BackendError

__all__ = ["InputRange", "Progress", "build_engine"]

Progress = Callable[[str, int, int], None]
"""Called with a phase of the build, the steps done in it, and all its steps."""

_CHANNELS: Final = 3
_CAPTURABLE: Final = "REQUIRE_USER_ALLOCATION"  # without it TensorRT-RTX lets no CUDA graph be captured


@dataclass(frozen=True)
class InputRange:
    """The sizes that an engine accepts: of each axis the least, the one to optimise for, and the largest.

    Attributes:
        batch: images at a time.
        height, width: pixels.
    """

    batch: tuple[int, int, int]
    height: tuple[int, int, int]
    width: tuple[int, int, int]

    @property
    def shapes(self) -> list[tuple[int, int, int, int]]:
        """The least, the best and the largest shape of `images`, (N, H, W, 3)."""
        axes = zip(self.batch, self.height, self.width, strict=True)
        return [(batch, height, width, _CHANNELS) for batch, height, width in axes]


def build_engine(
    library: Any,
    graph: bytes,
    sizes: InputRange,
    *,
    gpus: tuple[str, ...] = (),
    timing_cache: bytes | None = None,
    progress: Progress | None = None,
) -> tuple[bytes, bytes]:
    """Build an engine, and return it with the timing cache (empty where none is kept).

    Args:
        library: from `load_library`.
        graph: ONNX with one input, `images`; every precision is the graph's.
        sizes: of `images`.
        gpus: kinds of GPU to build for, where the library can; its own choice when empty.
        timing_cache: the timing cache of an earlier build, which saves time, or b"" for the first build; None
            for no cache, as with TensorRT-RTX, which times nothing.
        progress: called from the thread that builds.

    Raises:
        UsageError: the library cannot build for one of `gpus`.
        BackendError: the library refuses the graph or fails; the message holds all its reasons.
    """
    capabilities = compute_capabilities(library, gpus)
    logger = error_log(library)
    try:
        builder = library.Builder(logger)
    except TypeError as error:  # the binding raises it where there is no builder
        raise BackendError(f"{library_text(library)} cannot start: {logger.message or error}") from error
    config = builder.create_builder_config()
    network = builder.create_network(_network_flags(library))
    _parse(library, network, logger, graph)
    profile = builder.create_optimization_profile()
    profile.set_shape(network.get_input(0).name, *sizes.shapes)
    config.add_optimization_profile(profile)
    if capabilities:
        config.num_compute_capabilities = len(capabilities)
        for i, capability in enumerate(capabilities):
            config.set_compute_capability(capability, i)
    if hasattr(library.BuilderFlag, _CAPTURABLE):
        config.set_flag(getattr(library.BuilderFlag, _CAPTURABLE))
    if timing_cache is not None:
        cache = config.create_timing_cache(timing_cache)
        config.set_timing_cache(cache, ignore_mismatch=False)
    monitor = _monitor(library, progress) if progress and hasattr(library, "IProgressMonitor") else None
    if monitor is not None:
        config.progress_monitor = monitor
    built = builder.build_serialized_network(network, config)
    if monitor is not None and monitor.interrupted:
        raise KeyboardInterrupt
    if built is None:
        reason = logger.message or "it gives no reason"
        raise BackendError(f"{library_text(library)} cannot build the engine: {reason}")
    timed = b"" if timing_cache is None else bytes(config.get_timing_cache().serialize())
    return bytes(built), timed


def _network_flags(library: Any) -> int:
    """Return the flag for strong typing; 0 for libraries that know no other typing."""
    flag = getattr(library.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _parse(library: Any, network: Any, logger: Any, graph: bytes) -> None:
    parser = library.OnnxParser(network, logger)
    if parser.parse(graph):
        return
    reasons = []
    for i in range(parser.num_errors):
        error = parser.get_error(i)
        where = " ".join(
            text() for text in (error.node_operator, error.node_name) if callable(text) and text()
        )
        reasons.append(f"{where}: {error.desc()}" if where else str(error.desc()))
    del parser  # before the network that it writes to
    reason = "; ".join(reasons) or logger.message or "no reason given"
    raise BackendError(f"{library_text(library)} cannot read the network: {reason}")


def _monitor(library: Any, progress: Progress) -> Any:
    """Return a monitor that reports every step to `progress`; Ctrl-C in it ends the build at the next one."""

    class Monitor(library.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            library.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}
            self.interrupted = False

        def _report(self, phase: str, done: int) -> None:
            try:
                progress(phase, done, self._steps.get(phase, 0))
            except KeyboardInterrupt:
                self.interrupted = True

        def phase_start(self, phase: str, _parent: str | None, steps: int) -> None:
            self._steps[phase] = steps
            self._report(phase, 0)

        def step_complete(self, phase: str, step: int) -> bool:
            self._report(phase, step + 1)
            return not self.interrupted

        def phase_finish(self, phase: str) -> None:
            self._report(phase, self._steps.get(phase, 0))

    return Monitor()
