"""Workers on a Ray cluster. No other module of this package uses Ray."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import queue
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from hprnet_rt.backends import runs_on_gpu
from hprnet_rt.cluster.finder import Ask, Cluster
from hprnet_rt.cluster.requests import Greeting, ModelChoice
from hprnet_rt.cluster.worker import Worker
from hprnet_rt.errors import BackendError, HprnetError, UsageError
from hprnet_rt.inference.model import ModelFacts
from hprnet_rt.version import __version__

__all__ = ["LOCAL", "RayWorkers", "connect"]

_log = logging.getLogger(__name__)

LOCAL: Final = "local"
_CLIENT: Final = "ray://"
_REACH_S: Final = 10.0
_START_S: Final = 120.0
"""If a worker has not started after this time, the cluster has no room for it."""
_DEATHS: Final = 3
"""Number of workers that may die one after the other over the same frames, before the run fails."""
_TOKEN: Final = "RAY_AUTH_TOKEN"  # noqa: S105 - a variable's name
_TOKEN_BYTES: Final = 32
_STORE_BYTES: Final = 256 * 2**20
_THIS_MACHINE: Final = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""The address of a cluster that this process starts. If it is 127.0.0.1, Ray on Linux looks for an address
with a route instead, and complains if there is none."""


def _ray(address: str) -> Any:
    """Import Ray, without its greeting and its usage reports.

    Raises:
        BackendError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    if address.startswith(_CLIENT) and _has_token():  # for other addresses Ray looks for the token by itself
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError as error:
        raise BackendError(
            f'--cluster needs the package {error.name or "ray"}: pip install "hprnet-rt[cluster]"'
        ) from error
    inner = ray._private.worker
    if hasattr(inner, "print_to_stdstream"):  # messages about workers, which no option turns off
        inner.print_to_stdstream = lambda *_, **__: None
    return ray


def _has_token() -> bool:
    """Return whether a cluster's token is where Ray expects it."""
    usual = os.path.expanduser("~/.ray/auth_token")  # noqa: PTH111 - pathlib fails without a home folder
    return _TOKEN in os.environ or Path(os.environ.get("RAY_AUTH_TOKEN_PATH", usual)).exists()


@contextmanager
def _token_for(address: str) -> Iterator[None]:
    """Set a new token for a cluster that this process starts, unless the user has one.

    Without a token, Ray would write one to the user's home folder.
    """
    if address != LOCAL or _has_token():
        yield
        return
    os.environ[_TOKEN] = secrets.token_hex(_TOKEN_BYTES)
    try:
        yield
    finally:
        del os.environ[_TOKEN]


@contextmanager
def connect(address: str, choice: ModelChoice, workers: int | None = None) -> Iterator[Cluster]:
    """Start workers on a cluster; they end with the block.

    Args:
        address: "local" starts a cluster on this machine, which ends with the block. "auto", "HOST:PORT" or
            "ray://HOST:PORT" is a cluster that is running.
        choice: the model of every worker.
        workers: number of workers; when None, one for each GPU, or without GPUs as many as there are CPUs for
            with the choice's number of threads.

    Raises:
        UsageError: there is no such model, or the number of workers is less than 1.
        BackendError: Ray is not installed, the cluster cannot be reached or has no room, or its machines have
            different versions or models.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"the number of workers is at least 1, got {workers}")
    ray = _ray(address)
    with _cluster(ray, address, workers):
        count, resources = _share(ray.cluster_resources(), choice, workers)
        made = RayWorkers(ray, choice, count, resources)
        try:
            yield Cluster(made, made.start())
        finally:
            made.close()


@contextmanager
def _cluster(ray: Any, address: str, workers: int | None) -> Iterator[None]:
    """Use the cluster that this process has joined already, or join this one until the block ends."""
    if ray.is_initialized():
        yield
        return
    with _token_for(address):
        _open(ray, address, workers)
        try:
            yield
        finally:
            ray.shutdown()


def _open(ray: Any, address: str, workers: int | None) -> None:
    """Join or start the cluster.

    Raises:
        BackendError: the cluster cannot be reached.
    """
    _require_listener(address)
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        settings |= {
            "num_cpus": max(os.cpu_count() or 1, workers or 1),
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
            "_node_ip_address": _THIS_MACHINE,
        }
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, **settings)
    except Exception as error:  # Ray raises many kinds, among them bare RuntimeErrors
        raise BackendError(
            f"cannot join the Ray cluster {address!r}: {_first_line(error)} (Ray and Python must be of the "
            "cluster's versions, and where it asks for a token this machine needs it in ~/.ray/auth_token)"
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's handler prints stacks


def _require_listener(address: str) -> None:
    """Check that a server listens at the address: otherwise Ray would try for minutes.

    Raises:
        BackendError: no server does.
    """
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()
    except (OSError, OverflowError) as error:
        raise BackendError(
            f"cannot join the Ray cluster {address!r}: nobody answers there ({error}); is it started (ray "
            "start --head), and is the port the right one?"
        ) from error


def _share(has: dict[str, float], choice: ModelChoice, workers: int | None) -> tuple[int, dict[str, float]]:
    """Return the number of workers, and the resources of the cluster that each of them takes.

    Args:
        has: resources of the cluster.
        choice: the model of every worker.
        workers: requested number; None for as many as fit.

    Raises:
        BackendError: the choice needs a GPU, and the cluster has none.
    """
    gpus, cpus = int(has.get("GPU", 0)), has.get("CPU", 1.0)
    on_gpus = runs_on_gpu(choice.backend) or (choice.backend == "auto" and gpus > 0)
    if on_gpus:
        if not gpus:
            raise BackendError(
                f"the cluster has no GPU, which {choice.backend} needs; use --backend openvino"
            )
        return workers or gpus, {"num_gpus": 1, "num_cpus": 0}
    threads = choice.threads or os.cpu_count() or 1
    count = workers or max(1, int(cpus // threads))
    share = min(float(threads), cpus / count)
    return count, {"num_gpus": 0, "num_cpus": int(share) if share >= 1 else share}


class RayWorkers:
    """Workers that are actors on a Ray cluster; one that dies is replaced.

    Args:
        ray: the package, connected to the cluster.
        choice: the model of every worker.
        count: number of workers.
        resources: of the cluster, that each worker takes.
    """

    def __init__(self, ray: Any, choice: ModelChoice, count: int, resources: dict[str, float]) -> None:
        self.count = count
        self._ray, self._choice = ray, choice
        self._deaths = _deaths(ray)
        self._make = ray.remote(Worker).options(
            **resources, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD"
        )
        self._facts: ModelFacts | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._actors: list[Any] = []
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="hprnet-worker")

    def start(self) -> ModelFacts:
        """Start all workers, and return the facts of their model, which must be the same for all.

        Raises:
            HprnetError: a worker does not start, or has another model.
        """
        self._actors = [self._make.remote(self._choice) for _ in range(self.count)]
        for number, actor in enumerate(self._actors):
            self._check_started(actor)
            self._free.put(number)
        assert self._facts is not None  # there is at least one
        return self._facts

    def submit(self, task: Callable[[Ask], None]) -> None:
        """Run a task in a thread, with a worker of its own while it runs."""

        def run() -> None:
            number = self._free.get()
            try:
                task(functools.partial(self._ask, number))
            finally:
                self._free.put(number)

        self._threads.submit(run)

    def close(self) -> None:
        """End all workers and threads; further calls do nothing."""
        with self._lock:
            self._closed = True
            for actor in self._actors:
                self._kill(actor)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def pids(self) -> list[int]:
        """Return the process ids of the workers, for tests that kill one."""
        return [greeting.pid for greeting in self._ray.get([actor.greet.remote() for actor in self._actors])]

    def _ask(self, number: int, method: str, *arguments: Any) -> Any:
        """Call a method of a worker; if the worker dies, call it on a new one.

        Raises:
            BackendError: several workers died one after the other.
            Exception: the worker's error.
        """
        for death in itertools.count(1):
            actor = self._actors[number]
            try:
                return self._answer(getattr(actor, method).remote(*arguments))
            except self._deaths as error:
                if death == _DEATHS:
                    raise BackendError(
                        f"{_DEATHS} workers died one after the other over the same frames (is there memory "
                        f"enough?): {_first_line(error)}"
                    ) from error
                self._replace(number, error)
        raise AssertionError  # unreachable: the count has no end

    def _replace(self, number: int, error: BaseException) -> None:
        """Replace a dead worker by a new one."""
        with self._lock:
            if self._closed:
                raise BackendError("the cluster is closed") from error
            self._kill(self._actors[number])
            self._actors[number] = self._make.remote(self._choice)
        _log.warning("a worker died; another one does its part again")
        self._check_started(self._actors[number])

    def _kill(self, actor: Any) -> None:
        with suppress(Exception):  # it may be dead already
            self._ray.kill(actor)

    def _check_started(self, actor: Any) -> None:
        """Wait until a worker has opened its model, and check that it is the model of all others.

        Raises:
            HprnetError: the worker does not start, or has another model.
        """
        try:
            greeting: Greeting = self._answer(actor.greet.remote(), _START_S)
            facts: ModelFacts = self._answer(actor.load.remote())
        except self._ray.exceptions.GetTimeoutError as error:
            raise BackendError(
                f"a worker did not start within {_START_S:.0f} s: the cluster has no room for {self.count}; "
                "give fewer --workers"
            ) from error
        except self._deaths as error:
            raise BackendError(
                f"a worker cannot start; is hprnet-rt {__version__} installed on all machines? "
                f"{_first_line(error)}"
            ) from error
        if greeting.version != __version__:
            raise BackendError(
                f"the worker on {greeting.host} has hprnet-rt {greeting.version}, and this machine "
                f"{__version__}: install the same version on all machines"
            )
        with self._lock:
            self._facts = self._facts or facts
        if facts != self._facts:
            raise BackendError(
                f"the worker on {greeting.host} has another {_differences(self._facts, facts)} than the "
                "first: all machines need the same model file and libraries, and --threads where they have "
                "not as many cores"
            )

    def _answer(self, answer: Any, timeout_s: float | None = None) -> Any:
        """Wait for the answer of a worker.

        Raises:
            Exception: an error that the worker raised or returned, or one of `_deaths`.
            BackendError: the cluster failed.
        """
        errors = self._ray.exceptions
        try:
            value = self._ray.get(answer, timeout=timeout_s)
        except errors.RayTaskError as error:
            raise error.cause from error
        except (errors.GetTimeoutError, *self._deaths):
            raise
        except (errors.RayError, ConnectionError) as error:
            raise BackendError(f"the Ray cluster failed: {_first_line(error)}") from error
        if isinstance(value, HprnetError):
            raise value
        return value


def _deaths(ray: Any) -> tuple[type[BaseException], ...]:
    """Return the errors that mean that a worker is gone."""
    errors = ray.exceptions
    return (
        errors.RayActorError,
        errors.WorkerCrashedError,
        errors.NodeDiedError,
        errors.ObjectLostError,
        errors.OutOfMemoryError,
        errors.LocalRayletDiedError,
    )


def _differences(one: ModelFacts, other: ModelFacts) -> str:
    names = {"sha256": "model file", "description": "backend"}
    differing = [name for name in vars(other) if getattr(one, name) != getattr(other, name)]
    return " and ".join(names.get(name, name) for name in differing)


def _first_line(error: BaseException) -> str:
    lines: Sequence[str] = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
