"""Networks for NVIDIA GPUs: layers that are one kernel where PyTorch has several, written in Triton.

`decode.fused_peaks` makes one; PyTorch's wheels for CUDA bring Triton with them on Linux. It compiles its
kernels on first use, and keeps them in our cache folder.
"""

import os

from hprnet_rt.environment import library_cache

_folder = library_cache("triton")
if _folder is not None:
    os.environ.setdefault("TRITON_CACHE_DIR", str(_folder))
os.environ.setdefault(
    "TRITON_DEFAULT_FP_FUSION", "1"
)  # as before Triton 3.9, which warns of a choice to come
