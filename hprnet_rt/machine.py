"""The CPU, the memory and the NVIDIA GPUs of this machine, as the system has them; no inference library."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Cpu", "Gpu", "Nvidia", "cpu", "give_back_memory", "nvidia"]

_FEATURES: Final = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
_CPU_INFO: Final = Path("/proc/cpuinfo")
_DRIVER_VERSION: Final = Path("/proc/driver/nvidia/version")
_NAME_BYTES: Final = 96
_OK: Final = 0
_LIBRARIES: Final = ("libnvidia-ml.so.1", "nvml.dll")


@dataclass(frozen=True)
class Cpu:
    """The processor.

    Attributes:
        name: as the system reports it.
        cores: the number that this process may use.
        features: those that inference profits from, by Linux's names; None where the system has no list.
    """

    name: str
    cores: int
    features: tuple[str, ...] | None


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU.

    Attributes:
        name: as its driver reports it.
        compute_capability: "8.9", for example.
        memory_bytes: its total memory.
    """

    name: str
    compute_capability: str
    memory_bytes: int


@dataclass(frozen=True)
class Nvidia:
    """The NVIDIA driver and its GPUs.

    Attributes:
        driver: its version, None where there is none.
        gpus: the GPUs that this process may use.
        why: the reason for there being no GPUs, in a few words; empty where there are some.
    """

    driver: str | None
    gpus: tuple[Gpu, ...]
    why: str = ""


def cpu(info: Path = _CPU_INFO) -> Cpu:
    """Return the processor of this machine.

    Args:
        info: the file in which Linux describes it.
    """
    try:
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", facts.get("Features"))
    features = None if flags is None else tuple(name for name in _FEATURES if name in flags.split())
    name = facts.get("model name") or platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Cpu(name, cores or 1, features)


class _Memory(ctypes.Structure):
    """NVML's nvmlMemory_t."""

    _fields_ = [
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    ]


def nvidia(library: Any = None) -> Nvidia:
    """Return the driver and its GPUs, through NVML, the management library that comes with every driver.

    Args:
        library: NVML, loaded; it is searched for when None.
    """
    nvml = library or _nvml()
    if nvml is None:
        driven = _DRIVER_VERSION.exists()
        return Nvidia(None, (), "its driver lacks the library NVML" if driven else "no NVIDIA driver")
    status = nvml.nvmlInit_v2()
    if status != _OK:
        return Nvidia(None, (), f"the NVIDIA driver does not answer (NVML status {status})")
    try:
        text = ctypes.create_string_buffer(_NAME_BYTES)
        has_version = nvml.nvmlSystemGetDriverVersion(text, _NAME_BYTES) == _OK
        driver = text.value.decode(errors="replace") if has_version else None
        count = ctypes.c_uint(0)
        if nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != _OK:
            return Nvidia(driver, (), "the NVIDIA driver does not list its GPUs")
        gpus = tuple(gpu for i in range(count.value) if (gpu := _gpu(nvml, i)))
        return Nvidia(driver, gpus, "" if gpus else "the NVIDIA driver has no GPU that this process may use")
    finally:
        nvml.nvmlShutdown()


def _nvml() -> Any:
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _gpu(nvml: Any, index: int) -> Gpu | None:
    """Return the GPU of a number, None where the driver does not describe it."""
    handle = ctypes.c_void_p()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    major, minor, memory = ctypes.c_int(), ctypes.c_int(), _Memory()
    statuses = (
        nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)),
        nvml.nvmlDeviceGetName(handle, name, _NAME_BYTES),
        nvml.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor)),
        nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)),
    )
    if any(status != _OK for status in statuses):
        return None
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}", int(memory.total))


def give_back_memory() -> None:
    """Give freed memory back to the system; glibc keeps tens of MiB of it after a network was compiled.

    Elsewhere it does nothing.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
