"""Each network becomes a file once in a run of the tests, whichever tests and processes ask for it."""

import hashlib
import shutil
from pathlib import Path

from filelock import FileLock

from hprnet_rt.model import export_onnx
from hprnet_rt.model.network import Network


class Exports:
    """Exports of this run.

    Args:
        folder: the same one in all processes of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, network: Network, path: Path, **options) -> None:
        """`export_onnx`, or a copy of what it wrote before of the same weights with the same options."""
        name = hashlib.sha256(repr((network.spec.name, sorted(options.items()))).encode())
        for key, tensor in network.state_dict().items():
            name.update(f"{key} {tuple(tensor.shape)}".encode())
            name.update(tensor.numpy().tobytes())
        made = self.folder / f"{name.hexdigest()}.onnx"
        with FileLock(made.with_suffix(".lock")):
            if not made.exists():
                partial = made.with_suffix(".partial")
                export_onnx(network, partial, **options)
                partial.rename(made)
        shutil.copyfile(made, path)
