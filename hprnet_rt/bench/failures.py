"""Failures of libraries that are measured, as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hprnet_rt.errors import BackendError, HprnetError

__all__ = ["in_a_sentence"]


@contextmanager
def in_a_sentence(what: str, advice: str) -> Iterator[None]:
    """Turn a library's RuntimeError into a `BackendError` of one line.

    Args:
        what: failed.
        advice: what to do.

    Raises:
        BackendError: the library failed.
    """
    try:
        yield
    except HprnetError:  # some are RuntimeErrors too
        raise
    except RuntimeError as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BackendError(f"{what}: {why}; {advice}") from error
