"""`hprnet-rt bench`: how long things take, and what has changed."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from tqdm import tqdm

from hprnet_rt.backends import BACKENDS, PRECISIONS, Backend
from hprnet_rt.bench.against import compare_reports, require_alike, require_same_settings
from hprnet_rt.bench.engines import LIBRARIES, EnginesOptions, engines_settings, measure_engines
from hprnet_rt.bench.failures import in_a_sentence
from hprnet_rt.bench.machine import heading, machine
from hprnet_rt.bench.measure import Limits
from hprnet_rt.bench.mediapipe import MediaPipePipeline, require_mediapipe
from hprnet_rt.bench.people import Peer, PeopleOptions, case_of, measure_people, people_settings
from hprnet_rt.bench.people_chart import people_chart
from hprnet_rt.bench.pipeline import measure_pipeline, pipeline_settings
from hprnet_rt.bench.released import ReleasedOptions, measure_released, released_settings
from hprnet_rt.bench.report import BenchReport, make_folder, read_report, table, write_report
from hprnet_rt.bench.scenes import COUNTS, sample_video
from hprnet_rt.bench.stages import measure_stages, stages_settings
from hprnet_rt.bench.subject import ModelOptions, on_demand, open_subject
from hprnet_rt.charts import Chart, require_matplotlib, write_chart
from hprnet_rt.commands.console import DONE, AddParser, complain
from hprnet_rt.errors import UsageError
from hprnet_rt.inference.model import DEFAULT_MODEL
from hprnet_rt.spec import SPECS

__all__ = ["add_parser"]

_LEAST: Final = 3  # rounds, where one takes long
_LARGEST_PX: Final = 8192  # of a picture: eight of them fit into memory


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    bench = add(
        description="Measure times. What is compared takes turns in one run; --against OLD.json names what "
        "has changed beyond noise since an earlier run with the same settings on the same machine.",
    )
    kinds = bench.add_subparsers(metavar="WHAT", required=True)

    job = kinds.add_parser("people", help="runtime against people in the picture (the paper's Figure 5)")
    _add_network(job)
    job.add_argument("--k", type=int, metavar="N", help="export an engine that returns N people at most")
    job.add_argument("--people", type=int, nargs="+", default=list(COUNTS), help="(default: %(default)s)")
    job.add_argument("--picture", type=_sides, default=(1280, 720), metavar="WxH", help="(default 1280x720)")
    job.add_argument("--zoomnet", action="store_true", help="also time the top-down pipeline ZoomNet (random "
                     "weights, same library)")  # fmt: skip
    job.add_argument("--rivals", action="store_true", help="also time HPRNet-DLA and -HG, OpenPose and "
                     "associative embedding (random weights, same library): the network, and the decode of "
                     "planted maps")  # fmt: skip
    job.add_argument("--mediapipe", action="store_true", help="also time MediaPipe's Holistic, once for each "
                     "person, on the CPU")  # fmt: skip
    job.add_argument("--peer-people", type=int, nargs="+", metavar="N", default=[1, 2, 4],
                     help="for how many people those are timed (default: %(default)s)")  # fmt: skip
    _add_shared(job, 60.0, _people)

    job = kinds.add_parser("released", help="the released path, dense maps to the host, against ours")
    _add_network(job)
    job.add_argument("--people", type=int, default=20, help="in the scene (default %(default)s)")
    job.add_argument("--no-torch", action="store_true", help="leave out the released path in PyTorch")
    _add_shared(job, 60.0, _released)

    job = kinds.add_parser("engines", help="networks x libraries x precisions x sizes x batches")
    job.add_argument("--model", nargs="+", default=list(SPECS), help="networks (default: all)")
    job.add_argument("--backend", default="auto", help="auto for all, openvino or onnxruntime")
    job.add_argument("--precision", default="auto", help="auto for all, fp32 or bf16")
    job.add_argument("--size", type=int, nargs="+", help="sides of the input (default: each network's own)")
    job.add_argument("--batch", type=int, nargs="+", default=[1], help="images at once (default 1)")
    job.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    _add_shared(job, 30.0, _engines)

    job = kinds.add_parser("stages", help="every stage of annotate by itself")
    _add_network(job)
    _add_video(job)
    _add_shared(job, 30.0, _stages)

    job = kinds.add_parser("pipeline", help="the whole annotate against its slowest stage")
    _add_network(job)
    _add_video(job)
    job.add_argument("--no-video", action="store_true", help="write keypoints only")
    _add_shared(job, 60.0, _pipeline)


def _sides(text: str) -> tuple[int, int]:
    """Read the width and height of a picture.

    Raises:
        ArgumentTypeError: it is not a size, or too large.
    """
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    width, height = map(int, found.groups()) if found else (0, 0)
    if not (1 <= width <= _LARGEST_PX and 1 <= height <= _LARGEST_PX):
        raise argparse.ArgumentTypeError(f"a picture is WxH, each 1 to {_LARGEST_PX}, got {text!r}")
    return width, height


def _add_network(job: argparse.ArgumentParser) -> None:
    job.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="a name that `hprnet-rt models` lists, or an .onnx file; without weights on this machine they "
        "are random (default %(default)s)",
    )
    job.add_argument("--weights", type=Path, metavar="FILE", help="a checkpoint (.pth) of --model")
    job.add_argument("--backend", default="auto", help=f"auto, {', '.join(BACKENDS)} (default %(default)s)")
    job.add_argument("--precision", default="auto", help=f"{', '.join(PRECISIONS)} (default %(default)s)")
    job.add_argument("--size", type=int, metavar="PX", help="longer side of the input (default: its own)")
    job.add_argument("--threads", type=int, help="CPU threads of the backend (default: all cores)")


def _add_video(job: argparse.ArgumentParser) -> None:
    job.add_argument("video", type=Path, nargs="?", metavar="VIDEO", help="(default: the sample clip)")


def _add_shared(
    job: argparse.ArgumentParser, seconds: float, run: Callable[[argparse.Namespace], int]
) -> None:
    job.add_argument(
        "--seconds",
        type=float,
        default=seconds,
        help="the longest that measuring may take (default %(default)s); it ends before when the medians are "
        "known to 1%%",
    )
    job.add_argument("--out", type=Path, metavar="FOLDER", help="for JSON, CSV and charts (extra: plot)")
    job.add_argument("--against", type=Path, metavar="OLD.json", help="name changes since then")
    job.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    job.set_defaults(run=run)


def _model_options(options: argparse.Namespace) -> ModelOptions:
    return ModelOptions(options.backend, options.precision, options.threads, options.size)


class _Progress:
    """Shows the measured rounds on stderr, on a terminal only."""

    def __init__(self, quiet: bool) -> None:
        self._bar: tqdm[Any] = tqdm(
            unit=" rounds", file=sys.stderr, disable=quiet or None, dynamic_ncols=True, leave=False
        )

    def __call__(self, _rounds: int, widest: float) -> None:
        self._bar.set_postfix_str(f"medians +-{100 * widest:.1f}%", refresh=False)
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


def _earlier(options: argparse.Namespace, kind: str) -> BenchReport | None:
    """Read the report of --against, before anything is measured; None without the option.

    Raises:
        UsageError: it is of another command or machine.
    """
    if options.against is None:
        return None
    old = read_report(options.against)
    require_alike(old, kind, machine())
    return old


def _measured(
    options: argparse.Namespace,
    old: BenchReport | None,
    settings: Mapping[str, Any],
    measure: Callable[[_Progress], BenchReport],
    charts: Callable[[BenchReport], Mapping[str, Chart]] | None = None,
) -> BenchReport:
    """Measure, print and write the result, compare it with an earlier report, and return it.

    Args:
        options: with those of `_add_shared`.
        old: the earlier report, None without one.
        settings: of this run; those of the earlier report must be the same.
        measure: makes the report.
        charts: makes the charts of a report, by the names of their files; None for those that have none.
    """
    if old is not None:
        require_same_settings(old, settings)
    if options.out is not None:
        make_folder(options.out)
    draws = charts is not None and options.out is not None and _can_draw()
    progress = _Progress(options.quiet)
    try:
        with in_a_sentence("the measurement failed in a library", "choose another --backend or --precision"):
            report = measure(progress)
    finally:
        progress.close()
    written = [] if options.out is None else write_report(report, options.out)
    if charts is not None and draws:
        for name, chart in charts(report).items():
            written += write_chart(chart, options.out / name)
    if not options.quiet:
        print(heading(report.machine))
        print(table(report.series))
        for name, value in report.summary.items():
            if name != "rivals":
                print(f"{name}: {value}")
        for path in written:
            print(f"wrote {path}")
    if old is not None:
        print(compare_reports(old, report).to_text())
    return report


def _can_draw() -> bool:
    """Return whether charts can be drawn; if not, say before the measurement what to install."""
    try:
        require_matplotlib()
    except UsageError as error:
        complain(f"no chart is drawn beside JSON and CSV: {error}")
        return False
    return True


def _people(options: argparse.Namespace) -> int:
    old = _earlier(options, "people")
    limits = Limits(seconds=options.seconds)
    bench_options = PeopleOptions(
        tuple(options.people), image_wh=options.picture, limits=limits, peer_counts=options.peer_people
    )
    peers: dict[str, Callable[[Backend], Peer]] = {}
    if options.zoomnet:
        peers["ZoomNet"] = partial(on_demand("zoomnet").ZoomNetPipeline, threads=options.threads)
    if options.mediapipe:
        require_mediapipe()
        peers["MediaPipe Holistic"] = MediaPipePipeline
    with open_subject(options.model, options.weights, options.k) as network:
        model_options = _model_options(options)
        settings = people_settings(network, model_options, bench_options, list(peers))
        rivals = on_demand("rivals") if options.rivals else None
        if rivals is not None:
            settings["rivals"] = list(rivals.RIVALS_SHOWN)

        def measure(progress: _Progress) -> BenchReport:
            found = measure_people(network, model_options, bench_options, peers=peers, progress=progress)
            if rivals is None:
                return found
            with model_options.open(network.model_file) as model:
                backend = model.backend_for(model.letterbox(bench_options.image_wh[::-1]).input_hw)
            added = rivals.add_rivals(found, backend, model_options, bench_options, progress=progress)
            return cast(BenchReport, added)

        def charts(report: BenchReport) -> Mapping[str, Chart]:
            drawn = {report.kind: people_chart(report)}
            return drawn if rivals is None else {**drawn, "rivals": rivals.rivals_chart(report)}

        report = _measured(options, old, settings, measure, charts)
    if not options.quiet:
        _say_people(report)
    return DONE


def _say_people(report: BenchReport) -> None:
    """Print the meaning of the figures."""
    summary = report.summary
    if "rivals" in summary:
        _say_rivals(summary["rivals"])
    pairs = zip(summary["placed"], summary["found"], strict=True)
    print("found of placed: " + ", ".join(f"{found}/{placed}" for placed, found in pairs))
    print("after the network, everyone planted, and the ratio of whole frames; the refinement, and with it:")
    for n, each in summary["after_network"].items():
        plain, refined = f"{each['ms']:.3f} ms, {each['ratio']:.3f}", f"{each['refinement_ms']:.3f} ms"
        print(f"  {case_of(int(n))}: {plain}; {refined}, {each['refined_ratio']:.3f}")
    print(f'the engine returns {summary["k"]} people at most (--k changes it); "everyone" has planted peaks')
    if summary["random_weights"]:
        print("the weights are random: times hold, people are not found")
    for name, line in summary["peers"].items():
        people = line["crossover_people"]
        print(
            f"{name} ({line['engine']}; {line['note']}): {max(0.0, line['fixed_ms']):.0f} ms and "
            f"{line['ms_per_person']:.0f} ms for each person"
        )
        print(
            f"{name} is faster for all of these numbers of people"
            if people is None
            else f"crossover: HPRNet is faster than {name} where there are {people} people or more"
        )


def _say_rivals(rivals: Mapping[str, Any]) -> None:
    """Print what the networks of others cost."""
    print("others, with random weights and planted maps of everyone (~: a line through measured times):")
    for name, line in rivals.items():
        whole = {int(n): ms for n, ms in line["whole_ms"].items()}
        extended = {int(n): ms for n, ms in line["extended_ms"].items()}
        times = [
            f"{n}: {'~' if n in extended else ''}{ms:.0f}" for n, ms in sorted({**whole, **extended}.items())
        ]
        print(
            f"{name} ({line['engine']}): network {line['network_ms']:.0f} ms; ms by people {', '.join(times)}"
        )


def _released(options: argparse.Namespace) -> int:
    old = _earlier(options, "released")
    bench_options = ReleasedOptions(
        options.people, limits=Limits(options.seconds, least_rounds=_LEAST), in_torch=not options.no_torch
    )
    with open_subject(options.model, options.weights) as network:
        model_options = _model_options(options)
        _measured(
            options,
            old,
            released_settings(network, model_options, bench_options),
            lambda progress: measure_released(network, model_options, bench_options, progress=progress),
        )
    return DONE


def _engines(options: argparse.Namespace) -> int:
    libraries = [
        name
        for name in LIBRARIES
        if options.backend in ("auto", name.split()[0]) and options.precision in ("auto", name.split()[1])
    ]
    if not libraries:
        raise UsageError(
            f"bench engines knows {', '.join(LIBRARIES)}, not {options.backend} {options.precision}"
        )
    bench_options = EnginesOptions(
        options.model,
        libraries,
        options.size,
        options.batch,
        options.threads,
        Limits(options.seconds, least_rounds=_LEAST),
    )
    _measured(
        options,
        _earlier(options, "engines"),
        engines_settings(bench_options),
        lambda progress: measure_engines(bench_options, progress=progress),
    )
    return DONE


def _video(options: argparse.Namespace) -> Path:
    video: Path = options.video or sample_video()
    if not video.is_file():
        raise UsageError(f"{video} does not exist")
    return video


def _stages(options: argparse.Namespace) -> int:
    old = _earlier(options, "stages")
    video, limits = _video(options), Limits(options.seconds)
    with open_subject(options.model, options.weights) as network:
        model_options = _model_options(options)
        _measured(
            options,
            old,
            stages_settings(network, model_options, video),
            lambda progress: measure_stages(network, model_options, video, limits, progress=progress),
        )
    return DONE


def _pipeline(options: argparse.Namespace) -> int:
    old, video = _earlier(options, "pipeline"), _video(options)
    limits = Limits(options.seconds, least_rounds=1, warm_up=1)  # a round is two passes over the video
    with open_subject(options.model, options.weights) as network:
        model_options, picture = _model_options(options), not options.no_video
        _measured(
            options,
            old,
            pipeline_settings(network, model_options, video, picture=picture),
            lambda progress: measure_pipeline(
                network, model_options, video, limits, picture=picture, progress=progress
            ),
        )
    return DONE
