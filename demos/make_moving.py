"""Make demos/sample.webp, the moving picture of the README, of the annotated sample.

    pip install pillow
    hprnet-rt annotate demos/sample.mp4 -o out
    python demos/make_moving.py out/sample.mp4

Every third frame, 560 px wide: what GitHub shows without a click should not be large.
"""

import argparse
from pathlib import Path

import av
from PIL import Image

WIDTH, EVERY = 560, 3  # px; of the frames of the video
QUALITY, METHOD = 45, 6  # METHOD: slowest, smallest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "sample.webp")
    options = parser.parse_args()
    with av.open(str(options.video)) as container:
        rate = container.streams.video[0].average_rate
        frames = [frame.to_image() for frame in container.decode(video=0)][::EVERY]
    size = (WIDTH, round(WIDTH * frames[0].height / frames[0].width))
    first, *rest = (frame.resize(size, Image.Resampling.LANCZOS) for frame in frames)
    first.save(
        options.out,
        save_all=True,
        append_images=rest,
        duration=round(1000 * EVERY / rate),
        loop=0,
        quality=QUALITY,
        method=METHOD,
    )
    print(f"{options.out}: {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
