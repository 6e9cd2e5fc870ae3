"""How the loops of this package are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["kernel"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile `function` at its first call: it releases the GIL, and the result is kept on disk.

    The file on disk is made again when the function's own source file changes. A kernel that calls one of
    another file does not notice a change there: delete `__pycache__` after such an edit.
    """
    return cast(_Function, numba.njit(cache=True, nogil=True)(function))
