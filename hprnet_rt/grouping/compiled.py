"""How the loops of this package are compiled, and where the result is kept."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np

from hprnet_rt.environment import library_cache

__all__ = ["fused_kernel", "kernel", "kernel_folder"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_PACKAGE: Final = __name__.partition(".")[0]
_config: Any = numba.config  # numba declares it for itself only


def kernel(function: _Function) -> _Function:
    """Compile `function` at its first call: it releases the GIL, and the result is kept on disk.

    It is made again when the source of the function changes, or anything of this package that it uses.
    Where no folder can be written nothing is kept, and every process compiles anew.
    """
    return _compiled(function)


def fused_kernel(function: _Function) -> _Function:
    """The same, where a product and a sum may become one instruction: quicker sums, that round less often."""
    return _compiled(function, fastmath={"contract"})


def _compiled(function: _Function, **options: Any) -> _Function:
    with _kept(_surroundings(cast(FunctionType, function))):
        try:
            made = numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # Numba has found no folder either
            made = numba.njit(nogil=True, **options)(function)
    return cast(_Function, made)


def kernel_folder() -> Path | None:
    """Where the results are kept: in Numba's own NUMBA_CACHE_DIR if the user has set it, else in a folder
    of ours; None where no folder can be written.
    """
    asked: str = _config.CACHE_DIR
    return Path(asked) if asked else library_cache("kernels")


@contextmanager
def _kept(surroundings: str) -> Iterator[None]:
    """Functions that are decorated in here are kept in our folder. Numba asks for it then, and only then."""
    asked: str = _config.CACHE_DIR
    folder = kernel_folder()
    try:
        _config.CACHE_DIR = str(folder / surroundings) if folder else ""
        yield
    finally:
        _config.CACHE_DIR = asked


def _surroundings(function: FunctionType) -> str:
    """A name for what a kernel is compiled with, beside its own file, which Numba watches: constants, and
    functions of other files.
    """
    found = hashlib.sha256()
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            found.update(f"{name}={_identity(function.__globals__[name])}\n".encode())
    return found.hexdigest()[:16]


def _names(code: CodeType) -> set[str]:
    """Everything that a function and those within it read by name."""
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _identity(value: object) -> str:
    """What changes when a value of a module does."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, (bool, int, float, str, tuple)):
        return repr(value)
    written = getattr(value, "py_func", value)  # a kernel's own function
    home = getattr(written, "__module__", None) or ""
    module = written if isinstance(written, ModuleType) else sys.modules.get(home)
    if module is None or not module.__name__.startswith(f"{_PACKAGE}."):
        return type(value).__name__
    deeper = _surroundings(written) if isinstance(written, FunctionType) else ""
    return _hash(str(module.__file__)) + deeper


@functools.cache
def _hash(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
