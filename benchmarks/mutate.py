"""Break files of every kind, and see what becomes of them: outputs, a sentence, or what must not be.

Every mutated file goes through the readers and the writers, and some go through `hprnet-rt annotate`, in
workers that are started again when they die, take too long or take too much memory. Printed, and written as
JSON, is how often each kind of damage had which outcome. What must not be (a traceback, a hang, a death, too
much memory, an output under its final name that is not whole, words on stderr that are not ours) is listed
with what makes it again, and makes the exit code 1.

python benchmarks/mutate.py [--count 10000] [--through-command 500] [--workers 2] [--seed 22] [--keep FOLDER]
"""

import argparse
import json
import logging
import os
import queue
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from damage import mutate
from machine import RESULTS, machine

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the corpus of the tests

from tests.media.corpus import corpus

MOST_S = 30.0
MOST_BYTES = 1536 << 20
RUNAWAY_BYTES = 4 << 30  # are refused by the system, so that the machine goes on
START_S = 300.0  # a worker's first answer: kernels may have to be compiled

WHOLE, DAMAGED, REFUSED = "whole", "damaged", "refused"
UNSAID = "damaged, which libjpeg alone says"
FINE = (WHOLE, DAMAGED, REFUSED, UNSAID)
LIBJPEG = "Corrupt JPEG data"
NOT_A_SENTENCE = re.compile(r"Traceback|Errno|unexpectedly|0x[0-9a-f]{6}|\b[A-Z]\w+Error\b|<class|object at")
"""What no sentence for a user has in it."""


@dataclass
class Outcome:
    """What became of a file: one of `FINE`, or what must not be."""

    outcome: str
    said: str = ""


def through_readers(path: Path, out: Path) -> Outcome:
    """Read a file, and write what is read, as annotate does with nobody in the pictures."""
    from hprnet_rt.errors import HprnetError
    from hprnet_rt.jobs.outputs import Outputs
    from hprnet_rt.types import FramePoses, Poses
    from hprnet_rt.video import ImageSink, ImageSource, VideoSink, image_suffix, open_source
    from hprnet_rt.video.audio import suffix_for_audio

    outputs = Outputs()
    try:
        source = open_source(path)
        try:
            if isinstance(source, ImageSource):
                outputs.add(ImageSink(out / f"out{image_suffix(path)}", source.photo))
            else:
                name = f"out{suffix_for_audio(path, '.mp4')}"
                outputs.add(VideoSink(out / name, source.info, audio_from=path, threads=1))
            for frame in source:
                outputs.write(FramePoses(frame, Poses.empty()))
            outputs.finish()
        finally:
            source.close()
    except HprnetError as error:
        outputs.abandon()
        return Outcome(REFUSED, str(error))
    return Outcome(DAMAGED, source.damage) if source.damage else Outcome(WHOLE)


def through_command() -> Callable[[Path, Path], Outcome]:
    """Return a function that annotates a file with the command, in this process, with one small model."""
    import hprnet_rt
    from hprnet_rt import cli
    from hprnet_rt.commands import options as model_options

    model = hprnet_rt.load(input_px=64, threads=1)
    model_options.load = lambda *_, **__: model
    model.close = lambda: None

    def run(path: Path, out: Path) -> Outcome:
        code = cli.main(["annotate", str(path), "-o", str(out), "-q"])
        return Outcome({0: WHOLE, 1: REFUSED, 2: REFUSED}.get(code, f"exit code {code}"))

    return run


def not_whole(out: Path) -> str:
    """Return the outputs under a final name that cannot be read to their end, "" when all can."""
    from hprnet_rt.errors import HprnetError
    from hprnet_rt.formats import read_keypoints
    from hprnet_rt.video import open_source

    broken = []
    for path in out.rglob("*"):
        if not path.is_file() or ".partial" in path.name or path.name.endswith(".damage.txt"):
            continue
        try:
            if path.suffix == ".jsonl":
                list(read_keypoints(path).frames)
                continue
            source = open_source(path)
            frames = sum(1 for _ in source)
            source.close()
            if source.damage or not frames:
                broken.append(f"{path.name}: {source.damage or 'it has no frame'}")
        except HprnetError as error:
            broken.append(str(error))
    return "; ".join(broken)


def work(kind: str) -> int:
    """Answer every line of stdin, which names a file, by the outcome in a line of JSON."""
    import cv2

    os.nice(10)
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (RUNAWAY_BYTES, RUNAWAY_BYTES))
    logging.basicConfig(level=logging.WARNING, format="hprnet-rt: %(message)s")  # as the command does
    do = through_command() if kind == "command" else through_readers
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        with (
            tempfile.TemporaryDirectory(prefix="out-", dir=path.parent) as name,
            tempfile.TemporaryFile() as said,
        ):
            out, before = Path(name), os.dup(2)
            os.dup2(said.fileno(), 2)
            try:
                outcome = do(path, out)
                broken = not_whole(out)
                outcome = Outcome("not whole", broken) if broken else outcome
            except BaseException as error:
                where = error.__traceback__
                while where is not None and where.tb_next is not None:
                    where = where.tb_next
                place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
                outcome = Outcome("traceback", f"{type(error).__name__}: {error} ({place})")
            finally:
                sys.stderr.flush()
                os.dup2(before, 2)
                os.close(before)
            said.seek(0)
            outcome = with_stderr(outcome, said.read().decode("utf-8", "replace"))
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MOST_BYTES:
            outcome = Outcome("too much memory", outcome.said)
        print(json.dumps(asdict(outcome)), file=answers, flush=True)
    return 0


def with_stderr(outcome: Outcome, stderr: str) -> Outcome:
    """Return the outcome with what stderr has said; words that are not ours are an outcome of their own."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("hprnet-rt: ")]
    if outcome.outcome not in FINE:
        return outcome
    if len(ours) != len(lines):
        strange = next(line for line in lines if line not in ours)
        if strange.startswith(LIBJPEG):
            return Outcome(UNSAID if outcome.outcome == WHOLE else outcome.outcome, strange)
        return Outcome("strange words on stderr", strange)
    sentence = outcome.said or (ours[-1] if ours else "")
    if NOT_A_SENTENCE.search(sentence):
        return Outcome("not a sentence", sentence)
    if outcome.outcome == REFUSED and not sentence:
        return Outcome("refused without a word")
    if outcome.outcome == REFUSED and "in the output; the rest is lost" in sentence:
        return Outcome(DAMAGED, sentence)
    return Outcome(outcome.outcome, sentence)


class Worker:
    """A process that answers, and is started anew when it does not."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def ask(self, path: Path) -> Outcome:
        """Return what becomes of a file."""
        limit_s = MOST_S if self._process is not None else START_S
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            line = self._answers.get(timeout=limit_s)
        except queue.Empty:
            self.stop()
            return Outcome("hang", f"no answer in {limit_s:g} s")
        except BrokenPipeError:
            line = ""
        if not line:
            code = process.wait()
            self.stop()
            return Outcome("death", f"exit code {code}")
        outcome = Outcome(**json.loads(line))
        if outcome.outcome == "too much memory":  # of which the next file would be accused
            self.stop()
        return outcome

    def _start(self) -> subprocess.Popen[str]:
        self._answers = answers = queue.Queue()
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, __file__, "--worker", self._kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._process = process

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                answers.put(line)
            answers.put("")

        threading.Thread(target=read, daemon=True).start()
        return process

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


# --- the run ---


@dataclass
class Tried:
    """A mutated file and its outcome."""

    number: int
    source: str
    damage: str
    way: str
    outcome: Outcome


def run(options: argparse.Namespace, folder: Path) -> list[Tried]:
    sources = corpus(folder)
    tried: list[Tried] = []
    numbers = iter(range(options.first, options.first + options.count))
    lock = threading.Lock()
    every = max(1, options.count // max(1, options.through_command))

    def turn() -> None:
        workers = {"readers": Worker("readers"), "command": Worker("command")}
        try:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                chance = random.Random(f"{options.seed} {number}")  # noqa: S311
                source = chance.choice(sources)
                with tempfile.TemporaryDirectory(dir=folder) as name:
                    path = Path(name) / source.name
                    damage = mutate(source, path, chance)
                    ways = ["readers"]
                    if options.through_command and number % every == 0:
                        ways.append("command")
                    for way in ways:
                        outcome = workers[way].ask(path)
                        if options.keep and outcome.outcome not in FINE:
                            options.keep.mkdir(parents=True, exist_ok=True)
                            shutil.copy(path, options.keep / f"{number}-{way}-{path.name}")
                        said = outcome.said.replace(str(path), "FILE").replace(name, "FOLDER")
                        with lock:
                            tried.append(
                                Tried(number, source.name, damage, way, Outcome(outcome.outcome, said))
                            )
        finally:
            for worker in workers.values():
                worker.stop()

    threads = [threading.Thread(target=turn) for _ in range(options.workers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        if int(time.monotonic()) % 30 == 0:
            print(f"{len(tried)} tried", file=sys.stderr, flush=True)
    return sorted(tried, key=lambda each: (each.number, each.way))


def shortened(said: str) -> str:
    """Return a sentence without the numbers and folders that differ between files."""
    return re.sub(r"\d+", "N", re.sub(r"\bout-\w+", "OUT", said))


def report(tried: list[Tried], options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Return the counts by way, damage and outcome, the sentences, and what must not be."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for each in tried:
        counts = table.setdefault(each.way, {}).setdefault(each.damage, {})
        counts[each.outcome.outcome] = counts.get(each.outcome.outcome, 0) + 1
    sentences = Counter(
        (each.outcome.outcome, shortened(each.outcome.said)) for each in tried if each.outcome.said
    )
    return {
        "machine": machine(),
        "command": f"python benchmarks/mutate.py --count {options.count} --seed {options.seed}",
        "files": options.count,
        "seconds": round(seconds, 1),
        "outcomes": table,
        "sentences": [
            {"outcome": outcome, "said": said, "times": times}
            for (outcome, said), times in sentences.most_common()
        ],
        "must not be": [asdict(each) for each in tried if each.outcome.outcome not in FINE],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file, to make one again")
    parser.add_argument("--through-command", type=int, default=500, metavar="N", help="how many of them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=22)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the files that must not be so")
    parser.add_argument("--out", type=Path, default=RESULTS / "mutate.json")
    parser.add_argument("--worker", choices=("readers", "command"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.worker)
    begin_s = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hprnet-rt-mutate-") as name:
        tried = run(options, Path(name))
    found = report(tried, options, time.perf_counter() - begin_s)
    options.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for way, damages in found["outcomes"].items():
        print(f"through the {way}:")
        for damage, counts in sorted(damages.items()):
            print(
                f"  {damage:<10} " + ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
            )
    for wrong in found["must not be"]:
        outcome = wrong["outcome"]
        print(
            f"--first {wrong['number']} --count 1: {wrong['source']}, {wrong['damage']}, {wrong['way']}: "
            f"{outcome['outcome']}: {outcome['said'][:200]}"
        )
    print(f"{len(tried)} tried, wrote {options.out}")
    return 1 if found["must not be"] else 0


if __name__ == "__main__":
    sys.exit(main())
