"""CUDA graphs through the driver itself, for packages that lack them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final

from hprnet_rt.errors import BackendError

__all__ = ["GraphDevice", "Graphs"]

_LIBRARIES: Final = ("libcuda.so.1", "nvcuda.dll")
_OK: Final = 0
_THREAD_LOCAL: Final = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may use the GPU meanwhile
_Handle = ctypes.c_void_p


def _load() -> Any:
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise BackendError(f"the NVIDIA driver's library cannot be loaded (looked for {', '.join(_LIBRARIES)})")


class Graphs:
    """Captures the work that is enqueued in a stream, and launches it again.

    The thread that calls must have a CUDA context.

    Args:
        library: the driver's, loaded; None looks for it.

    Raises:
        BackendError: there is none. Of every method: the driver refuses.
    """

    def __init__(self, library: Any = None) -> None:
        self._cuda = library or _load()
        self._made: list[tuple[int, int]] = []

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Capture what `work` enqueues in a graph, without running it, and return the handle of the graph."""
        self._check("cuStreamBeginCapture_v2", _Handle(stream), ctypes.c_int(_THREAD_LOCAL))
        graph, ready = _Handle(), _Handle()
        try:
            work()
        except BaseException:
            self._cuda.cuStreamEndCapture(_Handle(stream), ctypes.byref(graph))
            if graph:
                self._cuda.cuGraphDestroy(graph)
            raise
        self._check("cuStreamEndCapture", _Handle(stream), ctypes.byref(graph))
        try:
            self._check("cuGraphInstantiateWithFlags", ctypes.byref(ready), graph, ctypes.c_ulonglong(0))
        except BackendError:
            self._cuda.cuGraphDestroy(graph)
            raise
        handle = ready.value or 0
        self._made.append((handle, graph.value or 0))
        return handle

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a captured graph."""
        self._check("cuGraphLaunch", _Handle(graph), _Handle(stream))

    def close(self) -> None:
        """Free all graphs; further calls do nothing."""
        while self._made:
            ready, graph = self._made.pop()
            self._cuda.cuGraphExecDestroy(_Handle(ready))
            self._cuda.cuGraphDestroy(_Handle(graph))

    def _check(self, function: str, *arguments: Any) -> None:
        status = getattr(self._cuda, function)(*arguments)
        if status != _OK:
            text = ctypes.c_char_p()
            self._cuda.cuGetErrorString(ctypes.c_int(status), ctypes.byref(text))
            message = text.value.decode(errors="replace") if text.value else "no reason given"
            raise BackendError(f"the NVIDIA driver refused {function}: {message} (status {status})")


class GraphDevice:
    """The part of a `Device` that captures and launches graphs, for packages that lack them."""

    _graphs: Graphs | None = None

    def capture(self, stream: int, work: Callable[[], None]) -> int:
        """Capture what `work` enqueues in a graph, without running it, and return the handle of the graph."""
        if self._graphs is None:
            self._graphs = Graphs()
        return self._graphs.capture(stream, work)

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue a captured graph."""
        assert self._graphs is not None
        self._graphs.launch(graph, stream)

    def close_graphs(self) -> None:
        """Free all graphs; further calls do nothing."""
        if self._graphs is not None:
            self._graphs.close()
