"""Write the generated tables of docs/benchmarks.md from benchmarks/results/*.json.

    python benchmarks/tables.py

Each report of `hprnet-rt bench ... --out` that is put there becomes a table of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import page

from hprnet_rt.bench.people import ALL, FOUND
from hprnet_rt.bench.report import BenchReport, read_report

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_VARIANTS = ("sparse", "dense", "sparse, grid_sample")
_OF_PEOPLE = {
    "network": "network and decode",
    "grouping": "everyone: grouping",
    "refinement": "everyone: refinement",
    "drawing": "everyone: drawing",
}
_LIBRARIES = {"openvino fp32": "OpenVINO fp32", "onnxruntime": "ONNX Runtime fp32"}


def networks(results: Path) -> str:
    """Return the table of the paper's networks: ours, with dense heads, and with GridSample."""
    head = ["network"]
    for name in _LIBRARIES.values():
        head += [name, "dense", "with GridSample"]
    lines = [page.row(head), page.row(["---"] * len(head))]
    for network in json.loads((results / "networks-cpu.json").read_text())["networks"]:
        cells = [f"`{network['name']}` at {network['side_px']}"]
        for library in _LIBRARIES:
            times = network["times_ms"][library]
            cells += [f"{times[kind]['p50']:.0f} ms" if kind in times else "-" for kind in _VARIANTS]
        lines.append(page.row(cells))
    return "\n".join(lines)


def reports(results: Path) -> str:
    """Return a table for every report of `hprnet-rt bench`, in the order of their file names."""
    tables = [
        _table(path.name, read_report(path))
        for path in sorted(results.glob("*.json"))
        if str(json.loads(path.read_text()).get("format", "")).startswith("hprnet-rt-bench/")
    ]
    return "\n\n".join(tables)


def _table(name: str, report: BenchReport) -> str:
    facts, settings = report.machine, report.settings
    title = f"`{name}`: `hprnet-rt bench {report.kind}`, {settings.get('model', 'all networks')}, "
    if report.kind == "people":
        size = f" at {settings['size']}" if settings["size"] else ""
        title = f"{title.removesuffix(', ')}{size}, {report.summary['k']} people at most, "
    title += f"{facts['processor']}, {facts['cores']} cores; {report.summary.get('engine', '')}".rstrip("; ")
    if report.kind == "people":
        return "\n".join([title, "", *_people(report)])
    lines = [title, "", page.row(["what", "p50", "p95", "p99"]), page.row(["---"] * 4)]
    lines += [
        page.row([series.name, *(f"{ms:.3f} ms" for ms in series.percentiles.values())])
        for series in report.series
    ]
    return "\n".join(lines)


def _people(report: BenchReport) -> list[str]:
    """Return the lines of a table with a row for each number of people, and a sentence.

    A row has the medians of the stages, and median and p95 of the whole frame.
    """
    summary, known = report.summary, {each.stage for each in report.series}
    stages = {name: stage for name, stage in _OF_PEOPLE.items() if stage in known}
    head = ["people", "found", *stages, "whole frame", "p95"]
    lines = [page.row(head), page.row(["---"] * len(head))]
    for people, found in zip(summary["placed"], summary["found"], strict=True):
        case = f"{people} {'person' if people == 1 else 'people'}"
        whole = report.find(case, ALL)
        medians = [report.find(case, stage).p50_ms for stage in stages.values()]
        times = [*medians, whole.p50_ms, whole.percentiles["p95"]]
        lines.append(page.row([str(people), str(found), *(f"{ms:.2f} ms" for ms in times)]))
    most = max(summary["placed"])
    ratios, one = summary["ratio"], summary["most_against"]
    sentence = f"{most} people take {ratios[ALL]:.3f} times as long as {one}"
    if max(summary["found"]):
        sentence += f", and those that are found of them {ratios[FOUND]:.3f} times"
    for name, line in summary["peers"].items():
        fixed_ms, person_ms = max(0.0, line["fixed_ms"]), line["ms_per_person"]
        sentence += (
            f"; {name} ({line['engine']}) takes {fixed_ms:.0f} ms, and {person_ms:.0f} ms for each person"
        )
    return [*lines, "", f"{sentence}."]


BLOCKS: dict[str, Callable[[Path], str]] = {"networks": networks, "reports": reports}


def rewritten(text: str, results: Path = RESULTS) -> str:
    """Return the page with its tables made anew."""
    return page.rewritten(text, {name: make(results) for name, make in BLOCKS.items()}, PAGE.name)


def main() -> None:
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
