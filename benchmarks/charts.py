"""Draw the charts of benchmarks/results/ again, from the reports beside them.

    python benchmarks/charts.py

Every report of `hprnet-rt bench people` that has a chart gets it anew, as SVG.
"""

from pathlib import Path

from hprnet_rt.bench.people_chart import people_chart
from hprnet_rt.bench.report import read_report
from hprnet_rt.charts import write_chart

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    for path in sorted(RESULTS.glob("people-*.svg")):
        svg, png = write_chart(people_chart(read_report(path.with_suffix(".json"))), path.with_suffix(""))
        png.unlink()
        print(f"wrote {svg}")


if __name__ == "__main__":
    main()
