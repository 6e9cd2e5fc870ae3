"""Workers on a Ray cluster. Nothing else of this package knows Ray."""

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

from hprnet_rt.backends.create import GPU_BACKENDS
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
"""A worker that has not begun by then will not: the cluster has no room for it."""
_DEATHS: Final = 3
"""Of workers in a row over the same frames, after which it is given up."""
_TOKEN: Final = "RAY_AUTH_TOKEN"  # noqa: S105 - a variable's name
_TOKEN_BYTES: Final = 32
_STORE_BYTES: Final = 256 * 2**20
_THIS_MACHINE: Final = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Where a cluster of our own listens. Given 127.0.0.1, Ray on Linux looks for an address with a route
instead, and says where there is none."""


def _ray(address: str) -> Any:
    """The package, without its greeting and without its reports of usage.

    Raises:
        BackendError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    if address.startswith(_CLIENT) and _has_token():  # which Ray looks for by itself for all other addresses
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError as error:
        raise BackendError(
            f'--cluster needs the package {error.name or "ray"}: pip install "hprnet-rt[cluster]"'
        ) from error
    inner = ray._private.worker
    if hasattr(inner, "print_to_stdstream"):  # what became of each worker, for which there is no other switch
        inner.print_to_stdstream = lambda *_, **__: None
    return ray


def _has_token() -> bool:
    """Whether a cluster's token is where Ray expects it."""
    usual = os.path.expanduser("~/.ray/auth_token")  # noqa: PTH111 - which is a path without a home too
    return _TOKEN in os.environ or Path(os.environ.get("RAY_AUTH_TOKEN_PATH", usual)).exists()


@contextmanager
def _token_for(address: str) -> Iterator[None]:
    """A cluster of our own has a token of its own, unless the user has one: Ray writes one to the home."""
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
    """Workers on a cluster, which end with the block.

    Args:
        address: "local" starts a cluster on this machine that ends with the block; otherwise one that is
            running: "auto", "HOST:PORT" or "ray://HOST:PORT".
        choice: the model of every worker.
        workers: how many; when None, one for each GPU, or for each so many CPUs as the choice has threads.

    Raises:
        UsageError: there is no such model, or the number makes no sense.
        BackendError: Ray is missing, the cluster cannot be reached or has no room, or its machines differ in
            what they have installed.
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
    """The cluster that this process is in already, or else this one, which is left with the block."""
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
        BackendError: it cannot be reached.
    """
    _see_that_it_is_there(address)
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
            signal.signal(signal.SIGTERM, before)  # Ray takes it, and prints stacks


def _see_that_it_is_there(address: str) -> None:
    """Refuse an address where nobody listens: Ray would try for minutes.

    Raises:
        BackendError: nobody does.
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
    """How many workers, and what each of them takes of the cluster.

    Raises:
        BackendError: a GPU is asked for, and there is none.
    """
    gpus, cpus = int(has.get("GPU", 0)), has.get("CPU", 1.0)
    on_gpus = choice.backend in GPU_BACKENDS or (choice.backend == "auto" and gpus > 0)
    if on_gpus:
        if not gpus:
            raise BackendError(
                f"the cluster has no GPU, which {choice.backend} needs; use --backend openvino"
            )
        return workers or gpus, {"num_gpus": 1, "num_cpus": 0}
    threads = choice.threads or os.cpu_count() or 1
    count = workers or max(1, int(cpus // threads))
    each = min(float(threads), cpus / count)
    return count, {"num_gpus": 0, "num_cpus": int(each) if each >= 1 else each}


class RayWorkers:
    """Actors on a Ray cluster; one that dies is replaced.

    Args:
        ray: the package, connected.
        choice: the model of every worker.
        count: how many.
        resources: that each of them takes.
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
        """Start all of them; returns what they say of their model, in which they must agree.

        Raises:
            HprnetError: one of them does not start, or differs.
        """
        self._actors = [self._make.remote(self._choice) for _ in range(self.count)]
        for number, actor in enumerate(self._actors):
            self._see_that_it_works(actor)
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
        """The processes of the workers, to see what becomes of their work when one is killed."""
        return [greeting.pid for greeting in self._ray.get([actor.greet.remote() for actor in self._actors])]

    def _ask(self, number: int, method: str, *arguments: Any) -> Any:
        """Call a method of a worker; again on another one when it dies meanwhile.

        Raises:
            BackendError: several died one after the other.
            Exception: the worker's own.
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
        raise AssertionError  # the counting has no end

    def _replace(self, number: int, error: BaseException) -> None:
        """Put a new worker in the place of a dead one."""
        with self._lock:
            if self._closed:
                raise BackendError("the cluster is closed") from error
            self._kill(self._actors[number])
            self._actors[number] = self._make.remote(self._choice)
        _log.warning("a worker died; another one does its part again")
        self._see_that_it_works(self._actors[number])

    def _kill(self, actor: Any) -> None:
        with suppress(Exception):  # it is dead
            self._ray.kill(actor)

    def _see_that_it_works(self, actor: Any) -> None:
        """Wait until a worker has opened its model, and see that it is the model of all others.

        Raises:
            HprnetError: it does not start, or differs.
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
        """What a worker answers.

        Raises:
            Exception: what the worker raised or gave as its error, or one that says that it died.
            BackendError: the cluster is not there any more.
        """
        errors = self._ray.exceptions
        try:
            found = self._ray.get(answer, timeout=timeout_s)
        except errors.RayTaskError as error:
            raise error.cause from error
        except (errors.GetTimeoutError, *self._deaths):
            raise
        except (errors.RayError, ConnectionError) as error:
            raise BackendError(f"the Ray cluster failed: {_first_line(error)}") from error
        if isinstance(found, HprnetError):
            raise found
        return found


def _deaths(ray: Any) -> tuple[type[BaseException], ...]:
    """Errors after which a worker is not there any more."""
    errors = ray.exceptions
    return (
        *(errors.RayActorError, errors.WorkerCrashedError, errors.NodeDiedError),
        *(errors.ObjectLostError, errors.OutOfMemoryError, errors.LocalRayletDiedError),
    )


def _differences(one: ModelFacts, other: ModelFacts) -> str:
    names = {"sha256": "model file", "description": "engine"}
    differing = [name for name in vars(other) if getattr(one, name) != getattr(other, name)]
    return " and ".join(names.get(name, name) for name in differing)


def _first_line(error: BaseException) -> str:
    lines: Sequence[str] = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
