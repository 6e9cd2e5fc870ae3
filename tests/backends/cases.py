"""The backends that the suites go through: those of the registry, and a made-up one that tests register."""

import dataclasses

import pytest

from hprnet_rt.backends import registry
from hprnet_rt.backends.registry import BACKEND_SPECS, BackendSpec, backend_specs

MADE_UP = BackendSpec(
    name="made-up",
    module="tests.backends.made_up",
    library="onnxruntime",
    device="cpu",
    precisions=("fp32",),
    auto="skip",
)
"""All that a backend needs besides its module."""

MISSING_LIBRARY = "a_module_that_nobody_has"


@pytest.fixture(autouse=True)
def made_up_backend(monkeypatch):
    """Register the made-up backend."""
    monkeypatch.setattr(registry, "BACKEND_SPECS", (*registry.BACKEND_SPECS, MADE_UP))


def change_spec(monkeypatch, name, **changes):
    """Give a registered backend another description."""
    specs = (
        dataclasses.replace(spec, **changes) if spec.name == name else spec for spec in registry.BACKEND_SPECS
    )
    monkeypatch.setattr(registry, "BACKEND_SPECS", tuple(specs))


def _parameter(spec):
    missing = pytest.mark.skipif(not spec.installed, reason=f"the extra {spec.extra} is not installed")
    return pytest.param(spec.name, marks=missing)


ALL_NAMES = [spec.name for spec in (*BACKEND_SPECS, MADE_UP)]
"""For tests that need no library."""
ON_CPU = [_parameter(spec) for spec in (*backend_specs("cpu"), MADE_UP)]
"""Parameters for tests that run a network."""
ON_CPU_FROM_FILE = [_parameter(spec) for spec in (*backend_specs("cpu"), MADE_UP) if spec.library != "torch"]
"""Those that run an ONNX file as it is; torch needs the checkpoint of networks with batch norms."""
