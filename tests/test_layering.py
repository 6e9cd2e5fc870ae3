"""The base install has no torch: the package must work with it and its friends out of reach."""

import subprocess
import sys

BLOCKED = (
    "cuda",
    "torch",
    "onnx",
    "onnxscript",
    "faster_coco_eval",
    "gdown",
    "mss",
    "tensorrt",
    "tensorrt_rtx",
    "ml_dtypes",
    "PIL",
    "matplotlib",
    "pillow_heif",
    "pyarrow",
    "pycocotools",
    "pycuda",
    "scipy",
    "PySide6",
    "pyqtgraph",
    "ray",
)

SCRIPT = f"""
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None
import numpy as np
import hprnet_rt, hprnet_rt.cli, hprnet_rt.live.window
with hprnet_rt.load(input_px=64) as model:
    assert len(model(np.zeros((64, 64, 3), np.uint8))) == 0
assert not [name for name in sys.modules if "rivals" in name]
print("works")
"""


def test_the_package_works_with_torch_and_tensorrt_blocked():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "works", done.stderr


def test_importing_the_package_loads_no_inference_library():
    script = (
        "import sys, hprnet_rt, hprnet_rt.cli; print([m for m in ('openvino', 'onnxruntime', 'torch') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "[]", done.stderr
