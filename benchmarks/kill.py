"""Kill `annotate` at random moments and continue it: the keypoints must be those of an uninterrupted run.

python benchmarks/kill.py [VIDEO ...] [--corpus] [--jobs 4] [--kills 25] [--limit FRAMES] [--seed 0]

--corpus takes a small file of every kind of video and photo instead.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the corpus of the tests

from hprnet_rt.words import counted
from tests.media.corpus import corpus

SAMPLE = Path(__file__).parents[1] / "demos" / "sample.mp4"


def command(options: argparse.Namespace, out: Path) -> list[str]:
    """Return the command of one run."""
    arguments = ["annotate", *map(str, options.videos), "-o", f"{out}/", "--jobs", str(options.jobs)]
    arguments += ["--report", str(out.with_suffix(".json"))]
    arguments += ["--smooth", options.smooth, "--format", "jsonl", "--format", "npz"]
    if options.limit:
        arguments += ["--limit", str(options.limit)]
    return [sys.executable, "-m", "hprnet_rt", *arguments]


def run(arguments: list[str], out: Path) -> tuple[float, float]:
    """Run to the end, and return the seconds until the first output and until the end."""
    begin_s = time.perf_counter()
    first_s = 0.0
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL) as process:  # noqa: S603
        while process.poll() is None:
            if not first_s and out.is_dir() and any(out.iterdir()):
                first_s = time.perf_counter() - begin_s
            time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"annotate ended with {process.returncode}")
    return first_s, time.perf_counter() - begin_s


def kill(arguments: list[str], after_s: float) -> bool:
    """Start a run and kill it after some time; return False if it had ended before."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(arguments, **quiet) as process:  # noqa: S603
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*", default=[SAMPLE])
    parser.add_argument("--corpus", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--smooth", default="one-euro")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    moments = random.Random(options.seed)  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-kill-") as folder:
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        if options.corpus:
            made = Path(folder) / "corpus"
            made.mkdir()
            options.videos = corpus(made)
        first_s, took_s = run(command(options, whole), whole)
        kills = runs = 0
        while kills < options.kills:
            runs += 1
            if kill(command(options, broken), moments.uniform(0.9 * first_s, took_s)):
                kills += 1
                kept = sum(path.read_bytes().count(b"\n") for path in broken.glob("*.partial.jsonl"))
                print(f"kill {kills}: {max(0, kept - 1)} frames there")
                continue
            if not compare(whole, broken):
                return 1
            for path in broken.iterdir():
                path.unlink()
        run(command(options, broken), broken)
        if not compare(whole, broken):
            return 1
        print(f"{kills} kills in {runs + 1} runs: the keypoints are those of the run that was left alone")
    return 0


def compare(whole: Path, broken: Path) -> bool:
    """Return whether both folders have the same files with the same keypoints."""
    names = sorted(path.name for path in whole.iterdir())
    if sorted(path.name for path in broken.iterdir()) != names:
        print(f"there are {sorted(path.name for path in broken.iterdir())} instead of {names}")
        return False
    differ = [
        name
        for name in names
        if name.endswith("l") and (whole / name).read_bytes() != (broken / name).read_bytes()
    ]
    reports = [json.loads(path.with_suffix(".json").read_text())["files"] for path in (whole, broken)]
    sources, ends = ([[job["source"], job["status"]] for job in files] for files in reports)
    right = all(
        one[0] == other[0] and (one[1] == other[1] or other[1] == "skipped")
        for one, other in zip(sources, ends, strict=True)
    )
    said = f"OTHER KEYPOINTS: {differ}" if differ else "the same keypoints"
    print(
        f"done: {said}, {counted(len(ends), 'file')} in the report, which is {'right' if right else 'WRONG'}"
    )
    return not differ and right


if __name__ == "__main__":
    sys.exit(main())
