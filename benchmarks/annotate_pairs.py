"""Compare the speed of `annotate` in two checkouts, in pairs: old, new, new, old, and so on.

    python benchmarks/annotate_pairs.py OLD_CHECKOUT NEW_CHECKOUT VIDEO [--pairs 8] [--only keypoints]

Each run is a process of its own, with this interpreter. It prints frames a second, processor time a frame and
the largest memory of each, least and in the middle, for keypoints alone and with the video, and the ratio of
the pairs. Nothing else should compute meanwhile; the load before and after each series is printed.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OUTPUTS: Final = {"keypoints": ("--no-video",), "video": ()}
REPORT: Final = re.compile(r"(\d+) frames, .* ([\d.]+) FPS")


@dataclass(frozen=True)
class Run:
    """One run: frames a second, ms of all processors a frame, and MiB at most."""

    fps: float
    cpu_ms: float
    peak_mib: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--only", choices=OUTPUTS)
    options = parser.parse_args()
    checkouts = (options.old.resolve(), options.new.resolve())
    for output, words in OUTPUTS.items():
        if options.only in (None, output):
            for checkout in checkouts:
                annotate(checkout, options.video, words)  # compiles what is not compiled yet
            print(f"{options.video.name}, {output}; load {os.getloadavg()[0]:.1f}", end="", flush=True)
            pairs = [pair(checkouts, options.video, words, turned=n % 2 == 1) for n in range(options.pairs)]
            print(f" to {os.getloadavg()[0]:.1f}")
            report(pairs)
    return 0


def pair(
    checkouts: tuple[Path, Path], video: Path, words: tuple[str, ...], *, turned: bool
) -> tuple[Run, Run]:
    """Run both checkouts, the new one first where `turned`, and return the old one's run first."""
    order = checkouts[::-1] if turned else checkouts
    first, second = (annotate(checkout, video, words) for checkout in order)
    return (second, first) if turned else (first, second)


def annotate(checkout: Path, video: Path, words: tuple[str, ...]) -> Run:
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-pairs-") as folder:
        log = Path(folder) / "log"
        with log.open("w") as file:
            process = subprocess.Popen(  # noqa: S603 - the command is ours
                [sys.executable, "-m", "hprnet_rt", "annotate", video.resolve(), "-o", folder, *words],
                env={**os.environ, "PYTHONPATH": str(checkout)},
                cwd=folder,
                stdout=file,
                stderr=file,
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        found = REPORT.search(log.read_text())
        if process.returncode or found is None:
            raise SystemExit(f"{checkout}: {log.read_text()}")
    frames = int(found[1])
    return Run(float(found[2]), 1e3 * (used.ru_utime + used.ru_stime) / frames, used.ru_maxrss / 1024)


def report(pairs: list[tuple[Run, Run]]) -> None:
    for name, runs in zip(("old", "new"), zip(*pairs, strict=True), strict=True):
        fps, cpu_ms, mib = ([getattr(run, each) for run in runs] for each in ("fps", "cpu_ms", "peak_mib"))
        print(
            f"  {name}: {statistics.median(fps):.1f} frames a second (best {max(fps):.1f}), processors "
            f"{statistics.median(cpu_ms):.1f} ms a frame (least {min(cpu_ms):.1f}), "
            f"memory {statistics.median(mib):.0f} MiB (most {max(mib):.0f})"
        )
    ratios = sorted(new.fps / old.fps for old, new in pairs)
    best = max(new.fps for _, new in pairs) / max(old.fps for old, _ in pairs)
    print(
        f"  new / old: {statistics.median(ratios):.3f} in {len(pairs)} pairs ({ratios[0]:.3f} to "
        f"{ratios[-1]:.3f}), of the best runs {best:.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
