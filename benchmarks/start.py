"""The time that short commands take, each in a new process.

    python benchmarks/start.py                              # this checkout, with this Python
    python benchmarks/start.py --against OTHER/.venv/bin/python --save     # in turns with another one

The commands are `--help`, `doctor`, and `annotate` of one image with compiled kernels; with --first also the
first run of each, with empty caches. `make demo` is timed by hand, because it fetches packages.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from machine import RESULTS, heading, machine, save

from hprnet_rt.bench.scenes import sample_video
from hprnet_rt.video import VideoSource

NAME = "start"
PERCENTILES = (50, 95, 99)


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the arguments of each command, by its name in the results; outputs are overwritten."""
    out = str(folder / "out")
    return {
        "--help": ["--help"],
        "doctor": ["doctor"],
        "annotate one image": ["annotate", str(folder / "image.png"), "-o", out, "--overwrite"],
    }


def seconds(python: str, arguments: list[str], cache: Path) -> float:
    """Return the seconds from the start of a command's process to its end.

    Args:
        python: the interpreter of the environment.
        arguments: of the command.
        cache: the cache folder; also set as NUMBA_CACHE_DIR, for versions that have no other.
    """
    variables = {**os.environ, "HPRNET_RT_CACHE": str(cache), "NUMBA_CACHE_DIR": str(cache / "kernels")}
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - ours
        [python, "-m", "hprnet_rt", *arguments],
        env=variables,
        capture_output=True,
        text=True,
        cwd=cache.parent,
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{python} -m hprnet_rt {' '.join(arguments)} failed:\n{done.stderr}")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10, help="of each (default %(default)s)")
    parser.add_argument(
        "--against", metavar="PYTHON", help="another environment, which takes turns with this one"
    )
    parser.add_argument("--first", action="store_true", help="also with empty caches, once")
    parser.add_argument("--save", action="store_true", help=f"write results/{NAME}.json")
    options = parser.parse_args()
    info = machine()
    heading("first seconds", info)
    pythons = {"here": sys.executable} | ({"against": options.against} if options.against else {})
    figures: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with closing(VideoSource(sample_video())) as video:
            cv2.imwrite(str(folder / "image.png"), next(iter(video)).image)
        for what, arguments in commands(folder).items():
            times: dict[str, list[float]] = {who: [] for who in pythons}
            first = {who: seconds(python, arguments, folder / who) for who, python in pythons.items()}
            for _ in range(options.runs):
                for who, python in pythons.items():
                    times[who].append(seconds(python, arguments, folder / who))
            for who, taken in times.items():
                p50, p95, p99 = np.percentile(taken, PERCENTILES)
                row = {"p50_s": p50, "p95_s": p95, "p99_s": p99}
                more = ""
                if options.first:
                    row["first_s"] = first[who]
                    more = f", the first of all {first[who]:.2f} s"
                figures.setdefault(who, {})[what] = {
                    key: round(float(value), 3) for key, value in row.items()
                }
                print(
                    f"{what:<20} {who:<8} p50 {p50:.2f} s, p95 {p95:.2f} s, p99 {p99:.2f} s{more}", flush=True
                )
    if options.save:
        save(NAME, {"machine": info, "runs": options.runs, "figures": figures})
        print(f"wrote {RESULTS / NAME}.json")


if __name__ == "__main__":
    main()
