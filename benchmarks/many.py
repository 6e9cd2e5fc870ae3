"""Annotate hundreds of clips of every kind, some of them damaged, in a run that is killed and continued.

Check that the report is right, and that every frame that decodes was annotated exactly once.

python benchmarks/many.py [--clips 180] [--damaged 20] [--real FOLDER_OF_VIDEOS] [--kills 3] [--size 128]
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import clips

VP9 = {"codec": "libvpx-vp9", "audio": "libopus"}
KINDS: list[tuple[str, dict[str, Any]]] = [
    (".mp4", {"audio": "aac"}),
    (".mov", {}),
    (".m4v", {"audio": "aac"}),
    (".mkv", {"audio": "flac"}),
    (".webm", VP9),
    (".avi", {"codec": "mpeg4", "audio": "pcm_s16le"}),
    (".gif", {"codec": "gif", "pix_fmt": "rgb8", "rate": 10}),
    (".ts", {"audio": "aac"}),
    (".flv", {}),
    (".mpg", {"codec": "mpeg2video", "audio": "mp2"}),
    (".mp4", {"pix_fmt": "yuv420p10le"}),
    (".mp4", {"odd": True, "pix_fmt": "yuv444p"}),
    (".mp4", {"uneven": True}),
    (".mp4", {"options": {"preset": "veryfast", "bf": "3"}}),
    (".mp4", {"turned": True}),
    (".mp4", {"trimmed": True, "options": {"g": "5", "bf": "0"}}),
    (".mov", {"codec": "png", "pix_fmt": "rgb24"}),
    (".wmv", {"codec": "wmv2"}),
]
"""Suffixes, and arguments of `clips.make`; odd, uneven, turned and trimmed are settings of `make_clip`."""

GOOD, DAMAGED, FAILED = "good", "damaged", "failed"
STATUSES = {GOOD: {"done", "skipped"}, DAMAGED: {"damaged", "done", "skipped"}, FAILED: {"failed"}}
"""Allowed states in the report. Damage that destroys no whole frame cannot always be detected."""


@dataclass(frozen=True)
class Expected:
    """The expected result of a clip; `frames` is the number that a plain loop decodes."""

    kind: str
    frames: int


def real_pictures(path: Path, moments: random.Random, count: int, longest_px: int) -> list[np.ndarray]:
    """Return `count` successive pictures from a random place in a video."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        if file.duration:
            file.seek(int(file.duration * moments.uniform(0, 0.8)))
        found = []
        for frame in file.decode(stream):
            found.append(frame.to_ndarray(format="bgr24"))
            if len(found) == count:
                break
    scale = longest_px / max(found[0].shape)
    even = [2 * max(1, round(side * scale / 2)) for side in found[0].shape[1::-1]]
    return [cv2.resize(image, even, interpolation=cv2.INTER_AREA) for image in found]


def make_clip(path: Path, settings: dict[str, Any], pictures: list[np.ndarray]) -> None:
    """Write pictures as a clip with settings of `KINDS`."""
    settings = dict(settings)
    odd, uneven = settings.pop("odd", False), settings.pop("uneven", False)
    turned, trimmed = settings.pop("turned", False), settings.pop("trimmed", False)
    height, width = pictures[0].shape[:2]
    cut = slice(None, -1) if odd else slice(None)
    if uneven:
        settings |= {
            "time_base": Fraction(1, 1000),
            "pts": [40 * n + 17 * n % 30 for n in range(len(pictures))],
        }
    clips.make(
        path,
        frames=len(pictures),
        size=(width - odd, height - odd),
        draw=lambda index, *_: np.ascontiguousarray(pictures[index][cut, cut]),
        **settings,
    )
    if turned:
        clips.set_matrix(path, 90)
    if trimmed:
        clips.play_half(path)


def make_all(folder: Path, options: argparse.Namespace) -> dict[str, Expected]:
    """Write all clips, and return what is expected of each, by path."""
    moments = random.Random(options.seed)  # noqa: S311
    videos = sorted(options.real.iterdir()) if options.real else []
    expected = {}

    def pictures(index: int, count: int) -> list[np.ndarray]:
        if videos and (index + index // len(KINDS)) % 2:
            return real_pictures(videos[index // 2 % len(videos)], moments, count, 320)
        return [clips.picture(n, 160, 96) for n in range(count)]

    for index in range(options.clips):
        suffix, settings = KINDS[index % len(KINDS)]
        path = folder / f"{index % 7}" / f"clip '{index}' ş{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_clip(path, settings, pictures(index, moments.randint(3, options.frames)))
        expected[str(path)] = Expected(GOOD, len(clips.times(path)))
    for index in range(options.damaged):
        suffix = (".mp4", ".avi", ".mkv", ".mp4")[index % 4]
        path = folder / "damaged" / f"{index}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index % 4 == 3:
            path.write_text("no video" if index % 8 == 3 else "")
            expected[str(path)] = Expected(FAILED, 0)
            continue
        codec = {"codec": "mpeg4"} if suffix == ".avi" else {}
        start = {"container": {"movflags": "faststart"}} if suffix == ".mp4" else {}
        make_clip(path, {**codec, **start}, pictures(index, 60))
        clips.cut(path, 0.6)
        expected[str(path)] = Expected(DAMAGED, len(clips.times(path)))
    return expected


def finished(out: Path) -> int:
    """Return the number of clips with complete outputs."""
    return sum(".partial" not in path.name for path in out.rglob("*.jsonl"))


def run_and_kill(command: list[str], out: Path, after: int, wait_s: float) -> bool:
    """Start a run, and kill it `wait_s` after `after` clips are finished; return False if it ended before."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:  # noqa: S603
        while finished(out) < after:
            if process.poll() is not None:
                return False
            time.sleep(0.02)
        time.sleep(wait_s)
        process.kill()
    return True


def mistakes(report: dict[str, Any], expected: dict[str, Expected], out: Path) -> list[str]:
    """Return a line for each fault of the report or the outputs."""
    wrong = [f"{path} is left over" for path in out.rglob("*.partial*")]
    reported = Counter(entry["source"] for entry in report["files"])
    missing, too_many = Counter([*expected]) - reported, reported - Counter([*expected])
    wrong += [f"{path} is not in the report" for path in missing]
    wrong += [f"{path} is in the report too often" for path in too_many]
    for entry in report["files"]:
        clip = expected[entry["source"]]
        if entry["status"] not in STATUSES[clip.kind]:
            wrong.append(f"{entry['source']} is {clip.kind}, and the report says {entry['status']}")
        if clip.kind == FAILED:
            continue
        if not entry.get("outputs"):
            wrong.append(f"{entry['source']} has no outputs: {entry.get('reason')}")
            continue
        (keypoints,) = (path for path in entry["outputs"] if path.endswith(".jsonl"))
        (video,) = (path for path in entry["outputs"] if not path.endswith(".jsonl"))
        numbers = [frame["frame"] for frame in clips.read_keypoints(Path(keypoints))[1]]
        if numbers != list(range(clip.frames)):
            wrong.append(f"{keypoints} has the frames {numbers}, and {clip.frames} decode")
        if len(clips.times(video)) != clip.frames:
            wrong.append(f"{video} has {len(clips.times(video))} frames, and {clip.frames} decode")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=180)
    parser.add_argument("--damaged", type=int, default=20)
    parser.add_argument("--frames", type=int, default=14, help="of a clip, at most")
    parser.add_argument("--real", type=Path, help="folder of videos: every second clip is a part of one")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--size", default="128")
    parser.add_argument("--jobs", default="1")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    moments = random.Random(options.seed)  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-many-") as name:
        folder = Path(name)
        expected = make_all(folder / "in", options)
        kinds = Counter(clip.kind for clip in expected.values())
        frames = sum(clip.frames for clip in expected.values())
        print(f"{len(expected)} clips ({dict(kinds)}), {frames} frames that decode", flush=True)
        command = [sys.executable, "-m", "hprnet_rt", "annotate", str(folder / "in"), "-o"]
        command += [str(folder / "out")]
        command += ["--size", options.size, "--jobs", options.jobs, "--report", str(folder / "report.json")]
        begin_s = time.perf_counter()
        for kill in range(options.kills):
            after = round((kill + 1) / (options.kills + 1) * kinds[GOOD])
            killed = run_and_kill(command, folder / "out", after, moments.uniform(0, 0.3))
            left = sum(1 for _ in (folder / "out").rglob("*.partial.jsonl"))
            end = "killed" if killed else "ended"
            print(f"{end} with {finished(folder / 'out')} clips finished, {left} in the middle", flush=True)
        last = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
        took_s = time.perf_counter() - begin_s
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        wrong = mistakes(report, expected, folder / "out")
    counts = {name: report[name] for name in ("done", "damaged", "skipped", "failed")}
    print(f"the last run ended with {last.returncode}: {counts}; all runs took {took_s:.0f} s")
    print("\n".join(wrong) or "the report is right; every frame that decodes was annotated, and none twice")
    return int(bool(wrong) or last.returncode != bool(options.damaged))


if __name__ == "__main__":
    sys.exit(main())
