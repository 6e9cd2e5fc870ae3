"""Compilation of loops by Numba, and the folder in which compiled loops are kept."""

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
    """Compile `function` at its first call; it releases the GIL, and the result is kept on disk.

    It is compiled again when its source changes, or anything of this package that it uses. Where no folder
    can be written, nothing is kept and every process compiles it.
    """
    return _compiled(function)


def fused_kernel(function: _Function) -> _Function:
    """Compile like `kernel`, and let a product and a sum become one instruction: faster, and rounded once."""
    return _compiled(function, fastmath={"contract"})


def _compiled(function: _Function, **options: Any) -> _Function:
    with _kept(_surroundings(cast(FunctionType, function))):
        try:
            compiled = numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # Numba has found no folder either
            compiled = numba.njit(nogil=True, **options)(function)
    return cast(_Function, compiled)


def kernel_folder() -> Path | None:
    """Return the folder of compiled loops, None where no folder can be written.

    It is NUMBA_CACHE_DIR if the user has set it, otherwise a folder of this package.
    """
    set_by_user: str = _config.CACHE_DIR
    return Path(set_by_user) if set_by_user else library_cache("kernels")


@contextmanager
def _kept(surroundings: str) -> Iterator[None]:
    """Let Numba keep what is decorated meanwhile in our folder: it reads its setting only then."""
    set_by_user: str = _config.CACHE_DIR
    folder = kernel_folder()
    try:
        _config.CACHE_DIR = str(folder / surroundings) if folder else ""
        yield
    finally:
        _config.CACHE_DIR = set_by_user


def _surroundings(function: FunctionType) -> str:
    """Return a hash of what a kernel uses: constants, and functions of other files.

    Numba itself notices when the kernel's own file changes.
    """
    total = hashlib.sha256()
    for name in sorted(_names(function.__code__)):
        if name in function.__globals__:
            total.update(f"{name}={_identity(function.__globals__[name])}\n".encode())
    return total.hexdigest()[:16]


def _names(code: CodeType) -> set[str]:
    """Return all names that a function, and the functions within it, read."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _identity(value: object) -> str:
    """Return a text that changes when a value of a module does."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}{hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, (bool, int, float, str, tuple)):
        return repr(value)
    source = getattr(value, "py_func", value)  # of a kernel, the function before it was compiled
    home = getattr(source, "__module__", None) or ""
    module = source if isinstance(source, ModuleType) else sys.modules.get(home)
    if module is None or not module.__name__.startswith(f"{_PACKAGE}."):
        return type(value).__name__
    deeper = _surroundings(source) if isinstance(source, FunctionType) else ""
    return _hash(str(module.__file__)) + deeper


@functools.cache
def _hash(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
