"""The made-up backend is registered in every test of this folder."""

from tests.backends.cases import made_up_backend  # noqa: F401
