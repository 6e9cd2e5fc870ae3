"""Check that two checkouts write the same files, byte for byte: for changes that must not change results.

    python benchmarks/same_files.py OLD_CHECKOUT NEW_CHECKOUT

Ten clips and pictures are made of the shipped sample; each checkout annotates them with options that differ,
converts the keypoints to every format and renders them again. Both run with this interpreter.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

SAMPLE = Path(__file__).parents[1] / "demos" / "sample.mp4"
FORMATS = ("parquet", "parquet-compact", "npz", "csv", "coco", "openpose", "trc")
ALL_FORMATS = tuple(word for name in ("jsonl", *FORMATS) for word in ("--format", name))
JOBS: dict[str, tuple[str, ...]] = {
    "plain.mp4": (),
    "small.mkv": ("--smooth", "one-euro"),
    "mirrored.mp4": ("--smooth", "zero-lag"),
    "slow.mp4": ("--stride", "2", "--limit", "9"),
    "odd_size.mp4": ("--start", "0.4", "--end", "1.4", "--crf", "30"),
    "turned.mp4": ("--no-track", "--threshold", "0.2"),
    "wide.mov": ("--regions", "0,0,50%,100%", "--regions", "50%,0,50%,100%"),
    "still.jpg": ("--size", "512"),
    "frame_%03d.png": ("--rate", "30000/1001"),
    "nobody.mp4": ALL_FORMATS,
}
FRAMES = 24


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-same-") as folder:
        clips = Path(folder) / "clips"
        make_clips(clips)
        written = {}
        for name in ("old", "new"):
            out = Path(folder) / name
            make_files(getattr(options, name).resolve(), clips, out)
            written[name] = digests(out)
    old, new = written["old"], written["new"]
    differing = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    for name in differing:
        print(f"differs: {name}")
    print(f"{len(old)} files of {len(JOBS)} clips: {len(old) - len(differing)} are the same")
    return 1 if differing or not old else 0


def make_clips(folder: Path) -> None:
    folder.mkdir()
    with av.open(str(SAMPLE)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)][:FRAMES]
    views: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "plain.mp4": lambda image: image,
        "small.mkv": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5),
        "mirrored.mp4": lambda image: image[:, ::-1],
        "slow.mp4": lambda image: image,
        "odd_size.mp4": lambda image: image[: image.shape[0] // 4 * 2 + 2, : image.shape[1] // 4 * 2],
        "turned.mp4": lambda image: np.rot90(image),
        "wide.mov": lambda image: np.hstack((image, image)),
        "nobody.mp4": lambda image: np.full_like(image, 90),
    }
    for name, view in views.items():
        write_clip(
            folder / name, [np.ascontiguousarray(view(image)) for image in frames], slow=name == "slow.mp4"
        )
    cv2.imwrite(str(folder / "still.jpg"), frames[0])
    for number, image in enumerate(frames[:6]):
        cv2.imwrite(str(folder / f"frame_{number:03d}.png"), image)


def write_clip(path: Path, images: list[np.ndarray], *, slow: bool) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(12 if slow else 25))
        stream.height, stream.width = (side // 2 * 2 for side in images[0].shape[:2])
        stream.pix_fmt = "yuv420p"
        for image in images:
            frame = av.VideoFrame.from_ndarray(image[: stream.height, : stream.width].copy(), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def make_files(checkout: Path, clips: Path, out: Path) -> None:
    def run(*words: object) -> None:
        subprocess.run(  # noqa: S603 - the command is ours
            [sys.executable, "-m", "hprnet_rt", *map(str, words), "--quiet"],
            env={**os.environ, "PYTHONPATH": str(checkout)},
            cwd=clips,
            check=True,
        )

    for name, words in JOBS.items():
        run("annotate", name, "-o", out, "--threads", 1, *words)
    for name in FORMATS:  # trc needs people with ids, and times
        recordings = sorted(out.glob("s[lm]*.jsonl" if name == "trc" else "*.jsonl"))
        run("convert", *recordings, "-o", out / "converted", "--to", name)
    run("render", "plain.mp4", out / "plain.jsonl", "-o", out / "rendered.mp4")
    run("render", "still.jpg", out / "still.jsonl", "-o", out / "rendered.png", "--hide", "face")


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    sys.exit(main())
