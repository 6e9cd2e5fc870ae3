"""The chart of running time against people, the paper's Figure 5, from a report of `bench people`."""

from __future__ import annotations

from collections.abc import Sequence

from hprnet_rt.bench.measure import median_interval
from hprnet_rt.bench.paper import PAPER_MS
from hprnet_rt.bench.people import ALL, FOUND, NETWORK, WHOLE, case_of
from hprnet_rt.bench.report import BenchReport, Series
from hprnet_rt.charts import Chart, Curve

__all__ = ["people_chart"]


def people_chart(report: BenchReport) -> Chart:
    """Make the chart of milliseconds against people, with the paper's numbers beside the measured ones."""
    summary, settings = report.summary, report.settings
    counts: list[int] = list(settings["counts"])
    most = max(counts)
    name = settings["model"]
    curves = [
        _measured(label, counts, [report.find(case_of(n), stage) for n in counts])
        for label, stage in (
            (f"{name}, everyone", ALL),
            (f"{name}, as found", FOUND),
            ("its network alone", NETWORK),
        )
    ]
    notes = [
        f"{report.machine['processor']}, {report.machine['cores']} cores; {summary['engine']}",
        "Points are medians, bars their 95% intervals.",
    ]
    for peer, line in summary["peers"].items():
        placed: list[int] = list(settings["peers"][peer])
        series = [report.find(f"{peer}, {case_of(n)}", WHOLE) for n in placed]
        fixed_ms, person_ms = line["fixed_ms"], line["ms_per_person"]
        # many points, because a line is curved on a logarithmic axis
        beyond = [(float(n), fixed_ms + person_ms * n) for n in range(max(placed), most + 1)]
        curves.append(_measured(peer, placed, series, beyond))
        notes.append(f"{peer}: {line['engine']}; {line['note']}; dashed: a line through its times, extended")
    curves += [
        Curve(f"paper, 1080 Ti: {who}", [(0.0, ms), (float(most), ms)], published=True)
        for who, ms in PAPER_MS.items()
    ]
    notes.append("The paper's are means over the pictures of COCO val; ZoomNet's time grows with people.")
    return Chart("Runtime against people", "people in the picture", "ms a frame", curves, notes)


def _measured(
    name: str, people: Sequence[int], series: Sequence[Series], beyond: Sequence[tuple[float, float]] = ()
) -> Curve:
    """Return the curve of medians, with the error bars of those of which there are enough rounds."""
    points = [(float(n), each.p50_ms) for n, each in zip(people, series, strict=True)]
    bars = [median_interval(each.rounds_ms) or (each.p50_ms, each.p50_ms) for each in series]
    return Curve(name, points, bars, beyond)
